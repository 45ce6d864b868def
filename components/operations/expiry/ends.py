"""Ends of mirrors, read from live objects and from stacks' configurations. Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum, unique
from typing import Final, cast

from ...model import Expiry, JsonObject, JsonValue, ValidationError
from ...model.annotations import EXPIRES, EXPIRES_OF
from ...model.rules import ClusterObjects, KubeObject
from ...model.rules.additions import additions

ACROSS: Final = "crossCluster"
"""Key of the program's mirror to testing, which it must not merely miss: leaving it out must be said."""

_PLACES: Final = re.compile(r"\[(\d+)\]")
"""Places in lists, in a key's path."""

BRANCH_HOURS: Final = 24.0
"""How long a branch lives that says nothing; the default of ``BranchService``."""


@unique
class State(StrEnum):
    """How an end stands."""

    ENDED = "ended"
    SOON = "ends soon"
    LATER = "runs"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, kw_only=True)
class End:
    """The end of one mirror or branch."""

    name: str
    where: str
    """The object or configuration key that has it."""

    ends: str
    """When, as it is written."""

    state: State
    percent: float | None = None
    """Share that is in force; None where that is not known."""

    @property
    def copies_still(self) -> bool:
        """Whether it has ended and gets copies all the same."""
        return self.state is State.ENDED and bool(self.percent)

    def to_json(self) -> JsonObject:
        """For machines."""
        return asdict(self)


def state_of(ends: str, now: datetime, soon: timedelta) -> State:
    """Return how an end stands.

    Args:
        ends: The end as it is written.
        now: Current time with a zone.
        soon: How long before its end a mirror counts as ending soon.
    """
    try:
        expiry = Expiry.parse(ends)
    except ValidationError:
        return State.UNREADABLE
    if expiry.has_passed(now):
        return State.ENDED
    return State.SOON if expiry.has_passed(now + soon) else State.LATER


def live_ends(cluster: ClusterObjects, now: datetime, soon: timedelta) -> list[End]:
    """Return the ends that objects of a cluster carry, the earliest first.

    Args:
        cluster: Its objects.
        now: Current time with a zone.
        soon: See :func:`state_of`.
    """
    shares = {
        (str(mirror_entry.source), mirror_entry.name): mirror_entry.percent
        for mirror_entry in cluster.routing.mirror_entries
        if mirror_entry.name and mirror_entry.at_gateway
    }
    found: list[End] = []
    shares |= {
        (str(source), mirror.name): mirror.policy.percent
        for source, made in additions(cluster).items()
        for addition in made
        for mirror in addition.mirrors
    }
    for source in cluster.of("VirtualService", "EnvoyFilter", "Deployment"):
        for name, ends in _notes(source):
            found.append(
                End(
                    name=name or source.name,
                    where=str(source),
                    ends=ends,
                    state=state_of(ends, now, soon),
                    percent=shares.get((str(source), name), 0.0) if name else None,
                )
            )
    return sorted(found, key=lambda end: (end.ends, end.where))


def _notes(source: KubeObject) -> Iterator[tuple[str, str]]:
    """Ends by name of the mirror; no name for the end of the object itself."""
    for key, note in source.root["metadata"]["annotations"].entries():
        if key == EXPIRES:
            yield "", note.text()
        elif key.startswith(EXPIRES_OF):
            yield key.removeprefix(EXPIRES_OF), note.text()


@dataclass(frozen=True, kw_only=True)
class ConfiguredEnd(End):
    """An end in a stack's configuration, and how the configuration gets rid of it."""

    key: str
    """Path of the mirror or branch, e.g. ``traffic-mirror:mirrors.inCluster``."""

    replacement: JsonValue = None
    """What must stand there instead; None to remove it."""


def configured_ends(config: Mapping[str, JsonValue], now: datetime, soon: timedelta) -> list[ConfiguredEnd]:
    """Return the ends of mirrors and branches in a stack's configuration, the earliest first.

    A mirror is any object with ``expires``, a branch any with ``started`` and perhaps ``hours``.

    Args:
        config: Values by key with namespace.
        now: Current time with a zone.
        soon: See :func:`state_of`.
    """
    found: list[ConfiguredEnd] = []
    for key, value in config.items():
        for path, name, entry in _objects(key, value):
            ends = _end_of(entry)
            if not ends:
                continue
            percent = entry.get("percent", 100.0)
            replacement: JsonValue = {"absent": True} if name == ACROSS else None
            found.append(
                ConfiguredEnd(
                    name=name,
                    where=f"configuration {path}",
                    ends=ends,
                    state=state_of(ends, now, soon),
                    percent=float(percent) if isinstance(percent, int | float) else None,
                    key=path,
                    replacement=replacement,
                )
            )
    return sorted(found, key=lambda end: (end.ends, end.key))


def _objects(path: str, value: JsonValue) -> Iterator[tuple[str, str, Mapping[str, JsonValue]]]:
    """Every object below a key, with its path and its name: the path's last part, or its own in a list."""
    if isinstance(value, Mapping):
        inside = [(f"{path}.{name}", name, item) for name, item in value.items()]
    elif isinstance(value, list):
        inside = [(f"{path}[{index}]", f"{path.rpartition('.')[2]}[{index}]", item) for index, item in enumerate(value)]
    else:
        return
    for inner, name, item in inside:
        if isinstance(item, Mapping):
            named = item.get("name") if isinstance(value, list) else None
            yield inner, named if isinstance(named, str) else name, cast("Mapping[str, JsonValue]", item)
        yield from _objects(inner, item)


def _end_of(entry: Mapping[str, JsonValue]) -> str:
    expires = entry.get("expires")
    if isinstance(expires, str):
        return expires
    started, hours = entry.get("started"), entry.get("hours", BRANCH_HOURS)
    if not isinstance(started, str) or not isinstance(hours, int | float):
        return ""
    try:
        return str(Expiry(datetime.fromisoformat(started) + timedelta(hours=hours)))
    except (ValueError, OverflowError):
        # ValidationError is a ValueError: a start without a zone is unreadable, not endless.
        return started


def ended(ends: Iterable[ConfiguredEnd]) -> list[ConfiguredEnd]:
    """Those whose time is over; of one list the last first, so that no removal moves the next."""
    over = [end for end in ends if end.state is State.ENDED]
    return sorted(over, key=lambda end: [int(place) for place in _PLACES.findall(end.key)], reverse=True)
