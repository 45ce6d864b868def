"""Other tools read a recording as it is, while it is being written, by the statements of the documentation."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow.dataset
import pyarrow.parquet
import pytest

from pulumi_traffic_mirror.operations.recording import Exchange, Part, RecordingStore, RecordingWriter, RollLimits, Side

PAGE = Path(__file__).parents[3] / "docs" / "recordings-in-sql.md"
_START = datetime(2026, 1, 2, tzinfo=UTC)
# Neither has types that the checker can follow everywhere.
duckdb: Any = import_module("duckdb")
polars: Any = import_module("polars")


def exchange(number: int, side: Side) -> Exchange:
    body = b"right" if side is Side.PRIMARY or number != 3 else b"wrong"
    return Exchange(
        request_id=f"id-{number}",
        side=side,
        source="s",
        started_at=_START + timedelta(milliseconds=number),
        method="GET",
        scheme="http",
        authority="a",
        path=f"/{'ab'[number % 2]}?n={number}",
        status=503 if number == 4 else 200,
        duration_us=1_000 * number,
        response=Part(headers=(("x-pod", f"p{number % 2}"), ("x-pod", "other")), body=body, body_size=len(body)),
    )


@pytest.fixture
def recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """One finished file, one at which a recorder still writes; the folder is called as in the documentation."""
    folder = tmp_path / "recordings"
    exchanges = [exchange(number, side) for number in range(10) for side in Side]
    finished, unfinished = (
        RecordingWriter(
            RecordingStore.open(str(folder)), instance=name, limits=RollLimits(row_group_bytes=1), now=lambda: _START
        )
        for name in ("done", "at-work")
    )
    finished.write(exchanges)
    finished.close()
    unfinished.write(exchanges)
    monkeypatch.chdir(tmp_path)
    yield folder
    unfinished.close()


def statements(engine: str) -> list[str]:
    return re.findall(rf"^```sql {engine}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_a_folder_is_read_while_a_recorder_writes_into_it(recording: Path) -> None:
    (hidden,) = [one for one in recording.rglob("*") if one.name.endswith(".unfinished")]
    assert hidden.name.startswith("_")
    dataset: Any = pyarrow.dataset.dataset(str(recording), partitioning="hive")
    assert dataset.count_rows() == 20
    assert pyarrow.parquet.read_table(str(recording)).num_rows == 20
    assert polars.scan_parquet(str(recording / "**" / "*.parquet")).collect().height == 20


def test_what_others_hide_is_no_part_of_a_recording(recording: Path) -> None:
    (finished,) = recording.rglob("*.parquet")
    for name in ("_hidden.parquet", ".hidden.parquet"):
        (finished.parent / name).write_bytes(b"of another tool")
    assert [Path(file.path) for file in RecordingStore.open(str(recording)).files()] == [finished]


def test_duckdb_runs_the_documentation_s_statements(recording: Path) -> None:
    by_path, differing, pods = (duckdb.connect().execute(one).fetchall() for one in statements("duckdb"))
    assert by_path[0] == ("mirror", "/a", 5, 0.2, 4.0, pytest.approx(7.92))
    assert [row[:2] for row in differing] == [("id-3", "/b?n=3")]
    assert pods == [("p0", 10), ("p1", 10)]


def test_polars_runs_the_documentation_s_statements(recording: Path) -> None:
    context = polars.SQLContext(recording=polars.scan_parquet("recordings/**/*.parquet"))
    by_path, differing = (context.execute(one).collect().rows() for one in statements("polars"))
    assert by_path[0] == ("mirror", "/a", 5, 0.2, 4.0, pytest.approx(7.92))
    assert [row[:2] for row in differing] == [("id-3", "/b?n=3")]
