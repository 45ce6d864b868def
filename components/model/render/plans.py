"""Which entries a VirtualService needs, so that each request meets exactly the mirrors that it matches."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product

from ..jsontypes import JsonObject
from ..matching import HeaderTest, Match, Selection
from ..mirror_checks import UPGRADE_HEADER
from ..mirrored_route import MirroredRoute
from ..mirrors import InClusterMirror, Mirror, matched
from ..safety import Scrub
from ..values import Protocol
from .objects import ANY_VALUE, SOME_VALUE, compact


@dataclass(frozen=True, kw_only=True)
class RoutePlan:
    """One entry of a VirtualService before it is written.

    Attributes:
        context: ``"mesh"``, or the gateway as ``namespace/name``.
        name: Name of the entry and of Envoy's route; unique in the mesh.
        matches: Istio's HTTPMatchRequests, any one of which suffices; empty for every request.
        mirrors: Who gets copies.
    """

    context: str
    name: str
    matches: Sequence[JsonObject]
    mirrors: Sequence[Mirror]


def route_plans(route: MirroredRoute) -> list[RoutePlan]:
    """Entries in the order in which a proxy tries them: guard, mirrored requests (most mirrors first), the rest.

    Percentages play no part, so that a change of one changes neither entries nor their names.
    """
    plans: list[RoutePlan] = []
    contexts: list[tuple[str, Sequence[Mirror]]] = []
    if route.gateway:
        contexts.append((str(route.gateway), route.mirrors))
    if route.mesh:
        contexts.append(("mesh", [m for m in route.mirrors if isinstance(m, InClusterMirror)]))
    for context, all_mirrors in contexts:
        prefix = f"{route.namespace}.{route.name}.{'mesh' if context == 'mesh' else 'gateway'}"
        scope: JsonObject = {"gateways": [context]} if len(contexts) > 1 else {}
        if all_mirrors:
            plans.append(
                RoutePlan(context=context, name=f"{prefix}.guard", matches=_guard(all_mirrors, scope), mirrors=())
            )
        for index, (match, mirrors) in enumerate(mirror_combinations(all_mirrors, route.protocol)):
            matches = match_conditions(match, scope)
            plans.append(
                RoutePlan(context=context, name=f"{prefix}.mirrored-{index}", matches=matches, mirrors=mirrors)
            )
        everything = [scope] if scope else []
        if not plans or plans[-1].context != context or plans[-1].matches != everything:
            plans.append(RoutePlan(context=context, name=f"{prefix}.primary", matches=everything, mirrors=()))
    return plans


def _guard(mirrors: Sequence[Mirror], scope: JsonObject) -> list[JsonObject]:
    """What already carries a mark is never mirrored again: a loop ends after one hop, whoever built it."""
    marks = dict.fromkeys(str(mirror.scrub.mark_header) for mirror in mirrors if isinstance(mirror.scrub, Scrub))
    if not marks:
        marks = {Scrub().mark_header: None}
    return [{**scope, "headers": {mark: ANY_VALUE}} for mark in marks]


def mirror_combinations(mirrors: Sequence[Mirror], protocol: Protocol) -> list[tuple[Selection, list[Mirror]]]:
    """Every combination of matches that one request can satisfy, the most specific first.

    A proxy takes the first entry that fits, so a request that fits two mirrors' matches must meet the entry with both.
    """
    chosen_by = [(matched(mirror, protocol), mirror) for mirror in mirrors]
    always = [mirror for selection, mirror in chosen_by if selection.is_everything]
    named = [each for each in dict.fromkeys(selection for selection, _ in chosen_by) if not each.is_everything]
    found: list[tuple[Selection, list[Mirror]]] = []
    for size in range(len(named), 0, -1):
        for chosen in combinations(named, size):
            joint = _joint(chosen)
            if joint is not None:
                members = [mirror for selection, mirror in chosen_by if selection in chosen or mirror in always]
                found.append((joint, members))
    if always:
        found.append((Selection(match=None, upgrades=True), always))
    return found


def _joint(selections: Sequence[Selection]) -> Selection | None:
    """Requests that satisfy all of ``selections``; None when no request can."""
    joint: Selection | None = selections[0]
    for selection in selections[1:]:
        joint = joint.joined(selection) if joint else None
    return joint


def match_conditions(selection: Selection, scope: JsonObject) -> list[JsonObject]:
    """Istio's HTTPMatchRequests for a selection, each with what ``scope`` says; none for every request."""
    if selection.is_everything:
        return [scope] if scope else []
    match = selection.match
    conditions = compact({**scope, "withoutHeaders": {} if selection.upgrades else {UPGRADE_HEADER: SOME_VALUE}})
    if match is None:
        return [conditions]
    headers: JsonObject = {
        header.name: ANY_VALUE if header.test is HeaderTest.PRESENT else {header.test.value: header.value}
        for header in match.headers
    }
    return [
        compact({**conditions, "uri": uri, "method": {"exact": method} if method else None, "headers": headers})
        for uri, method in product(_uris(match) or (None,), match.http_methods or (None,))
    ]


def _uris(match: Match) -> list[JsonObject]:
    """Istio's tests of the path, whose prefixes end anywhere in a segment."""
    found: list[JsonObject] = []
    for test in match.path_tests:
        if not test.below or test.path != "/":
            found.append({"exact": test.path})
        if test.below:
            found.append({"prefix": test.path.rstrip("/") + "/"})
    return found
