"""Rules on objects of Flagger and Argo Rollouts: what their mirror step does, what they undo, and what they miss."""

from collections.abc import Iterator
from typing import Final

from .clusters import ClusterObjects
from .nodes import Node
from .objects import KubeObject
from .registry import Case, Report, Rule, Scope, Severity, object_rule, problem

MEASURED: Final = "Measured with the routers of Flagger 1.36.1 and Argo Rollouts 1.10.1"
_CANARY_END: Final = "-canary"
_ENDS: Final = (_CANARY_END, "-primary")


def apex(canary: KubeObject) -> str:
    """Name of the Service and the VirtualService that a Canary is about. Source: GetServiceNames of Flagger."""
    return canary.spec["service"]["name"].text() or canary.spec["targetRef"]["name"].text()


def _by_istio(canary: KubeObject) -> bool:
    """Whether it routes by Istio: by its own provider, else by that of Flagger, which nobody tells."""
    return canary.spec["provider"].text("istio") == "istio"


@object_rule(
    kinds=("Canary", "Rollout"),
    decided_by=("Canary", "Rollout"),
    rule_id="controller-mirror",
    title="A controller's own mirror step is off",
    severity=Severity.WARNING,
    scope=Scope.CLUSTER,
    why="It copies to what the next step sends clients to, so bounds and scrub of copies would meet their requests."
    " Copies carry credentials and no mark, and what is marked is copied again.",
    source=MEASURED,
    remedy="Turn it off there, and hang a MirrorOverlay on the host, to a Service of its own on the canary's pods",
)
def controller_mirror(_case: Case, source: KubeObject) -> Iterator[Report]:
    """Report what the mirror steps of a Canary or a Rollout will do."""
    yield from _flagger_mirror(source) if source.kind == "Canary" else _argo_mirror(source)


def _flagger_mirror(source: KubeObject) -> Iterator[Report]:
    analysis = source.spec.either("analysis", "canaryAnalysis")
    if analysis["mirror"].known is True and _by_istio(source):
        # A weight of 0 counts as none: the field is left out of the route, which then copies all.
        weight = analysis["mirrorWeight"].number() or 0
        share = f"{weight:g} %" if weight else "100 %, as there is no mirrorWeight,"
        target = f"{apex(source)}{_CANARY_END}" if apex(source) else "the canary"
        message = f"Flagger will mirror {share} of the requests to {target}"
        yield problem(source, analysis["mirror"], message)


def _argo_mirror(source: KubeObject) -> Iterator[Report]:
    canary = source.spec["strategy"]["canary"]
    for step in canary["steps"].elements():
        made = step["setMirrorRoute"]
        # Without a match the step takes the entry away again.
        if made["match"].elements() and canary["trafficRouting"]["istio"].given:
            share = (made["percentage"].number() if made["percentage"].given else 100) or 0
            target = canary["canaryService"].text("the canary")
            message = (
                f"Argo Rollouts will put an entry {made['name'].text()!r} before all others, which mirrors {share:g} %"
                f" to {target} and sends on without rewrite, timeout, retries and mirrors of the entries behind it"
            )
            yield problem(source, made, message)


@object_rule(
    kinds=("Rollout",),
    rule_id="rollout-unlisted-route",
    title="A Rollout lists every entry that it must weigh",
    severity=Severity.ERROR,
    scope=Scope.CLUSTER,
    why="Argo Rollouts sets weights on the entries that it lists and on no other: what another entry takes stays at the"
    " weights that are written there.",
    source=MEASURED,
    remedy="List them under trafficRouting.istio.virtualService.routes: of mirrored() all of its routes",
)
def unlisted_route(case: Case, source: KubeObject) -> Iterator[Report]:
    """Report entries between a Rollout's Services that it does not list."""
    canary = source.spec["strategy"]["canary"]
    services = {canary[key].text() for key in ("stableService", "canaryService")} - {""}
    managed = {each["name"].text() for each in canary["trafficRouting"]["managedRoutes"].elements()}
    istio = canary["trafficRouting"]["istio"]
    for named in (istio["virtualService"], *istio["virtualServices"].elements()):
        found = case.cluster.find("VirtualService", source.namespace, named["name"].text()) if named.given else None
        entries = found.spec["http"].elements() if found else []
        listed = set(named["routes"].texts())
        if len(entries) > 1 or listed:
            between = [each["name"].text("(no name)") for each in entries if services and services <= _hosts(each)]
            left = [name for name in between if name not in listed | managed]
            if left:
                message = f"{found} has entries between its Services that it does not list: {', '.join(left)}"
                yield problem(source, named, message)


def _hosts(entry: Node) -> set[str]:
    return {each["destination"]["host"].text().partition(".")[0] for each in entry["route"].elements()}


@object_rule(
    kinds=("VirtualService", "DestinationRule"),
    rule_id="controller-rewrites",
    title="Nobody else writes what a controller owns",
    severity=Severity.WARNING,
    scope=Scope.CLUSTER,
    why="Flagger writes its VirtualService anew as one entry, and its DestinationRules as the Canary says: what others"
    " put there goes, and a running canary falls back to 100/0.",
    source=MEASURED,
    remedy="Say it in the Canary, or hang a MirrorOverlay on the host, which changes none of its objects",
)
def rewritten(case: Case, source: KubeObject) -> Iterator[Report]:
    """Report what Flagger will take out of its VirtualServices and DestinationRules."""
    owner = _canary_of(case.cluster, source)
    if not owner:
        return
    taken = _of_routes if source.kind == "VirtualService" else _of_policy
    gone = list(taken(case.cluster, source))
    if gone:
        message = f"{owner}, by Flagger, writes it anew without {', '.join(what for _, what in gone)}"
        yield problem(source, gone[0][0], message)


def _canaries(cluster: ClusterObjects) -> dict[tuple[str, str], KubeObject]:
    """Canaries by the namespace and name of the objects that Flagger writes for them."""
    found: dict[tuple[str, str], KubeObject] = {}
    for canary in cluster.of("Canary"):
        if _by_istio(canary):
            for name in (apex(canary), *(f"{apex(canary)}{end}" for end in _ENDS)):
                found[canary.namespace, name] = canary
    return found


def _canary_of(cluster: ClusterObjects, source: KubeObject) -> str:
    """The Canary that owns an object, by its reference or by its name; empty for none."""
    for reference in source.root["metadata"]["ownerReferences"].elements():
        if reference["kind"].text() == "Canary":
            return f"Canary {source.namespace}/{reference['name'].text()}"
    found = cluster.once("canaries", lambda: _canaries(cluster)).get((source.namespace, source.name))
    split = source.name.endswith(_ENDS)
    return str(found) if found and split == (source.kind == "DestinationRule") else ""


def _of_routes(cluster: ClusterObjects, source: KubeObject) -> Iterator[tuple[Node | str, str]]:
    for route in cluster.routing.of_owner(source):
        for mirror_entry in cluster.routing.of_route(route):
            if not mirror_entry.target.host.partition(".")[0].endswith(_CANARY_END):
                yield mirror_entry.node, f"the mirror to {mirror_entry.target.host}"
    for index, entry in enumerate(source.spec["http"].elements()):
        if entry["delegate"].given:
            yield entry["delegate"], f"the delegate of entry {index}"
    if source.spec["exportTo"].given:
        yield source.spec["exportTo"], "exportTo"


def _of_policy(cluster: ClusterObjects, source: KubeObject) -> Iterator[tuple[Node | str, str]]:
    canary = cluster.once("canaries", lambda: _canaries(cluster)).get((source.namespace, source.name))
    said = canary.spec["service"]["trafficPolicy"].given if canary else True
    if source.spec["trafficPolicy"].given and not said:
        yield source.spec["trafficPolicy"], "its trafficPolicy"


RULES: Final[tuple[Rule, ...]] = (controller_mirror, unlisted_route, rewritten)
