"""When each recorded request is sent again."""

from collections.abc import Callable
from datetime import datetime

from ...model.replaying import Pace
from ..recording.buckets import Shard


def schedule(pace: Pace, *, shard: Shard | None = None, origin: datetime | None = None) -> Callable[[datetime], float]:
    """Return a function that tells when to send, in seconds after the start of the replay.

    It is called with the recorded start of each request, in the order of sending, and never goes back in time.

    Args:
        pace: How fast all parts together send.
        shard: Which part sends; all by default. A fixed rate is dealt out in turns, a limit in equal shares.
        origin: Recorded start that the original timing counts from; the first one by default.
    """
    shard = shard or Shard()
    first: list[datetime] = [] if origin is None else [origin]
    count = 0
    last = float("-inf")

    def due(started_at: datetime) -> float:
        nonlocal count, last
        if not first:
            first.append(started_at)
        original = (started_at - first[0]).total_seconds() / pace.speed
        wanted = original if pace.rate is None else (count * shard.of + shard.number) / pace.rate
        if pace.max_rate is not None:
            wanted = max(wanted, last + shard.of / pace.max_rate)
        count += 1
        last = max(wanted, last)
        return last

    return due
