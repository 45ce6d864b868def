"""What the tools write here and now is imported to the same exchanges as their files in tests/data."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pulumi_traffic_mirror.operations.recording import Exchange, Part, RecordingReader, RecordingStore
from pulumi_traffic_mirror.operations.recording.formats import Imported, import_files
from pulumi_traffic_mirror.operations.recording.schema import from_batch
from tests.formats import tools
from tests.formats.making import MAKERS

pytestmark = [pytest.mark.other_tools, pytest.mark.timeout(900)]

DATA = Path(__file__).parents[1] / "data/formats"
_TIMES = {"date", "x-envoy-upstream-service-time"}
_ANY_TIME = datetime(2026, 1, 1, tzinfo=UTC)


def imported(folder: Path, into: Path) -> tuple[Imported, list[Exchange]]:
    mitmdump = str(tools.mitmproxy()) if folder.name == "mitmproxy" else ""
    result = import_files([folder], RecordingStore.open(str(into)), mitmdump=mitmdump)
    return result, sorted(
        map(timeless, exchanges(into)), key=lambda one: (one.path, one.source, one.response.body_size)
    )


def exchanges(recording: Path) -> Iterator[Exchange]:
    reader = RecordingReader.open(str(recording))
    for group in reader.row_groups():
        for batch in reader.read(group):
            yield from from_batch(batch)


def timeless(one: Exchange) -> Exchange:
    """Without what differs from run to run: times and the tool's own identifiers."""
    parts = {name: _timeless_part(part) for name, part in (("request", one.request), ("response", one.response))}
    return replace(one, request_id="", started_at=_ANY_TIME, first_byte_us=None, duration_us=None, **parts)


def _timeless_part(part: Part) -> Part:
    """Without times, and in one order: grpc-go puts headers in any."""
    headers = tuple(sorted(header for header in part.headers if header[0] not in _TIMES))
    return replace(part, headers=headers, messages=tuple(replace(each, offset_us=0) for each in part.messages))


@pytest.mark.parametrize("name", MAKERS)
def test_what_the_tool_writes_today_is_imported_as_before(name: str, tmp_path: Path) -> None:
    if name == "grpc-java" and not tools.grpc_java():
        pytest.skip("neither Maven nor a JDK")
    made = tmp_path / name
    made.mkdir()
    MAKERS[name](made)
    now, before = imported(made, tmp_path / "now"), imported(DATA / name, tmp_path / "before")
    assert now[1] == before[1]
    assert summary(now[0]) == summary(before[0])


def summary(result: Imported) -> dict[str, Any]:
    return {"exchanges": result.exchanges, "cut": result.cut, "refused": result.refused, "remarks": result.remarks}
