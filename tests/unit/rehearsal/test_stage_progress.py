"""Progress is readable in a log and alive on a terminal; commands that fail show their last words."""

import io
import os
import pty
import re
import select
import signal
import sys
from pathlib import Path

import pytest

from pulumi_traffic_mirror.rehearsal.errors import StageError
from pulumi_traffic_mirror.rehearsal.machine.commands import last_lines, last_lines_of, run, run_logged
from pulumi_traffic_mirror.rehearsal.machine.processes import read_stat, wait_until
from pulumi_traffic_mirror.rehearsal.progress import PlainProgress, describe_step, human_duration, open_progress

pytestmark = pytest.mark.slow


def test_a_step_is_announced_with_duration_and_log() -> None:
    assert describe_step("build x", 300, Path("/l")) == "build x (usually 5 min, log /l)"
    assert describe_step("build x", None, None) == "build x"


@pytest.mark.parametrize(("seconds", "text"), [(0.2, "1 s"), (89, "89 s"), (90, "2 min"), (300, "5 min")])
def test_durations_read_as_people_say_them(seconds: float, text: str) -> None:
    assert human_duration(seconds) == text


def test_a_log_has_one_line_per_event() -> None:
    stream = io.StringIO()
    with open_progress(stream) as progress, progress.step("one"):
        progress.note("within")
    assert [line.partition("] ")[2] for line in stream.getvalue().splitlines()[:2]] == ["one ...", "within"]
    assert "one: 0.0 s" in stream.getvalue()


def test_a_failed_step_says_so_and_passes_the_error_on() -> None:
    stream = io.StringIO()
    with pytest.raises(KeyError), PlainProgress(stream).step("one"):
        raise KeyError
    assert "one: failed after" in stream.getvalue()


def test_a_terminal_shows_finished_steps() -> None:
    parent, child = pty.openpty()
    with os.fdopen(child, "w") as terminal:
        with open_progress(terminal) as progress, progress.step("build [x]", usual_seconds=60):
            progress.note("note [y]")
        os.set_blocking(parent, False)
        raw = b""
        while select.select([parent], [], [], 0)[0]:  # a terminal hands out its output in pieces
            raw += os.read(parent, 1 << 16)
    os.close(parent)
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", raw.decode())
    assert "✓ build [x]" in shown
    assert "note [y]" in shown


def test_last_lines_skip_empty_ones(tmp_path: Path) -> None:
    assert last_lines("a\n\nb\n \nc\n", 2) == ("b", "c")
    (tmp_path / "log").write_text("\n".join(str(number) for number in range(10_000)))
    assert last_lines_of(tmp_path / "log", 3) == ("9997", "9998", "9999")
    assert last_lines_of(tmp_path / "none") == ()


def test_a_failed_command_shows_its_output_and_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="Cannot do it: sh ended with code 3") as caught:
        run(["sh", "-c", "echo why >&2; exit 3"], what="do it", remedy="Do that")
    assert caught.value.details == ("why",)
    assert "Do that" in str(caught.value)
    log = tmp_path / "logs" / "x.log"
    with pytest.raises(StageError, match="log") as caught:
        run_logged(["sh", "-c", "seq 30; exit 1"], what="count", log=log)
    assert caught.value.details == tuple(str(number) for number in range(11, 31))
    assert str(log) in str(caught.value)


def test_an_interruption_ends_the_whole_group_of_a_long_command(tmp_path: Path) -> None:
    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, interrupt)
    # The command itself interrupts its caller, a moment later so that the caller is waiting by then.
    script = f"sleep 600 & echo $! > {tmp_path}/child; sleep 0.5; kill -USR1 {os.getpid()}; wait"
    try:
        with pytest.raises(KeyboardInterrupt):
            run_logged(["sh", "-c", script], what="wait", log=tmp_path / "log")
    finally:
        signal.signal(signal.SIGUSR1, before)
    child = int((tmp_path / "child").read_text())
    wait_until(lambda: read_stat(child) is None, what="the child has ended", timeout=10)


def test_a_missing_program_and_a_slow_one_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="no-such-program is missing"):
        run(["no-such-program"], what="do it")
    with pytest.raises(StageError, match="no-such-program is missing"):
        run_logged(["no-such-program"], what="do it", log=tmp_path / "log")
    with pytest.raises(StageError, match="did not end within"):
        run([sys.executable, "-c", "import time; time.sleep(60)"], what="do it", timeout=0.2)


def test_a_closed_stream_does_not_stop_the_work() -> None:
    stream = io.StringIO()
    progress = PlainProgress(stream)
    stream.close()
    done = False
    with progress.step("remove the stage"):
        done = True
    assert done
