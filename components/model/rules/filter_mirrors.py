"""Mirrors that EnvoyFilters make and no route lists, wherever they stand in them: limits hold for these as well."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, TypeVar

from ..annotations import EXPIRES, EXPIRES_OF
from ..values import PERCENT_RESOLUTION
from .additions import domain_of, name_noted, target_of, waiver_noted
from .aiming import Aim, read_aim
from .clusters import ClusterObjects
from .envoy import GATEWAY, INBOUND, REMOVE, MirrorPolicy
from .mirror_entries import MirrorEntry
from .nodes import UNKNOWN, Node, NotJudgedError
from .objects import KubeObject, service_name
from .policies import Policy, policies_in
from .routes import MESH, Route, Target

_POLICIES: Final = frozenset({"request_mirror_policies", "requestMirrorPolicies"})
_BY_NAME: Final = frozenset({"typed_extension_protocol_options", "typedExtensionProtocolOptions"})
"""Keys whose entries are by a name of their own."""

_HOLDERS: Final = (
    _POLICIES
    | _BY_NAME
    | {
        *("value", "route", "routes", "virtual_hosts", "virtualHosts", "route_config", "routeConfig"),
        *("typed_config", "typedConfig", "filters", "filter_chains", "filterChains"),
        *("default_filter_chain", "defaultFilterChain", "listeners", "static_resources", "staticResources"),
        *("matcher", "scoped_routes", "scopedRoutes", "route_configuration", "routeConfiguration"),
        *("scoped_route_configurations_list", "scopedRouteConfigurationsList"),
        *("scoped_route_configurations", "scopedRouteConfigurations"),
    }
)
"""Keys below which Envoy has mirrors: what is not known there, or an element or entry there, may hold one."""

Fault = TypeVar("Fault")


@dataclass(frozen=True, kw_only=True, eq=False)
class FilterMirror:
    """One mirror policy of an EnvoyFilter.

    Attributes:
        source: The EnvoyFilter.
        patch: The patch that holds it.
        node: Where it is written.
        policy: What it says.
        aim: What the header says that its cluster is taken from.
        own_route: Whether it stands in a route that the patch makes itself.
    """

    source: KubeObject
    patch: Node = field(repr=False)
    node: Node = field(repr=False)
    policy: MirrorPolicy = field(repr=False)
    aim: Aim
    own_route: bool

    @cached_property
    def cluster(self) -> str:
        """Name of the cluster that copies go to; empty where it cannot be read."""
        return self.policy.cluster or self.aim.cluster

    @cached_property
    def target(self) -> Target | None:
        """Where its copies go; None where it cannot be read."""
        return target_of(self.cluster, self.node)

    @property
    def name(self) -> str:
        """Its name where this library rendered it; empty otherwise."""
        return name_noted(self.source, self.cluster)

    @property
    def end(self) -> str:
        """When it ends, as it is annotated; empty for no end."""
        name = self.name
        return (self.source.annotation(f"{EXPIRES_OF}{name}") if name else "") or self.source.annotation(EXPIRES)

    def waiver(self, guard: str) -> str:
        """Reason why a guard is off for it, as the rendering notes it; empty when it is on."""
        return waiver_noted(self.source, self.cluster, guard)

    @cached_property
    def route_name(self) -> str:
        """Name of the one route that it is for; empty for those that no name chooses, and those that it makes itself.

        The rest of such a mirror, its end and what it takes, stands in that route.
        """
        named = self.patch["match"].at("routeConfiguration", "vhost", "route", "name").text()
        return named if self.policy.cluster and self.patch["applyTo"].text() == "HTTP_ROUTE" else ""

    @cached_property
    def context(self) -> str:
        """Which kind of proxy it is for; ``ANY`` for all."""
        return self.patch["match"]["context"].text("ANY")

    def takers(self, cluster: ClusterObjects) -> list[Route]:
        """The entries at hand that it is for by name."""
        return cluster.routes_named(self.route_name) if self.route_name else []

    def entry(self, route: Route) -> MirrorEntry:
        """It, as if it were written in an entry that it is for."""
        nothing = Node(None)
        return MirrorEntry(route=route, source=route.source, node=self.node, destination=nothing, share=nothing)


def filter_mirrors(cluster: ClusterObjects, source: KubeObject) -> list[FilterMirror]:
    """The mirrors of one EnvoyFilter that are in force and that no route lists with the same share.

    Raises:
        NotJudgedError: A value that decides about it is not known yet.
    """
    return cluster.once(("filter mirrors", source), lambda: list(_unlisted(cluster, source)))


def _unlisted(cluster: ClusterObjects, source: KubeObject) -> Iterator[FilterMirror]:
    for mirror in _mirrors(cluster, source):
        share = mirror.policy.percent
        if share == 0 or (share is not None and share < PERCENT_RESOLUTION):
            continue
        entries = [each for route in mirror.takers(cluster) for each in cluster.routing.of_route(route)]
        if not any(_lists(each, mirror) for each in entries):
            yield mirror


def _lists(entry: MirrorEntry, mirror: FilterMirror) -> bool:
    """Whether a route lists a mirror with its share; so it may where it is not known yet what the route lists."""
    with suppress(NotJudgedError):
        return entry.target.cluster_name == mirror.cluster and entry.percent == mirror.policy.percent
    return True


def _mirrors(cluster: ClusterObjects, source: KubeObject) -> Iterator[FilterMirror]:
    for patch in source.spec["configPatches"].elements():
        kind, change = patch["applyTo"].text(), patch["patch"]
        if cluster.patches_all(kind) and change["operation"].text() != REMOVE:
            for node, around in _written(change["value"], (), "value"):
                policy = MirrorPolicy.of(node)
                aim = Aim() if policy.cluster else _aim(node, around)
                own = any(each["match"].given for each in around)
                yield FilterMirror(source=source, patch=patch, node=node, policy=policy, aim=aim, own_route=own)


def _written(node: Node, around: tuple[Node, ...], name: str) -> Iterator[tuple[Node, tuple[Node, ...]]]:
    """Every mirror policy at or below a place of a name, with the objects around it."""
    if node.value is UNKNOWN:
        if name in _HOLDERS:
            raise NotJudgedError(node.path)
        return
    for key, each in node.entries():
        if key in _POLICIES:
            yield from ((policy, (*around, node)) for policy in each.elements())
        else:
            yield from _written(each, (*around, node), name if name in _BY_NAME else key)
    for each in node.elements():
        yield from _written(each, around, name)


def _aim(policy: Node, around: tuple[Node, ...]) -> Aim:
    """What the header says that names a policy's cluster; nothing where several places around it say something."""
    name = policy.either("cluster_header", "clusterHeader").text().lower()
    said = {
        node["header"]["value"].text()
        for each in around
        for node in each.either("request_headers_to_add", "requestHeadersToAdd").elements()
        if node["header"]["key"].text().lower() == name
    }
    return read_aim(said.pop()) if len(said) == 1 else Aim()


def faulty_for(
    cluster: ClusterObjects, mirror: FilterMirror, fault: Callable[[Policy], Fault]
) -> Iterator[tuple[str, Policy, Fault]]:
    """Namespace, policy and fault of each sender of a mirror whose every possible policy has a fault."""
    if mirror.target:
        for namespace in senders(cluster, mirror):
            possible = policies_in(cluster, mirror.target, namespace)
            faults = [fault(policy) for policy in possible]
            if all(faults):
                yield namespace, possible[-1], faults[-1]


def senders(cluster: ClusterObjects, mirror: FilterMirror) -> tuple[str, ...]:
    """Namespaces of the proxies that send a mirror's copies, as far as objects tell; one at least.

    Which sidecars call a Service nobody says: its own namespace stands for all of them, as with routes.
    """
    home, root = mirror.source.namespace, cluster.root_namespace
    if home != root or mirror.context == INBOUND:
        return (home,)
    name = domain_of(mirror.patch["match"].at("routeConfiguration", "vhost"))
    found: dict[str, None] = {}
    if mirror.context in (GATEWAY, "ANY"):
        routes = cluster.route_index.overlapping(name) if name else cluster.routing.routes
        gateways = dict.fromkeys(each for route in routes for each in route.gateways if each != MESH)
        found.update(dict.fromkeys(place for each in gateways for place in cluster.gateways.namespaces_of(each)))
    service = service_name(name)
    if mirror.context != GATEWAY and service:
        found[service[1]] = None
    return tuple(found) or (root,)
