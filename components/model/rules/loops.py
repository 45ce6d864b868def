"""Loops: a mirror of a mirror of a mirror, through any number of clusters.

One request in such a loop became more than a thousand on each side within 1.5 seconds (measured). The suffix that old
proxies append stops only loops between exact hosts.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise, product
from typing import Final, TypeAlias

from ..errors import ValidationError
from ..istio import AuthorityMode
from ..mirrored_route import MirroredRoute
from ..mirrors import CrossClusterMirror
from .clusters import ClusterObjects, Mesh
from .hosts import widening
from .mirror_entries import MirrorEntry
from .nodes import Node, NotJudgedError
from .objects import KubeObject
from .overlaid_routes import OverlaidRoute, overlaid_routes
from .privacy import at_source
from .reach import Side, reach, stays
from .registry import Case, Report, Rule, Scope, Severity, Unjudged, problem
from .routes import MESH, Route, Target, authority_form
from .settings import RuleSettings
from .waypoint_entries import entering

MAX_LOOPS: Final = 8
"""Loops listed at once; who has more sees the rest after mending these."""


MAX_PLACES: Final = 12
"""Places of one path that are printed; the middle of a longer one is left out."""


@dataclass(frozen=True, kw_only=True, order=True)
class Place:
    """Where a request is routed.

    Attributes:
        cluster: Name of the cluster.
        gateway: Its gateway as ``namespace/name``, or ``mesh`` for every sidecar.
        host: Host pattern of the route.
    """

    cluster: str
    gateway: str
    host: str

    def __str__(self) -> str:
        return f"{self.cluster} {self.gateway} {self.host}"


@dataclass(frozen=True, kw_only=True)
class Hop:
    """What one route entry does to a request: it sends it, or a copy, on to a gateway.

    Attributes:
        start: Where the route is.
        cluster: Name of the cluster whose gateways it enters.
        authority: Pattern of the authorities that it carries then.
        mirror: Whether a copy is sent, in contrast to the request itself.
        mode: What happens to the authority of a copy; None where it stays the same in every mode.
        source: Object and path of the mirror or destination; None for a hop that is not from an object.
    """

    start: Place
    cluster: str
    authority: str
    mirror: bool = True
    mode: AuthorityMode | None = None
    source: tuple[KubeObject, Node] | None = field(default=None, compare=False, repr=False)


_Key: TypeAlias = tuple[str, ...]
"""A node of the graph: ``("at", cluster, gateway, host)`` for a place, ``("up" | "down", cluster, pattern)`` for
requests on their way to the routes whose pattern is that wide or wider, or narrower."""


def find_loops(hops: Iterable[Hop]) -> list[list[Hop]]:
    """Closed paths among ``hops``, at most :data:`MAX_LOOPS`; no two share a place. Linear in the number of hops."""
    graph, taken = _graph(hops)
    loops: list[list[Hop]] = []
    while len(loops) < MAX_LOOPS:
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            # graphlib's edges lead to what must come before, so its cycle runs along the hops when read backwards.
            cycle: list[_Key] = error.args[1][::-1]
        else:
            break
        loops.append([taken[pair] for pair in pairwise(cycle) if pair in taken])
        for key in cycle:
            if key[0] == "at":
                graph.pop(key, None)
    return loops


def _graph(hops: Iterable[Hop]) -> tuple[dict[_Key, set[_Key]], dict[tuple[_Key, _Key], Hop]]:
    """The graph, and the hop behind each of its edges that leaves a place."""
    taken: dict[tuple[_Key, _Key], Hop] = {}
    graph: dict[_Key, set[_Key]] = defaultdict(set)
    for start, hop in sorted(((_at(hop.start), hop) for hop in hops), key=lambda pair: (pair[0], pair[1].authority)):
        for way in ("up", "down") if hop.authority.startswith("*") else ("up",):
            arrival = (way, hop.cluster, hop.authority)
            taken.setdefault((start, arrival), hop)
            graph[start].add(arrival)
            _widen(graph, hop.cluster, hop.authority)
    for start in {hop.start for hop in taken.values() if hop.start.gateway != MESH}:
        _widen(graph, start.cluster, start.host)
        graph["up", start.cluster, start.host].add(_at(start))
        for wider in widening(start.host):
            if wider != start.host:
                graph["down", start.cluster, wider].add(_at(start))
    return graph, taken


def _at(place: Place) -> _Key:
    return ("at", place.cluster, place.gateway, place.host)


def _widen(graph: dict[_Key, set[_Key]], cluster: str, pattern: str) -> None:
    """Link a pattern to the wider ones."""
    for narrow, wide in pairwise(widening(pattern)):
        known = graph["up", cluster, narrow]
        if ("up", cluster, wide) in known:
            return  # and so is everything wider
        known.add(("up", cluster, wide))


def describe_loop(loop: Sequence[Hop]) -> str:
    """The path in words, from the first place around to it again."""
    parts = [str(loop[0].start)]
    for index, hop in enumerate(loop):
        how = "mirrored" if hop.mirror else "routed"
        if hop.mode:
            how += f", authority {hop.mode.value}"
        parts.append(f"-({how})-> {loop[(index + 1) % len(loop)].start}")
    if len(parts) > MAX_PLACES:
        parts[MAX_PLACES // 2 : -MAX_PLACES // 2] = [f"… {len(parts) - MAX_PLACES} more …"]
    return " ".join(parts)


def loop_error(loop: Sequence[Hop]) -> ValidationError:
    """What is said of mirrors that lead in a circle; the error's value is the path."""
    return ValidationError(
        field="mirrors",
        value=describe_loop(loop),
        rule="must not lead in a circle: each copy would come back to where it was made, and only its mark, where it"
        " has one, would keep it from being copied again without end",
        remedy="Take one of these mirrors off",
    )


def check_loops(routes: Mapping[str, Iterable[MirroredRoute]]) -> None:
    """Refuse routes that mirror in a circle, before anything is rendered.

    Args:
        routes: Routes by the name of their cluster; the receiver of a contract is a cluster's name.

    Raises:
        ValidationError: There is a loop; the error's value is its path.
    """
    hops = [hop for cluster, found in routes.items() for route in found for hop in route_hops(cluster, route)]
    for loop in find_loops(hops):
        raise loop_error(loop)


def route_hops(cluster: str, route: MirroredRoute) -> Iterator[Hop]:
    """Where a route's cross-cluster mirrors lead."""
    for mirror in route.mirrors:
        if isinstance(mirror, CrossClusterMirror) and route.gateway:
            for host in route.hosts:
                start = Place(cluster=cluster, gateway=str(route.gateway), host=str(host))
                for mode in AuthorityMode:
                    authority = authority_form(host, mode)
                    yield Hop(start=start, cluster=str(mirror.contract.receiver), authority=authority, mode=mode)


def mesh_hops(mesh: Mesh, unknown: "list[tuple[KubeObject, str]] | None" = None) -> Iterator[Hop]:
    """Where the routes of all clusters lead, under both authority modes, as far as values are known.

    Args:
        mesh: The clusters.
        unknown: Gets the objects, and paths in them, of values that hide where a route leads.
    """
    for cluster in mesh.clusters:
        for route in cluster.routing.routes:
            try:
                mirrors = [each for each in cluster.routing.of_route(route) if not each.disabled]
                # A waypoint's mirrors take what came in at a gateway, under the name that it had there.
                taken = [route, *(_by_waypoint(cluster, route) if mirrors else ())]
                for mirror_entry, each in product(mirrors, taken):
                    yield from _hops(mesh, cluster, each, mirror_entry.target, mirror=True)
                for target in route.primaries:
                    yield from _hops(mesh, cluster, route, target, mirror=False)
            except NotJudgedError as error:
                _note(unknown, error, route.source)
        for source in cluster.taken("EnvoyFilter"):
            try:
                for each in overlaid_routes(cluster, source):
                    yield from _overlaid_hops(mesh, cluster, each)
            except NotJudgedError as error:
                _note(unknown, error, source)


def _by_waypoint(cluster: ClusterObjects, route: Route) -> Iterator[Route]:
    """Entries of gateways whose requests meet an entry at a waypoint, unless it gives them another authority."""
    if MESH in route.gateways and not route.authority_rewrite:
        for host in route.hosts:
            for each in entering(cluster, host):
                yield replace(each, source=route.source, gateways=tuple(one for one in each.gateways if one != MESH))


def _note(unknown: "list[tuple[KubeObject, str]] | None", error: NotJudgedError, source: KubeObject) -> None:
    subject = error.subject if isinstance(error.subject, KubeObject) else source
    if unknown is not None:
        unknown.append((subject, error.path))


def _hops(mesh: Mesh, cluster: ClusterObjects, route: Route, target: Target, *, mirror: bool) -> Iterator[Hop]:
    modes: Sequence[AuthorityMode | None] = tuple(AuthorityMode) if mirror else (None,)
    for start, end in _legs(mesh, cluster, route, target):
        authority = route.authority_rewrite or start.host
        for mode in modes:
            form = authority_form(authority, mode) if mode else authority
            source = (route.source, target.node)
            yield Hop(start=start, cluster=end.name, authority=form, mirror=mirror, mode=mode, source=source)


def _overlaid_hops(mesh: Mesh, cluster: ClusterObjects, overlaid: OverlaidRoute) -> Iterator[Hop]:
    """Where an overlay's copies lead: the patch itself says what becomes of their authority."""
    route, target = overlaid.route, overlaid.target
    for start, end in _legs(mesh, cluster, route, target):
        form = authority_form(route.authority_rewrite or start.host, overlaid.authority_mode)
        authority = overlaid.authority_rewrite or form
        yield Hop(start=start, cluster=end.name, authority=authority, source=(route.source, target.node))


def _legs(mesh: Mesh, cluster: ClusterObjects, route: Route, target: Target) -> Iterator[tuple[Place, ClusterObjects]]:
    """Every place of a route with every cluster at whose gateways its requests to a target arrive."""
    if stays(cluster, target):
        return
    found = reach(mesh, cluster, route, target)
    for end in [cluster] if found.side is Side.OWN_GATEWAY else found.clusters:
        for host in route.admitted_hosts:
            for gateway in route.gateways:
                yield Place(cluster=cluster.name, gateway=gateway, host=host), end


def _looping(mesh: Mesh, settings: RuleSettings) -> Iterator[Report]:
    unknown: list[tuple[KubeObject, str]] = []
    for loop in find_loops(mesh_hops(mesh, unknown)):
        first = next((hop for hop in loop if hop.mirror), loop[0])
        around = loop[loop.index(first) :] + loop[: loop.index(first)]
        if first.source:
            subject, node = first.source
            fate = ENDED_BY_MARK if _ends_by_mark(mesh, settings, around) else ENDLESS
            yield problem(subject, node, f"{fate}: {describe_loop(around)}")
    for subject, path in unknown:
        yield Unjudged(subject=subject, field=path)


ENDLESS: Final = "copies are copied again without end"
ENDED_BY_MARK: Final = (
    "copies come back to a route that mirrors; their mark keeps them from being copied again there, and the primary"
    " answers each of them once more"
)
"""What a loop does where marks are in force: one hop (measured)."""


def _ends_by_mark(mesh: Mesh, settings: RuleSettings, loop: Sequence[Hop]) -> bool:
    """Whether a copy carries a mark for which the next mirror of the loop makes no copy."""
    mirrors = [hop for hop in loop if hop.mirror]
    for sent, following in zip(mirrors, mirrors[1:] + mirrors[:1], strict=True):
        # A guard whose values are not known is none.
        with suppress(NotJudgedError):
            if any(_refuses(mesh, following, mark) for mark in _marks(mesh, settings, sent)):
                return True
    return False


def _marks(mesh: Mesh, settings: RuleSettings, hop: Hop) -> Iterable[str]:
    """Headers that the copies of a hop carry, and their requests do not."""
    cluster, mirror = _mirror_of(mesh, hop)
    if isinstance(mirror, OverlaidRoute):
        return mirror.marks
    return at_source(Case(mesh=mesh, cluster=cluster, settings=settings), mirror)[1] if mirror else ()


def _refuses(mesh: Mesh, hop: Hop, mark: str) -> bool:
    """Whether a hop makes no copy of requests with a header."""
    cluster, mirror = _mirror_of(mesh, hop)
    if isinstance(mirror, OverlaidRoute):
        return mark in mirror.refused
    if mirror is None:
        return False
    met_at = hop.start.gateway if hop.start.gateway in mirror.route.gateways else MESH
    return _is_refused(cluster, mirror, met_at, mark)


def _mirror_of(mesh: Mesh, hop: Hop) -> tuple[ClusterObjects, MirrorEntry | OverlaidRoute | None]:
    """The mirror behind a hop, with its cluster."""
    cluster = next(each for each in mesh.clusters if each.name == hop.start.cluster)
    source, node = hop.source or (None, None)
    found: Sequence[MirrorEntry | OverlaidRoute] = cluster.routing.mirror_entries
    if source and source.kind == "EnvoyFilter":
        found = overlaid_routes(cluster, source)
    return cluster, next((each for each in found if each.target.node is node), None)


def _is_refused(cluster: ClusterObjects, mirror_entry: MirrorEntry, gateway: str, mark: str) -> bool:
    """Whether requests with a header never reach the entry of a mirror: by its own match, or by an entry before it."""
    if mirror_entry.route.native:
        return False
    matches = mirror_entry.route.entry["match"].elements()
    if matches and all(mark in _names(match["withoutHeaders"]) for match in matches):
        return True
    for route in cluster.routing.routes:
        if route is mirror_entry.route:
            return False
        if (
            route.owner == mirror_entry.route.owner
            and gateway in route.gateways
            and not cluster.routing.of_route(route)
        ):
            for match in route.entry["match"].elements():
                if {key for key, _ in match.entries()} <= {"headers", "gateways"} and _names(match["headers"]) == [
                    mark
                ]:
                    return True
    return False


def _names(headers: Node) -> list[str]:
    return [name.lower() for name, _ in headers.entries()]


mirror_loop: Final = Rule(
    id="mirror-loop",
    title="No copy is ever copied again",
    severity=Severity.ERROR,
    scope=Scope.CLUSTER,
    why="One request in a loop became more than a thousand on each side within 1.5 s. The suffix stops only loops"
    " between exact hosts, and Istio >= 1.28 appends none.",
    source="Measured.",
    remedy="Take one of these mirrors off",
    check=_looping,
)

RULES: Final[tuple[Rule, ...]] = (mirror_loop,)
