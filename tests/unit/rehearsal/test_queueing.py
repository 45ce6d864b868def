"""Waiting for another process that builds: bounded by a clock of its own, shown, and never for one that runs."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pulumi_traffic_mirror.rehearsal.claim import StageLock, lock_holder
from pulumi_traffic_mirror.rehearsal.errors import StageError
from pulumi_traffic_mirror.rehearsal.progress import SilentProgress
from pulumi_traffic_mirror.rehearsal.queueing import NOTE_SECONDS, Patience


class Waiter(SilentProgress):
    """A clock that only pauses move, and what is said meanwhile; the other process ends after some of them."""

    def __init__(self, holder: StageLock, ends_after: float = float("inf")) -> None:
        self.now = 1_000.0
        self.said: list[str] = []
        self._holder, self._end = holder, self.now + ends_after

    def clock(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        # Long pauses make a long wait short; the bound counts the clock, not the pauses.
        self.now += 20 * seconds
        if self.now >= self._end:
            self._holder.release()

    @contextmanager
    def step(self, name: str, *, usual_seconds: float | None = None, log: Path | None = None) -> Generator[None]:
        self.said.append(name)
        yield

    def note(self, text: str) -> None:
        self.said.append(text)

    def patience(self, seconds: float) -> Patience:
        return Patience(progress=self, seconds=seconds, clock=self.clock, pause=self.pause)


def test_a_rehearsal_that_builds_is_waited_for_with_progress(tmp_path: Path) -> None:
    first, second = StageLock(tmp_path), StageLock(tmp_path)
    first.acquire()
    waiter = Waiter(first, ends_after=3_000)
    with first.building():
        second.acquire(waiter.patience(7_200))
    holder = f"process {os.getpid()}, which installs and builds what the stage needs"
    assert waiter.said[0] == f"wait for {holder}, 120 min at most"
    assert waiter.said[1] == f"waiting for {holder}, since 60 s"
    assert len(waiter.said) == pytest.approx(1 + 3_000 / NOTE_SECONDS, abs=2)
    with pytest.raises(StageError, match="which has the stage"):
        StageLock(tmp_path).acquire()


def test_a_build_that_never_ends_is_given_up_and_named(tmp_path: Path) -> None:
    first = StageLock(tmp_path)
    first.acquire()
    waiter = Waiter(first)
    with (
        first.building(),
        pytest.raises(StageError, match=rf"Waited 10 min in vain for process {os.getpid()}, which installs"),
    ):
        StageLock(tmp_path).acquire(waiter.patience(600))
    assert waiter.now == pytest.approx(1_600, abs=20)


def test_a_rehearsal_that_has_its_clusters_is_not_waited_for(tmp_path: Path) -> None:
    first = StageLock(tmp_path)
    first.acquire()
    with first.building():
        pass
    waiter = Waiter(first)
    with pytest.raises(StageError, match=rf"Another rehearsal is running on this machine \(process {os.getpid()}"):
        StageLock(tmp_path).acquire(waiter.patience(600))
    assert waiter.said == []


def test_whoever_wants_to_end_a_stage_does_not_wait_for_a_build(tmp_path: Path) -> None:
    first = StageLock(tmp_path)
    first.acquire()
    with first.building(), pytest.raises(StageError, match="which installs and builds"):
        StageLock(tmp_path).acquire()


def test_a_wait_that_is_interrupted_leaves_the_lock_to_others(tmp_path: Path) -> None:
    first = StageLock(tmp_path)
    first.acquire()

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    with first.building(), pytest.raises(KeyboardInterrupt):
        StageLock(tmp_path).acquire(Patience(progress=SilentProgress(), pause=interrupt))
    first.release()
    StageLock(tmp_path).acquire()


def test_the_holder_is_told_without_waiting(tmp_path: Path) -> None:
    assert lock_holder(tmp_path) is None
    first = StageLock(tmp_path)
    first.acquire()
    with first.building():
        assert str(lock_holder(tmp_path)) == f"process {os.getpid()}, which installs and builds what the stage needs"
    first.release()
    assert lock_holder(tmp_path) is None
    StageLock(tmp_path).acquire()
