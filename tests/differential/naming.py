"""Names for entries of delegates, by which each is found again in what istiod renders."""

from collections.abc import Sequence
from typing import Any

from tests.differential.maker import Object


def told_apart(objects: Sequence[Object]) -> list[Object]:
    """Objects in which each entry of a delegate has a name: without one all would have that of the delegating entry.

    They keep it where an EnvoyFilter is for routes of that name.
    """
    filters = [each for each in objects if each["kind"] == "EnvoyFilter"]
    patches = [patch for each in filters for patch in _objects(_object(each.get("spec")).get("configPatches"))]
    routes = [each for each in objects if each["kind"] == "VirtualService"]
    shared = {str(entry.get("name", "")) for each in routes for entry in _entries(each) if "delegate" in entry}
    if not shared.isdisjoint({_route_name(patch) for patch in patches} - {""}):
        return list(objects)
    delegates = [each for each in routes if not _object(each.get("spec")).get("hosts") and _entries(each)]
    return [_with_names(each) if each in delegates else each for each in objects]


def _entries(source: Object) -> list[Object]:
    return _objects(_object(source.get("spec")).get("http"))


def _objects(value: Any) -> list[Object]:
    """The objects in a list; none where one is something else, as an object that is refused may have."""
    return value if isinstance(value, list) and all(isinstance(each, dict) for each in value) else []


def _object(value: Any) -> Object:
    return value if isinstance(value, dict) else {}


def _with_names(source: Object) -> Object:
    entries = [{"name": f"{source['metadata']['name']}-{index}", **each} for index, each in enumerate(_entries(source))]
    return {**source, "spec": {**source["spec"], "http": entries}}


def _route_name(patch: Object) -> str:
    """Name of the routes that a patch is for; empty for any."""
    match = _object(patch.get("match"))
    for key in ("routeConfiguration", "vhost", "route"):
        match = _object(match.get(key))
    name = match.get("name", "")
    return name if isinstance(name, str) else ""
