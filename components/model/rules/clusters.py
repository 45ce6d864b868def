"""The objects of one or several clusters, indexed the way rules look them up."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from ..errors import ValidationError
from ..values import AuthorityMode, IstioBehaviour
from .nodes import Node, NotJudgedError
from .objects import KubeObject, full_name, read_object, service_name
from .sites import Routing, read_routing


@dataclass(frozen=True, kw_only=True, eq=False)
class ClusterObjects:
    """What is known of one cluster.

    Attributes:
        name: How findings call the cluster.
        objects: Its objects as plain JSON; kinds that no rule reads are ignored.
        istio: Behaviour of its control plane; None when it is not known, and then every version must be served.
        complete: Whether these are all of its objects. False keeps rules from judging that one is missing.
    """

    name: str
    objects: Sequence[Mapping[str, object]] = ()
    istio: IstioBehaviour | None = None
    complete: bool = True

    @cached_property
    def _by_kind(self) -> dict[str, list[KubeObject]]:
        found: dict[str, list[KubeObject]] = defaultdict(list)
        for value in self.objects:
            try:
                read = read_object(self.name, Node(value))
            except NotJudgedError:
                continue
            if read:
                found[read.kind].append(read)
        return found

    def of(self, *kinds: str) -> list[KubeObject]:
        """Its objects of these kinds."""
        return [found for kind in kinds for found in self._by_kind.get(kind, ())]

    @property
    def authority_modes(self) -> tuple[AuthorityMode, ...]:
        """What its proxies may do to a mirror's authority: one way, or both when the control plane is not known."""
        return (self.istio.authority_mode,) if self.istio else (AuthorityMode.PRESERVED, AuthorityMode.SUFFIXED)

    def find(self, kind: str, namespace: str, name: str) -> KubeObject | None:
        """One object by name."""
        return self._by_name.get((kind, namespace, name))

    @cached_property
    def _by_name(self) -> dict[tuple[str, str, str], KubeObject]:
        return {(found.kind, found.namespace, found.name): found for kind in self._by_kind for found in self.of(kind)}

    @cached_property
    def destination_rules(self) -> dict[str, list[KubeObject]]:
        """Its DestinationRules by full host name."""
        found: dict[str, list[KubeObject]] = defaultdict(list)
        for rule in self.of("DestinationRule"):
            try:
                found[full_name(rule.spec["host"].text(), rule.namespace)].append(rule)
            except NotJudgedError:
                continue
        return found

    @cached_property
    def service_entries(self) -> dict[str, list[KubeObject]]:
        """Its ServiceEntries by host, wildcards as they are written."""
        found: dict[str, list[KubeObject]] = defaultdict(list)
        for entry in self.of("ServiceEntry"):
            try:
                for host in entry.spec["hosts"].texts():
                    found[host].append(entry)
            except NotJudgedError:
                continue
        return found

    @cached_property
    def routing(self) -> Routing:
        """Its routes and mirrors."""
        return read_routing(self.of("VirtualService", "HTTPRoute", "GRPCRoute"), self.find)

    def service(self, host: str) -> KubeObject | None:
        """The Service with the full host name ``host``."""
        name = service_name(host)
        return self.find("Service", name[1], name[0]) if name else None


@dataclass(frozen=True, kw_only=True)
class Mesh:
    """Clusters that may send mirrors to each other.

    Attributes:
        clusters: The clusters, each under its own name.
        now: Current time with a zone; None when ends are not to be judged.

    Raises:
        ValidationError: Two clusters have one name.
    """

    clusters: Sequence[ClusterObjects]
    now: datetime | None = None

    def __post_init__(self) -> None:
        names = [cluster.name for cluster in self.clusters]
        for name in names:
            if names.count(name) > 1:
                raise ValidationError(
                    field="clusters",
                    value=name,
                    rule="must have a name each",
                    remedy="Give every cluster its own name, or merge its folders under one",
                )

    def others(self, cluster: ClusterObjects) -> list[ClusterObjects]:
        """Every cluster but ``cluster``."""
        return [other for other in self.clusters if other.name != cluster.name]
