"""Files of commands are their owner's: mode, links, and what stands in the way."""

import stat
from pathlib import Path

import pytest

from pulumi_traffic_mirror.operations.errors import OperationError
from pulumi_traffic_mirror.operations.private_files import write_file
from pulumi_traffic_mirror.operations.ramp.state import StateFile
from pulumi_traffic_mirror.operations.recording.own_files import create_file, make_folder
from pulumi_traffic_mirror.operations.recording.storage import RecordingStore


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_and_new_folders_are_the_owner_s_and_a_folder_that_is_there_stays(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    path = tmp_path / "a" / "b" / "report.html"
    write_file(path, "old")
    write_file(path, "new")
    assert path.read_text(encoding="utf-8") == "new"
    assert [mode(each) for each in (path, path.parent, path.parent.parent, tmp_path)] == [0o600, 0o700, 0o700, 0o755]
    assert [each.name for each in path.parent.iterdir()] == ["report.html"]


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_text("theirs", encoding="utf-8")
    link = tmp_path / "report.html"
    link.symlink_to(theirs)
    with pytest.raises(OperationError, match="is a link"):
        write_file(link, "ours")
    with pytest.raises(FileExistsError):
        create_file(link)
    assert theirs.read_text(encoding="utf-8") == "theirs"


def test_a_place_that_cannot_be_written_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OperationError, match="cannot be written"):
        write_file(tmp_path / "file" / "report.html", "text")


def test_a_link_as_a_ramp_s_state_is_refused(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs.json"
    theirs.write_text("{}", encoding="utf-8")
    state = StateFile(tmp_path / "ramp.json")
    state.path.symlink_to(theirs)
    with pytest.raises(OperationError, match="it is a link"):
        state.read()
    (tmp_path / "ramp.lock").symlink_to(theirs)
    with pytest.raises(OperationError, match="is a link"), state.held():
        pytest.fail("it is held")
    assert theirs.read_text(encoding="utf-8") == "{}"


def test_recordings_are_the_owner_s(tmp_path: Path) -> None:
    pending = RecordingStore.open(str(tmp_path / "recordings")).create("2026/exchange.parquet")
    pending.stream.write(b"PAR1")
    pending.commit()
    written = tmp_path / "recordings" / "2026" / "exchange.parquet"
    assert (mode(written), mode(written.parent), mode(written.parent.parent)) == (0o600, 0o700, 0o700)


def test_folders_that_appear_meanwhile_are_no_error(tmp_path: Path) -> None:
    make_folder(tmp_path)
    make_folder(tmp_path / "x" / "y")
    assert mode(tmp_path / "x" / "y") == 0o700
