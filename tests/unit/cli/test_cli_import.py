"""``recordings import``: scrubbed before it is written, whole or not at all, and nothing left out unsaid."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from pulumi_traffic_mirror.cli import app as cli_app
from pulumi_traffic_mirror.cli.app import main
from pulumi_traffic_mirror.operations.recording import Exchange, RecordingReader, RecordingWriter
from pulumi_traffic_mirror.operations.recording.formats import TABLE, Format, importing
from pulumi_traffic_mirror.operations.recording.formats.gor import SEPARATOR
from pulumi_traffic_mirror.operations.recording.formats.table import as_markdown
from pulumi_traffic_mirror.operations.recording.schema import from_batch

DATA = Path(__file__).parents[2] / "data/formats"
BEGUN = 1_767_225_600_000_000_000


def capture(path: Path, count: int, *, first: int = 0, email: str = "a@shop.example") -> Path:
    body = json.dumps({"email": email, "password": "fake"}).encode()
    request = b"POST /a?token=fake HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer fake\r\nX-User: fake-user\r\n"
    request += b"content-length: %d\r\n\r\n%b" % (len(body), body)
    answer = b"HTTP/1.1 200 OK\r\nset-cookie: s=fake\r\ncontent-length: 2\r\n\r\nok"
    with path.open("wb") as file:
        for number in range(first, first + count):
            at = BEGUN + number * 1_000_000
            for kind, message in ((1, request), (2, answer)):
                file.write(f"{kind} {number:024x} {at} 0\n".encode() + message + SEPARATOR)
    return path


def run(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    code = main(["recordings", "import", *map(str, words)])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def exchanges(recording: Path) -> list[Exchange]:
    reader = RecordingReader.open(str(recording))
    return [one for group in reader.row_groups() for batch in reader.read(group) for one in from_batch(batch)]


def test_nothing_secret_is_ever_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = capture(tmp_path / "a.gor", 3)
    code, out, _ = run(capsys, file, "--to", tmp_path / "to", "--redact", "header:X-User", "--redact", "json:$..email")
    assert code == 0
    assert "6 messages of GoReplay gave 3 exchanges" in out
    assert out.splitlines()[-1].startswith("Not told by this format: whether the client used TLS; ")
    found = exchanges(tmp_path / "to")
    assert len(found) == 3
    assert all(secret not in repr(found) for secret in ("fake", "a@shop.example"))
    assert found[0].request.body == b'{"email": "[redacted]", "password": "[redacted]"}'
    assert main(["recordings", "stats", str(tmp_path / "to")]) == 0
    assert main(["recordings", "ls", str(tmp_path / "to")]) == 0
    assert "day=2026-01-01/" in capsys.readouterr().out


def test_a_replay_s_result_keeps_to_the_import_s_rules(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, capture(tmp_path / "a.gor", 1), "--to", tmp_path / "to", "--redact", "header:x-user")
    (metadata,) = (metadata for _, metadata, _ in RecordingReader.open(str(tmp_path / "to")).metadata())
    assert "x-user" in json.dumps({k.decode(): v.decode() for k, v in metadata.items()})


def test_files_of_one_capture_may_come_in_any_order_and_packed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [capture(tmp_path / f"c_{number}.gor", 5, first=number * 5) for number in range(12)]
    packed = tmp_path / "c_12.gor.gz"
    packed.write_bytes(gzip.compress(capture(tmp_path / "x", 5, first=60).read_bytes()))
    code, out, _ = run(capsys, *sorted(files), packed, "--to", tmp_path / "to", "--json", "--side", "mirror")
    assert (code, json.loads(out)["exchanges"]) == (0, 65)
    found = exchanges(tmp_path / "to")
    assert [one.started_at for one in found] == sorted(one.started_at for one in found)
    assert {(one.side, one.source) for one in found} == {("mirror", "gor")}


def test_what_is_left_out_is_said_and_ends_with_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = capture(tmp_path / "a.gor", 2)
    file.write_bytes(file.read_bytes() + b"rubbish" + SEPARATOR + b"1 ab 1 1\nGET")
    code, out, _ = run(capsys, file, "--to", tmp_path / "to")
    assert code == 1
    assert "refused: 1 messages: cut by the end of the file" in out
    assert "refused: 1 messages: no line of GoReplay's before it" in out


def test_a_file_that_grows_while_it_is_read_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = capture(tmp_path / "a.gor", 2)
    write = RecordingWriter.write

    def grow(writer: RecordingWriter, batch: Any) -> None:
        with file.open("ab") as more:
            more.write(b"1 ")
        write(writer, batch)

    monkeypatch.setattr(RecordingWriter, "write", grow)
    code, out, _ = run(capsys, file, "--to", tmp_path / "to")
    assert code == 1
    assert f"changed while it was read: {file}" in out


def test_formats_cannot_be_mixed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "b"
    other.write_bytes(b"neither here nor there")
    code, _, err = run(capsys, capture(tmp_path / "a.gor", 1), other, "--to", tmp_path / "to")
    assert code == 2
    assert f"FILE = '{other}': must be of one of these formats: gor (GoReplay)" in err
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\xd4\xc3\xb2\xa1\x02\x00", "is a capture of packets"),
        (b"\x0a\x0d\x0d\x0a\x1c\x00", "tshark"),
        (b"PAR1....", "is a recording of this kind already"),
        (b"\x1f\x8b\x08\x00broken", "must be whole"),
        (gzip.compress(b"1 a 1 1\nGET / HTTP/1.1\r\n\r\n" * 99, mtime=0)[:-9], "must be whole"),
    ],
)
def test_foreign_and_broken_files_are_refused(
    content: bytes, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a").write_bytes(content)
    code, out, err = run(capsys, tmp_path / "a", "--to", tmp_path / "to")
    assert (code, out) == (2, "")
    assert words in err
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--redact", "x-user"], "must be KIND:NAME"),
        (["--redact", "header:"], "must be KIND:NAME"),
        (["--redact", "header:a b"], "--redact"),
        (["--redact", "json:$["], "--redact"),
        (["--redact", "protobuf:shop.v1.Order.card"], "needs a descriptor set"),
        (["--descriptor-set", "nowhere"], "--descriptor-set"),
        (["--descriptor-set", __file__], "--descriptor-set"),
        (["--source", "\udcff"], "--source = '\\udcff': must be UTF-8"),
        (["--to", ""], "--to"),
        (["--timeout", "0"], "--timeout"),
    ],
)
def test_bad_options_are_named(words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, capture(tmp_path / "a.gor", 1), "--to", tmp_path / "to", *words)
    assert code == 2
    assert said in err
    assert not (tmp_path / "to").exists()


def test_a_file_that_is_named_twice_is_read_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    file, link = capture(tmp_path / "in" / "a.gor", 1), tmp_path / "link.gor"
    link.symlink_to(file)
    code, out, _ = run(capsys, file, tmp_path / "in", link, "--to", tmp_path / "to", "--json")
    result = json.loads(out)
    assert (code, result["records"], result["exchanges"], result["refused"]) == (0, 2, 1, {})


def test_a_folder_stands_for_its_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, DATA / "tap-json-streamed", "--to", tmp_path / "to", "--json")
    result = json.loads(out)
    assert (code, result["exchanges"], result["cut"]) == (0, 8, 1)
    assert result["remarks"] == {"exchanges without times of their own; they have the file's": 8}
    code, out, _ = run(capsys, DATA / "gor", DATA / "tap-json", "--to", tmp_path / "other")
    assert (code, out) == (2, "")


def test_an_empty_folder_and_a_missing_file_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "nowhere"):
        code, _, err = run(capsys, path, "--to", tmp_path / "to")
        assert code == 2
        assert "must be a file" in err


def test_nothing_is_added_to_another_recording(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = capture(tmp_path / "a.gor", 1)
    assert run(capsys, file, "--to", tmp_path / "to")[0] == 0
    code, _, err = run(capsys, file, "--to", tmp_path / "to")
    assert code == 2
    assert "must hold no recording yet" in err
    assert len(exchanges(tmp_path / "to")) == 1


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_after_an_error_nothing_is_left(
    error: BaseException, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = capture(tmp_path / "a.gor", 1_200)
    write, calls = RecordingWriter.write, []

    def fail(writer: RecordingWriter, batch: Any) -> None:
        calls.append(len(batch))
        write(writer, batch)
        writer.roll()
        if len(calls) == 2:
            raise error

    monkeypatch.setattr(RecordingWriter, "write", fail)
    code, out, _ = run(capsys, file, "--to", tmp_path / "to")
    assert (code, out) == (cli_app.INTERRUPTED if isinstance(error, KeyboardInterrupt) else 2, "")
    assert [name for _, _, names in os.walk(tmp_path / "to") for name in names] == []


def test_it_gives_up_in_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "_BATCH", 1)
    clock = iter(range(0, 1_000_000, 10))
    monkeypatch.setattr("pulumi_traffic_mirror.cli.longwork.time.monotonic", lambda: float(next(clock)))
    code, _, err = run(capsys, capture(tmp_path / "a.gor", 50), "--to", tmp_path / "to", "--timeout", "60")
    assert code == 2
    assert "did not end within 60 s" in err
    assert not list((tmp_path / "to").rglob("*.parquet"))


def test_nothing_that_could_be_imported_is_cannot_tell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.gor").write_bytes(b"2 ab 1 1\nHTTP/1.1 204 No\r\n\r\n" + SEPARATOR)
    code, out, _ = run(capsys, tmp_path / "a.gor", "--to", tmp_path / "to")
    assert code == 2
    assert "refused: 1 messages: answer without its request" in out


def test_every_format_says_what_it_loses() -> None:
    assert set(TABLE) == set(Format) == set(importing.READERS)
    assert all(traits.loses for traits in TABLE.values())


def test_the_guide_has_the_table() -> None:
    guide = Path(__file__).parents[3] / "docs/guides/import-recordings.md"
    assert f"\n{as_markdown()}\n" in guide.read_text(encoding="utf-8")


def test_sessions_are_told_by_a_hash_and_replayed_by_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = capture(tmp_path / "a.gor", 3)
    assert run(capsys, file, "--to", tmp_path / "none")[0] == 0
    code, _, said = run(capsys, file, "--to", tmp_path / "wrong", "--session", "sid")
    assert (code, "--session" in said, (tmp_path / "wrong").exists()) == (2, True, False)
    assert run(capsys, file, "--to", tmp_path / "to", "--session", "cookie:s")[0] == 0
    assert "s=fake" not in repr(exchanges(tmp_path / "to"))
    without: list[int] = []
    for place in ("none", "to"):
        words = [
            "replay",
            str(tmp_path / place),
            "http://a",
            "--allow-side-effects",
            "a test double",
            "--by",
            "session",
        ]
        assert main([*words, "--dry-run", "--json"]) == 0
        without.append(json.loads(capsys.readouterr().out)["without_session"])
    assert without == [3, 0]
