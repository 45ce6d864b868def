"""What came of calls."""

import statistics
from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Answer:
    """What came of one call."""

    status: str
    """HTTP status code or gRPC status name; ``error`` and its kind when there was none."""
    version: str = ""
    """Version that answered."""
    text: str = ""
    """Start of the answer, or the error's words."""
    headers: dict[str, str] = field(default_factory=dict)
    messages: int = 0
    """Messages of a stream that came back."""
    start: float = 0.0
    seconds: float = 0.0

    @property
    def is_good(self) -> bool:
        return self.status in {"200", "OK"}


def summarise(answers: list[Answer]) -> dict[str, Any]:
    """Return counts, times and one good answer."""
    good = [answer for answer in answers if answer.is_good]
    times = sorted(answer.seconds for answer in good)
    bad = Counter(f"{answer.status} {answer.text[:120]}".strip() for answer in answers if not answer.is_good)
    first = good[0] if good else None
    return {
        "calls": len(answers),
        "good": len(good),
        "statuses": dict(Counter(answer.status for answer in answers)),
        "versions": dict(Counter(answer.version for answer in good)),
        "messages": dict(Counter(answer.messages for answer in good)),
        "failures": dict(bad.most_common(5)),
        "median": statistics.median(times) if times else 0.0,
        "p95": times[int(0.95 * (len(times) - 1))] if times else 0.0,
        "longest": max((answer.seconds for answer in answers), default=0.0),
        "text": first.text if first else "",
        "headers": first.headers if first else {},
        "failed_at": [round(answer.start, 2) for answer in answers if not answer.is_good][:20],
    }
