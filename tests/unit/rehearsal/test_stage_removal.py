"""`make clean` removes what is ours and nothing else."""

from pathlib import Path

import pytest

from pulumi_traffic_mirror.rehearsal import removal
from pulumi_traffic_mirror.rehearsal.progress import SilentProgress


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with a stage's folders, all below one temporary folder."""
    monkeypatch.setattr(removal, "check_machine", lambda: None)
    monkeypatch.setattr(removal.Stage, "end", lambda progress: False)
    monkeypatch.setattr(removal, "installed_by_us", tuple)
    monkeypatch.setattr(removal, "RUNTIME_DIRECTORY", tmp_path / "run" / "traffic-mirror")
    monkeypatch.setattr(removal, "_STATE_PARENT", tmp_path / "lib" / "traffic-mirror")
    monkeypatch.setenv("TRAFFIC_MIRROR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TRAFFIC_MIRROR_STAGE_DIR", str(tmp_path / "elsewhere" / "stage"))
    for folder in ("run/traffic-mirror", "lib/traffic-mirror", "cache/part-1-0123456789ab", "elsewhere"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "run" / "traffic-mirror" / "lock").touch()
    (tmp_path / "cache" / ".lock").touch()
    return tmp_path


def test_cache_and_empty_folders_of_ours_go(machine: Path) -> None:
    removal.remove_everything(SilentProgress())
    assert not (machine / "cache").exists()
    assert not (machine / "run" / "traffic-mirror").exists()
    assert not (machine / "lib" / "traffic-mirror").exists()
    assert (machine / "elsewhere").exists()


@pytest.mark.parametrize("stranger", ["thesis.txt", "part-2"])
def test_a_folder_that_never_was_a_cache_stays(machine: Path, stranger: str) -> None:
    (machine / "cache" / stranger).touch()
    removal.remove_everything(SilentProgress())
    assert (machine / "cache" / "part-1-0123456789ab").exists()


def test_a_folder_that_holds_a_chosen_state_directory_keeps_its_files(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = machine / "home" / "traffic-mirror"
    mine.mkdir(parents=True)
    (mine / "lock").touch()
    monkeypatch.setenv("TRAFFIC_MIRROR_STAGE_DIR", str(mine / "stage"))
    removal.remove_everything(SilentProgress())
    assert (mine / "lock").exists()


def test_folders_that_others_use_stay(machine: Path) -> None:
    (machine / "lib" / "traffic-mirror" / "thesis.txt").touch()
    removal.remove_everything(SilentProgress())
    assert (machine / "lib" / "traffic-mirror" / "thesis.txt").exists()
