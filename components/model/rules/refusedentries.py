"""What of an entry of a VirtualService is refused, and why.

Written after validateHTTPRoute of Istio's validation, and held against it.
"""

import re
from typing import Final

from .nodes import Node
from .refusednames import PORTS, Refusals, duration, faulty, is_host, is_label, refused_gateways, refused_labels

_NOTHING: Final = Node(None)
_MIRRORING: Final = frozenset({"mirror", "mirrors", "mirrorPercentage", "mirrorPercent", "mirror_percent"})
_SELDOM: Final = frozenset({"headers", "retries", "redirect", "directResponse", "rewrite", "fault", "corsPolicy"})
_BESIDE: Final = ("route", "fault", "rewrite")
_HEADER: Final = re.compile(r"[-A-Za-z0-9!#$%&'*+.^_`|~]+", re.ASCII)
_HEADERS: Final = ("headers", "withoutHeaders")
_NAMED: Final = frozenset({*_HEADERS, "queryParams"})
_PSEUDO: Final = frozenset({":method", ":scheme", ":authority"})
_CLAIM: Final = re.compile(r"@request\.auth\.claims(?:\..+|\[.+\])", re.IGNORECASE | re.DOTALL)
"""Name of a header by which a claim of a token is meant."""

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE", "*"})
LONGEST_PATTERN: Final = 1024
_AUTHORITY: Final = frozenset({":authority", "host"})
_BEYOND_RE2: Final = re.compile(r"\(\?(?:=|!|<=|<!)|\\[1-9]")
"""Looking ahead or behind, and what was found before: Envoy's regular expressions know neither."""

_BROKEN: Final = (
    *("unterminated", "missing )", "unbalanced parenthesis", "nothing to repeat", "bad escape (end of pattern)"),
    *("bad character range", "min repeat greater than max repeat"),
)
"""How Python's errors of what no dialect of regular expressions takes begin."""

_STATUSES: Final = range(200, 601)
_REDIRECTS: Final = range(300, 400)
_WHOLE: Final = 100
_LEAST: Final = 0.0001
_RETRIED: Final = frozenset(
    (
        *("5xx", "gateway-error", "reset", "reset-before-request", "connect-failure", "retriable-4xx"),
        *("refused-stream", "retriable-status-codes", "retriable-headers", "envoy-ratelimited"),
        *("http3-post-connect-failure", "cancelled", "deadline-exceeded", "internal", "resource-exhausted"),
        "unavailable",
    )
)
"""Source: https://istio.io/latest/docs/reference/config/networking/virtual-service/#HTTPRetry."""


def refused_entry(entry: Node, *, delegate: bool, in_mesh: bool) -> Refusals:
    """What is refused of an entry of a VirtualService, which may be a delegate, or not for gateways alone."""
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
    yield from refused_destinations(entry["route"])
    for match in entry["match"].elements() if "match" in given else ():
        yield from _match(match)
        if in_mesh and not _NAMED.isdisjoint(match.names()):
            yield from _claims(match)
    if not _SELDOM.isdisjoint(given):
        yield from _seldom(entry)


def _mirrored(entry: Node) -> Refusals:
    mirrors = entry["mirrors"].elements()
    for destination in (entry["mirror"], *(mirror["destination"] for mirror in mirrors)):
        yield from _destination(destination)
    for mirror in mirrors:
        if not mirror["destination"].given:
            yield mirror, "a mirror needs a destination"


def refused_destinations(written: Node) -> Refusals:
    """What is refused of a list of destinations."""
    routes = written.elements()
    for route in routes:
        if not route["destination"].given:
            yield route, "a route needs a destination"
        yield from _destination(route["destination"])
        yield from _headers(route["headers"])
        if (route["weight"].number() or 0) < 0:
            yield route["weight"], "a weight must not be negative"
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
    host, subset = node["host"].text(), node["subset"]
    if host in ("", "*"):
        yield node, "a destination needs a host"
    elif not is_host(host):
        yield node["host"], f"{host} is no host"
    if subset.text() and not is_label(subset.text()):
        yield subset, "it is no name of a subset"
    if node["port"].given and node["port"]["number"].integer() not in PORTS:
        yield node["port"], "a port must be from 1 to 65535"


def _match(match: Node) -> Refusals:
    given = match.names()
    for key in ("method", "authority", "scheme"):
        if key in given:
            yield from _text(match[key])
    if "uri" in given:
        yield from _pattern(match["uri"]["regex"])
    if not _NAMED.isdisjoint(given):
        yield from _named(match)
    if (port := match["port"].integer() if "port" in given else 0) and port not in PORTS:
        yield match["port"], "a port must be from 1 to 65535"
    if "sourceLabels" in given:
        yield from refused_labels(match["sourceLabels"])
    if "gateways" in given:
        yield from refused_gateways(match["gateways"])
    namespace = match["sourceNamespace"].text() if "sourceNamespace" in given else ""
    if namespace and not is_label(namespace):
        yield match["sourceNamespace"], "it is no name of a namespace"


def _claims(match: Node) -> Refusals:
    """What is refused of what is asked of claims of a token, which only gateways know."""
    for key in _HEADERS:
        for name, asked in match[key].entries():
            if _CLAIM.fullmatch(name):
                yield asked, "only for gateways alone, claims of a token are asked for"


def _named(match: Node) -> Refusals:
    """What is refused of what is asked of headers and of parameters by their names."""
    for key in _HEADERS:
        for name, text in match[key].entries():
            if name not in _PSEUDO and not _CLAIM.fullmatch(name) and not _HEADER.fullmatch(name):
                yield text, "it is no name of a header"
            if key == "headers" or text["regex"].text() != "*":  # which means that a header is there
                yield from _text(text)
    for _, text in match["queryParams"].entries():
        yield from _text(text)


def _text(asked: Node) -> Refusals:
    """What is refused of what is asked of a text that has some character."""
    names = asked.names()
    if "prefix" in names and not asked["prefix"].text():
        yield asked["prefix"], "a prefix must not be empty"
    if "regex" in names:
        yield from _pattern(asked["regex"])


def _pattern(node: Node) -> Refusals:
    """What is refused of a regular expression; what Python alone does not take is not said to be wrong."""
    if not node.given:
        return
    pattern = node.text()
    if not pattern:
        yield node, "a regular expression must not be empty"
    elif len(pattern) > LONGEST_PATTERN:
        yield node, f"a regular expression has at most {LONGEST_PATTERN} characters"
    elif pattern.startswith(("*", "+", "?")):
        yield node, "its regular expression repeats nothing"
    elif reason := pattern_fault(pattern):
        yield node, reason


def pattern_fault(pattern: str) -> str:
    """What is wrong with a regular expression, as Go and Envoy read it; empty where nothing surely is."""
    if "\\\\" in pattern or "\\Q" in pattern:
        return ""
    if _BEYOND_RE2.search(pattern):
        return "Envoy's regular expressions look neither ahead nor behind, nor at what was found before"
    reason = _broken(pattern)
    return f"it is no regular expression: {reason}" if reason else ""


def _broken(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        return error.msg if error.msg.startswith(_BROKEN) else ""
    except (OverflowError, RecursionError):
        return ""
    return ""


def _seldom(entry: Node) -> Refusals:
    yield from _headers(entry["headers"])
    yield from _retries(entry["retries"])
    yield from _redirect(entry)
    yield from _rewrite(entry)
    yield from _fault(entry["fault"])
    yield from _shared(entry["corsPolicy"])
    status = entry["directResponse"]["status"]
    if entry["directResponse"].given and status.integer() not in _STATUSES:
        yield entry["directResponse"], "its status must be from 200 to 599"


def _headers(headers: Node) -> Refusals:
    """What is refused of changes of headers: empty names, and those of requests and answers themselves."""
    for side in ("request", "response") if headers.given else ():
        changed = [
            (name, node, side == "request") for verb in ("add", "set") for name, node in headers[side][verb].entries()
        ]
        removed = [(node.text(), node, False) for node in headers[side]["remove"].elements()]
        for name, node, of_request in (*changed, *removed):
            if not name:
                yield node, "the name of a header is empty"
            elif name.lower() in _AUTHORITY and of_request:
                continue
            elif name.startswith(":") or name.lower() == "host":
                yield node, f"the header {name} cannot be changed"


def _shared(policy: Node) -> Refusals:
    """What is refused of a policy for pages of other origins."""
    for origin in policy["allowOrigins"].elements():
        if not any(text.text() for _, text in origin.entries()):
            yield origin, "an origin must not be empty"
        else:
            yield from _pattern(origin["regex"])
    for method in policy["allowMethods"].elements():
        yield from faulty(method, _METHODS.__contains__, "method of HTTP")
    for key in ("allowHeaders", "exposeHeaders"):
        for name in policy[key].elements():
            yield from faulty(name, _is_header, "name of a header")
    if (age := policy["maxAge"]).given:
        yield from duration(age)
        if (age.seconds() or 0) % 1:
            yield age, "maxAge must be of whole seconds"


def _is_header(name: str) -> bool:
    return bool(_HEADER.fullmatch(name))  # as * is


def _retries(retries: Node) -> Refusals:
    if not retries.given:
        return
    attempts = retries["attempts"].integer() or 0
    beside = any(retries[key].given for key in ("perTryTimeout", "retryRemoteLocalities"))
    if attempts < 0:
        yield retries["attempts"], "the number of attempts must not be negative"
    if not attempts and (beside or retries["retryOn"].text()):
        yield retries, "no attempts are given, and more is said of them"
    for key in ("perTryTimeout", "backoff"):
        yield from duration(retries[key])
    for policy in retries["retryOn"].text().split(",") if retries["retryOn"].text() else ():
        if policy not in _RETRIED and not policy.isdecimal():
            yield retries["retryOn"], f"{policy} is nothing to retry on"


def _redirect(entry: Node) -> Refusals:
    redirect = entry["redirect"]
    if not redirect.given:
        return
    code, scheme = redirect["redirectCode"].integer() or 0, redirect["scheme"].text()
    if redirect["uri"].text() and redirect["prefixRewrite"].text():
        yield redirect, "uri and prefixRewrite exclude each other"
    elif redirect["prefixRewrite"].text() and any(
        match["uri"].given and "prefix" not in match["uri"].names() for match in entry["match"].elements()
    ):
        yield redirect["prefixRewrite"], "it needs matches of prefixes"
    elif not any(redirect[key].text() for key in ("uri", "prefixRewrite", "authority", "scheme")) and not any(
        redirect[key].given for key in ("port", "derivePort")
    ):
        yield redirect, "a redirect needs a uri, an authority, a scheme or a port"
    elif code and code not in _REDIRECTS:
        yield redirect["redirectCode"], "the code of a redirect must be from 300 to 399"
    elif scheme not in ("", "http", "https"):
        yield redirect["scheme"], "the scheme must be http or https"


def _rewrite(entry: Node) -> Refusals:
    rewrite, pattern = entry["rewrite"], entry["rewrite"]["uriRegexRewrite"]
    if not rewrite.given:
        return
    if rewrite["uri"].text() and pattern.given:
        yield rewrite, "uri and uriRegexRewrite exclude each other"
    elif not (rewrite["uri"].text() or rewrite["authority"].text() or pattern.given):
        yield rewrite, "a rewrite needs a uri or an authority"
    elif pattern.given and not (pattern["match"].text() and pattern["rewrite"].text()):
        yield pattern, "it needs match and rewrite"
    else:
        yield from _pattern(pattern["match"])
    changed = (name for verb in ("set", "add") for name, _ in entry["headers"]["request"][verb].entries())
    written = [name for name in changed if name.lower() in _AUTHORITY]
    if written and rewrite["authority"].text():
        yield entry["headers"], "the authority is rewritten twice"


def _fault(fault: Node) -> Refusals:
    if not fault.given:
        return
    abort, delay = fault["abort"], fault["delay"]
    if not abort.given and not delay.given:
        yield fault, "a fault needs abort or delay"
    for node in (abort["percentage"]["value"], delay["percentage"]["value"]):
        share = node.number() if node.given else 0
        if share is not None and share and not _LEAST <= share <= _WHOLE:
            yield node, f"a share must be 0, or from {_LEAST} to {_WHOLE}"
    if abort["httpStatus"].given and abort["httpStatus"].integer() not in _STATUSES:
        yield abort["httpStatus"], "the status must be from 200 to 599"
    if abort["http2Error"].given:
        yield abort["http2Error"], "Istio has no such faults yet"
    if delay["exponentialDelay"].given:
        yield delay["exponentialDelay"], "Istio has no such delays yet"
    yield from duration(delay["fixedDelay"])
