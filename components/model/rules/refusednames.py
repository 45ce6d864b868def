"""What names, addresses and protocols Istio's webhook takes, wherever they stand in an object."""

import re
from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from .nodes import UNKNOWN, Node, NotJudgedError
from .objects import KubeObject

Refusals = Iterator[tuple[Node, str]]
"""Places of an object with the reasons for which it is refused."""

PORTS: Final = range(1, 65_536)
HTTP: Final = frozenset({"http", "http2", "http_proxy", "grpc", "grpc-web"})
SECURED: Final = frozenset({"https", "tls"})
PROTOCOLS: Final = HTTP | SECURED | {"tcp", "udp", "mongo", "redis", "mysql"}
"""Protocols that a port may have, in small letters; capitals do not matter."""

UNIX: Final = "unix://"
_LABEL: Final = re.compile(r"[a-z\d](?:[-a-z\d]*[a-z\d])?", re.ASCII | re.IGNORECASE)
_WILD_LABEL: Final = re.compile(rf"\*|(?:\*-?)?{_LABEL.pattern}", re.ASCII | re.IGNORECASE)
QUALIFIED: Final = re.compile(r"[a-z\d](?:[-\w.]*[a-z\d])?", re.ASCII | re.IGNORECASE)
_NUMBER: Final = re.compile(r"\d+", re.ASCII)
_LENGTH: Final = re.compile(r"0|[1-9]\d*", re.ASCII)
LONGEST_LABEL: Final = 63
_LONGEST_DOMAIN: Final = 255
LONGEST_PREFIX: Final = 253
_GREATEST: Final = 2**63
"""Beyond, Go reads a number no more: it is a name then, and no duration."""
_NANOSECONDS: Final = 1e9
_MILLISECOND: Final = 1_000_000
"""In nanoseconds."""


def is_label(text: str) -> bool:
    """Whether a text is one label of a name, as names of namespaces, subsets and ports are."""
    return len(text) <= LONGEST_LABEL and bool(_LABEL.fullmatch(text))


def is_domain(text: str) -> bool:
    """Whether a text is a name, without a wildcard."""
    return 0 < len(text) <= _LONGEST_DOMAIN and _are_labels(text)


@lru_cache(maxsize=8192)  # the same hosts stand in object after object
def is_host(text: str) -> bool:
    """Whether a text is a name whose first label may be a wildcard, or start with one."""
    first, dot, rest = text.partition(".")
    if len(text) > _LONGEST_DOMAIN or len(first) > LONGEST_LABEL or not _WILD_LABEL.fullmatch(first):
        return False
    return not dot or _are_labels(rest)


def is_whole_host(text: str) -> bool:
    """Whether a text is a name whose first label may be a wildcard, and no part of it is."""
    return is_host(text) and (text == "*" or not text.startswith("*") or text.startswith("*."))


def _are_labels(text: str) -> bool:
    *labels, last = text.split(".")
    if _NUMBER.fullmatch(last) and int(last) < _GREATEST:
        return False
    # Nothing behind the last dot: an absolute name.
    return all(map(is_label, labels)) and (not last or is_label(last))


def address(text: str) -> IPv4Address | IPv6Address | None:
    """The IP address that a text is; None when it is something else."""
    try:
        return ip_address(text)
    except ValueError:
        return None


def is_subnet(text: str) -> bool:
    """Whether a text is an IP address, or a range of them."""
    first, slash, bits = text.partition("/")
    found = address(first)
    if not found or not slash:
        return bool(found)
    return "%" not in first and bool(_LENGTH.fullmatch(bits)) and int(bits) <= found.max_prefixlen


def unix_fault(written: str) -> str:
    """What is wrong with a Unix socket, written as ``unix://…``; empty when nothing is."""
    place = written.removeprefix(UNIX)
    if place.startswith("@") or (place.startswith("/") and not place.endswith("/")):
        return ""
    return "a Unix socket is an absolute path of a file"


def bind_fault(written: str) -> str:
    """What is wrong with the IP address that a listener is bound to; empty when nothing is."""
    return "" if not written or address(written) else f"{written} is no IP address"


def seconds_of(node: Node) -> float | None:
    """The duration in any form that Go reads, so that it may be negative; None when it is something else."""
    text = node.text()
    size = text[1:] if text.startswith(("+", "-")) else text
    found = 0.0 if size == "0" else Node(size.replace("µ", "u")).seconds()
    if found is None or found * _NANOSECONDS >= _GREATEST:
        return None
    return -found if text.startswith("-") else found


def refused_duration(node: Node) -> Refusals:
    """What is refused of a duration of any size."""
    if node.given and seconds_of(node) is None:
        yield node, "it is no duration"


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


def protocol_of(port: Node) -> str:
    """Protocol of a port, in small letters; empty when it has none."""
    return port["protocol"].text().lower()


def filled(node: Node) -> bool:
    """Whether a text or list is known, and not empty."""
    return node.value is not UNKNOWN and bool(node.text() or node.elements())


def perhaps(node: Node) -> bool:
    """Whether a text or list may be there: it is, or it is not known yet."""
    return node.value is UNKNOWN or filled(node)


def twice(values: Sequence[Hashable]) -> bool:
    """Whether a value comes more than once."""
    return len(set(values)) < len(values)


def refused_labels(written: Node) -> Refusals:
    """What is refused of labels of pods."""
    for name, value in written.entries():
        prefix, slash, own = name.rpartition("/")
        if (
            len(own) > LONGEST_LABEL
            or not QUALIFIED.fullmatch(own)
            or (slash and (len(prefix) > LONGEST_PREFIX or not all(map(_LABEL.fullmatch, prefix.split(".")))))
        ):
            yield written, f"{name} is no name of a label"
        text = value.text()
        if text and not QUALIFIED.fullmatch(text):
            yield value, f"{text} is no value of a label"


def refused_selection(written: Node) -> Refusals:
    """What is refused of the labels by which an object chooses pods."""
    for name, value in written.entries():
        if not name:
            yield written, "a label needs a name"
        if "*" in name or "*" in value.text():
            yield written, "labels are chosen without wildcards"


def refused_exports(subject: KubeObject, *, nobody: bool = False) -> Refusals:
    """What is refused of the namespaces that an object is exported to.

    Args:
        subject: The object.
        nobody: Whether it may be exported to nobody, which is written as ``~``.
    """
    written = subject.spec["exportTo"]
    given = [each.text() for each in written.elements()]
    if subject.unknown_namespace and {"."} < set(given):
        raise NotJudgedError(subject.unknown_namespace)
    names = [subject.namespace if name == "." else name for name in given]
    alone = {"*", "~"} if nobody else {"*"}
    for name in names:
        if name not in alone and not is_label(name):
            yield written, f"{name or 'nothing'} is no namespace"
    if twice(names):
        yield written, "a namespace is named twice"
    elif len(names) > 1 and (found := alone.intersection(names)):
        yield written, f"{min(found)} must stand alone"


def refused_gateways(written: Node) -> Refusals:
    """What is refused of names of gateways; behind the first that names no namespace, the webhook reads none."""
    for node in written.elements():
        namespace, slash, name = node.text().partition("/")
        if not (is_label(namespace) and is_label(name) if slash else is_domain(namespace)):
            yield node, f"{node.text() or 'nothing'} is no name of a gateway"
        if not slash:
            return


def faulty(node: Node, takes: Callable[[str], bool], what: str) -> Refusals:
    """What is refused of a text of which it is known what is taken."""
    if not takes(node.text()):
        yield node, f"{node.text() or 'nothing'} is no {what}"
