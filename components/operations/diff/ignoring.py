"""Rules that name what is not to be compared."""

import re
from collections.abc import Sequence
from typing import Final

from ...model import ValidationError

_SEPARATOR: Final = "|"


class IgnoreRules:
    """Patterns such as ``header x-pod``, ``body $.meta.*`` or ``GET /things/*|body $.updated``.

    The part before ``|``, if there is one, names endpoints; the rest names fields. ``*`` stands for anything.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        """Compile the patterns.

        Raises:
            ValidationError: A pattern is empty.
        """
        self._rules = [_compile(pattern, index) for index, pattern in enumerate(patterns)]
        self._known: dict[tuple[str, str], bool] = {}

    def covers(self, endpoint: str, field: str) -> bool:
        """Tell whether a field of an endpoint is ignored."""
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


def _compile(pattern: str, index: int) -> tuple[re.Pattern[str], re.Pattern[str]]:
    endpoint, separator, field = pattern.rpartition(_SEPARATOR)
    if not field.strip() or (separator and not endpoint.strip()):
        raise ValidationError(
            field=f"ignore[{index}]",
            value=pattern,
            rule="must name a field, or an endpoint and a field with | between them",
            remedy="Write for example 'header x-pod' or 'GET /things/*|body $.updated'",
        )
    return _glob(endpoint.strip() or "*"), _glob(field.strip())


def _glob(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in text.split("*")), re.DOTALL)
