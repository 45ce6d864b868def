"""Which entries a VirtualService needs, so that each request meets exactly the mirrors that it matches."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product

from ..jsontypes import JsonObject
from ..matching import HeaderTest, Match
from ..mirrors import InClusterMirror, Mirror, MirroredRoute, matched
from ..safety import Scrub
from ..values import Protocol
from .objects import ANY_VALUE, compact


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
        for index, (match, mirrors) in enumerate(_combinations(all_mirrors, route.protocol)):
            matches = _match_conditions(match, scope)
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


def _combinations(mirrors: Sequence[Mirror], protocol: Protocol) -> list[tuple[Match | None, list[Mirror]]]:
    """Every combination of matches that one request can satisfy, the most specific first.

    A proxy takes the first entry that fits, so a request that fits two mirrors' matches must meet the entry with both.
    """
    by_match: dict[Match | None, list[Mirror]] = {}
    for mirror in mirrors:
        by_match.setdefault(matched(mirror, protocol), []).append(mirror)
    always = by_match.pop(None, [])
    named = [match for match in by_match if match]
    found: list[tuple[Match | None, list[Mirror]]] = []
    for size in range(len(named), 0, -1):
        for chosen in combinations(named, size):
            joint = _joint(chosen)
            if joint is not None:
                members = [m for m in mirrors if m in always or any(m in by_match[match] for match in chosen)]
                found.append((joint, members))
    if always:
        found.append((None, always))
    return found


def _joint(matches: Sequence[Match]) -> Match | None:
    """Requests that satisfy all of ``matches``; None when no request can."""
    joint: Match | None = matches[0]
    for match in matches[1:]:
        joint = joint.joined(match) if joint else None
    return joint


def _match_conditions(match: Match | None, scope: JsonObject) -> list[JsonObject]:
    if match is None:
        return [scope] if scope else []
    headers: JsonObject = {
        header.name: ANY_VALUE if header.test is HeaderTest.PRESENT else {header.test.value: header.value}
        for header in match.headers
    }
    return [
        compact(
            {
                **scope,
                "uri": {"exact": path} if path else None,
                "method": {"exact": method} if method else None,
                "headers": headers,
            }
        )
        for path, method in product(match.paths or (None,), match.http_methods or (None,))
    ]
