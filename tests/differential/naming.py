"""Names for entries of delegates, by which each is found again in what istiod renders."""

from collections.abc import Sequence

from tests.differential.maker import Object


def told_apart(objects: Sequence[Object]) -> list[Object]:
    """Objects in which each entry of a delegate has a name: without one all would have that of the delegating entry.

    They keep it where an EnvoyFilter is for routes of that name.
    """
    patches = [patch for each in objects if each["kind"] == "EnvoyFilter" for patch in each["spec"]["configPatches"]]
    routes = [each for each in objects if each["kind"] == "VirtualService"]
    shared = {entry.get("name", "") for each in routes for entry in _entries(each) if "delegate" in entry}
    if not shared.isdisjoint({_route_name(patch) for patch in patches} - {""}):
        return list(objects)
    return [_with_names(each) if each in routes and not each["spec"].get("hosts") else each for each in objects]


def _entries(source: Object) -> list[Object]:
    return source["spec"].get("http") or []


def _with_names(source: Object) -> Object:
    entries = [{"name": f"{source['metadata']['name']}-{index}", **each} for index, each in enumerate(_entries(source))]
    return {**source, "spec": {**source["spec"], "http": entries}}


def _route_name(patch: Object) -> str:
    """Name of the routes that a patch is for; empty for any."""
    match = patch.get("match", {})
    for key in ("routeConfiguration", "vhost", "route"):
        match = match.get(key) or {}
    return match.get("name", "")
