"""What of EnvoyFilters is refused, and why.

Written after validateEnvoyFilter of Istio's validation, and held against it.
"""

from typing import Final

from .filter_shapes import refused_value
from .nodes import Node
from .objects import KubeObject
from .refusedentries import LONGEST_PATTERN, pattern_fault
from .refusednames import Refusals, refused_selection

_OBJECTS: Final = ("listener", "routeConfiguration", "cluster", "waypoint")
_OF_LISTENERS: Final = ("LISTENER", "FILTER_CHAIN", "NETWORK_FILTER", "HTTP_FILTER")
_MATCHED: Final = {
    **dict.fromkeys(_OF_LISTENERS, "listener"),
    **dict.fromkeys(("ROUTE_CONFIGURATION", "VIRTUAL_HOST", "HTTP_ROUTE"), "routeConfiguration"),
    "CLUSTER": "cluster",
}
"""What a patch may match, by what it is for; of other patches the webhook does not ask."""

_UNREAD: Final = "WAYPOINT"
"""Context of patches that the webhook does not look at."""

_MANAGERS: Final = ("envoy.filters.network.http_connection_manager", "envoy.http_connection_manager")
"""Filters that have filters of their own."""

_NOTHING: Final = ("", "INVALID")


def refused_envoy_filter(subject: KubeObject) -> Refusals:
    """What is refused of an EnvoyFilter."""
    yield from refused_selection(subject.spec["workloadSelector"]["labels"])
    for node in subject.spec["configPatches"].elements():
        match = node["match"]
        if (match["context"].text() == _UNREAD) is not match["waypoint"].given:
            yield match, "a match of the context WAYPOINT has waypoint, and no other one has it"
        if match["context"].text() != _UNREAD:
            yield from _patch(node)


def _patch(node: Node) -> Refusals:
    kind, patch, match = node["applyTo"].text(), node["patch"], node["match"]
    operation, value = patch["operation"].text(), patch["value"]
    version = match["proxy"]["proxyVersion"]
    if kind in _NOTHING or not patch.given:
        yield node, f"{'applyTo' if kind in _NOTHING else 'patch'} is missing"
    elif operation in _NOTHING:
        yield patch, "operation is missing"
    elif operation != "REMOVE" and not value.given:
        yield patch, "only REMOVE goes without a value"
    # A longer one is not read.
    elif len(version.text()) <= LONGEST_PATTERN and (reason := pattern_fault(version.text())):
        yield version, reason
    elif faults := list(_matched(kind, match)):
        yield from faults
    elif value.given:
        yield from refused_value(kind, value)


def _matched(kind: str, match: Node) -> Refusals:
    """What is refused of what a patch matches."""
    wanted = _MATCHED.get(kind, "")
    if wanted and any(match[key].given for key in _OBJECTS if key != wanted):
        yield match, f"a patch of {kind} matches by {wanted} only"
    found = match["listener"]["filterChain"]["filter"]
    inner = found["subFilter"]
    if kind not in _OF_LISTENERS or not found.given:
        return
    if not found["name"].text():
        yield found, "a filter is matched by its name"
    elif inner.given and kind != "HTTP_FILTER":
        yield inner, "only a patch of HTTP_FILTER matches by subFilter"
    elif inner.given and found["name"].text() not in _MANAGERS:
        yield found["name"], f"a filter with a subFilter is {_MANAGERS[0]}"
    elif inner.given and not inner["name"].text():
        yield inner, "a filter is matched by its name"
