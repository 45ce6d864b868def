"""What is written for other tools is what was recorded, byte for byte, or is left out and counted."""

import gzip
import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulumi_traffic_mirror.model import RpcMethod, ValidationError
from pulumi_traffic_mirror.operations.recording import (
    Exchange,
    Message,
    Part,
    RecordingReader,
    RecordingStore,
    RecordingWriter,
    Side,
)
from pulumi_traffic_mirror.operations.recording.assembling import LARGEST
from pulumi_traffic_mirror.operations.recording.formats import Exported, Target, export, gor
from pulumi_traffic_mirror.operations.recording.formats.exporting import request_bytes, response_bytes
from pulumi_traffic_mirror.operations.recording.formats.http1 import read_request, read_response
from pulumi_traffic_mirror.operations.recording.formats.tally import Refused, Tally
from pulumi_traffic_mirror.operations.recording.formats.varints import read_varint

WRITTEN = Path(__file__).parents[3] / "data/formats/gor/calls_0.gor"
BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
GET = RpcMethod("shop.v1.Shop/Get")


def exchange(**changes: Any) -> Exchange:
    known: dict[str, Any] = {
        "request_id": "r",
        "side": Side.PRIMARY,
        "source": "v1",
        "started_at": BEGUN,
        "method": "POST",
        "scheme": "http",
        "authority": "shop.example",
        "path": "/a",
        "status": 200,
        "first_byte_us": 5,
        "duration_us": 7,
        "request": Part(headers=(("x-a", "1"), ("content-length", "9"), ("x-b", "2")), body=b"body", body_size=4),
        "response": Part(body=b"ok", body_size=2),
    }
    return Exchange(**known | changes)


def call(*messages: bytes, **changes: Any) -> Exchange:
    part = Part(messages=tuple(Message(offset_us=0, size=len(data), data=data) for data in messages))
    return exchange(is_grpc=True, path=GET.path, request=part, **changes)


def exported(folder: Path, *exchanges: Exchange, target: Target = Target.GOR, **options: Any) -> tuple[Exported, bytes]:
    writer = RecordingWriter(RecordingStore.open(str(folder / "recording")), instance="t", now=lambda: BEGUN)
    writer.write(exchanges)
    writer.close()
    result = export(RecordingReader.open(str(folder / "recording")), folder / "out", target, **options)
    return result, (folder / "out").read_bytes()


def read_gor(content: bytes) -> list[Exchange]:
    tally = Tally()
    return list(gor.Pairing(tally, source="gor").exchanges(gor.read_records(io.BytesIO(content), tally)))


def test_what_goreplay_captured_comes_back_as_it_was(tmp_path: Path) -> None:
    found = read_gor(WRITTEN.read_bytes())
    result, content = exported(tmp_path, *found)
    assert (result.requests, result.answers, result.refused) == (7, 7, {})
    again = read_gor(content)
    order = [replace(one, duration_us=0) for one in sorted(found, key=lambda one: one.started_at)]
    assert [replace(one, duration_us=0) for one in again] == order


def test_messages_are_exact() -> None:
    assert request_bytes(exchange()) == (
        b"POST /a HTTP/1.1\r\nhost: shop.example\r\nx-a: 1\r\ncontent-length: 4\r\nx-b: 2\r\n\r\nbody"
    )
    assert response_bytes(exchange()) == b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    assert response_bytes(exchange(status=799, response=Part())) == b"HTTP/1.1 799 \r\n\r\n"


def test_trailers_come_behind_a_chunk() -> None:
    part = Part(headers=(("trailer", "x-sum"),), body=b"0123456789", trailers=(("x-sum", "1"),))
    assert response_bytes(exchange(response=part)).endswith(
        b"\r\ntransfer-encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\nx-sum: 1\r\n\r\n"
    )


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 304), ("GET", 204)])
def test_answers_without_a_body_keep_what_their_headers_say(method: str, status: int) -> None:
    length = (("content-length", "99"),)
    written = response_bytes(exchange(method=method, status=status, response=Part(headers=length)))
    assert written.endswith(b"\r\ncontent-length: 99\r\n\r\n")


_TOKENS = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=8).filter(
    lambda name: name not in ("host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer")
)
_VALUES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=8).filter(
    lambda value: not any(0x7F <= ord(letter) < 0xA0 for letter in value)
)
_HEADERS = st.lists(st.tuples(_TOKENS, _VALUES), max_size=4).map(tuple)


@given(headers=_HEADERS, body=st.binary(max_size=50), trailers=_HEADERS, path=_VALUES.filter(str.isascii))
def test_what_is_written_is_read_as_it_was(headers: Any, body: bytes, trailers: Any, path: str) -> None:
    part = Part(headers=headers, body=body, body_size=len(body), trailers=trailers)
    one = exchange(path=f"/{path}", request=part, response=part)
    head, request = read_request(request_bytes(one))
    assert (head.method, head.target, head.host) == ("POST", f"/{path}", "shop.example")
    _, response = read_response(response_bytes(one))
    for found in (request, response):
        bare = tuple(header for header in found.headers if header[0] not in ("content-length", "transfer-encoding"))
        assert (bare, found.body, found.trailers, found.truncated) == (headers, body, trailers, False)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"is_grpc": True}, "of gRPC, which HTTP/1 does not have"),
        ({"path": "/a b"}, "with a method or path that HTTP/1 does not have"),
        ({"path": "/a\r\nx: y"}, "with a method or path that HTTP/1 does not have"),
        ({"path": ""}, "with a method or path that HTTP/1 does not have"),
        ({"method": "GET /b HTTP/1.1\r\n"}, "with a method or path that HTTP/1 does not have"),
        ({"request": Part(headers=(("x", "a\r\nb: c"),))}, "with headers that HTTP/1 does not have"),
        ({"request": Part(headers=(("x:", "a"),))}, "with headers that HTTP/1 does not have"),
        ({"authority": "a\nb"}, "with headers that HTTP/1 does not have"),
        ({"request": Part(truncated=True)}, "that were not recorded whole"),
        ({"request": Part(body=gor.SEPARATOR)}, "that hold GoReplay's separator"),
        ({"started_at": datetime(1969, 12, 31, tzinfo=UTC)}, "at times that GoReplay cannot tell"),
        ({"started_at": datetime(2263, 1, 1, tzinfo=UTC)}, "at times that GoReplay cannot tell"),
    ],
)
def test_what_cannot_be_exact_is_left_out(change: dict[str, Any], reason: str, tmp_path: Path) -> None:
    result, content = exported(tmp_path, exchange(**change))
    assert (result.requests, content, result.refused) == (0, b"", {f"requests {reason}": 1})


def test_an_answer_that_cannot_be_exact_is_left_out_alone(tmp_path: Path) -> None:
    late = exchange(duration_us=LARGEST)
    result, content = exported(tmp_path, exchange(response=Part(truncated=True)), exchange(status=None), late)
    assert (result.requests, result.answers, content.count(gor.SEPARATOR)) == (3, 0, 3)
    assert result.refused == {
        "answers that were not recorded whole": 1,
        "answers at times that GoReplay cannot tell": 1,
    }


def test_redacted_requests_are_counted(tmp_path: Path) -> None:
    result, _ = exported(tmp_path, exchange(path="/?token=%5Bredacted%5D"), exchange())
    assert result.redacted == 1


def test_only_one_side_is_written(tmp_path: Path) -> None:
    result, content = exported(tmp_path, exchange(), exchange(side=Side.MIRROR, path="/m"), side=Side.MIRROR)
    assert (result.exchanges, b"POST /m " in content, b"POST /a " in content) == (1, True, False)


def test_identifiers_pair_and_differ(tmp_path: Path) -> None:
    later = exchange(started_at=BEGUN + timedelta(seconds=1), request_id="")
    _, content = exported(tmp_path, exchange(), later)
    lines = [piece.partition(b"\n")[0].split() for piece in content.split(gor.SEPARATOR)[:-1]]
    assert [kind for kind, *_ in lines] == [b"1", b"2", b"1", b"2"]
    assert lines[0][1] == lines[1][1] != lines[2][1]
    assert len(lines[0][1]) == 24


def test_ghz_gets_each_unary_message_behind_its_length(tmp_path: Path) -> None:
    packed = Message(offset_us=0, size=9, data=gzip.compress(b"packed"), compressed=True)
    coded = replace(call(), request=Part(headers=(("grpc-encoding", "gzip"),), messages=(packed,)))
    other = replace(call(b"other"), path="/shop.v1.Shop/List")
    result, content = exported(tmp_path, call(b"x" * 300), call(b""), coded, other, target=Target.GHZ, rpc=GET)
    assert (result.requests, result.refused) == (3, {})
    found, at = [], 0
    while at < len(content):
        size, begin = read_varint(content, at)
        assert size is not None
        found.append(content[begin : begin + size])
        at = begin + size
    assert sorted(found) == sorted([b"x" * 300, b"", b"packed"])


def test_ghz_gets_nothing_that_it_would_send_otherwise(tmp_path: Path) -> None:
    cut = replace(call(b"a"), request=replace(call(b"a").request, truncated=True))
    unknown = Part(
        headers=(("grpc-encoding", "x"),), messages=(Message(offset_us=0, size=1, data=b"a", compressed=True),)
    )
    plain = exchange(path=GET.path)
    given_ = (call(b"a", b"b"), call(), cut, call(b"{{now}}"), replace(call(), request=unknown), plain)
    result, content = exported(tmp_path, *given_, target=Target.GHZ, rpc=GET)
    assert content == b""
    assert result.refused == {
        "requests of another number of messages than one": 2,
        "requests that were not recorded whole": 1,
        "requests with {{ in them, which ghz tries to read as a template": 1,
        "requests in a coding that is not known here": 1,
        "requests that are no gRPC": 1,
    }


def test_a_method_is_for_ghz_and_a_file_is_never_replaced(tmp_path: Path) -> None:
    wrong: tuple[dict[str, Any], ...] = ({"target": Target.GHZ}, {"rpc": GET})
    for options in wrong:
        with pytest.raises(ValidationError, match="rpc"):
            exported(tmp_path, exchange(), **options)
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").write_text("mine")
    with pytest.raises(ValidationError, match="must not be there yet"):
        exported(tmp_path, exchange())
    assert (tmp_path / "out").read_text() == "mine"


def test_after_an_error_the_file_is_gone(tmp_path: Path) -> None:
    def fail() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        exported(tmp_path, exchange(), progress=fail)
    assert not (tmp_path / "out").exists()


def test_a_request_that_is_refused_says_why() -> None:
    with pytest.raises(Refused, match="of gRPC"):
        request_bytes(call(b"a"))


def test_a_compressed_message_of_which_nothing_says_how_is_left_out(tmp_path: Path) -> None:
    message = Message(offset_us=0, size=4, data=b"\x1f\x8b\0\0", compressed=True)
    result, content = exported(
        tmp_path,
        exchange(is_grpc=True, path=GET.path, request=Part(messages=(message,))),
        call(b"\x08\1"),
        target=Target.GHZ,
        rpc=GET,
    )
    assert (content, result.refused) == (b"\2\x08\1", {"requests in a coding that is not known here": 1})


def test_text_that_is_no_bytes_is_left_out(tmp_path: Path) -> None:
    odd = Part(headers=(("x-a", "\u6f22"),))
    result, _ = exported(
        tmp_path, exchange(request=odd), exchange(response=odd), exchange(authority="\u6f22"), exchange(path="/\u6f22")
    )
    assert (result.requests, result.answers) == (1, 0)
    assert result.refused == {
        "requests with characters that are no bytes": 3,
        "answers with characters that are no bytes": 1,
    }


def test_an_export_that_is_killed_leaves_nothing_that_looks_whole(tmp_path: Path) -> None:
    writer = RecordingWriter(RecordingStore.open(str(tmp_path / "recording")), instance="t", now=lambda: BEGUN)
    writer.write([exchange(), exchange(request_id="s")])
    writer.close()
    reader, file = RecordingReader.open(str(tmp_path / "recording")), tmp_path / "out.gor"
    seen: list[list[str]] = []

    def look() -> None:
        seen.append(sorted(each.name for each in tmp_path.iterdir() if each.is_file()))

    (tmp_path / "_out.gor.unfinished").write_bytes(b"of an earlier one")
    assert export(reader, file, Target.GOR, progress=look).requests == 2
    look()
    assert seen == [["_out.gor.unfinished"], ["_out.gor.unfinished"], ["out.gor"]]
    assert len(read_gor(file.read_bytes())) == 2
    file.unlink()
    file.symlink_to(tmp_path / "nowhere")
    with pytest.raises(ValidationError, match="must not be there yet"):
        export(reader, file, Target.GOR)
