"""Changes that somebody expects: a small sorted file, written by the command and read by reviewers."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ...model import ValidationError
from .comparing import Difference, Kind
from .result import Result, Subject

_FIELDS: Final = ("kind", "proxy", "route", "before", "after")


@dataclass(frozen=True, kw_only=True)
class Expectations:
    """What is expected.

    Attributes:
        changes: Changes that should be. How many requests each concerns is no part of it: that varies by the recording.
        unseen: What cannot be seen, and is accepted as such.
    """

    changes: frozenset[Subject] = frozenset()
    unseen: frozenset[str] = frozenset()

    @classmethod
    def of(cls, result: Result) -> "Expectations":
        """Expect everything that a result shows."""
        return cls(
            changes=frozenset(each.subject for each in result.changes),
            unseen=frozenset((*result.unseen, *result.accepted)),
        )

    @classmethod
    def read(cls, path: Path) -> "Expectations":
        """Read what :meth:`text` wrote.

        Raises:
            ValidationError: It is none.
        """
        try:
            document: Any = json.loads(path.read_text(encoding="utf-8"))
            return cls(
                changes=frozenset(_subject(each) for each in document["expected"]),
                unseen=frozenset(str(each) for each in document["unseen"]),
            )
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise ValidationError(
                field="--expect",
                value=str(path),
                rule=f"must be a file that --write-expect wrote: {error}",
                remedy="Write it anew with --write-expect, and review what differs",
            ) from error

    def text(self) -> str:
        """The file."""
        changes = [
            {"kind": each.difference.kind.value, "proxy": each.proxy, "route": each.route}
            | {"before": each.difference.before, "after": each.difference.after}
            for each in sorted(self.changes)
        ]
        return json.dumps({"expected": changes, "unseen": sorted(self.unseen)}, indent=2, ensure_ascii=False) + "\n"


def _subject(given: Mapping[str, Any]) -> Subject:
    kind, proxy, route, before, after = (str(given[name]) for name in _FIELDS)
    return Subject(proxy=proxy, route=route, difference=Difference(kind=Kind(kind), before=before, after=after))
