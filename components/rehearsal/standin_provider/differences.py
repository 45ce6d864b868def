"""What changed between the recorded inputs and the new ones, and whether that needs a new object."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import zip_longest
from typing import Any, Final, cast

from .paths import at
from .settings import Settings
from .values import Properties, Value

Path = tuple[str | int, ...]


class ChangeKind(StrEnum):
    """How a value changed."""

    ADD = "add"
    DELETE = "delete"
    UPDATE = "update"


@dataclass(frozen=True, slots=True)
class Change:
    """One changed value."""

    path: Path
    kind: ChangeKind
    replaces: bool = False
    """The change cannot be made on the existing object."""

    @property
    def text(self) -> str:
        """The property path as the engine writes it, e.g. ``spec.ports[0]["a.b"]``."""
        return path_text(self.path)


_SELECTOR: Final[tuple[Path, ...]] = (("spec", "selector"),)
_ROLE: Final[tuple[Path, ...]] = (("roleRef",),)
_JOB: Final[tuple[Path, ...]] = (
    ("spec", "completions"),
    ("spec", "parallelism"),
    ("spec", "selector"),
    ("spec", "template"),
)
IDENTITY: Final[tuple[Path, ...]] = (("kind",), ("metadata", "name"), ("metadata", "namespace"))
"""Another value here means another object."""

_IMMUTABLE: Final[dict[tuple[str, str], tuple[Path, ...]]] = {
    ("apps/v1", "Deployment"): _SELECTOR,
    ("batch/v1", "Job"): _JOB,
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"): _ROLE,
    ("rbac.authorization.k8s.io/v1", "RoleBinding"): _ROLE,
    ("v1", "Service"): (("spec", "clusterIP"),),
}
"""Fields that no API server changes; known here too so that a preview without a cluster is right."""


def immutable_fields(obj: Properties, settings: Settings) -> tuple[Path, ...]:
    """Return the fields of ``obj`` whose change needs a new object.

    A ConfigMap's and a Secret's data count as such unless the provider's options say otherwise, so that pods
    never see a changed value under an old name. That is the real provider's rule.
    """
    key = (str(obj.get("apiVersion")), str(obj.get("kind")))
    fixed: tuple[Path, ...] = _IMMUTABLE.get(key, ())
    frozen = obj.get("immutable") is True
    if key == ("v1", "ConfigMap") and (frozen or not settings.config_map_mutable):
        fixed = (("data",), ("binaryData",))
    elif key == ("v1", "Secret"):
        fixed = (("type",),)
        if frozen or not settings.secret_mutable:
            fixed = (*fixed, ("data",), ("stringData",))
    return (*IDENTITY, *fixed)


_MISSING: Final = object()


def find_changes(old: Value, new: Value, path: Path = ()) -> Iterator[Change]:
    """Yield each changed value between two plain property values, objects and lists walked."""
    if old is _MISSING or new is _MISSING:
        yield Change(path, ChangeKind.ADD if old is _MISSING else ChangeKind.DELETE)
    elif isinstance(old, dict) and isinstance(new, dict):
        before, after = cast("Properties", old), cast("Properties", new)
        for key in sorted({*before, *after}):
            yield from find_changes(before.get(key, _MISSING), after.get(key, _MISSING), (*path, key))
    elif isinstance(old, list) and isinstance(new, list):
        pairs = zip_longest(cast("list[Any]", old), cast("list[Any]", new), fillvalue=_MISSING)
        for index, (was, now) in enumerate(pairs):
            yield from find_changes(was, now, (*path, index))
    elif old != new or isinstance(old, bool) != isinstance(new, bool):
        yield Change(path, ChangeKind.UPDATE)


def mark_replacing(changes: Sequence[Change], fields: Sequence[Path]) -> list[Change]:
    """Return ``changes``, with those in (or above) one of ``fields`` marked as needing a new object."""
    return [
        replace(change, replaces=True) if any(_overlap(change.path, field) for field in fields) else change
        for change in changes
    ]


def without_ignored(changes: Sequence[Change], ignored: Sequence[str]) -> list[Change]:
    """Return ``changes`` without those at or below a path of the ``ignoreChanges`` option."""
    return [
        change
        for change in changes
        if not any(change.text == path or change.text.startswith((f"{path}.", f"{path}[")) for path in ignored)
    ]


def _overlap(one: Path, other: Path) -> bool:
    return all(a == b for a, b in zip(one, other, strict=False))


def path_text(path: Path) -> str:
    """Return a property path as the engine writes it."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif any(mark in part for mark in '."[]'):
            escaped = part.replace('"', '\\"')
            text += f'["{escaped}"]'
        else:
            text += f".{part}" if text else part
    return text


def field_path(text: str) -> Path:
    """Return the path of a field as the API server names it in an error, up to the first list index or key."""
    plain_part = text.split("[", 1)[0]
    return tuple(part for part in plain_part.split(".") if part)


def same_object(one: Properties, other: Properties) -> bool:
    """Tell whether two versions of an object differ in nothing but the server's own bookkeeping."""
    return _without_bookkeeping(one) == _without_bookkeeping(other)


def _without_bookkeeping(obj: Properties) -> Properties:
    metadata = cast("Properties", at(obj, "metadata") or {})
    kept = {
        key: item for key, item in metadata.items() if key not in {"generation", "managedFields", "resourceVersion"}
    }
    return {**{key: item for key, item in obj.items() if key != "status"}, "metadata": kept}
