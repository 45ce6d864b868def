"""A folder that a variable names is used and removed only if it is ours, and only what we put there goes."""

import re
from pathlib import Path

import pytest

from pulumi_traffic_mirror.rehearsal.errors import StageError
from pulumi_traffic_mirror.rehearsal.ownership import OwnFolder
from pulumi_traffic_mirror.rehearsal.progress import SilentProgress
from pulumi_traffic_mirror.rehearsal.toolchain.cache import cache_folder, locked


class Notes(SilentProgress):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture
def notes() -> Notes:
    return Notes()


def own(path: Path) -> OwnFolder:
    return OwnFolder(path=path, variable="FOLDER", mark=".ours", known=re.compile(r"lock|part-\d"), always="lock")


def fill(path: Path, *names: str) -> Path:
    for name in names:
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return path


def names(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir())


@pytest.mark.parametrize("there", [False, True])
def test_a_new_or_empty_folder_becomes_ours_and_goes_again(tmp_path: Path, notes: Notes, there: bool) -> None:
    folder = own(tmp_path / "deep" / "folder")
    if there:
        folder.path.mkdir(parents=True)
    assert not folder.ours
    folder.take()
    folder.take()
    assert folder.ours
    fill(folder.path, "lock", "part-1/file")
    folder.remove(notes)
    assert not folder.path.exists()
    assert notes.said == []


@pytest.mark.parametrize("content", ["thesis.txt", "part-1/file", "lock-of-mine"])
def test_somebody_elses_folder_is_refused_and_never_removed(tmp_path: Path, notes: Notes, content: str) -> None:
    folder = own(fill(tmp_path / "home", content))
    with pytest.raises(StageError, match=r"home is not ours, it has .*Set FOLDER to an empty or new folder"):
        folder.take()
    folder.remove(notes)
    assert names(folder.path) == [content.partition("/")[0]]
    assert notes.said == []


def test_what_others_put_into_our_folder_stays_and_is_said(tmp_path: Path, notes: Notes) -> None:
    folder = own(tmp_path / "folder")
    folder.take()
    fill(folder.path, "lock", "part-1/file", "thesis.txt")
    folder.remove(notes)
    assert names(folder.path) == ["thesis.txt"]
    assert notes.said == [f"{folder.path} stays, it has files of others: thesis.txt"]


def test_links_are_removed_and_not_followed(tmp_path: Path, notes: Notes) -> None:
    elsewhere = fill(tmp_path / "elsewhere", "thesis.txt")
    folder = own(tmp_path / "folder")
    folder.take()
    (folder.path / "part-1").symlink_to(elsewhere)
    folder.remove(notes)
    assert not folder.path.exists()
    assert names(elsewhere) == ["thesis.txt"]


def test_a_folder_from_before_there_was_a_mark_is_ours_if_it_has_known_names_only(tmp_path: Path, notes: Notes) -> None:
    folder = own(fill(tmp_path / "folder", "lock", "part-1/file"))
    folder.take()
    assert folder.ours
    mixed = own(fill(tmp_path / "mixed", "lock", "thesis.txt"))
    assert not mixed.ours
    mixed.remove(notes)
    assert names(mixed.path) == ["lock", "thesis.txt"]


def test_a_removal_that_was_killed_half_way_is_continued(tmp_path: Path, notes: Notes) -> None:
    folder = own(fill(tmp_path / "folder", ".ours", "part-1/file"))
    folder.remove(notes)
    assert not folder.path.exists()


def test_a_cache_with_parts_of_older_releases_is_used_and_removed(tmp_path: Path, notes: Notes) -> None:
    parts = ("kine-0.16.4-0123456789ab", "kubernetes-1.34.1-ba9876543210", ".building-x1", "go-build", "logs")
    cache = fill(tmp_path / "cache", ".lock", *(f"{part}/file" for part in parts))
    with locked(cache, "looks", notes):
        assert ".traffic-mirror-cache" in names(cache)
    cache_folder(cache).remove(notes)
    assert not cache.exists()


def test_a_cache_in_somebody_elses_folder_is_refused_before_anything_is_built(tmp_path: Path, notes: Notes) -> None:
    home = fill(tmp_path / "home", "thesis.txt")
    with pytest.raises(StageError, match="TRAFFIC_MIRROR_CACHE"), locked(home, "looks", notes):
        raise AssertionError
    assert names(home) == ["thesis.txt"]
