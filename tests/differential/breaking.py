"""Random meshes with one field that is not as it should be: what the API server and the webhook say of slips."""

import json
import random
from collections.abc import Iterator, Sequence
from typing import Any

from tests.differential.maker import Object
from tests.differential.meshes import mesh

Place = tuple[str | int, ...]


def broken_mesh(seed: int, kinds: Sequence[str]) -> list[Object]:
    """The mesh of a seed with a slip in the ``spec`` of one of its objects of some kinds, where it has any."""
    objects: list[Object] = json.loads(json.dumps(mesh(seed)))  # so that nothing is there twice
    chance = random.Random(seed)  # noqa: S311 -- slips, no secrets
    places = [(each, place) for each in objects if each["kind"] in kinds for place in _places(each["spec"])]
    if places:
        found, place = chance.choice(places)
        _break(found["spec"], place, chance)
    return objects


def _places(value: Any, above: Place = ()) -> Iterator[Place]:
    """Every place below a value."""
    entries: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        entries = list(value.items())
    elif isinstance(value, list):
        entries = list(enumerate(value))
    for key, each in entries:
        yield (*above, key)
        yield from _places(each, (*above, key))


def _break(spec: Object, place: Place, chance: random.Random) -> None:
    holder: Any = spec
    for key in place[:-1]:
        holder = holder[key]
    if isinstance(holder, dict) and chance.random() < 0.15:
        del holder[place[-1]]
    else:
        holder[place[-1]] = _slip(holder[place[-1]], chance)


def _slip(value: Any, chance: random.Random) -> Any:
    """What somebody may have written instead: another type, another value, too much or nothing."""
    if isinstance(value, bool):
        return chance.choice(["yes", 1, None])
    if isinstance(value, int | float):
        return chance.choice([str(value), -1, 0, 99_999, value + 0.5, [value], {"number": value}, None])
    if isinstance(value, str):
        return chance.choice([f"{value}X", value.swapcase(), "", 5, [value], {"exact": value}, None, True])
    if isinstance(value, list):
        return chance.choice([value[0] if value else {}, [], None, [*value, *value[:1]], {"a": value}])
    return chance.choice([[value], {}, None, "text", 7, {**value, "unknown": 1}])
