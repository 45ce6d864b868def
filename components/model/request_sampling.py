"""Which requests are recorded: decided from the request's identifier alone.

A copy carries the primary's ``x-request-id``, so proxies and collectors that know nothing of each other choose the
same requests and every recorded request can be paired. Envoy's identifiers are version 4 UUIDs, whose last digits
are random.
"""

import re
from collections.abc import Iterator
from typing import Final
from zlib import crc32

from .errors import ValidationError

_DIGITS: Final = 4
"""How many hexadecimal digits decide: steps of 1/65,536, about 0.0015 %."""

_HEX: Final = "0123456789abcdef"

_RANDOM: Final = r"[0-9a-fA-F-]{28,}"
"""What stands before the deciding digits of a UUID or a 32-digit trace id; shorter ones may be mere counters."""

_IDENTIFIER: Final = re.compile(f"{_RANDOM}([0-9a-fA-F]{{{_DIGITS}}})")

WHOLE: Final = 16**_DIGITS
"""The threshold that takes every request."""


def sample_threshold(percent: float, *, field: str = "sample_percent") -> int:
    """Return how many of the 65,536 possible endings are recorded.

    Args:
        percent: Above 0, up to 100. What is smaller than a step is rounded up to one.
        field: Path of the value in an error.

    Raises:
        ValidationError: Not a number in that range.
    """
    if isinstance(percent, bool) or not isinstance(percent, int | float) or not 0 < percent <= 100:  # pyright: ignore[reportUnnecessaryIsInstance] # noqa: PLR2004 -- callers may be untyped; the definition of per cent
        raise ValidationError(
            field=field,
            value=percent,
            rule="must be above 0 and at most 100 per cent",
            remedy="Give a number such as 10; to record nothing, remove the recorder",
        )
    return max(1, round(percent / 100 * WHOLE))


def is_sampled(request_id: str, threshold: int) -> bool:
    """Tell whether a request is recorded; identifiers that are no UUID or trace id are hashed."""
    if threshold >= WHOLE:
        return True
    identifier = _IDENTIFIER.fullmatch(request_id)
    if identifier:
        return int(identifier[1], 16) < threshold
    return crc32(request_id.encode()) % WHOLE < threshold


def sample_regex(threshold: int) -> str:
    """Return an RE2 expression for the whole identifier that matches what :func:`is_sampled` takes.

    It knows UUIDs and trace ids only, as proxies make them; others never match.
    """
    if threshold >= WHOLE:
        return ".*"
    return f"{_RANDOM}(?:{'|'.join(_endings_below(f'{threshold:0{_DIGITS}x}'))})"


def _endings_below(bound: str) -> Iterator[str]:
    """Yield one alternative for each digit of ``bound``: equal before it, smaller at it, anything after."""
    for position, digit in enumerate(bound):
        smaller = _HEX[: _HEX.index(digit)]
        if smaller:
            rest = len(bound) - position - 1
            before = "".join(_any_case(one) for one in bound[:position])
            anything = f"[0-9a-fA-F]{{{rest}}}" if rest else ""
            yield f"{before}[{smaller}{smaller[10:].upper()}]{anything}"


def _any_case(digit: str) -> str:
    return digit if digit.isdigit() else f"[{digit}{digit.upper()}]"
