"""From the resources of a stack to the clusters that the model's rules judge, and back."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, cast

from pulumi_traffic_mirror.model import IstioBehaviour
from pulumi_traffic_mirror.model.annotations import WAIVED_UNTIL
from pulumi_traffic_mirror.model.rules import (
    ClusterObjects,
    Finding,
    KubeObject,
    Mesh,
    Node,
    NotJudgedError,
    Outcome,
    managed_sign,
)
from pulumi_traffic_mirror.model.rules.objects import GATEWAY_GROUP, GROUPS, ISTIO_GROUP, LISTENER_SETS, read_object
from pulumi_traffic_mirror.model.rules.waivers import waiver_fault
from pulumi_traffic_mirror.model.rules.writing import end_of

from .istio import is_istiod, istio_of, unknown_behaviour
from .resources import Resource
from .verdicts import Verdict

GATEWAYS: Final = ("Gateway", "KubernetesGateway", *LISTENER_SETS)
"""Kinds that routes name."""

_PARENT: Final = "delegating-route-of-another-program"


@dataclass(frozen=True, kw_only=True)
class StackView:
    """The objects of a stack, by cluster, and where each came from.

    Attributes:
        mesh: The clusters.
        now: Current time with a zone.
        resources: Resource behind an object, by the names of its cluster and of itself.
        unplaced: Objects whose namespace, gateways whose name, and control planes whose version is not known yet, with
            the place.
    """

    mesh: Mesh
    now: datetime
    resources: Mapping[tuple[str, str], tuple[Resource, KubeObject]]
    unplaced: Sequence[tuple[Resource, str]]

    def unreadable(self) -> Iterator[tuple[Resource, str]]:
        """Places that are not known yet and that no rule can do without."""
        yield from self.unplaced
        for cluster in self.mesh.clusters:
            for source, path in cluster.routing.unknown:
                if found := self.resources.get((cluster.name, str(source))):
                    yield found[0], path

    def verdict(self, finding: Finding, max_waiver_days: float | None = None) -> Verdict:
        """A finding of a model's rule as a verdict on a resource of the stack.

        Args:
            finding: The finding.
            max_waiver_days: Longest time to the end of a waiver, in days; None for no bound.
        """
        resource, source = self.resources.get((finding.cluster, finding.object), (None, None))
        outcome, message, reason = finding.outcome, finding.message, finding.reason
        if outcome is Outcome.WAIVED:
            end = self._end(finding, source)
            why_open = waiver_fault(end, self.now, max_waiver_days)
            if why_open:
                outcome, reason = Outcome.BROKEN, ""
                message = f"{message}; it is waived ({finding.reason}), but {why_open}"
            else:
                reason = f"{reason} (until {end})"
        return Verdict(
            rule=finding.rule,
            resource=resource,
            subject=str(resource) if resource and outcome is Outcome.NOT_JUDGED else finding.object,
            field=finding.field,
            message=message,
            remedy=finding.remedy,
            outcome=outcome,
            reason=reason,
        )

    def _end(self, finding: Finding, source: KubeObject | None) -> str:
        """End of a waiver that an object carries: its own, or that of the mirror that it is about."""
        if source is None:
            return ""
        try:
            own = source.annotation(f"{WAIVED_UNTIL}{finding.rule}")
            if own:
                return own
            cluster = next(cluster for cluster in self.mesh.clusters if cluster.name == finding.cluster)
            for mirror_entry in cluster.routing.mirror_entries:
                if str(mirror_entry.source) == finding.object and finding.field.startswith(mirror_entry.node.path):
                    return end_of(mirror_entry)
        except NotJudgedError:
            pass
        return ""


def read_stack(resources: Sequence[Resource], now: datetime, *, complete: bool) -> StackView:
    """Sort the objects of a stack into clusters.

    Args:
        resources: All resources of the stack.
        now: Current time with a zone.
        complete: Whether the stack holds all objects of its clusters.
    """
    objects: dict[str, list[KubeObject]] = {}
    names: dict[str, str] = {}
    found: dict[tuple[str, str], tuple[Resource, KubeObject]] = {}
    unplaced: list[tuple[Resource, str]] = []
    behaviours: dict[str, set[IstioBehaviour | None]] = {}
    managed: dict[str, str] = {}
    for resource in resources:
        cluster = _cluster_name(resource, names) if resource.cluster else ""
        if cluster and not managed.get(cluster):
            managed[cluster] = managed_sign(Node(as_object(resource)))
        if is_istiod(resource):
            behaviours.setdefault(cluster, set()).add(istio_of(resource))
            unplaced += [(resource, place) for place in unknown_behaviour(resource)]
        if not is_judged(resource):
            continue
        source = read_object(cluster, Node(as_object(resource)))
        if source:
            unknown = source.unknown_name if source.kind in GATEWAYS else source.unknown_namespace
            if unknown:
                unplaced.append((resource, unknown))
            objects.setdefault(cluster, []).append(source)
            found.setdefault((cluster, str(source)), (resource, source))
    clusters = [
        ClusterObjects(
            name=name,
            objects=known,
            istio=_only(behaviours.get(name)),
            complete=complete,
            managed_sign=managed.get(name, ""),
        )
        for name, known in objects.items()
    ]
    return StackView(mesh=Mesh(clusters=clusters, now=now), now=now, resources=found, unplaced=unplaced)


def _only(found: set[IstioBehaviour | None] | None) -> IstioBehaviour | None:
    """The behaviour that all control planes of a cluster have; None when they differ or one is not known."""
    return next(iter(found)) if found and len(found) == 1 else None


def read_one(resource: Resource, now: datetime) -> StackView:
    """What one object alone says: enough for rules that read nothing else.

    A route that another one delegates to has no hosts of its own, so a route that delegates to it stands in.
    """
    view = read_stack([resource], now, complete=False)
    if not view.mesh.clusters or not _is_delegate(resource):
        return view
    cluster = view.mesh.clusters[0]
    _, source = next(iter(view.resources.values()))
    parent: Mapping[str, object] = {
        "apiVersion": f"{ISTIO_GROUP}/v1",
        "kind": "VirtualService",
        "metadata": {"name": _PARENT, "namespace": source.namespace},
        "spec": {
            "hosts": [f"{_PARENT}.invalid"],
            "http": [{"delegate": {"name": source.name, "namespace": source.namespace}}],
        },
    }
    both = ClusterObjects(name=cluster.name, objects=[*cluster.objects, parent], complete=False)
    return StackView(mesh=Mesh(clusters=[both], now=now), now=now, resources=view.resources, unplaced=view.unplaced)


def _is_delegate(resource: Resource) -> bool:
    try:
        return resource.kind == "VirtualService" and not resource.props["spec"]["hosts"].given
    except NotJudgedError:
        return False


def is_judged(resource: Resource) -> bool:
    """Whether some rule of the model reads objects of this kind."""
    if resource.kind == "Gateway":
        return resource.group in (ISTIO_GROUP, GATEWAY_GROUP)
    return bool(resource.kind) and GROUPS.get(resource.kind) == resource.group


def as_object(resource: Resource) -> Mapping[str, object]:
    """The object with version and kind, which typed resources of some SDKs leave to their type."""
    known = resource.props.value
    written: Mapping[str, object] = cast("Mapping[str, object]", known) if isinstance(known, Mapping) else {}
    api = resource.type.split(":")[1]
    return {**written, "apiVersion": api.removeprefix("core/"), "kind": resource.kind}


def _cluster_name(resource: Resource, names: dict[str, str]) -> str:
    """A name for the resource's cluster; a second cluster of the same name gets a number."""
    if resource.cluster not in names:
        name, number = resource.cluster_name, 1
        while name in names.values():
            number += 1
            name = f"{resource.cluster_name}#{number}"
        names[resource.cluster] = name
    return names[resource.cluster]
