"""Which changes an object needs: recorded inputs against new ones, and the server's word on what is immutable."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

from . import checkpoint
from .cluster import ApiError, UnreachableError
from .differences import (
    Change,
    ChangeKind,
    field_path,
    find_changes,
    immutable_fields,
    mark_replacing,
    same_object,
    without_ignored,
)
from .manager import Difference, Task
from .naming import is_autonamed
from .paths import text_at
from .target import Target
from .values import Properties, has_unknown

_IMMUTABLE_WORDS: Final = ("immutable", "may not change", "cannot change", "may not be changed", "are forbidden")


def compare(target: Target, task: Task, state: Properties, inputs: Properties, ignored: Sequence[str]) -> Difference:
    """Return the changes from ``state`` to ``inputs``.

    Like the real provider this compares what the program says now with what it said (or what a refresh found);
    the cluster is asked only about an object that has changes, by a dry run.
    """
    recorded = checkpoint.parse(state)
    old, new = target.placed(recorded.inputs), target.placed(checkpoint.to_object(inputs))
    changes = without_ignored(list(find_changes(old, new)), ignored)
    changes = mark_replacing(changes, immutable_fields(new, target.settings))
    if changes and not has_unknown(new) and not any(change.replaces for change in changes):
        changes = _as_the_server_sees(target, new, changes, checkpoint.field_manager(new, task.urn, recorded.manager))
    same_place = all(text_at(new, "metadata", key) == text_at(old, "metadata", key) for key in ("name", "namespace"))
    replaces = any(change.replaces for change in changes)
    return Difference(changes=tuple(changes), delete_first=replaces and same_place and not is_autonamed(new))


def _as_the_server_sees(target: Target, new: Properties, changes: list[Change], manager: str) -> list[Change]:
    """Try the change without making it.

    What the server calls immutable needs a new object; an update that leaves the object as it is (another spelling
    of the same quantity) is none.
    """
    try:
        kind = target.kind_of(new)
        live = target.live(kind, new) if kind else None
        if kind is None or live is None:
            return changes
        after = target.apply(kind, new, manager, dry_run=True)
    except ApiError as error:
        return mark_replacing(changes, immutable_causes(error))
    except UnreachableError:
        return changes
    only_updates = all(change.kind is ChangeKind.UPDATE for change in changes)
    return [] if only_updates and same_object(live, after) else changes


def immutable_causes(error: ApiError) -> list[tuple[str | int, ...]]:
    """Return the fields that a refused request tried to change although they are immutable."""
    if error.status != HTTPStatus.UNPROCESSABLE_ENTITY:
        return []
    return [field_path(name) for name, why in error.causes if any(word in why for word in _IMMUTABLE_WORDS)]
