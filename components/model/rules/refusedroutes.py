"""What of a route of the Gateway API is refused, and why."""

import re
from typing import Final

from .nodes import Node
from .refusednames import Refusals

_WHOLE: Final = 100
_ONCE: Final = ("RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect", "URLRewrite", "CORS")
"""Types of filters of which a list has one at most."""

_FILTERS: Final = {
    "RequestHeaderModifier": "requestHeaderModifier",
    "ResponseHeaderModifier": "responseHeaderModifier",
    "RequestMirror": "requestMirror",
    "RequestRedirect": "requestRedirect",
    "URLRewrite": "urlRewrite",
    "ExtensionRef": "extensionRef",
    "CORS": "cors",
}
"""Where a filter of a type says what it does."""

_NOT_IN_PATHS: Final = ("//", "/./", "/../", "%2f", "%2F", "#")
_NOT_AT_ENDS: Final = ("/..", "/.")
_OF_PATHS: Final = re.compile("(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|%[0-9a-fA-F]{2})+", re.ASCII)
"""Source: RFC 3986, 3.3."""

_PARENT: Final = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "", "namespace": ""}
"""What names a parent of the Gateway API's routes, with its default; a namespace that is given is another one."""


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
    backends = rule["backendRefs"].elements()
    for backend in backends:
        yield from _port(backend)
    for match in rule["matches"].elements():
        yield from _path(match["path"])
    for filters in (holder["filters"].elements() for holder in (rule, *backends)):
        kinds = [node["type"].text() for node in filters]
        for kind in _ONCE:
            if kinds.count(kind) > 1:
                yield filters[0], f"{kind} is given twice"
        if "RequestRedirect" in kinds and "URLRewrite" in kinds:
            yield filters[0], "RequestRedirect and URLRewrite exclude each other"
        for node in filters:
            yield from _filter(node)
    if any(node["type"].text() == "RequestRedirect" for node in rule["filters"].elements()) and backends:
        yield rule["backendRefs"], "a redirect and backendRefs exclude each other"


def _filter(node: Node) -> Refusals:
    """What is refused of a filter: one that says something else than its type, and its mirror."""
    kind = node["type"].text()
    for name, key in _FILTERS.items():
        if (name == kind) is not node[key].given:
            yield node, f"{key} is missing" if name == kind else f"{key} is for the type {name}"
    mirror = node["requestMirror"]
    if mirror.given:
        yield from _native_share(mirror)
        yield from _port(mirror["backendRef"])


def _port(reference: Node) -> Refusals:
    service = reference["kind"].text("Service") == "Service" and not reference["group"].text()
    if reference.given and service and not reference["port"].given:
        yield reference, "a Service needs a port"


def _path(path: Node) -> Refusals:
    kind, value = path["type"].text("PathPrefix"), path["value"].text("/")
    if not path.given or kind == "RegularExpression":
        return
    if not value.startswith("/"):
        yield path, "a path begins with /"
    for part in _NOT_IN_PATHS:
        if part in value:
            yield path, f"a path has no {part}"
    for end in _NOT_AT_ENDS:
        if value.endswith(end):
            yield path, f"a path does not end with {end}"
    if not _OF_PATHS.fullmatch(value):
        yield path, "it has characters that must be encoded in a path"


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
