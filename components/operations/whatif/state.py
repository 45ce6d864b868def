"""One state of a mesh as its proxies would have it, asked of istiod in memory."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

from ...model.routing import service_host
from ...model.rules import KubeObject
from ..errors import OperationError
from ..manifests import Loaded, laid_over
from ..oracle import Oracle, Proxy, ProxyKind, question_of, spoken_in
from ..oracle.answers import Answer, RenderingFact
from ..oracle.question import GATEWAY_NAME
from ..oracle.rendered import named_entries
from .messages import MANAGER, Json
from .unseen import unread

BEHIND_WAYPOINT: Final = "inbound-vip|"
"""Begins the names of a waypoint's route configurations, which end with the Service's host."""

SIDECAR: Final = "sidecar"
"""Begins what people call one."""
_KINDS: Final = {ProxyKind.GATEWAY: "gateway", ProxyKind.SIDECAR: SIDECAR, ProxyKind.WAYPOINT: "waypoint"}

_NATIVE: Final = ("HTTPRoute", "GRPCRoute")


@dataclass(frozen=True, kw_only=True)
class Door:
    """One way into one proxy: a listener, or a chain of it, that routes requests by one route configuration.

    Attributes:
        key: Its name, the same in both states.
        proxy: The proxy, for people.
        kind: What the proxy is.
        port: Port that its callers use.
        tls: Whether they speak TLS.
        names: Server names that they ask for; empty for any.
        service: Host of the Service that it stands before; empty but for waypoints.
        manager: Its ``HttpConnectionManager``.
        beside: Filters for connections in front of it.
        routes: Its ``RouteConfiguration``.
    """

    key: str
    proxy: str
    kind: ProxyKind
    port: int
    tls: bool
    names: tuple[str, ...] = ()
    service: str = ""
    manager: Json = field(repr=False)
    beside: Sequence[Json] = field(default=(), repr=False)
    routes: Json = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Where requests can go.

    Attributes:
        reachable: Whether Envoy would find somebody there to send a request to.
        settings: Its ``Cluster``, without endpoints.
    """

    reachable: bool
    settings: Json = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class State:
    """What proxies have before, or after, a change.

    Attributes:
        doors: By key.
        clusters: By name, of all proxies.
        refused: Why an object never gets to the proxies, by object.
        unseen: What decides about requests and cannot be shown.
        filters: Names of the EnvoyFilters that reach a proxy, by what people call it.
        loaded: The objects and where they were read.
    """

    doors: Mapping[str, Door]
    clusters: Mapping[str, Cluster]
    refused: Mapping[str, str] = field(default_factory=dict[str, str])
    unseen: Sequence[str] = ()
    filters: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    loaded: Loaded | None = field(default=None, repr=False)

    @cached_property
    def entries(self) -> Mapping[tuple[str, str], tuple[str, str, str]]:
        """Object, path and name for people of the entries of routes, by what istiod makes of their names.

        Entries of VirtualServices are known by object and name, rules of the Gateway API's routes by name alone.
        """
        found: dict[tuple[str, str], tuple[str, str, str]] = {}
        for each in self.loaded.cluster.objects if self.loaded else ():
            if not isinstance(each, KubeObject):
                continue
            if each.kind in _NATIVE:
                for index, _ in enumerate(each.spec["rules"].elements()):
                    known = (str(each), f"spec.rules[{index}]", f"rules[{index}]")
                    found["", f"{each.namespace}.{each.name}.{index}"] = known
            elif each.kind == "VirtualService":
                for index, entry in enumerate(each.spec["http"].elements()):
                    name = entry["name"].text()
                    found[str(each), name] = (str(each), f"spec.http[{index}]", name)
        return found


def read_state(loaded: Loaded, oracle: Oracle, *, other: Loaded | None = None) -> State:
    """Ask istiod what the proxies of a cluster would get.

    Args:
        loaded: The cluster.
        oracle: istiod.
        other: The cluster that it is compared with.

    Raises:
        OperationError: It cannot tell: it fails, gives no answer, or a value is not known yet.
    """
    objects = [each.root.value if isinstance(each, KubeObject) else each for each in loaded.cluster.objects]
    question = question_of(
        named_entries(objects), root_namespace=loaded.cluster.root_namespace, mesh=loaded.cluster.mesh_config
    )
    wanted = _distinct(question.proxies)
    rendered = frozenset(each.name for each in wanted)
    try:
        answer = oracle.ask(spoken_in(loaded.domain, replace(question, rendered=rendered)))
    except TypeError as error:  # JSON has no word for what is not known yet
        raise OperationError(
            f"istiod cannot tell for {loaded.cluster.name}: some values are not known yet",
            remedy="Give a state in which they are known, e.g. a live cluster",
        ) from error
    if reason := answer.get("error"):
        raise OperationError(
            f"istiod cannot tell for {loaded.cluster.name}: {reason}", remedy="Correct the manifests, or leave some out"
        )
    return _state(loaded, wanted, answer, unread(loaded, other))


def read_change(before: Loaded, after: Loaded, oracle: Oracle) -> tuple[State, State]:
    """Ask istiod about a cluster before and after a change.

    What is refused after it stays as it was before, as it does in a cluster.

    Raises:
        OperationError: It cannot tell: it fails, gives no answer, or a value is not known yet.
    """
    was, now = read_state(before, oracle, other=after), read_state(after, oracle, other=before)
    kept = [each for each in before.cluster.objects if str(each) in now.refused.keys() - was.refused.keys()]
    if kept:
        still = replace(before, cluster=replace(before.cluster, objects=kept), ignored={}, others={}, unread=())
        now = replace(read_state(laid_over(after, still), oracle, other=before), refused=now.refused)
    return was, now


def _state(loaded: Loaded, proxies: Sequence[Proxy], answer: Answer, unseen: list[str]) -> State:
    doors: dict[str, Door] = {}
    clusters: dict[str, Cluster] = {}
    filters: dict[str, Sequence[str]] = {}
    # Endpoints of a Service without a selector are somebody's own objects: that there are some is taken for granted.
    unselected = {
        loaded.domain.said(service_host(each.name, each.namespace))
        for each in loaded.cluster.of("Service")
        if not each.spec["selector"].given and each.spec["type"].text() != "ExternalName"
    }
    for proxy in proxies:
        fact = answer.get("proxies", {}).get(proxy.name)
        rendering = fact.get("rendered") if fact else None
        if fact is None or rendering is None:
            continue
        filters[label(proxy)] = [each.split(" ")[0] for each in fact.get("envoy_filters", [])]
        for door in doors_of(proxy, rendering):
            doors.setdefault(door.key, door)
        for name, found in clusters_of(rendering):
            cluster = replace(found, reachable=True) if name.rpartition("|")[2] in unselected else found
            if name not in clusters or cluster.reachable:
                clusters[name] = cluster
        unseen += [f"{label(proxy)}: {each}" for each in rendering.get("unreadable", [])]
    refused = {fact["object"]: reason for fact in answer.get("objects", []) if (reason := fact.get("refused"))}
    return State(doors=doors, clusters=clusters, refused=refused, unseen=tuple(unseen), filters=filters, loaded=loaded)


def label(proxy: Proxy) -> str:
    """What people call a proxy, and what it is called in both states."""
    kind = _KINDS[proxy.kind]
    if proxy.kind is ProxyKind.SIDECAR:
        return f"{kind} in {proxy.namespace}"
    own = proxy.labels.get(GATEWAY_NAME) or ",".join(f"{key}={value}" for key, value in sorted(proxy.labels.items()))
    return f"{kind} {proxy.namespace}/{own}"


def _distinct(proxies: Sequence[Proxy]) -> list[Proxy]:
    """Proxies without those that several Gateways choose, but once."""
    return list({label(each): each for each in reversed(proxies)}.values())[::-1]


def doors_of(proxy: Proxy, rendering: RenderingFact) -> Iterator[Door]:
    """Every door of a proxy that leads to somebody else."""
    named = {each.get("name", ""): each for each in rendering["routes"] or []}
    for listener in rendering["listeners"] or []:
        if listener.get("traffic_direction") == "INBOUND" and proxy.kind is ProxyKind.SIDECAR:
            continue
        port = int(listener.get("address", {}).get("socket_address", {}).get("port_value", 0))
        chains = [*listener.get("filter_chains", []), *filter(None, [listener.get("default_filter_chain")])]
        for chain in chains:
            for manager in _managers(chain):
                name = manager.get("rds", {}).get("route_config_name", "")
                routes = manager.get("route_config") or named.get(name)
                if routes is not None and (found := _door(proxy, port, chain, manager, routes)):
                    yield found


def _managers(chain: Json) -> Iterator[Json]:
    for each in chain.get("filters", []):
        config = each.get("typed_config", {})
        if config.get("@type") == MANAGER:
            yield config


def _door(proxy: Proxy, port: int, chain: Json, manager: Json, routes: Json) -> Door | None:
    name = str(routes.get("name", ""))
    service = ""
    if proxy.kind is ProxyKind.WAYPOINT:
        if not name.startswith(BEHIND_WAYPOINT):
            return None
        _, written, _, service = name.split("|", 3)
        port = int(written)
    elif proxy.kind is ProxyKind.GATEWAY and (written := name.split(".")[1:2]) and written[0].isdecimal():
        port = int(written[0])  # the listener's own is the pod's, which no caller knows
    names = chain.get("filter_chain_match", {}).get("server_names", [])
    return Door(
        key=f"{label(proxy)} {name}",
        proxy=label(proxy),
        kind=proxy.kind,
        port=port,
        tls="transport_socket" in chain and proxy.kind is ProxyKind.GATEWAY,
        names=tuple(names),
        service=service,
        manager=manager,
        beside=chain.get("filters", []),
        routes=routes,
    )


def clusters_of(rendering: RenderingFact) -> Iterator[tuple[str, Cluster]]:
    """Every cluster of a proxy by name."""
    for each in rendering["clusters"] or []:
        name = str(each.get("name", ""))
        # Where the address comes from the caller or from DNS, istiod lists none.
        elsewhere = each.get("type") in ("ORIGINAL_DST", "LOGICAL_DNS", "STRICT_DNS") or "cluster_type" in each
        settings = {key: value for key, value in each.items() if key != "load_assignment"}
        yield name, Cluster(reachable=elsewhere or rendering["endpoints"].get(name, 0) > 0, settings=settings)
