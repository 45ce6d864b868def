"""Clusters and nodes that a plan would take away."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from .nodes import Node
from .objects import KubeObject

CLUSTERS: Final = (
    "gcp:container/cluster:Cluster",
    "aws:eks/cluster:Cluster",
    "azure-native:containerservice:ManagedCluster",
)
NODES: Final = (
    "gcp:container/nodePool:NodePool",
    "aws:eks/nodeGroup:NodeGroup",
    "azure-native:containerservice:AgentPool",
)
"""Types of Pulumi's packages. Source: https://www.pulumi.com/registry/."""

_REPLACES: Final = ("replace", "create-replacement")
_DELETES: Final = ("delete",)
"""Steps of a preview; with ``--show-replacement-steps`` the second one stands for the first.
Source: Pulumi's engine, ``resource/deploy/step.go``."""


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
        kind, operation = step["oldState"]["type"].text(), step["op"].text()
        if kind not in CLUSTERS + NODES or operation not in _REPLACES + _DELETES:
            continue
        urn = step["urn"].text()
        found.setdefault(
            urn,
            PlannedLoss(
                cluster=cluster,
                kind=kind,
                namespace="",
                name=urn.rpartition("::")[2],
                root=step["newState"]["inputs"],
                replaced=operation in _REPLACES,
                reasons=step["replaceReasons"].texts(),
                locked=step["oldState"]["outputs"]["deletionProtection"].known is True,
            ),
        )
    return list(found.values())
