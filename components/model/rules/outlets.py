"""Where a route object's entries could be: the virtual hosts that its senders have for it."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain

from ..routing import service_host
from .attaching import admits, attached
from .clusters import ClusterObjects
from .envoy import GATEWAY, SIDECAR, WAYPOINT
from .gateways import HTTP_PROTOCOLS, Listener
from .grants import without_certificate
from .hosts import covers
from .nodes import NotJudgedError
from .objects import KubeObject, exported, full_name, is_ambient, service_name
from .ports import carries_http, family, port_number, port_protocol
from .routes import MESH, Route, Target
from .sidecar_hosts import hosts_by_port, takes_services
from .sidecar_ports import (
    PLAIN_PORT,
    called_ports,
    has_plain_port,
    http_ports,
    is_alias,
    may_be_elsewhere,
    visible_subject,
)
from .visibility import sees_route, sees_service
from .waypoints import Behind, behind_any, waypoint_of


@dataclass(frozen=True, kw_only=True, eq=False)
class Outlet:
    """Virtual hosts of one route configuration of one kind of proxy.

    Attributes:
        context: Kind of proxy, as EnvoyFilters name it.
        namespace: The proxy's namespace.
        gateway: The gateway as ``namespace/name``; empty for sidecars and waypoints.
        waypoint: The waypoint as ``namespace/name``; empty for others.
        port: Port that a match's port is compared with; None where it is not known.
        config: Name of the route configuration; empty where it is not known.
        hosts: Hosts of the virtual hosts, which are named ``host:port``; nothing where they are not known.
        sure: Whether the proxy surely has it.
    """

    context: str
    namespace: str
    gateway: str = ""
    waypoint: str = ""
    port: int | None = None
    config: str = ""
    hosts: tuple[str, ...] = ()
    sure: bool = True

    @cached_property
    def _virtual_hosts(self) -> frozenset[str]:
        """Names of the virtual hosts."""
        # Where a proxy looks itself what a port carries, the only virtual host has the configuration's name.
        return frozenset({self.config, *(f"{host}:{self.port}" for host in self.hosts)})

    def may_have(self, virtual_host: str) -> bool:
        """Whether a virtual host of a name is among its own; so it may be where they or their port are not known."""
        if not self.hosts or virtual_host in self._virtual_hosts:
            return True
        return self.port is None and virtual_host.rpartition(":")[0] in self.hosts

    @property
    def words(self) -> str:
        """Where it is, for a message."""
        place = self.gateway or self.waypoint
        where = f"at {place}" if place else f"in {self.namespace}"
        return f"{where} on port {self.port}" if self.port else where


@dataclass(frozen=True, kw_only=True)
class Outlets:
    """Outlets of an object, and why some senders have none."""

    outlets: tuple[Outlet, ...]
    absences: tuple[str, ...] = field(default=())


def outlets(cluster: ClusterObjects, routes: Sequence[Route], *, of_others: bool = False) -> Outlets:
    """The outlets of an object, given all of its entries.

    Args:
        cluster: Its cluster.
        routes: All of its entries.
        of_others: Give those of sidecars that nothing says to send, in namespaces that see it.
    """
    found: list[Outlet] = []
    absences: dict[str, None] = {}
    if not routes:
        return Outlets(outlets=())
    first = routes[0]
    for gateway in first.bound:
        hosts = first.hosts_at(gateway) if first.native else own_hosts(first)
        if gateway == MESH:
            if of_others:
                parts = _of_sidecars(cluster, routes, hosts, _others(cluster, routes))
                parts = (_where_at_hand(cluster, part) for part in parts)
            else:
                parts = _of_sidecars(cluster, routes, hosts, callers(routes))
                parts = chain(_of_waypoints(cluster, first, hosts), parts)
        else:
            parts = iter(()) if of_others else _of_gateway(cluster, first, hosts, gateway)
        for part in parts:
            if isinstance(part, Outlet):
                found.append(part)
            else:
                absences[part] = None
    if cluster.patches.name_hosts:  # a patch may be for one host of several alone
        found = [part for each in found for part in _by_host(each)]
    return Outlets(outlets=tuple(found), absences=tuple(absences))


def _where_at_hand(cluster: ClusterObjects, part: Outlet | str) -> Outlet | str:
    """An outlet, unsure where nothing of its namespace is at hand."""
    return part if isinstance(part, str) or part.namespace in cluster.namespaces else replace(part, sure=False)


def _by_host(outlet: Outlet) -> list[Outlet]:
    return [replace(outlet, hosts=(host,)) for host in outlet.hosts] or [outlet]


def port_at(cluster: ClusterObjects, target: Target, outlet: Outlet) -> int | None:
    """Port that an outlet's requests go to: the target's; without one its only one, but at sidecars the listener's.

    A waypoint that does not see the Service does as sidecars do.
    """
    if target.port is not None:
        return target.port
    service = cluster.service(target.host) if outlet.waypoint else None
    unseen = service is not None and not sees_service(outlet.namespace, service)
    # Ports that have no cluster count as well here.
    ports = cluster.ports_of(target.host, every=True) if outlet.context != SIDECAR and not unseen else ()
    return ports[0] if len(ports) == 1 else outlet.port


def uncalled(cluster: ClusterObjects, routes: Sequence[Route]) -> Outlets:
    """Outlets of sidecars for hosts at :data:`PLAIN_PORT` that have no such port: there, and called by nobody.

    Source: BuildSidecarOutboundVirtualHosts of Istio's pilot, which takes every VirtualService at that port.
    """
    first = routes[0]
    if MESH not in first.bound or first.native:
        return Outlets(outlets=())
    found = [
        Outlet(context=SIDECAR, namespace=each, port=PLAIN_PORT, config=str(PLAIN_PORT), hosts=hosts, sure=False)
        for each in (*callers(routes), *_others(cluster, routes))
        if not is_ambient(cluster.find("Namespace", "default", each)) and sees_route(each, first, cluster.scopes)
        if cluster.scopes.takes_route(each, first, at=PLAIN_PORT)
        if has_plain_port(cluster, each) is not False
        if (hosts := tuple(host for host in own_hosts(first) if not takes_services(cluster, host, each)))
    ]
    return Outlets(outlets=tuple(found))


def own_outlets(cluster: ClusterObjects, namespace: str) -> list[Outlet]:
    """What the sidecars of a namespace have of Services and ServiceEntries by themselves."""
    return cluster.once(("own outlets", namespace), lambda: list(_own_outlets(cluster, namespace)))


def _own_outlets(cluster: ClusterObjects, namespace: str) -> Iterator[Outlet]:
    for host in cluster.registered:
        subject = visible_subject(cluster, host, namespace)
        if subject is None or is_alias(cluster, host):  # what an alias stands for has its name as a domain
            continue
        called = called_ports(cluster, host, namespace)
        for node in subject.spec["ports"].elements():
            number = port_number(node)
            if number in called and carries_http(subject, node):
                # Where the proxy looks itself what a port carries, its routes are in a configuration of their own.
                own = subject.kind == "Service" and not family(port_protocol(subject, node))
                config = f"{host}:{number}" if own else str(number)
                yield Outlet(
                    context=SIDECAR, namespace=namespace, port=0 if own else number, config=config, hosts=(host,)
                )


def listening(cluster: ClusterObjects, gateway: KubeObject) -> Iterator[Outlet]:
    """What a gateway's pods have for each of its listeners of requests, whether a route is bound to it or not."""
    name = f"{gateway.namespace}/{gateway.name}"
    for listener in filter(_takes_requests, cluster.listeners.by_gateway.get(name, ())):
        if _closed(cluster, listener):
            continue
        config = _config_name(cluster, gateway, listener)
        for namespace in cluster.gateways.namespaces_of(name):
            yield Outlet(context=GATEWAY, namespace=namespace, gateway=name, port=listener.port, config=config)


def own_hosts(route: Route) -> tuple[str, ...]:
    """All hosts of an entry's object, whatever its entry is for."""
    if route.native:
        return route.hosts
    return tuple(full_name(host.lower(), route.owner.namespace) for host in route.owner.spec["hosts"].texts())


def callers(routes: Sequence[Route]) -> list[str]:
    """Namespaces of the sidecars that may send: the object's own, and those that it names; others cannot be told."""
    first = routes[0]
    exports = first.owner.exports
    if exports.isdisjoint(("*", first.owner.namespace)):
        return sorted(exports - {"~"})
    named = [
        name
        for route in routes
        for entry in (route.entry, route.outer)
        if "match" in entry.names()
        for match in entry["match"].elements()
        if "sourceNamespace" in match.names() and (name := match["sourceNamespace"].text())
    ]
    names = dict.fromkeys((*(route.source.namespace for route in routes), *named))
    return [name for name in names if "*" in exports or name in exports]


def _others(cluster: ClusterObjects, routes: Sequence[Route]) -> list[str]:
    """Further namespaces whose sidecars see an object: those at hand, and those that an EnvoyFilter is for."""
    own = {*callers(routes), cluster.root_namespace}
    known = cluster.namespaces | {each.namespace for each in cluster.of("EnvoyFilter")}
    return [name for name in sorted(known - own) if exported(routes[0].owner, name)]


def _of_sidecars(
    cluster: ClusterObjects, routes: Sequence[Route], hosts: Sequence[str], namespaces: Sequence[str]
) -> Iterator[Outlet | str]:
    first = routes[0]
    for namespace in namespaces:
        if is_ambient(cluster.find("Namespace", "default", namespace)):
            yield f"namespace {namespace} is ambient, so that only waypoints send, before their Services"
            continue
        if not sees_route(namespace, first, cluster.scopes):
            yield f"sidecars in {namespace} do not see {first.owner}"
            continue
        ports = _asked_for(first, hosts_by_port(cluster, hosts, namespace, native=first.native))
        if not ports:
            unseen = [
                host for host in hosts if cluster.ports_of(host) and not visible_subject(cluster, host, namespace)
            ]
            lack = f"do not see {unseen[0]}" if unseen else f"have no HTTP port for {', '.join(hosts)}"
            yield f"sidecars in {namespace} {lack}"
        for port, (names, sure) in ports.items():
            config = str(port) if port else ""
            if not cluster.scopes.takes_route(namespace, first, at=port):
                yield f"sidecars in {namespace} do not see {first.owner} on port {port}"
                continue
            yield Outlet(context=SIDECAR, namespace=namespace, port=port, config=config, hosts=tuple(names), sure=sure)


def _of_waypoints(cluster: ClusterObjects, route: Route, hosts: Sequence[str]) -> Iterator[Outlet | str]:
    """The outlets of waypoints, which take routes of their own namespace and of the Service's.

    Source: getVirtualServiceForWaypoint of Istio's pilot.
    """
    called: dict[str, dict[Behind, None]] = {}
    strangers: dict[str, list[str]] = {}
    for host in hosts:
        known = behind_any(cluster, host.lower())
        for each in known:
            called.setdefault(each.waypoint, {})[each] = None
        for waypoint in () if known else _before_strangers(cluster, route, host):
            strangers.setdefault(waypoint, []).append(host)
    for waypoint in dict.fromkeys((*called, *strangers)):
        place, owner = waypoint.partition("/")[0], route.owner
        near = [each for each in called.get(waypoint, ()) if owner.namespace in (place, each.service.namespace)]
        unknown = strangers.get(waypoint, [])
        if not exported(owner, place):
            yield f"the waypoint {waypoint} does not see {owner}"
            continue
        if not near and not unknown:
            yield f"the waypoint {waypoint} takes no routes of namespace {owner.namespace}"
            continue
        ports = _asked_for(route, _ports_behind(cluster, near, unknown))
        if not ports:
            yield f"the waypoint {waypoint} has no HTTP port for {', '.join(hosts)}"
        for port, (names, sure) in ports.items():
            yield Outlet(
                context=WAYPOINT,
                namespace=place,
                waypoint=waypoint,
                port=port,
                config=str(port) if port else "",
                hosts=tuple(names),
                sure=sure,
            )


def _before_strangers(cluster: ClusterObjects, route: Route, host: str) -> Iterator[str]:
    """The waypoint that takes a route for a Service that is not at hand, or for all of a pattern."""
    name = service_name(host)
    if name and not may_be_elsewhere(cluster, host):
        return
    if not name and (cluster.complete or not host.startswith("*")):
        return
    place = name[1] if name else route.owner.namespace
    waypoint = waypoint_of(cluster, place)
    if waypoint and route.owner.namespace in (place, waypoint.partition("/")[0]):
        yield waypoint


def _ports_behind(
    cluster: ClusterObjects, near: Sequence[Behind], unknown: Sequence[str]
) -> dict[int | None, tuple[list[str], bool]]:
    """Services behind a waypoint by their ports, and whether it surely has them there."""
    found: dict[int | None, tuple[list[str], bool]] = {None: (list(unknown), False)} if unknown else {}
    for each in near:
        for port in http_ports(cluster, each.host, each.service.namespace):
            names, sure = found.get(port, ([], True))
            found[port] = ([*names, each.host], sure and each.sure)
    return found


def _asked_for(
    route: Route, ports: dict[int | None, tuple[list[str], bool]]
) -> dict[int | None, tuple[list[str], bool]]:
    """The ports that a route of the Gateway API names for each of its Services; all for any other."""
    if not route.native:
        return ports
    asked: dict[str, set[int | None]] = defaultdict(set)
    for parent in route.owner.spec["parentRefs"].elements():
        kind, namespace = parent["kind"].text("Gateway"), parent["namespace"].text(route.owner.namespace)
        if kind != "Gateway":
            asked[service_host(parent["name"].text(), namespace) if kind == "Service" else ""].add(
                parent["port"].integer()
            )
    found: dict[int | None, tuple[list[str], bool]] = {}
    for port, (names, sure) in ports.items():
        taken = [name for name in names if not {None, port}.isdisjoint(asked.get(name) or asked.get("") or {None})]
        if port is None or taken:
            found[port] = (names if port is None else taken, sure)
    return found


def _of_gateway(cluster: ClusterObjects, route: Route, hosts: Sequence[str], gateway: str) -> Iterator[Outlet | str]:
    namespaces = cluster.gateways.namespaces_of(gateway)
    found = cluster.gateways.named(gateway)
    if found is None or gateway in cluster.listeners.unknown:
        if cluster.gateways.refused(gateway):
            yield f"{gateway} is refused"
            return
        # Rules on gateways say what is wrong with one that is not there.
        for namespace in namespaces:
            yield Outlet(context=GATEWAY, namespace=namespace, gateway=gateway, sure=False)
        return
    let_in = _let_in(cluster, hosts, gateway)
    taken = {each: admits(cluster, each, route.owner.namespace, hosts) for each in let_in}
    admitting = [each for each in let_in if taken[each] is not False]
    asked_for = [each for each in admitting if attached(route, gateway, each)]
    closed = {each: reason for each in asked_for if (reason := _closed(cluster, each))}
    listeners = [each for each in asked_for if each not in closed]
    for namespace in namespaces:
        if not exported(route.owner, namespace):
            yield f"proxies of {gateway} in {namespace} do not see {route.owner}"
            continue
        for listener in listeners:
            yield Outlet(
                context=GATEWAY,
                namespace=namespace,
                gateway=gateway,
                port=listener.port,
                config=_config_name(cluster, found, listener),
                hosts=tuple(let_in[listener]),
                sure=taken[listener] is True,
            )
        yield from (f"{gateway} opens no {each.node.path}: {reason}" for each, reason in closed.items())
        if let_in and not admitting:
            yield f"{gateway} takes no routes of namespace {route.owner.namespace}"
        elif let_in and not asked_for:
            yield f"no listener of {gateway} is the one that its parentRefs ask for, or takes {route.source.kind}s"
        elif not asked_for:
            yield f"no listener of {gateway} lets {', '.join(hosts)} in"


def _closed(cluster: ClusterObjects, listener: Listener) -> str:
    """Why a listener is not opened; empty where it is, or where that cannot be told."""
    with suppress(NotJudgedError):
        return without_certificate(cluster, listener)
    return ""


def _let_in(cluster: ClusterObjects, hosts: Sequence[str], gateway: str) -> dict[Listener, dict[str, None]]:
    """The listeners of a gateway that take some of the hosts, with those."""
    found: dict[Listener, dict[str, None]] = {}
    for host in hosts:
        for listener in cluster.listener_index.overlapping(host):
            if listener.gateway == gateway and _takes_requests(listener):
                taken = [each for each in _narrower(listener, host) if not _isolated(cluster, listener, each)]
                if taken:
                    found.setdefault(listener, {}).update(dict.fromkeys(taken))
    return found


def _isolated(cluster: ClusterObjects, listener: Listener, host: str) -> bool:
    """Whether a host is that of a narrower listener of the Gateway API on the same port, whoever that lets in.

    Source: https://gateway-api.sigs.k8s.io/geps/gep-1713/; held against istiod.
    """
    if not cluster.gateways.is_native(listener.gateway):
        return False
    beside = (each for each in cluster.listeners.by_gateway.get(listener.gateway, ()) if each.port == listener.port)
    narrower = (name for each in beside for name in each.hosts if name not in listener.hosts and listener.takes(name))
    return any(covers(name, host) for name in narrower)


def _takes_requests(listener: Listener) -> bool:
    return listener.protocol in HTTP_PROTOCOLS and not (
        listener.protocol == "HTTPS" and listener.tls_mode == "PASSTHROUGH"
    )


def _narrower(listener: Listener, host: str) -> list[str]:
    """The narrower of a host and of a listener's wherever one covers the other."""
    if not host.startswith("*"):
        return [host]
    found = [pattern for pattern in listener.hosts if pattern != host and covers(host, pattern)]
    return [*found, *([host] if listener.takes(host) else [])]


def _config_name(cluster: ClusterObjects, gateway: KubeObject, listener: Listener) -> str:
    """Name of the route configuration of a listener. Source: gatewayRDSRouteName of Istio's pilot."""
    if listener.protocol == "HTTPS":
        name = listener.node["port"]["name"].text() if gateway.kind == "Gateway" else listener.node["name"].text()
        return f"https.{listener.port}.{name}.{gateway.name}.{gateway.namespace}"
    port = listener.port
    ports = cluster.once(("target ports", gateway, port), lambda: cluster.gateways.target_ports(gateway, port))
    return f"http.{ports[0]}" if len(ports) == 1 else ""
