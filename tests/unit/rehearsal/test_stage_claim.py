"""One stage per machine: the lock, the claim, and the folder that is never somebody else's."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pulumi_traffic_mirror.rehearsal import cleanup
from pulumi_traffic_mirror.rehearsal.claim import Claim, StageLock, drop_claim, read_claim, write_claim
from pulumi_traffic_mirror.rehearsal.cleanup import OWNERSHIP_FILE, prepare_state, remove_state
from pulumi_traffic_mirror.rehearsal.errors import StageError
from pulumi_traffic_mirror.rehearsal.machine.interruption import RaisingSignals, deferred_signals
from pulumi_traffic_mirror.rehearsal.machine.processes import boot_id
from pulumi_traffic_mirror.rehearsal.progress import SilentProgress

CLAIM = Claim(
    state_directory=Path("/s"),
    boot_id=boot_id(),
    namespaces=("tm-fabric",),
    cgroups=("tm-staging",),
    made_folders=("/var/lib/cni",),
    mounted_namespaces=True,
    settings={"fs/inotify/max_user_instances": "128"},
)


def test_a_claim_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_claim(CLAIM, tmp_path)
    assert read_claim(tmp_path) == CLAIM
    write_claim(replace(CLAIM, kept=True), tmp_path)
    assert read_claim(tmp_path) == replace(CLAIM, kept=True)
    drop_claim(tmp_path)
    assert read_claim(tmp_path) is None


def test_a_claim_of_an_earlier_boot_does_not_count(tmp_path: Path) -> None:
    write_claim(replace(CLAIM, boot_id="earlier"), tmp_path)
    assert read_claim(tmp_path) is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"namespaces": [], "cgroups": [], "made_folders": [], "later": 1}'])
def test_a_claim_of_another_release_is_told_with_the_way_out(tmp_path: Path, text: str) -> None:
    (tmp_path / "claim.json").write_text(text)
    with pytest.raises(StageError, match="another release wrote it, or it is damaged") as caught:
        read_claim(tmp_path)
    assert "rehearse down" in str(caught.value)


def test_the_lock_names_its_holder_and_ends_with_it(tmp_path: Path) -> None:
    first = StageLock(tmp_path)
    first.acquire()
    with pytest.raises(StageError, match=f"process {os.getpid()}"):
        StageLock(tmp_path).acquire()
    first.release()
    second = StageLock(tmp_path)
    second.acquire()
    second.release()


def test_a_state_directory_is_emptied_only_if_it_is_a_stages(tmp_path: Path) -> None:
    state = tmp_path / "state"
    prepare_state(state)
    (state / "clusters").mkdir()
    prepare_state(state)
    assert [entry.name for entry in state.iterdir()] == [OWNERSHIP_FILE]
    foreign = tmp_path / "home"
    foreign.mkdir()
    (foreign / "thesis.txt").touch()
    with pytest.raises(StageError, match="not a stage's"):
        prepare_state(foreign)
    remove_state(foreign, keep_logs=False)
    assert (foreign / "thesis.txt").exists()


def test_a_link_in_the_state_directory_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").touch()
    prepare_state(tmp_path / "state")
    (tmp_path / "state" / "link").symlink_to(outside)
    remove_state(tmp_path / "state", keep_logs=False)
    assert (outside / "file").exists()
    assert not (tmp_path / "state").exists()


def test_logs_stay_after_a_failure_and_go_with_the_next_start(tmp_path: Path) -> None:
    state = tmp_path / "state"
    prepare_state(state)
    (state / "logs").mkdir()
    (state / "logs" / "x.log").write_text("why")
    (state / "pki").mkdir()
    remove_state(state, keep_logs=True)
    assert (state / "logs" / "x.log").read_text() == "why"
    assert not (state / "pki").exists()
    prepare_state(state)
    assert not (state / "logs").exists()


def test_signals_unwind_the_program_and_wait_for_the_clean_up(tmp_path: Path, repository: Path) -> None:
    program = f"""
import signal
from pathlib import Path
from pulumi_traffic_mirror.rehearsal.machine.interruption import RaisingSignals, deferred_signals
from pulumi_traffic_mirror.rehearsal.progress import SilentProgress
RaisingSignals().install()
try:
    signal.raise_signal(signal.SIGTERM)
finally:
    with deferred_signals(SilentProgress()):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        Path({str(tmp_path / "cleaned")!r}).touch()
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=repository, check=False, capture_output=True)
    assert (tmp_path / "cleaned").exists()
    assert done.returncode == -signal.SIGINT


def test_handlers_are_given_back() -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    own = [signal.signal(number, signal.SIG_DFL) for number in numbers]
    try:
        signals = RaisingSignals()
        signals.install()
        assert signal.getsignal(signal.SIGTERM) != signal.SIG_DFL
        with deferred_signals(SilentProgress()):
            pass
        signals.restore()
        assert [signal.getsignal(number) for number in numbers] == [signal.SIG_DFL] * 3
    finally:
        for number, handler in zip(numbers, own, strict=True):
            signal.signal(number, handler)


def test_the_clean_up_goes_on_where_a_killed_one_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = tmp_path / "state"
    prepare_state(state)
    done: list[str] = []
    monkeypatch.setattr(cleanup, "remove_cgroups", lambda names: done.append("cgroups"))
    monkeypatch.setattr(cleanup, "remove_namespaces", lambda names: done.append("namespaces"))
    monkeypatch.setattr(cleanup, "drop_claim", lambda: done.append("claim"))
    claim = replace(CLAIM, state_directory=state, settings={}, made_folders=(), mounted_namespaces=False)
    cleanup.remove_stage(claim)
    assert done == ["cgroups", "namespaces", "claim"]
    assert not state.exists()
    cleanup.remove_stage(claim)
    assert done[-1] == "claim"
