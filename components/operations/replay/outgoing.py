"""Handing a request's body to libcurl, each part when its turn comes."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from .answer import Answer
from .conversation import Turn
from .libcurl import pycurl
from .outcome import US_PER_SECOND

_PATIENCE_SECONDS: Final = 5.0
"""How long a message waits for answers beyond its time in the recording; then it is sent without them."""


class Outgoing:
    """What is still to be sent of one request."""

    def __init__(self, turns: Sequence[Turn], answer: Answer, *, started: float, resume: Callable[[], None]) -> None:
        """Prepare to send.

        Args:
            turns: The body's parts with their times.
            answer: What has come meanwhile.
            started: When the request began, by ``time.perf_counter()``.
            resume: Makes libcurl ask again.
        """
        self._turns = turns
        self._answer = answer
        self._started = started
        self._resume = resume
        self._next = 0
        self._data: bytes = b""
        self._position = 0
        self._waking: asyncio.Handle | None = None
        self._is_paused = False

    def give(self, limit: int) -> bytes | Any:  # noqa: ANN401 -- a constant of libcurl
        """Return what may be sent now: at most so many bytes, nothing at the end, or libcurl's word for later."""
        if self._position == len(self._data):
            if self._next == len(self._turns):
                return b""
            wait = self._wait_for(self._turns[self._next])
            if wait > 0:
                self._is_paused = True
                self._wake_in(wait)
                return pycurl.READFUNC_PAUSE
            self._data, self._position = self._turns[self._next].data, 0
            self._next += 1
        part = self._data[self._position : self._position + limit]
        self._position += len(part)
        return part

    def rewind(self) -> None:
        """Begin again, for a server that has not looked at the first try."""
        self._next, self._data, self._position = 0, b"", 0

    def answered(self) -> None:
        """Notice that something of the answer has come."""
        if self._is_paused:
            self._wake_in(0)

    def close(self) -> None:
        """Wake nobody any more."""
        self._is_paused = False
        if self._waking is not None:
            self._waking.cancel()

    def _wait_for(self, turn: Turn) -> float:
        """Return the seconds until a part's turn."""
        if self._next == 0:
            return 0.0
        arrived_us = self._answer.arrived_us(turn.answers)
        if arrived_us is None:
            moment = self._started + turn.due_seconds + _PATIENCE_SECONDS
        else:
            moment = self._started + arrived_us / US_PER_SECOND + turn.pause_seconds
        return moment - time.perf_counter()

    def _wake_in(self, seconds: float) -> None:
        if self._waking is not None:
            self._waking.cancel()
        self._waking = asyncio.get_running_loop().call_later(seconds, self._wake)

    def _wake(self) -> None:
        if self._is_paused:
            self._is_paused = False
            self._resume()
