"""What of a route of the Gateway API is refused, and why."""

import re
from collections.abc import Mapping
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

_REPLACING: Final = ("requestRedirect", "urlRewrite")
"""Where filters replace paths."""

_PREFIX: Final = "ReplacePrefixMatch"
_REPLACEMENTS: Final = {"ReplaceFullPath": "replaceFullPath", _PREFIX: "replacePrefixMatch"}
_MOST_MATCHES: Final = 128
_METHOD: Final = re.compile(r"[a-z_]\w*", re.ASCII | re.IGNORECASE)
_SERVICE: Final = re.compile(rf"\.?{_METHOD.pattern}(?:\.{_METHOD.pattern})*", re.ASCII | re.IGNORECASE)

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


def refused_matches(rules: Node, *, default: int) -> Refusals:
    """What is refused of all matches of a route, of which a rule that gives none has as many as by default."""
    found = sum(len(each["matches"].elements()) if each["matches"].given else default for each in rules.elements())
    if found > _MOST_MATCHES:
        yield rules, f"at most {_MOST_MATCHES} matches may be given in all"


def refused_rule(rule: Node) -> Refusals:
    """What is refused of a rule of an HTTPRoute or GRPCRoute."""
    backends = rule["backendRefs"].elements()
    for backend in backends:
        yield from _port(backend)
    for match in rule["matches"].elements():
        yield from _path(match["path"])
        yield from _method(match["method"])
    yield from _timeouts(rule["timeouts"])
    yield from _prefixes(rule)
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
    yield from _of_its_type(node, _FILTERS)
    for key in _REPLACING:
        if node[key]["path"].given:
            yield from _of_its_type(node[key]["path"], _REPLACEMENTS)
    mirror = node["requestMirror"]
    if mirror.given:
        yield from _native_share(mirror)
        yield from _port(mirror["backendRef"])


def _port(reference: Node) -> Refusals:
    service = reference["kind"].text("Service") == "Service" and not reference["group"].text()
    if reference.given and service and not reference["port"].given:
        yield reference, "a Service needs a port"


def _of_its_type(node: Node, keys: Mapping[str, str]) -> Refusals:
    """What is refused of what says something else than its type, given the key for each type."""
    kind = node["type"].text()
    for name, key in keys.items():
        if (name == kind) is not node[key].given:
            yield node, f"{key} is missing" if name == kind else f"{key} is for the type {name}"


def _prefixes(rule: Node) -> Refusals:
    """What is refused where a filter replaces the prefix of a path: all but one match by a prefix."""
    matches = rule["matches"]
    if not matches.given:
        return  # any path, by a prefix
    found = matches.elements()
    if len(found) == 1 and found[0]["path"]["type"].text("PathPrefix") == "PathPrefix":
        return
    for holder in (rule, *rule["backendRefs"].elements()):
        for node in holder["filters"].elements():
            for key in _REPLACING:
                path = node[key]["path"]
                if path.given and path["type"].text() == _PREFIX and path["replacePrefixMatch"].given:
                    yield path, "a prefix is replaced where the only match of a rule has one"


def _timeouts(timeouts: Node) -> Refusals:
    if not (timeouts["request"].given and timeouts["backendRequest"].given):
        return
    whole, tried = timeouts["request"].seconds() or 0, timeouts["backendRequest"].seconds() or 0
    if whole and tried > whole:
        yield timeouts["backendRequest"], "it must not be longer than that of the request"


def _method(method: Node) -> Refusals:
    """What is refused of a method of gRPC; of a match of HTTP it is a text."""
    if not isinstance(method.value, Mapping):
        return
    service, own = method["service"], method["method"]
    if not (service.given or own.given):
        yield method, "service or method must be given"
    elif method["type"].text("Exact") == "Exact":
        for node, form in ((service, _SERVICE), (own, _METHOD)):
            if node.given and not form.fullmatch(node.text()):
                yield node, f"{node.text() or 'nothing'} is no name in gRPC"


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
