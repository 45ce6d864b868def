"""Work side by side ends as a whole: by its results, by the first failure, or by an interruption."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Barrier, Event

import pytest

from pulumi_traffic_mirror.rehearsal.errors import StageError
from pulumi_traffic_mirror.rehearsal.machine.commands import run_logged
from pulumi_traffic_mirror.rehearsal.machine.lanes import given_up, side_by_side
from pulumi_traffic_mirror.rehearsal.machine.processes import wait_until

FOREVER = ["sh", "-c", "echo started; exec sleep 600"]


def test_lanes_run_at_the_same_time_and_their_results_keep_the_order() -> None:
    met = Barrier(3, timeout=30)

    def lane(number: int) -> Callable[[], int]:
        def work() -> int:
            met.wait()
            return number

        return work

    assert side_by_side(*(lane(number) for number in range(3))) == [0, 1, 2]
    assert not given_up()


def test_a_lane_that_fails_ends_the_programs_of_the_others(tmp_path: Path) -> None:
    log = tmp_path / "log"

    def long() -> None:
        run_logged(FOREVER, what="wait for ever", log=log)

    def fails() -> None:
        wait_until(lambda: log.exists() and "started" in log.read_text(), what="the other lane works", timeout=30)
        raise StageError("The disk is full", remedy="Free some")

    with pytest.raises(StageError, match="The disk is full"):
        side_by_side(long, fails)


def test_lanes_within_a_lane_end_with_it(tmp_path: Path) -> None:
    log, inner = tmp_path / "log", Event()

    def outer() -> None:
        side_by_side(lambda: run_logged(FOREVER, what="wait for ever", log=log), inner.set)

    def fails() -> None:
        wait_until(lambda: inner.is_set() and log.exists(), what="the inner lane works", timeout=30)
        raise StageError("Broken", remedy="Mend it")

    with pytest.raises(StageError, match="Broken"):
        side_by_side(outer, fails)


def test_an_interruption_ends_every_program(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib\n"
        "from pulumi_traffic_mirror.rehearsal.machine.commands import run_logged\n"
        "from pulumi_traffic_mirror.rehearsal.machine.lanes import side_by_side\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "def lane(name):\n"
        "    return lambda: run_logged(['sh', '-c', 'echo $$; exec sleep 600'], what='wait', log=folder / name)\n"
        "side_by_side(lane('a'), lane('b'))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stderr=subprocess.PIPE, text=True)
    logs = [tmp_path / name for name in "ab"]
    wait_until(lambda: all(log.exists() and log.read_text() for log in logs), what="both lanes work", timeout=30)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert "KeyboardInterrupt" in errors
    for log in logs:
        with pytest.raises(ProcessLookupError):
            os.kill(int(log.read_text()), 0)
