"""A comparison that goes on while recordings grow ends where one of the whole would, in bounded memory."""

import json
import os
import random
import signal
import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pulumi_traffic_mirror.cli.app import main
from pulumi_traffic_mirror.model import ValidationError
from pulumi_traffic_mirror.operations.diff import DiffJob, Follower, Source, diff, one_recording
from pulumi_traffic_mirror.operations.diff.following import MIRROR
from pulumi_traffic_mirror.operations.diff.page import to_json
from pulumi_traffic_mirror.operations.errors import OperationError
from pulumi_traffic_mirror.operations.recording import Exchange, Part, RecordingStore, RecordingWriter, Side

_START = datetime(2026, 1, 1, tzinfo=UTC)


def _exchange(number: int, total: int, side: Side = Side.PRIMARY, source: str = "v1") -> Exchange:
    body = json.dumps({"total": total, "at": random.random()}).encode()  # noqa: S311 -- test data
    return Exchange(
        request_id=f"{number:032x}",
        side=side,
        source=source,
        started_at=_START + timedelta(milliseconds=number),
        method="GET",
        scheme="http",
        authority="a",
        path="/orders",
        status=200,
        duration_us=1_000,
        response=Part(headers=(("content-type", "application/json"),), body=body, body_size=len(body)),
    )


def _append(directory: Path, exchanges: Iterable[Exchange]) -> None:
    """Add one finished file."""
    writer = RecordingWriter(RecordingStore.open(str(directory)), instance=f"t{len(list(directory.rglob('*')))}")
    writer.write(list(exchanges))
    writer.close()


def _traffic(numbers: range, *, planted: bool) -> list[list[Exchange]]:
    """Files as three recorders write them: primary, a second instance of it, mirror; they come in any order."""
    return [
        [_exchange(n, n) for n in numbers],
        [_exchange(n, n, source="v1-second") for n in numbers],
        [_exchange(n, -1 if planted else n, Side.MIRROR, "v2") for n in numbers],
    ]


def _job(directory: Path) -> DiffJob:
    recording = str(directory)
    return replace(
        one_recording(recording, baseline=[Source(recording=recording, side=Side.PRIMARY, source="v1-second")]),
        primary=Source(recording=recording, side=Side.PRIMARY, source="v1"),
    )


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
@pytest.mark.parametrize("planted", [True, False])
def test_a_growing_recording_ends_with_the_result_of_the_whole(
    tmp_path: Path, order: tuple[int, ...], planted: bool
) -> None:
    follower = Follower(_job(tmp_path))
    assert follower.step() == 0, "the recorder has not finished a file yet"
    with pytest.raises(OperationError, match="answer on both sides"):
        follower.result()
    for first in range(0, 200, 100):
        files = _traffic(range(first, first + 100), planted=planted)
        for place in order:
            _append(tmp_path, files[place])
            assert follower.step() == 1
    assert follower.step() == 0
    result = follower.result()
    assert {field.field for field in result.findings} == ({"body $.total"} if planted else set())
    assert {field.field for field in result.noise} == {"body $.at"}

    def comparable(document: Any) -> Any:
        return {**document, "fields": [{**one, "examples": ()} for one in document["fields"]]}

    assert comparable(to_json(result)) == comparable(to_json(diff(_job(tmp_path))))


def test_memory_is_bounded_and_what_is_let_go_counts_as_unpaired(tmp_path: Path) -> None:
    follower = Follower(one_recording(str(tmp_path)), max_waiting=10)
    _append(tmp_path, [_exchange(n, n, Side.MIRROR) for n in range(50)])
    follower.step()
    _append(tmp_path, [_exchange(n, n) for n in range(45, 50)])
    follower.step()
    result = follower.result()
    assert (result.pairs, result.unpaired, result.unanswered) == (5, 45, 0)


def test_memory_is_bounded_also_when_one_identifier_comes_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pulumi_traffic_mirror.operations.diff.following.MAX_WAITING_BYTES", 10_000)
    follower = Follower(one_recording(str(tmp_path)))
    _append(tmp_path, [replace(_exchange(1, 1, Side.MIRROR), response=Part()) for _ in range(1_000)])
    follower.step()
    assert sum(len(each.waiting[MIRROR]) for each in follower._requests.values()) < 50


def test_surplus_answers_and_those_without_identifier_are_counted(tmp_path: Path) -> None:
    follower = Follower(one_recording(str(tmp_path)))
    twice = [_exchange(1, 1, Side.MIRROR), _exchange(1, 1, Side.MIRROR)]
    _append(tmp_path, [_exchange(1, 1), *twice, replace(_exchange(2, 2), request_id="")])
    follower.step()
    result = follower.result()
    assert (result.pairs, result.surplus, result.without_id) == (1, 1, 1)


def test_damage_is_noted_and_the_rest_compared(tmp_path: Path) -> None:
    _append(tmp_path, [_exchange(1, 1), _exchange(1, 1, Side.MIRROR)])
    (file,) = tmp_path.rglob("*.parquet")
    (file.parent / "torn.parquet").write_bytes(file.read_bytes()[:-4])
    follower = Follower(one_recording(str(tmp_path)))
    follower.step()
    result = follower.result()
    assert (result.pairs, len(result.damage), result.exit_code) == (1, 1, 1)


def test_a_file_that_is_being_copied_is_read_once_it_is_whole(tmp_path: Path) -> None:
    _append(tmp_path / "there", [_exchange(n, n, side) for n in range(9) for side in Side])
    (file,) = (tmp_path / "there").rglob("*.parquet")
    here = tmp_path / "here"
    _append(here, [_exchange(n, n, side) for n in range(10, 12) for side in Side])
    follower = Follower(one_recording(str(here)))
    (here / "copied.parquet").write_bytes(file.read_bytes()[:-9])
    assert follower.step() == 1
    assert len(follower.result().damage) == 1
    (here / "copied.parquet").write_bytes(file.read_bytes())
    assert follower.step() == 1
    assert (follower.result().damage, follower.pairs) == ((), 11)


def test_another_schema_version_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    with pytest.raises(ValidationError, match="schema version must be"):
        Follower(one_recording(str(tmp_path))).step()


def test_the_command_tells_the_result_so_far_until_its_time_is_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in _traffic(range(100), planted=True):
        _append(tmp_path, file)
    options = ("--primary-source", "v1", "--baseline-source", "v1-second", "--follow", "--timeout", "0.2", "--json")
    assert main(["diff", str(tmp_path), *options]) == 1
    shown = capsys.readouterr()
    assert json.loads(shown.out)["fields"][0]["field"] == "body $.total"
    assert shown.err.count("One field differs") == 2, "once when it was found, once at the end"


def test_the_command_without_any_pair_cannot_tell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", str(tmp_path / "nothing"), "--follow", "--timeout", "0.1"]) == 2
    assert "No request has an answer on both sides" in capsys.readouterr().err


def test_ctrl_c_ends_following_with_the_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _append(tmp_path, [_exchange(n, n, side) for n in range(9) for side in Side])
    page = tmp_path / "page.html"

    def interrupt_once_told() -> None:
        while not page.exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt_once_told, daemon=True).start()
    assert main(["diff", str(tmp_path), "--follow", "--every", "60", "--html", str(page), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["pairs"] == 9
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
