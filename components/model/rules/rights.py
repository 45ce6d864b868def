"""Rules on rights: what somebody who takes one part of the mesh could reach beyond it."""

from collections.abc import Iterator
from typing import Final

from .control_plane import is_istiod
from .gateways import labels, pod_labels, selects
from .objects import KubeObject
from .registry import Case, Report, Rule, Scope, Severity, object_rule, problem

TEMPLATES: Final = "inject.istio.io/templates"
"""Annotation of pods that are injected; ``gateway`` makes them gateways.
Source: https://istio.io/latest/docs/setup/additional-setup/gateway/."""


def _is_gateway(case: Case, workload: KubeObject) -> bool:
    """Whether a workload runs a gateway: by what is injected into its pods, or because a Gateway selects them."""
    notes = workload.spec["template"]["metadata"]["annotations"]
    if "gateway" in notes[TEMPLATES].text().split(","):
        return True
    pods = pod_labels(workload)
    return any(selects(labels(each.spec["selector"]), pods) for each in case.cluster.of("Gateway"))


@object_rule(
    kinds=("Deployment", "DaemonSet", "StatefulSet"),
    rule_id="gateway-in-root-namespace",
    title="Gateways have a namespace of their own",
    severity=Severity.WARNING,
    scope=Scope.CLUSTER,
    why="A gateway's account reads the Secrets of its namespace. Beside istiod, as a rule in the root namespace, the "
    "key of the mesh's CA is one of them: whoever takes the proxy at the edge can be any workload of the mesh.",
    source="https://istio.io/latest/docs/setup/additional-setup/gateway/: as a security best practice, in a different "
    "namespace from the control plane.",
    remedy="Run the gateway in a namespace of its own",
)
def gateway_in_root_namespace(case: Case, subject: KubeObject) -> Iterator[Report]:
    """Report workloads beside istiod that are gateways; beside it is the root namespace where it is not at hand."""
    beside = {each.namespace for each in case.cluster.of("Deployment") if is_istiod(each)}
    if subject.namespace in (beside or {case.cluster.root_namespace}) and _is_gateway(case, subject):
        yield problem(subject, "metadata.namespace", f"runs a gateway in {subject.namespace}, beside istiod")


RULES: Final[tuple[Rule, ...]] = (gateway_in_root_namespace,)
