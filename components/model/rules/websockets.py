"""The rule on WebSockets: a mirror that accepts the handshake gets every frame that the client sends."""

from collections.abc import Iterator
from typing import Final

from ..mirror_checks import UPGRADE_HEADER
from .effects import Named, named
from .mirror_entries import MirrorEntry
from .nodes import Node
from .ports import spoken_by
from .registry import Case, Report, Rule, Scope, Severity, mirror_rule, problem


@mirror_rule(
    rule_id="mirror-websockets",
    title="A mirror leaves WebSockets out",
    severity=Severity.WARNING,
    scope=Scope.ROUTE,
    why="The handshake of a WebSocket is a GET, and Istio allows it at every HTTP listener: a mirror that accepts it"
    " gets every frame of the client, with its side effects.",
    source="Measured with Envoy 1.39 and 1.40, against its documentation",
    remedy="Add the header upgrade with the regular expression .+ to withoutHeaders of every match; an HTTPRoute"
    " needs a rule without mirrors that has the same matches and this header, or an overlay",
)
def websockets(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report HTTP mirrors that take requests to upgrade the connection."""
    found = named(mirror_entry)
    spoken = spoken_by(case.cluster, mirror_entry)
    plain = spoken == "http1" or (not spoken and any(match.http_methods for match in found))
    if plain and not _excluded(mirror_entry) and any(_takes_get(match) for match in found):
        message = "takes requests that upgrade the connection, all frames of which are copied"
        waived = mirror_entry.waiver("websockets")
        yield problem(mirror_entry.source, mirror_entry.node, message, waived=waived, likely=not spoken)


def _takes_get(match: Named) -> bool:
    return not match.http_methods or "GET" in match.http_methods


def _excluded(mirror_entry: MirrorEntry) -> bool:
    if mirror_entry.route.native:
        return _taken_before(mirror_entry)
    entries = (
        (mirror_entry.route.entry, mirror_entry.route.outer)
        if mirror_entry.route.outer.given
        else (mirror_entry.route.entry,)
    )
    return any(_without(entry) for entry in entries)


def _taken_before(mirror_entry: MirrorEntry) -> bool:
    """Whether for each match of a rule of the Gateway API another rule without mirrors has one for upgrades.

    Of two that ask for one path and method, proxies try the one that asks for more headers first.
    """
    rules = [rule for rule in mirror_entry.source.spec["rules"].elements() if not _mirrors(rule)]
    others = [match for rule in rules for match in rule["matches"].elements()]
    own = mirror_entry.route.entry["matches"].elements() or [Node({})]
    return all(any(_is_upgrade_of(other, match) for other in others) for match in own)


def _mirrors(rule: Node) -> bool:
    return any(each["type"].text() == "RequestMirror" for each in rule["filters"].elements())


def _is_upgrade_of(other: Node, match: Node) -> bool:
    same = all(other[key].value == match[key].value for key in ("path", "method"))
    more = _header_tests(other) - _header_tests(match)
    upgrades = {(UPGRADE_HEADER, "RegularExpression", value) for value in (".+", ".*")}
    return same and _header_tests(match) <= _header_tests(other) and len(more) == 1 and more <= upgrades


def _header_tests(match: Node) -> set[tuple[str, str, str]]:
    return {
        (each["name"].text().lower(), each["type"].text("Exact"), each["value"].text())
        for each in match["headers"].elements()
    }


def _without(entry: Node) -> bool:
    matches = entry["match"].elements()
    return bool(matches) and all(
        any(name.lower() == UPGRADE_HEADER for name, _ in match.either("withoutHeaders", "without_headers").entries())
        for match in matches
    )


RULES: Final[tuple[Rule, ...]] = (websockets,)
