"""Signals while a stage exists: they end the work in order, and never cut the clean-up short."""

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

from ..progress import Progress

_POLITE = (signal.SIGTERM, signal.SIGHUP)
"""Signals that ask a program to end, beside Ctrl-C, which Python turns into KeyboardInterrupt itself."""

_ALL = (signal.SIGINT, *_POLITE)

_EXIT_OFFSET = 128
"""A program that a signal ended has this exit code plus the signal's number, by the shell's custom."""


def raise_exit(number: int, frame: FrameType | None) -> None:
    """Signal handler that unwinds the program, so that every clean-up runs."""
    del frame
    raise SystemExit(_EXIT_OFFSET + number)


class RaisingSignals:
    """Lets polite signals unwind the program; only the main thread can ask for that, elsewhere it has no effect."""

    def __init__(self) -> None:
        self._before: dict[int, object] = {}

    def install(self) -> None:
        """Take over the signals that have no handler yet."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in _POLITE:
            if signal.getsignal(number) is signal.SIG_DFL:
                self._before[number] = signal.signal(number, raise_exit)

    def restore(self) -> None:
        """Give the signals back."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in self._before:
            signal.signal(number, signal.SIG_DFL)
        self._before.clear()


@contextmanager
def deferred_signals(progress: Progress) -> Generator[None]:
    """Hold back signals until the context ends; the first one is then delivered."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []

    def remember(number: int, frame: FrameType | None) -> None:
        del frame
        if not received:
            progress.note("removing the stage first; this takes a few seconds")
        received.append(number)

    before = {number: signal.signal(number, remember) for number in _ALL}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if received:
        signal.raise_signal(received[0])
