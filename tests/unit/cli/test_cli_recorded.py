"""The commands on recordings: exit codes, JSON, tables, pages, and a sentence for every bad input."""

import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from pulumi_traffic_mirror.cli.app import main
from pulumi_traffic_mirror.operations.recording import (
    Exchange,
    Message,
    Part,
    RecordingReader,
    RecordingStore,
    RecordingWriter,
    Side,
)

_START = datetime(2026, 1, 1, tzinfo=UTC)


def _exchange(number: int, total: int, *, side: Side = Side.PRIMARY, source: str = "v1", seed: int = 0) -> Exchange:
    noise = random.Random(number * 10 + seed)  # noqa: S311 -- test data
    body = json.dumps({"total": total, "at": noise.random(), "note": "<script>alert(1)</script>"}).encode()
    return Exchange(
        request_id=f"{number:032x}",
        side=side,
        source=source,
        started_at=_START + timedelta(milliseconds=number),
        method="GET",
        scheme="http",
        authority="shop.example",
        path=f"/orders/{number}",
        status=200,
        duration_us=2_000,
        request=Part(headers=(("accept", "*/*"),)),
        response=Part(headers=(("content-type", "application/json"),), body=body, body_size=len(body)),
    )


def _record(path: Path, exchanges: Iterable[Exchange]) -> str:
    writer = RecordingWriter(RecordingStore.open(str(path)), instance="t", now=lambda: _START)
    writer.write(list(exchanges))
    writer.close()
    return str(path)


@pytest.fixture
def recording(tmp_path: Path) -> str:
    """40 requests; the mirror's total is wrong in all of them."""
    primary = [_exchange(n, n, seed=1) for n in range(40)]
    mirror = [_exchange(n, -1, side=Side.MIRROR, source="v2", seed=2) for n in range(40)]
    return _record(tmp_path / "recording", [*primary, *mirror])


@pytest.fixture
def baseline(tmp_path: Path) -> str:
    return _record(tmp_path / "baseline", [_exchange(n, n, seed=3) for n in range(40)])


def _damage(recording: str) -> None:
    (file,) = Path(recording).rglob("*.parquet")
    (file.parent / "torn.parquet").write_bytes(file.read_bytes()[:-4])


def _json(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, Any]:
    code = main([*arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_files_are_listed(recording: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, listing = _json(["recordings", "ls", recording], capsys)
    assert (code, [one["rows"] for one in listing["files"]]) == (0, [80])
    assert main(["recordings", "ls", recording]) == 0
    assert "20260101T000000.000000Z-t-000001.parquet" in capsys.readouterr().out


def test_totals_are_shown(recording: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, totals = _json(["recordings", "stats", recording], capsys)
    assert (code, totals["by_side"]) == (0, {"primary": 40, "mirror": 40})
    assert main(["recordings", "stats", recording]) == 0
    assert "GET /orders/{id}" in capsys.readouterr().out


def test_one_exchange_is_shown(recording: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["recordings", "show", recording, "--id", f"{7:032x}", "--side", "mirror"]
    code, found = _json(arguments, capsys)
    assert (code, [(one["path"], one["source"]) for one in found]) == (0, [("/orders/7", "v2")])
    assert main(arguments) == 0
    assert '"total": -1' in capsys.readouterr().out


def test_messages_of_a_stream_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = Message(offset_us=1_500, size=3, data=b"a\xffc")
    call = Exchange(
        request_id="x",
        side=Side.PRIMARY,
        source="",
        started_at=_START,
        method="POST",
        scheme="http",
        authority="a",
        path="/a.B/C",
        grpc_status=5,
        is_grpc=True,
        request=Part(messages=(message,)),
    )
    assert main(["recordings", "show", _record(tmp_path / "r", [call])]) == 0
    out = capsys.readouterr().out
    assert "message +1.5 ms, 3 bytes: a\\xffc" in out
    assert "no response, grpc-status 5" in out


def test_nothing_found_cannot_be_told(recording: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recordings", "show", recording, "--id", "nobody"]) == 2
    assert "No exchange" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["ls", "stats"])
def test_damage_is_exit_code_1(recording: str, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    _damage(recording)
    assert main(["recordings", command, recording]) == 1
    assert "damaged: day=2026-01-01/torn.parquet" in capsys.readouterr().out.replace("\n", "")


@pytest.mark.parametrize(
    "arguments",
    [["recordings", "ls"], ["recordings", "stats"], ["recordings", "show"], ["diff"], ["replay"]],
)
def test_an_empty_recording_is_exit_code_2(
    tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    target = ["http://127.0.0.1:1"] if arguments == ["replay"] else []
    assert main([*arguments, str(tmp_path), *target]) == 2
    error = capsys.readouterr().err
    assert "no finished recording" in error
    assert "Traceback" not in error


def test_a_difference_is_told_from_noise(
    tmp_path: Path, recording: str, baseline: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, result = _json(["diff", recording, "--baseline", baseline], capsys)
    standings = {one["field"]: one["standing"] for one in result["fields"]}
    assert (code, standings) == (1, {"body $.total": "finding", "body $.at": "noise"})
    page = tmp_path / "diff.html"
    assert main(["diff", recording, "--baseline", baseline, "--html", str(page)]) == 1
    out = capsys.readouterr().out
    assert "One field differs more often than it varies by itself" in out
    assert "body $.total" in out
    assert "body $.total" in page.read_text(encoding="utf-8")


def test_an_ignored_difference_is_none(recording: str, baseline: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["diff", recording, "--baseline", baseline, "--ignore", "GET /orders/*|body $.total"]
    assert main(arguments) == 0
    assert "No field differs more often" in capsys.readouterr().out


def test_without_a_baseline_it_says_so(recording: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", recording]) == 1
    assert "without a baseline" in capsys.readouterr().out


def test_one_side_alone_is_told_with_its_reason(baseline: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", baseline]) == 2
    assert "holds only 40 primary" in capsys.readouterr().err


class _Loads(HTMLParser):
    """Notes everything that a page would load or run."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "script" and values.get("type") != "application/json":
            self.found.append(tag)
        self.found += [f"{name}={value}" for name, value in attrs if name in ("src", "href", "onload")]


def test_the_page_stands_alone_and_values_cannot_break_out(tmp_path: Path, recording: str) -> None:
    page = tmp_path / "diff.html"
    path = tmp_path / "evil"
    one = _exchange(1, 1)
    evil = Part(headers=(("content-type", "text/html"),), body=b"</script><script src=//x></script>")
    other = Exchange(**{**{f: getattr(one, f) for f in one.__slots__}, "side": Side.MIRROR, "response": evil})
    main(["diff", _record(path, [one, other]), "--html", str(page)])
    text = page.read_text(encoding="utf-8")
    parser = _Loads()
    parser.feed(text)
    assert parser.found == []
    embedded = text.partition('id="result">')[2].partition("</script>")[0]
    assert json.loads(embedded)["pairs"] == 1


def test_what_an_application_sent_works_nobodys_terminal_and_fits_a_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kind = (("content-type", "application/json"),)
    sides = [
        replace(
            _exchange(1, 1, side=side), response=Part(headers=kind, body=json.dumps(f"\ud83d{side}").encode() + end)
        )
        for side, end in zip(Side, (b"", b"\n"), strict=True)
    ]
    raw = replace(_exchange(2, 2), response=Part(body=b"a\n\x1b[2Jb"))
    recording = _record(tmp_path / "r", [*sides, raw])
    page = tmp_path / "diff.html"
    assert main(["diff", recording, "--html", str(page)]) == 1
    assert r"\ud83dmirror" in page.read_text(encoding="utf-8")
    main(["recordings", "show", recording, "--id", raw.request_id])
    assert "a\n\\x1b[2Jb" in capsys.readouterr().out


def test_a_comparison_that_is_given_up_leaves_nothing_behind(tmp_path: Path, recording: str) -> None:
    hangs = "import sys, threading; from pulumi_traffic_mirror.operations.recording.buckets import PartWriter; "
    hangs += "PartWriter.write = lambda *_: threading.Event().wait(); "
    hangs += "from pulumi_traffic_mirror.cli.app import main; sys.exit(main(sys.argv[1:]))"
    left = tmp_path / "left"
    left.mkdir()
    ended = subprocess.run(
        [sys.executable, "-c", hangs, "diff", recording, "--timeout", "1"],
        env={**os.environ, "TMPDIR": str(left)},
        capture_output=True,
        check=False,
    )
    assert (ended.returncode, list(left.iterdir())) == (2, [])


def test_a_dry_run_tells_what_would_be_sent(recording: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["replay", recording, "http://127.0.0.1:1", "--dry-run", "--max-requests", "30"]
    code, report = _json(arguments, capsys)
    assert (code, report["sent"], report["is_dry_run"], report["stopped_by"]) == (0, 30, True, "limit")
    assert main(arguments) == 0
    assert "would be sent" in capsys.readouterr().out


def test_an_unreachable_target_is_exit_code_1(recording: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", recording, "http://127.0.0.1:1", "--max-requests", "2"]) == 1
    assert "failures: connection refused 2" in capsys.readouterr().out


def test_a_replay_ends_in_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    late = [_exchange(0, 0), _exchange(3_600_000, 0)]
    recording = _record(tmp_path / "late", late)
    main(["replay", recording, "http://127.0.0.1:1", "--timeout", "0.5", "--json"])
    report = json.loads(capsys.readouterr().out)
    assert (report["sent"], report["stopped_by"]) == (1, "timeout")


def test_a_storage_that_does_not_answer_is_given_up_in_time(
    recording: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(RecordingReader, "open", lambda *_: threading.Event().wait())
    assert main(["replay", recording, "http://127.0.0.1:1", "--timeout", "0.2"]) == 2
    assert "did not end within 0.2 s" in capsys.readouterr().err


def test_nothing_to_send_is_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recording = _record(tmp_path / "mirror", [_exchange(1, 1, side=Side.MIRROR)])
    assert main(["replay", recording, "http://127.0.0.1:1"]) == 2
    assert "other side 1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["replay", "RECORDING", "shop.example"], "TARGET"),
        (["replay", "RECORDING", "http://a", "--speed", "0"], "--speed"),
        (["replay", "RECORDING", "http://a", "--allow-side-effects", "yes"], "--allow-side-effects"),
        (["replay", "RECORDING", "http://a", "--rpc", "Get"], "--rpc = 'Get'"),
        (
            ["replay", "RECORDING", "http://a", "--header-file", "/nowhere"],
            "--header-file = '/nowhere': must be a file",
        ),
        (["replay", "RECORDING", "http://a", "--request-timeout", "0"], "--request-timeout"),
        (["diff", "RECORDING", "--sample", "0"], "--sample"),
        (["diff", "RECORDING", "--level", "1"], "--level"),
        (["diff", "RECORDING", "--ignore", ""], "--ignore = ''"),
        (["replay", "RECORDING", "http://a", "--ca", "ca.pem"], "--ca = 'ca.pem': is for a target with https://"),
        (["replay", "RECORDING", "http://a", "--server-name", "a"], "--server-name"),
        (["diff", "RECORDING", "--descriptor-set", "/nowhere"], "--descriptor-set"),
        (["diff", "RECORDING", "--html", "/nowhere/x.html"], "--html"),
        (["diff", "\udcff"], "recording = '\\udcff': must be UTF-8"),
        (["diff", "RECORDING", "--mirror-source", "\udcff"], "must be UTF-8"),
        (["replay", "RECORDING", "http://a", "--result", "a\udcff", "--dry-run"], "must be UTF-8"),
        (["diff", "RECORDING", "--shard", "0"], "--shard = 0: needs --shards"),
        (["replay", "RECORDING", "http://a", "--shard", "1", "--dry-run"], "--shard = 1: needs --shards"),
    ],
)
def test_bad_input_is_a_sentence(
    recording: str, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([recording if one == "RECORDING" else one for one in arguments]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert "Traceback" not in error


def test_a_pod_of_a_job_may_compare_everything(recording: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "3")
    assert main(["replay", recording, "http://127.0.0.1:1", "--dry-run"]) == 0


@pytest.mark.parametrize("content", ["[1]", "{", '{"a": 1}'])
def test_a_header_file_of_another_form_is_refused(
    tmp_path: Path, recording: str, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "headers.json").write_text(content, encoding="utf-8")
    assert main(["replay", recording, "http://a", "--header-file", str(tmp_path / "headers.json")]) == 2
    assert "JSON object of texts" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["recordings"], ["replay"], ["diff"]])
def test_help_has_an_example(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--help"]) == 0
    assert "Examples:" in capsys.readouterr().out
