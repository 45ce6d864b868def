"""Waiting for another process that builds: bounded by a clock of its own, shown, and never for one that runs."""

import os
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pulumi_traffic_mirror.rehearsal.claim import StageLock, lock_holder
from pulumi_traffic_mirror.rehearsal.errors import StageError
from pulumi_traffic_mirror.rehearsal.progress import SilentProgress
from pulumi_traffic_mirror.rehearsal.queueing import (
    NOTE_SECONDS,
    ORPHAN_SECONDS,
    Patience,
    outlive_holder,
    try_lock,
    write_holder,
)


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


class Orphan:
    """A child that still has the lock of a process that is dead already."""

    def __init__(self, lock: Path, *, parent: str) -> None:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT)
        assert try_lock(descriptor)
        os.pwrite(descriptor, f"{parent}\nhas the stage\n".encode(), 0)
        self.paused = 0.0
        self._child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=[descriptor])
        os.close(descriptor)

    def end(self) -> None:
        self._child.communicate()

    def pause(self, seconds: float) -> None:
        """Stands in for sleeping; the child goes on to a program of its own after a second."""
        self.paused += seconds
        if self.paused >= 1:
            self.end()


def dead_process() -> str:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    return str(process.pid)


@pytest.mark.parametrize("parent", ["", "dead"])
def test_a_child_of_a_killed_holder_is_waited_for(tmp_path: Path, parent: str) -> None:
    orphan = Orphan(tmp_path / "lock", parent=parent and dead_process())
    descriptor = os.open(tmp_path / "lock", os.O_RDWR)
    assert outlive_holder(descriptor, pause=orphan.pause)
    assert orphan.paused == pytest.approx(1, abs=0.1)
    os.close(descriptor)


def test_nobody_is_named_for_the_lock_of_a_killed_holder(tmp_path: Path) -> None:
    lock = StageLock(tmp_path)
    lock.acquire()
    lock.release()
    orphan = Orphan(next(tmp_path.iterdir()), parent=dead_process())
    assert lock_holder(tmp_path, pause=orphan.pause) is None


def test_a_child_of_a_living_holder_is_not_waited_for(tmp_path: Path) -> None:
    orphan = Orphan(tmp_path / "lock", parent=str(os.getpid()))
    descriptor = os.open(tmp_path / "lock", os.O_RDWR)
    assert not outlive_holder(descriptor, pause=orphan.pause)
    assert orphan.paused == 0
    orphan.end()
    os.close(descriptor)


def test_whoever_takes_the_lock_of_a_dead_holder_first_has_it(tmp_path: Path) -> None:
    orphan = Orphan(tmp_path / "lock", parent=dead_process())
    first, second = (os.open(tmp_path / "lock", os.O_RDWR) for _ in range(2))

    def pause(seconds: float) -> None:
        orphan.end()
        assert try_lock(first)
        write_holder(first, "has the stage")

    assert not outlive_holder(second, pause=pause)
    os.close(first)
    assert outlive_holder(second)
    os.close(second)


def test_a_child_that_keeps_the_lock_is_given_up(tmp_path: Path) -> None:
    orphan = Orphan(tmp_path / "lock", parent=dead_process())
    descriptor = os.open(tmp_path / "lock", os.O_RDWR)
    waited: list[float] = []
    assert not outlive_holder(descriptor, pause=waited.append)
    assert sum(waited) == pytest.approx(ORPHAN_SECONDS)
    orphan.end()
    os.close(descriptor)


def test_a_holder_that_ended_and_is_not_collected_yet_is_dead(tmp_path: Path) -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as ended:
        ended.kill()
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        orphan = Orphan(tmp_path / "lock", parent=str(ended.pid))
        descriptor = os.open(tmp_path / "lock", os.O_RDWR)
        assert outlive_holder(descriptor, pause=orphan.pause)
        os.close(descriptor)
