"""Rules that name fields: those not to be compared, and lists whose order says nothing."""

import re
from collections.abc import Sequence
from functools import partial
from typing import Final

from ...model import ValidationError
from .differences import Unordered

_SEPARATOR: Final = "|"

_EVERYTHING: Final = (
    *("response", "status", "grpc-status", "ending", "header a", "header z", "trailer a", "trailer z"),
    *("body", "message", "duration"),
)
"""Fields that stand for all there are; of headers two, because no rule that names one covers both."""


class FieldRules:
    """Patterns such as ``header x-pod``, ``body $.meta.*`` or ``GET /things/*|body $.updated``.

    The part before ``|``, if there is one, names endpoints; the rest names fields. ``*`` stands for anything.
    """

    def __init__(self, patterns: Sequence[str], *, option: str = "ignore") -> None:
        """Compile the patterns.

        Args:
            patterns: The patterns.
            option: What an error calls them.

        Raises:
            ValidationError: A pattern is empty.
        """
        self._rules = [_compile(pattern, f"{option}[{index}]") for index, pattern in enumerate(patterns)]
        self._known: dict[tuple[str, str], bool] = {}

    def covers(self, endpoint: str, field: str) -> bool:
        """Tell whether a field of an endpoint is meant."""
        if not self._rules:
            return False
        key = (endpoint, field)
        answer = self._known.get(key)
        if answer is None:
            answer = any(one.fullmatch(endpoint) and two.fullmatch(field) for one, two in self._rules)
            # Endpoints and fields are bounded elsewhere, and only after this.
            if len(self._known) < 100_000:  # noqa: PLR2004 -- about 20 MB
                self._known[key] = answer
        return answer

    def cover_all(self, endpoint: str) -> bool:
        """Tell whether whatever an endpoint answers is meant, so that nothing of it is left to compare."""
        return all(self.covers(endpoint, field) for field in _EVERYTHING)

    def of(self, endpoint: str) -> Unordered | None:
        """Return what tells of an endpoint's fields by their paths; ``None`` without any rule."""
        return partial(self.covers, endpoint) if self._rules else None


def _compile(pattern: str, name: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    endpoint, separator, field = pattern.rpartition(_SEPARATOR)
    if not field.strip() or (separator and not endpoint.strip()):
        raise ValidationError(
            field=name,
            value=pattern,
            rule="must name a field, or an endpoint and a field with | between them",
            remedy="Write for example 'header x-pod' or 'GET /things/*|body $.updated'",
        )
    return _glob(endpoint.strip() or "*"), _glob(field.strip())


def _glob(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in text.split("*")), re.DOTALL)
