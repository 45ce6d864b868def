"""When each recorded request is sent again."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from ...model import ValidationError


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How fast a recording is replayed.

    Attributes:
        speed: Factor on the original timing, 0.01 to 1,000: 1 keeps it, 2 is twice as fast.
        rate: Requests per second at even distances instead of the original timing, above 0 to 100,000; ``None`` keeps
            the timing.
        max_rate: No more than this many requests per second, whatever the timing says; ``None`` for no limit.

    Raises:
        ValidationError: A value is out of its range, or both ``speed`` and ``rate`` are given.
    """

    speed: float = 1.0
    rate: float | None = None
    max_rate: float | None = None

    def __post_init__(self) -> None:
        for name, low, high in (("speed", 0.01, 1_000.0), ("rate", 0.001, 100_000.0), ("max_rate", 0.001, 100_000.0)):
            value: float | None = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise ValidationError(
                    field=name,
                    value=value,
                    rule=f"must be from {low:g} to {high:g}",
                    remedy="Choose a value in that range",
                )
        if self.rate is not None and self.speed != 1.0:
            raise ValidationError(
                field="rate",
                value=self.rate,
                rule="excludes speed: a fixed rate knows no original timing",
                remedy="Give one of the two",
            )


def schedule(pace: Pace) -> Callable[[datetime], float]:
    """Return a function that tells when to send, in seconds after the start of the replay.

    It is called with the recorded start of each request, in the order of sending, and never goes back in time.
    """
    first: list[datetime] = []
    count = 0
    last = float("-inf")

    def due(started_at: datetime) -> float:
        nonlocal count, last
        if not first:
            first.append(started_at)
        original = (started_at - first[0]).total_seconds() / pace.speed
        wanted = original if pace.rate is None else count / pace.rate
        if pace.max_rate is not None:
            wanted = max(wanted, last + 1 / pace.max_rate)
        count += 1
        last = max(wanted, last)
        return last

    return due
