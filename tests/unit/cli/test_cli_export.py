"""``recordings export``: files of other tools, and what is left out."""

import json
from pathlib import Path

import pytest

from pulumi_traffic_mirror.cli.app import main

DATA = Path(__file__).parents[2] / "data/formats"


@pytest.fixture
def recording(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """What GoReplay captured."""
    main(["recordings", "import", str(DATA / "gor"), "--to", str(tmp_path / "recording")])
    capsys.readouterr()
    return tmp_path / "recording"


@pytest.fixture
def calls(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """What grpc-go logged."""
    main(["recordings", "import", str(DATA / "grpc-go"), "--to", str(tmp_path / "calls")])
    capsys.readouterr()
    return tmp_path / "calls"


def run(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    code = main(["recordings", "export", *map(str, words)])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def test_goreplay_s_file_is_written_whole(recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, recording, tmp_path / "x.gor")
    assert code == 0
    assert f"7 requests and 7 answers of 7 exchanges are in {tmp_path / 'x.gor'}." in out
    assert "note: 2 requests carry [redacted] in the place of values" in out
    assert (tmp_path / "x.gor").stat().st_mode & 0o777 == 0o600
    assert main(["recordings", "import", str(tmp_path / "x.gor"), "--to", str(tmp_path / "again")]) == 0


def test_ghz_gets_a_method_s_data_and_the_command_is_shown(
    calls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (calls, tmp_path / "get.bin", "--format", "ghz", "--rpc", "shop.v1.Shop/Get")
    code, out, _ = run(capsys, *words)
    assert code == 0
    assert "ghz --call shop.v1.Shop.Get --binary-file" in out
    # Each of two calls was logged by both sides.
    assert sorted((tmp_path / "get.bin").read_bytes().split(b"\n")) == sorted(
        b"\x03\n\x01a\x03\n\x01a\t\n\x07missing\t\n\x07missing".split(b"\n")
    )


def test_what_is_left_out_is_said(calls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--format", "ghz", "--rpc", "shop.v1.Shop/Chat", "--json")
    code, out, _ = run(capsys, calls, tmp_path / "chat.bin", *words)
    result = json.loads(out)
    assert (code, result["requests"]) == (1, 2)
    assert result["refused"] == {"requests of another number of messages than one": 2}


def test_nothing_to_write_leaves_no_file(calls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, calls, tmp_path / "x.gor")
    assert code == 2
    assert "left out: 8 requests of gRPC, which HTTP/1 does not have" in out
    assert not (tmp_path / "x.gor").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--format", "ghz"], "--rpc"),
        (["--rpc", "shop.v1.Shop/Get"], "--rpc"),
        (["--format", "ghz", "--rpc", "Get"], "--rpc"),
        (["--format", "har"], "--format"),
    ],
)
def test_bad_options_are_named(
    words: list[str], said: str, recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, recording, tmp_path / "out", *words)
    assert code == 2
    assert said in err
    assert not (tmp_path / "out").exists()


def test_places_that_cannot_be_written_are_named(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").write_text("mine")
    for place in (tmp_path / "mine", tmp_path / "nowhere/x.gor", tmp_path):
        code, _, err = run(capsys, recording, place)
        assert code == 2
        assert "FILE" in err
    assert run(capsys, tmp_path / "nothing", tmp_path / "x.gor")[0] == 2
