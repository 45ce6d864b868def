"""Every command on recordings, given one that is damaged, of another version, empty, or has nothing that fits."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pulumi_traffic_mirror.cli.app import main
from pulumi_traffic_mirror.operations.recording import (
    Exchange,
    Part,
    RecordingStore,
    RecordingWriter,
    RollLimits,
    Side,
)

_START = datetime(2026, 1, 1, tzinfo=UTC)
COMMANDS = {
    "ls": ["recordings", "ls", "RECORDING"],
    "stats": ["recordings", "stats", "RECORDING"],
    "show": ["recordings", "show", "RECORDING", "--limit", "100"],
    "replay": ["replay", "RECORDING", "http://127.0.0.1:1", "--dry-run"],
    "diff": ["diff", "RECORDING"],
    "diff --follow": ["diff", "RECORDING", "--follow", "--timeout", "0.1"],
}
READS_BODIES = sorted(set(COMMANDS) - {"ls"})
"""``ls`` reads nothing but footers."""


def run(command: str, recording: Path, more: Sequence[str] = ()) -> int:
    return main([str(recording) if word == "RECORDING" else word for word in (*COMMANDS[command], *more)])


def exchange(number: int, side: Side) -> Exchange:
    body = bytes((number * place) % 251 for place in range(5_000))
    return Exchange(
        request_id=f"{number:032x}",
        side=side,
        source="gateway",
        started_at=_START + timedelta(milliseconds=number),
        method="GET",
        scheme="http",
        authority="shop.example",
        path="/orders",
        status=200,
        response=Part(headers=(("content-type", "application/octet-stream"),), body=body, body_size=len(body)),
    )


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Three row groups, both sides of one request in each; the sides do not differ."""
    limits = RollLimits(row_group_bytes=10_000)
    folder = tmp_path / "recording"
    writer = RecordingWriter(RecordingStore.open(str(folder)), instance="t", limits=limits, now=lambda: _START)
    for number in (3, 5, 7):
        writer.write([exchange(number, side) for side in Side])
    writer.close()
    assert pq.ParquetFile(file_of(folder)).metadata.num_row_groups == 3
    return folder


def file_of(folder: Path) -> Path:
    (file,) = folder.rglob("*.parquet")
    return file


def damage_middle_row_group(file: Path) -> None:
    """Flip bits in the middle of every column, so that whoever reads any of them meets the damage."""
    group = pq.ParquetFile(file).metadata.row_group(1)
    content = bytearray(file.read_bytes())
    for index in range(group.num_columns):
        column = group.column(index)
        start = column.dictionary_page_offset or column.data_page_offset
        content[start + column.total_compressed_size - 3] ^= 0xFF
    file.write_bytes(content)


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_a_whole_recording_is_no_trouble(command: str, recording: Path) -> None:
    assert run(command, recording, ["--json"]) == 0


@pytest.mark.parametrize("command", READS_BODIES)
def test_a_damaged_row_group_is_skipped_counted_and_exit_code_1(
    command: str, recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage_middle_row_group(file_of(recording))
    assert run(command, recording) == 1
    shown = capsys.readouterr()
    assert shown.out.lower().count("damaged:") == 1
    assert "Traceback" not in shown.err


def test_damage_is_said_beside_a_result_for_machines(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damage_middle_row_group(file_of(recording))
    assert run("show", recording, ["--json"]) == 1
    shown = capsys.readouterr()
    assert len(json.loads(shown.out)) == 4
    assert "damaged: " in shown.err


@pytest.mark.parametrize("version", [b"2", b""])
@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_another_schema_version_is_exit_code_2(
    command: str, recording: Path, version: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    file = file_of(recording)
    table = pq.read_table(file)
    pq.write_table(table.replace_schema_metadata({b"traffic_mirror.schema_version": version}), file)
    assert run(command, recording) == 2
    error = capsys.readouterr().err
    assert "schema version must be 1" in error
    assert "Traceback" not in error


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_a_place_without_recordings_is_exit_code_2(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(command, tmp_path / "nothing") == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "more", "said"),
    [
        ("show", ["--path", "/nobody"], "No exchange fulfils these conditions"),
        ("diff", ["--mirror-source", "nobody"], "No request has an answer on both sides"),
        ("diff --follow", ["--mirror-source", "nobody"], "No request has an answer on both sides"),
    ],
)
def test_nothing_that_fits_is_exit_code_2(
    command: str, more: list[str], said: str, recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(command, recording, more) == 2
    assert said in capsys.readouterr().err
