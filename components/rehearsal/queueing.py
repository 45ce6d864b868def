"""Waiting for another process of this machine: a lock that names its holder, a long bound, and progress meanwhile."""

import fcntl
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from .errors import StageError
from .machine.processes import read_stat
from .progress import Progress, human_duration

WAIT_SECONDS: Final = 7_200.0
"""Bound on waiting for another process's build: four times what the whole tool chain takes on two busy cores."""

NOTE_SECONDS: Final = 60.0
"""Time between two lines that tell that the wait goes on."""

POLL_SECONDS: Final = 0.5

ORPHAN_SECONDS: Final = 10.0
"""Bound on waiting for a lock whose holder is dead: a child has it until it runs its own program, milliseconds later
on an idle machine."""

_ORPHAN_POLL_SECONDS: Final = 0.05


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How a process waits for another one."""

    progress: Progress
    seconds: float = WAIT_SECONDS
    """Bound on the wait, > 0."""

    clock: Callable[[], float] = time.monotonic
    """Seconds since any fixed moment; must not follow the wall clock, which jumps."""

    pause: Callable[[float], None] = time.sleep


@dataclass(frozen=True, kw_only=True)
class Holder:
    """Who holds a lock, by what is written in its file; empty where that cannot be told."""

    process: str = ""
    doing: str = ""
    """What the holder does, e.g. ``"builds istio"``."""

    @property
    def is_alive(self) -> bool:
        """Whether there is such a process, not ended and forgotten by its parent; False where it cannot be told."""
        stat = read_stat(int(self.process)) if self.process.isdecimal() else None
        return stat is not None and stat.state not in {"Z", "X"}

    def __str__(self) -> str:
        return f"process {self.process or 'unknown'}" + (f", which {self.doing}" if self.doing else "")


def try_lock(descriptor: int) -> bool:
    """Take the lock of an open file if nobody has it.

    The kernel frees it when this process ends, however it ends. If it ends while it starts another one, that one has
    the lock until it runs its own program; see :func:`outlive_holder`.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def outlive_holder(descriptor: int, *, pause: Callable[[float], None] = time.sleep) -> bool:
    """Take the lock of an open file unless a living process holds it; returns whether it is taken.

    Args:
        descriptor: The open file.
        pause: Sleeps so many seconds.
    """
    for _ in range(round(ORPHAN_SECONDS / _ORPHAN_POLL_SECONDS)):
        if try_lock(descriptor):
            return True
        if read_holder(descriptor).is_alive:
            return False
        pause(_ORPHAN_POLL_SECONDS)
    return False


def wait_for_lock(descriptor: int, patience: Patience) -> None:
    """Take the lock of an open file, and wait as long as another process has it.

    Args:
        descriptor: The open file.
        patience: How long, and who is told.

    Raises:
        StageError: The other process still has it when the time is over.
    """
    if try_lock(descriptor):
        return
    begun = noted = patience.clock()
    bound = human_duration(patience.seconds)
    with patience.progress.step(f"wait for {read_holder(descriptor)}, {bound} at most"):
        while not try_lock(descriptor):
            now = patience.clock()
            if now - begun >= patience.seconds:
                raise StageError(
                    f"Waited {bound} in vain for {read_holder(descriptor)}",
                    remedy="Look what it does; end it if it hangs, then start again",
                )
            if now - noted >= NOTE_SECONDS:
                noted = now
                patience.progress.note(f"waiting for {read_holder(descriptor)}, since {human_duration(now - begun)}")
            patience.pause(POLL_SECONDS)


def write_holder(descriptor: int, doing: str) -> None:
    """Write into a lock's file that this process holds it, and what for."""
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n{doing}\n".encode(), 0)


def read_holder(descriptor: int) -> Holder:
    """Return who holds the lock of an open file, as its holder wrote it."""
    lines = os.pread(descriptor, 256, 0).decode(errors="replace").splitlines()
    process, doing, *_ = (*lines, "", "")
    return Holder(process=process.strip(), doing=doing.strip())
