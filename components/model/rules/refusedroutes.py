"""What of a route is refused, and why: entries of VirtualServices, rules of the Gateway API's routes."""

from collections.abc import Iterator
from typing import Final

from .nodes import Node

Refusals = Iterator[tuple[Node, str]]

_PORTS: Final = range(1, 65_536)
_WHOLE: Final = 100
_MILLISECOND: Final = 1_000_000
"""In nanoseconds."""
_NOTHING: Final = Node(None)
_MIRRORING: Final = frozenset({"mirror", "mirrors", "mirrorPercentage", "mirrorPercent", "mirror_percent"})
_BESIDE: Final = ("route", "fault", "rewrite")
_PARENT: Final = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "", "namespace": ""}
"""What names a parent of the Gateway API's routes, with its default; a namespace that is given is another one."""


def refused_entry(entry: Node, *, delegate: bool) -> Refusals:
    """What is refused of an entry of a VirtualService."""
    given = entry.names()
    if "delegate" in given and entry["delegate"].given:
        if delegate:
            yield entry["delegate"], "a delegate cannot delegate"
        for key in ("route", "redirect"):
            if entry[key].given:
                yield entry[key], f"an entry that delegates must have no {key}"
    else:
        yield from _conflicts(entry)
    if "timeout" in given:
        yield from duration(entry["timeout"])
    if not _MIRRORING.isdisjoint(given):
        yield from _shares(entry)
        yield from _mirrored(entry)
    yield from _routed(entry["route"])
    for match in entry["match"].elements() if "match" in given else ():
        yield from _match(match)


def _mirrored(entry: Node) -> Refusals:
    mirrors = entry["mirrors"].elements()
    for destination in (entry["mirror"], *(mirror["destination"] for mirror in mirrors)):
        yield from _destination(destination)
    for mirror in mirrors:
        if not mirror["destination"].given:
            yield mirror, "a mirror needs a destination"


def _routed(written: Node) -> Refusals:
    routes = written.elements()
    for route in routes:
        if not route["destination"].given:
            yield route, "a route needs a destination"
        yield from _destination(route["destination"])
    if len(routes) > 1 and not any(route["weight"].number() for route in routes):
        yield written, "the weights add up to 0"


def _conflicts(entry: Node) -> Refusals:
    if "redirect" not in entry.names() and "directResponse" not in entry.names() and entry["route"].elements():
        return  # as nearly all are
    redirect, answer = entry["redirect"], entry["directResponse"]
    if not (entry["route"].elements() or redirect.given or answer.given):
        yield entry, "an entry needs a route, a redirect or a directResponse"
    if not redirect.given and not answer.given:
        return
    for key, found in (("redirect", redirect), ("directResponse", answer)):
        for other in _BESIDE if found.given else ():
            if entry[other].given and (other != "route" or entry[other].elements()):
                yield entry[other], f"{other} and {key} exclude each other"
    if redirect.given and answer.given:
        yield redirect, "redirect and directResponse exclude each other"


def _shares(entry: Node) -> Refusals:
    given = entry.names()
    for key in ("mirrorPercent", "mirror_percent"):
        share = entry[key] if key in given else _NOTHING
        if share.given:
            number = share.number()
            if number is not None and number != int(number):
                yield share, f"{key} must be a whole number"
    for share in (entry["mirrorPercentage"], *(mirror["percentage"] for mirror in entry["mirrors"].elements())):
        yield from _percentage(share)


def _percentage(share: Node) -> Refusals:
    if not share.given:
        return
    if not share.entries() and share.value != {}:
        yield share, "a share is written as {value: …}"


def _destination(node: Node) -> Refusals:
    if not node.given:
        return
    host = node["host"]
    if host.text() in ("", "*"):
        yield node, "a destination needs a host"
    port = node["port"]["number"]
    if port.given and port.integer() not in _PORTS:
        yield port, "a port must be from 1 to 65535"


def _match(match: Node) -> Refusals:
    given = match.names()
    for key in ("method", "authority", "scheme"):
        text = match[key] if key in given else _NOTHING
        if text.given and not any(text[kind].text() for kind in ("exact", "prefix", "regex")):
            yield text, f"the match of {key} asks for nothing"
    if "uri" in given and match["uri"]["regex"].text().startswith(("*", "+", "?")):
        yield match["uri"]["regex"], "its regular expression repeats nothing"


def duration(node: Node) -> Refusals:
    """What is refused of a duration: less than a millisecond, and fractions of one."""
    if not node.given:
        return
    seconds = node.seconds()
    if seconds is None:
        yield node, "it is no duration"
    elif round(seconds * 1e9) < _MILLISECOND:
        yield node, "a duration must be at least 1ms"
    elif round(seconds * 1e9) % _MILLISECOND:
        yield node, "a duration must be of whole milliseconds"


def refused_parents(parents: Node) -> Refusals:
    """What is refused of the parents of an HTTPRoute or GRPCRoute: one that is named twice in the same way."""
    nodes = parents.elements()
    for index, node in enumerate(nodes):
        for other in nodes[index + 1 :]:
            if all(node[key].text(default) == other[key].text(default) for key, default in _PARENT.items()):
                own, theirs = ((each["sectionName"].text(), each["port"].integer() or 0) for each in (node, other))
                if own == theirs or list(map(bool, own)) != list(map(bool, theirs)):
                    yield parents, f"{node['name'].text()} is named twice, and sectionName or port tell it not apart"


def refused_rule(rule: Node) -> Refusals:
    """What is refused of a rule of an HTTPRoute or GRPCRoute."""
    filters = rule["filters"].elements()
    if any(node["type"].text() == "RequestRedirect" for node in filters) and rule["backendRefs"].elements():
        yield rule["backendRefs"], "a redirect and backendRefs exclude each other"
    holders = [rule, *rule["backendRefs"].elements()]
    for mirror in (node["requestMirror"] for holder in holders for node in holder["filters"].elements()):
        if mirror.given:
            yield from _native_share(mirror)


def _native_share(mirror: Node) -> Refusals:
    percent, fraction = mirror["percent"], mirror["fraction"]
    if percent.given and fraction.given:
        yield fraction, "percent and fraction exclude each other"
    number = percent.number() if percent.given else None
    if number is not None and number != int(number):
        yield percent, "percent must be a whole number"
    if fraction.given:
        numerator = fraction["numerator"].integer()
        denominator = fraction["denominator"].integer() if fraction["denominator"].given else _WHOLE
        if numerator is None or denominator is None or denominator < 1 or not 0 <= numerator <= denominator:
            yield fraction, "a fraction has whole numbers, and its numerator is at most its denominator"
