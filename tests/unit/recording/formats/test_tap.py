"""Envoy's tap files in each of their forms: what is there is exact, what is not is marked."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format, text_format
from hypothesis import example, given
from hypothesis import strategies as st

from pulumi_traffic_mirror.operations.recording import Ending, Exchange
from pulumi_traffic_mirror.operations.recording.assembling import LARGEST
from pulumi_traffic_mirror.operations.recording.formats import tap
from pulumi_traffic_mirror.operations.recording.formats.tally import Tally
from pulumi_traffic_mirror.operations.recording.schema import to_batch
from tests.formats.traffic import BINARY, CALLS, LARGE

DATA = Path(__file__).parents[3] / "data/formats"
WRITTEN = datetime(2026, 11, 29, tzinfo=UTC)
FORMS = sorted(path.name for path in DATA.glob("tap-*"))


def read(*contents: bytes) -> tuple[list[Exchange], Tally]:
    tally = Tally()
    return [
        one for each in contents for one in tap.read(each, tally, source="tap", written_at=WRITTEN, name="a")
    ], tally


def written(name: str) -> tuple[dict[str, Exchange], Tally]:
    found, tally = read(*(path.read_bytes() for path in sorted((DATA / name).iterdir())))
    return {one.path.partition("?")[0]: one for one in found}, tally


@pytest.mark.parametrize("name", FORMS)
def test_what_envoy_tapped_is_there(name: str) -> None:
    found, tally = written(name)
    assert (len(found), tally.refused) == (len(CALLS), {})
    assert all(
        (one.authority, one.scheme, one.ending) == ("shop.example", "http", "complete") for one in found.values()
    )
    assert found["/orders"].response.body == b'{"orders": []}'
    assert found["/orders"].path == "/orders?page=2&token=fake"
    assert found["/missing"].status == 404
    assert [value for key, value in found["/repeated"].request.headers if key == "x-tag"] == ["one", "two"]
    assert (found["/chunked"].request.body, found["/chunked"].response.body) == (b"foursix-ty", b"firstsecond")
    assert found["/chunked"].response.trailers == (("x-sum", "42"),)


@pytest.mark.parametrize("name", FORMS)
def test_bodies_are_exact_or_marked_as_cut(name: str) -> None:
    found, _ = written(name)
    large = found["/large"].request
    assert (large.body, large.truncated, large.body_size) == (LARGE[:1024], True, len(LARGE))
    binary = found["/binary"].request
    assert (binary.body == BINARY) is (name != "tap-json-text")
    assert binary.truncated is (name == "tap-json-text")
    login = found["/login"].request
    assert (login.body, login.truncated) == (b'{"user": "a", "password": "fake"}', False)


@pytest.mark.parametrize("name", FORMS)
def test_times_are_envoy_s_or_the_file_s_and_never_made_up(name: str) -> None:
    found, tally = written(name)
    streamed = name.endswith("streamed")
    assert {one.started_at == WRITTEN for one in found.values()} == {streamed}
    assert tally.remarks[tap.UNTIMED] == (len(CALLS) if streamed else 0)
    assert all(one.duration_us is None and (one.first_byte_us is None) is streamed for one in found.values())


def _headers(**values: str) -> list[dict[str, str]]:
    pseudo = {
        "method": ":method",
        "path": ":path",
        "status": ":status",
        "kind": "content-type",
        "coding": "content-encoding",
    }
    return [{"key": pseudo.get(name, name), "value": value} for name, value in values.items()]


def wrapper(**trace: Any) -> Any:
    return json_format.ParseDict(trace, tap.TraceWrapper())


def buffered(**parts: Any) -> Any:
    return wrapper(http_buffered_trace={"request": {"headers": _headers(method="GET", path="/a")}, **parts})


def _timed(asked: int, answered: int = 0) -> Any:
    trace = buffered(response={"headers": _headers(status="200")})
    trace.http_buffered_trace.request.headers_received_time.seconds = asked
    trace.http_buffered_trace.response.headers_received_time.seconds = answered
    return trace


def segment(number: int, **piece: Any) -> Any:
    return wrapper(http_streamed_trace_segment={"trace_id": number, **piece})


def delimited(*wrappers: Any) -> bytes:
    data = (one.SerializeToString() for one in wrappers)
    return b"".join(
        (bytes([len(one)]) if len(one) < 128 else bytes([len(one) & 127 | 128, len(one) >> 7])) + one for one in data
    )


ENCODERS: dict[str, Callable[..., bytes]] = {
    "json": lambda *all_: "".join(
        json_format.MessageToJson(one, preserving_proto_field_name=True) for one in all_
    ).encode(),
    "text": lambda *all_: "".join(text_format.MessageToString(one) for one in all_).encode(),
    "binary": lambda *all_: b"".join(one.SerializeToString() for one in all_),
    "delimited": delimited,
}


@pytest.mark.parametrize("form", ENCODERS)
def test_streams_in_one_file_are_told_apart(form: str) -> None:
    pieces = [
        segment(1, request_headers={"headers": _headers(method="GET", path="/1")}),
        segment(2, request_headers={"headers": _headers(method="GET", path="/2")}),
        segment(2, response_headers={"headers": _headers(status="500")}),
        segment(1, response_headers={"headers": _headers(status="200")}),
        segment(1, response_body_chunk={"as_bytes": "b25l"}),
        segment(3, response_headers={"headers": _headers(status="200")}),
    ]
    found, tally = read(ENCODERS[form](*pieces))
    assert [(one.path, one.status, one.response.body, one.request_id) for one in found] == [
        ("/1", 200, b"one", "1"),
        ("/2", 500, b"", "2"),
    ]
    assert tally.refused == {"pieces of a stream without its request": 1}


@pytest.mark.parametrize("form", ENCODERS)
def test_a_cut_file_gives_what_is_whole(form: str) -> None:
    whole = buffered(response={"headers": _headers(status="200")})
    content = ENCODERS[form](whole, whole)
    found, tally = read(content[:-5])
    assert len(found) == 1
    assert tally.refused == {"cut by the end of the file": 1}


def _in_json(trace: str) -> bytes:
    return b'{"http_buffered_trace": %b}' % trace.encode()


@pytest.mark.parametrize(
    ("form", "broken"),
    [
        ("json", _in_json('{"request": {"headers_received_time": "yesterday"}}')),
        ("json", _in_json('{"\\ud800": 1}')),
        ("json", _in_json('{"request": {"body": {"as_bytes": 5}}}')),
        ("json", b"5"),
        ("text", b'http_buffered_trace {\n  request { headers { key: "\\377" } }\n}\n'),
        ("text", b"http_buffered_trace {\n" + b"a { " * 1_500 + b"\n}\n"),
        ("binary", b"\x0a\x02\xff\xff"),
        ("delimited", b"\x04\x0a\x02\xff\xff"),
    ],
)
def test_a_trace_that_cannot_be_read_hides_no_other(form: str, broken: bytes) -> None:
    whole = ENCODERS[form](buffered())
    found, tally = read(whole + broken + whole)
    assert len(found) == 2
    assert (tally.records, tally.refused) == (3, {"no trace that can be read": 1})


@pytest.mark.parametrize("value", ["[" * 1_500 + "]" * 1_500, "9" * 5_000])
def test_json_that_nobody_reads_is_refused(value: str) -> None:
    found, tally = read(ENCODERS["json"](buffered()) + _in_json(value))
    assert (len(found), tally.refused) == (1, {"no trace that can be read": 1})


def test_grpc_is_cut_into_messages_and_a_cut_one_is_marked() -> None:
    body = b"\x00\x00\x00\x00\x02hi\x00\x00\x00\x00\x09short"
    request = {"headers": _headers(method="POST", path="/a.B/C", kind="application/grpc"), "body": {"as_bytes": ""}}
    trace = wrapper(http_buffered_trace={"request": request})
    trace.http_buffered_trace.request.body.as_bytes = body
    trace.http_buffered_trace.request.body.truncated = True
    (one,), _ = read(trace.SerializeToString())
    assert one.is_grpc
    assert [(m.data, m.size, m.truncated) for m in one.request.messages] == [(b"hi", 2, False), (b"short", 9, True)]
    assert one.request.truncated
    assert (one.status, one.ending) == (None, Ending.RESET)


@pytest.mark.parametrize(
    ("kind", "text", "coding", "cut"),
    [
        ("application/json", "a b", "", False),
        ("text/plain; charset=UTF-8", "a b", "", False),
        ("text/plain", "ab", "", False),
        ("text/plain", "a b", "", True),
        ("application/json", "a b", "gzip", True),
    ],
)
def test_a_body_as_text_is_believed_where_nothing_can_have_been_replaced(
    kind: str, text: str, coding: str, cut: bool
) -> None:
    headers = _headers(status="200", kind=kind, **({"coding": coding} if coding else {}))
    (one,), _ = read(buffered(response={"headers": headers, "body": {"as_string": text}}).SerializeToString())
    assert (one.response.body, one.response.truncated) == (text.encode(), cut)


def test_a_body_of_another_length_than_its_header_says_is_cut() -> None:
    answer = {"headers": [*_headers(status="200"), {"key": "content-length", "value": "9"}]}
    (one,), _ = read(buffered(response=answer).SerializeToString())
    assert (one.response.truncated, one.response.body_size) == (True, 9)
    head = {"request": {"headers": _headers(method="HEAD", path="/a")}, "response": answer}
    (one,), _ = read(wrapper(http_buffered_trace=head).SerializeToString())
    assert (one.response.truncated, one.response.body_size) == (False, 0)


def test_a_length_beyond_all_is_the_largest_one() -> None:
    answer = {"headers": [*_headers(status="200"), {"key": "content-length", "value": "9" * 5_000}]}
    (one,), _ = read(buffered(response=answer).SerializeToString())
    assert (one.response.truncated, one.response.body_size) == (True, LARGEST)


def test_values_keep_their_bytes() -> None:
    (one,), _ = read(
        buffered(response={"headers": [*_headers(status="200"), {"key": "x", "value": "é"}]}).SerializeToString()
    )
    assert one.response.headers == (("x", "\xc3\xa9"),)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (wrapper(socket_buffered_trace={"trace_id": 1}).SerializeToString(), "a socket's bytes, not HTTP"),
        (
            wrapper(http_buffered_trace={"request": {"headers": _headers(path="/")}}).SerializeToString(),
            "trace without a request",
        ),
        (buffered(response={"headers": _headers(kind="text/plain")}).SerializeToString(), "answer without a status"),
        (_timed(2**50).SerializeToString(), "time out of range"),
        (_timed(0, 2**50).SerializeToString(), "time out of range"),
        (_timed(0, -(2**50)).SerializeToString(), "time out of range"),
        (b"\x0a\x02\xff\xff", "no trace that can be read"),
        (b"\x99\x01\x01", "no trace that can be read"),
        (b'{"http_buffered_trace": null}', "no trace that can be read"),
        (b'{"http_buffered_trace": {"request": 5}}', "no trace that can be read"),
    ],
)
def test_what_is_no_http_trace_is_refused(content: bytes, reason: str) -> None:
    found, tally = read(content)
    assert found == []
    assert tally.refused == {reason: 1}


@given(asked=st.integers(-(2**63), 2**63 - 1), answered=st.integers(-(2**63), 2**63 - 1))
@example(asked=-62_135_596_800, answered=253_402_300_799)
def test_no_time_breaks_it(asked: int, answered: int) -> None:
    found, tally = read(_timed(asked, answered).SerializeToString())
    assert len(found) + tally.refused.total() == 1
    assert to_batch(found).num_rows == len(found)


@given(content=st.binary(max_size=200), form=st.sampled_from(sorted(ENCODERS)), at=st.integers(0, 200))
def test_no_bytes_break_it(content: bytes, form: str, at: int) -> None:
    whole = ENCODERS[form](buffered(response={"headers": _headers(status="200")}))
    read(whole[:at] + content + whole[at:])
    read(content)
