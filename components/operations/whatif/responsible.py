"""Which objects a difference comes from, and where they are written."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, cast

from ...model.rules import KubeObject
from .routes import RouteFacts, owner_of
from .state import State

MOST: Final = 5
"""Objects that are named where nothing that a route is made of changes."""

_LISTS: Final = ("configPatches", "subsets", "http", "rules", "servers", "listeners", "ports", "endpoints")
"""Fields of a spec whose first entry that differs is pointed at."""


class Responsible:
    """Knows which objects differ between two states.

    Args:
        before: The state before.
        after: The state after; the same one where nothing is compared.
    """

    def __init__(self, before: State, after: State) -> None:
        self._before, self._after = before, after
        was, self._now = _objects(before), _objects(after)
        self._changed = {
            name: _path(was.get(name), self._now.get(name))
            for name in sorted(was.keys() | self._now.keys())
            if _said(was.get(name)) != _said(self._now.get(name))
        }
        if before.loaded and after.loaded and before.loaded.cluster.mesh_config != after.loaded.cluster.mesh_config:
            self._changed["the mesh's configuration"] = ""

    def places(self, before: RouteFacts | None, after: RouteFacts | None) -> tuple[str, ...]:
        """File and line, or else the object, of what a difference for requests of a route comes from.

        What changes of that which the route is made of: its own entry, the DestinationRules of its clusters, the
        EnvoyFilters at its proxy. Else, as something must be responsible, whatever changes, and the entry.
        """
        routes = [(state, each) for state, each in ((self._before, before), (self._after, after)) if each]
        entries = [(state, route.owner, route.path) for state, route in routes if route.owner]
        found = [each for each in entries if each[1] in self._changed]
        others = dict.fromkeys(name for state, route in routes for name in _others(state, route))
        found += [self._whole(name) for name in others if name in self._changed]
        if not found and len(self._changed) <= MOST:
            found = [self._whole(name) for name in self._changed]
        return tuple(dict.fromkeys(_place(*each) for each in found or entries))

    def _whole(self, name: str) -> tuple[State, str, str]:
        """An object that changes, in the last state that has it, and where in it."""
        return (self._after if name in self._now else self._before), name, self._changed[name]


def _others(state: State, route: RouteFacts) -> Iterator[str]:
    """Objects that a route depends on beside its own."""
    for name in (*route.destinations, *(each.cluster for each in route.mirrors)):
        if cluster := state.clusters.get(name):
            yield owner_of(cluster.settings)
    for name in state.filters.get(route.proxy, ()):
        yield f"EnvoyFilter {name}"


def _objects(state: State) -> Mapping[str, KubeObject]:
    given = state.loaded.cluster.objects if state.loaded else ()
    return {str(each): each for each in given if isinstance(each, KubeObject)}


def _said(subject: KubeObject | None) -> object:
    """What somebody wrote in an object, without what the API server adds."""
    if subject is None:
        return None
    metadata = subject.root["metadata"]
    return (_plain(subject.root.value, "spec"), metadata["labels"].value, metadata["annotations"].value)


def _plain(value: object, key: str) -> object:
    return cast("Mapping[str, object]", value).get(key) if isinstance(value, Mapping) else None


def _path(was: KubeObject | None, now: KubeObject | None) -> str:
    """Where in an object the first difference is."""
    if was is None or now is None:
        return ""
    before, after = _plain(was.root.value, "spec"), _plain(now.root.value, "spec")
    if not isinstance(before, Mapping) or not isinstance(after, Mapping):
        return "spec"
    ahead, behind = cast("Mapping[str, object]", before), cast("Mapping[str, object]", after)
    different = [key for key in behind if ahead.get(key) != behind[key]]
    for key in different[:1]:
        one, other = ahead.get(key), behind[key]
        if key in _LISTS and isinstance(one, list) and isinstance(other, list):
            olds, news = cast("Sequence[object]", one), cast("Sequence[object]", other)
            for index, each in enumerate(news):
                if index >= len(olds) or olds[index] != each:
                    return f"spec.{key}[{index}]"
        return f"spec.{key}"
    return "spec"


def _place(state: State, name: str, path: str) -> str:
    """File and line of a part of an object; the object itself where the line is not known."""
    origin = state.loaded.origins.get(name) if state.loaded else None
    if origin is None:
        return name
    return f"{origin.file}:{origin.line_of(path)}" if origin.node else f"{name}, {origin.file}"
