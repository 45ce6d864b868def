"""Clusters and nodes that a plan would take away."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from .nodes import Node
from .objects import KubeObject

CLUSTERS: Final = (
    "gcp:container/cluster:Cluster",
    "aws:eks/cluster:Cluster",
    "aws-native:eks:Cluster",
    "azure-native:containerservice:ManagedCluster",
    "azure:containerservice/kubernetesCluster:KubernetesCluster",
)
NODES: Final = (
    "gcp:container/nodePool:NodePool",
    "aws:eks/nodeGroup:NodeGroup",
    "aws-native:eks:Nodegroup",
    "azure-native:containerservice:AgentPool",
    "azure:containerservice/kubernetesClusterNodePool:KubernetesClusterNodePool",
)
"""Types of Pulumi's packages. Source: https://www.pulumi.com/registry/."""

_API_VERSION: Final = re.compile(r"(azure-native:[a-z]+)/v[^:]+(?=:)")
"""Types of Azure's package may name a version of its API."""

_REPLACES: Final = ("replace", "create-replacement")
_DELETES: Final = ("delete", "delete-replaced")
"""Steps of a preview. With ``--show-replacement-steps`` there are the second ones as well: of a replacement, or of one
that an earlier run began and could not end. Source: Pulumi's engine, ``resource/deploy/step.go``."""

_FORCES: Final = "-replace"
"""End of a difference's kind that forces a replacement. Source: Pulumi's SDK, ``plugin.DiffKind``."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PlannedLoss(KubeObject):
    """A cluster, or nodes, that exist and that a plan replaces or deletes.

    Attributes:
        kind: Type of the resource.
        name: Its logical name.
        namespace: Empty.
        replaced: Whether another one takes its place.
        reasons: Properties that force the replacement.
        locked: Whether the provider will refuse to delete it, by what the state says.
    """

    replaced: bool
    reasons: Sequence[str]
    locked: bool

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


def planned_losses(cluster: str, steps: Iterable[Node]) -> list[PlannedLoss]:
    """Read what the steps of a preview take away, each resource once.

    Args:
        cluster: What findings call the stack.
        steps: The list ``steps`` of ``pulumi preview --json``.
    """
    found: dict[str, PlannedLoss] = {}
    for step in steps:
        urn, operation = step["urn"].text(), step["op"].text()
        # From its URN: states that the engine cannot write down are left out.
        _, _, qualified, name = (*urn.split("::", 3), "", "", "", "")[:4]
        kind = _API_VERSION.sub(r"\1", qualified.rpartition("$")[2])
        if kind not in CLUSTERS + NODES or operation not in _REPLACES + _DELETES:
            continue
        found.setdefault(
            urn,
            PlannedLoss(
                cluster=cluster,
                kind=kind,
                namespace="",
                name=name,
                root=step["newState"]["inputs"],
                replaced=operation in _REPLACES,
                reasons=_reasons(step),
                locked=step["oldState"]["outputs"]["deletionProtection"].known is True,
            ),
        )
    return list(found.values())


def _reasons(step: Node) -> Sequence[str]:
    """What forces a replacement, as exactly as the provider says it."""
    exact = [path for path, each in step["detailedDiff"].entries() if each["kind"].text().endswith(_FORCES)]
    return exact or step["replaceReasons"].texts()
