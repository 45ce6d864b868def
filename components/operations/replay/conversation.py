"""When each message of a gRPC stream is sent: after the answers that its client had seen, at its distance to them."""

from bisect import bisect_left
from dataclasses import dataclass

from ..recording import Part
from ..recording.frames import join
from .outcome import US_PER_SECOND


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """What is sent at once."""

    data: bytes
    """Messages with their framing."""
    answers: int
    """How many messages of the answer come first."""
    pause_seconds: float
    """From the last of these, or from the start, until sending."""
    due_seconds: float
    """From the start until sending, by the recording's clock."""


def turns_of(request: Part, response: Part, speed: float | None) -> list[Turn]:
    """Return a call's messages in the order of sending.

    Args:
        request: The recorded request.
        response: What was answered to it, which tells what its client had seen before each message.
        speed: Factor on the recorded distances; ``None`` for none: what waits for no answer is sent at once.
    """
    answered = [message.offset_us for message in response.messages]
    turns: list[Turn] = []
    for message in request.messages:
        seen = bisect_left(answered, message.offset_us) if turns else 0
        since = answered[seen - 1] if seen else 0
        scale = 0.0 if speed is None or not turns else 1 / (US_PER_SECOND * speed)
        turn = Turn(
            data=join((message,)),
            answers=seen,
            pause_seconds=(message.offset_us - since) * scale,
            due_seconds=message.offset_us * scale,
        )
        if turns and turn.answers == turns[-1].answers and turn.due_seconds == turns[-1].due_seconds:
            last = turns.pop()
            turn = Turn(
                data=last.data + turn.data,
                answers=last.answers,
                pause_seconds=last.pause_seconds,
                due_seconds=last.due_seconds,
            )
        turns.append(turn)
    return turns
