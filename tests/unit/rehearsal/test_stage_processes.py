"""Processes of a stage are found again for certain, never confused with others, and ended with their children."""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pulumi_traffic_mirror.rehearsal.cleanup import carries_mark, end_processes, marked_processes, mount_points
from pulumi_traffic_mirror.rehearsal.errors import StageError
from pulumi_traffic_mirror.rehearsal.machine.processes import (
    ProcessTable,
    StageProcess,
    parse_stat,
    read_stat,
    wait_until,
)

FOREVER = ["sleep", "600"]


@pytest.fixture
def table(tmp_path: Path) -> Iterator[ProcessTable]:
    yield ProcessTable(records=tmp_path / "records", logs=tmp_path / "logs", state_directory=tmp_path)
    end_processes(tmp_path)
    for record in (tmp_path / "records").glob("*.json"):
        pid = json.loads(record.read_text())["identity"]["pid"]
        subprocess.run(["true"], check=True)
        try:
            os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            continue


def wait_gone(process: StageProcess) -> None:
    wait_until(lambda: not process.running(), what="it has ended", timeout=10)


def test_a_program_name_with_brackets_does_not_confuse_the_reader() -> None:
    fields = " ".join(["1"] * 18)
    assert parse_stat(f"42 (a) S (b) Z {fields} 777 0 0").start_ticks == 777
    assert parse_stat(f"42 (a) S (b) Z {fields} 777 0 0").state == "Z"


def test_a_started_program_runs_in_its_own_session_with_log_and_mark(
    table: ProcessTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_CALLER", "x")
    process = table.start("shell", ["sh", "-c", "env; echo hello >&2; exec sleep 600"], env={"EXTRA": "1"})
    wait_until(lambda: "hello" in process.log.read_text(), what="it has written", timeout=10)
    assert os.getsid(process.pid) == process.pid
    written = process.log.read_text()
    assert f"TRAFFIC_MIRROR_STAGE={tmp_path}\n" in written
    assert "EXTRA=1" in written
    assert "SECRET_OF_THE_CALLER" not in written
    assert table.find("shell") == process


def test_another_process_with_the_same_number_is_not_taken_for_ours(table: ProcessTable) -> None:
    process = table.start("sleep", FOREVER)
    later = replace(process, identity=replace(process.identity, start_ticks=process.identity.start_ticks + 1))
    other_boot = replace(process, identity=replace(process.identity, boot_id="another"))
    assert process.running()
    assert not later.running()
    assert not other_boot.running()
    later.signal_group(signal.SIGKILL)
    other_boot.signal_group(signal.SIGKILL)
    assert process.running()


def test_children_that_changed_parent_and_session_are_ended_too(table: ProcessTable, tmp_path: Path) -> None:
    table.start("parent", ["sh", "-c", "setsid sleep 600 & setsid setsid sleep 600 & sleep 600"])
    wait_until(lambda: len(marked_processes(tmp_path)) == 4, what="all have started", timeout=10)
    end_processes(tmp_path)
    assert marked_processes(tmp_path) == []


def test_processes_of_another_stage_are_left_alone(table: ProcessTable, tmp_path: Path) -> None:
    process = table.start("sleep", FOREVER)
    end_processes(tmp_path / "other")
    end_processes(Path(str(tmp_path)[:-1]))
    assert process.running()


def test_a_mark_counts_only_as_a_whole_variable() -> None:
    mark = b"TRAFFIC_MIRROR_STAGE=/a"
    assert carries_mark(b"A=1\0TRAFFIC_MIRROR_STAGE=/a\0", mark)
    assert not carries_mark(b"TRAFFIC_MIRROR_STAGE=/a/b\0", mark)
    assert not carries_mark(b"NOT_TRAFFIC_MIRROR_STAGE=/a\0", mark)


def test_a_program_that_ends_by_itself_is_reported_with_its_last_words(table: ProcessTable) -> None:
    process = table.start("broken", ["sh", "-c", "echo first; echo no such flag; exit 3"])
    with pytest.raises(StageError, match="no such flag") as caught:
        wait_until(lambda: False, what="it answers", timeout=10, watched=[process])
    assert str(process.log) in str(caught.value)
    assert caught.value.details == ("first", "no such flag")


def test_a_wait_that_takes_too_long_says_for_what(table: ProcessTable) -> None:
    process = table.start("silent", ["sh", "-c", "echo busy; exec sleep 600"])
    wait_until(lambda: "busy" in process.log.read_text(), what="it has written", timeout=10)
    with pytest.raises(StageError, match="in vain until the moon rises") as caught:
        wait_until(lambda: False, what="the moon rises", timeout=0.1, watched=[process])
    assert caught.value.details == ("busy",)


def test_a_cancelled_wait_ends_at_once() -> None:
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(StageError, match="Gave up"):
        wait_until(lambda: False, what="it answers", timeout=600, cancelled=cancelled)


def test_a_program_that_ignores_the_polite_signal_is_ended_anyway(table: ProcessTable) -> None:
    process = table.start("stubborn", ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"])
    wait_until(lambda: "ready" in process.log.read_text(), what="it ignores the signal", timeout=10)
    table.stop("stubborn", timeout=0.3)
    assert not process.running()


def test_a_restarted_program_has_the_same_command_and_environment(table: ProcessTable) -> None:
    first = table.start("shell", ["sh", "-c", "echo x=$X; exec sleep 600"], env={"X": "1"})
    wait_until(lambda: first.log.read_text() == "x=1\n", what="it has written", timeout=10)
    second = table.restart("shell")
    wait_until(lambda: first.log.read_text() == "x=1\nx=1\n", what="it has written again", timeout=10)
    assert not first.running()
    assert second.running()
    assert table.recorded() == (second,)


def test_a_missing_program_is_named(table: ProcessTable) -> None:
    with pytest.raises(StageError, match="no-such-program"):
        table.start("missing", ["no-such-program"])


def test_an_ended_child_leaves_no_zombie(table: ProcessTable) -> None:
    process = table.start("short", ["true"])
    wait_gone(process)
    stat = read_stat(process.pid)
    assert stat is None or stat.start_ticks != process.identity.start_ticks


def test_mount_points_are_read_in_order() -> None:
    text = "tmpfs /a tmpfs rw 0 0\noverlay /a/b\\040c overlay rw 0 0\n"
    assert mount_points(text) == ["/a", "/a/b c"]
