"""HTTP Archives: a body is believed where its size is what the archive and its headers say."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulumi_traffic_mirror.operations.recording import Ending, Exchange
from pulumi_traffic_mirror.operations.recording.assembling import LARGEST
from pulumi_traffic_mirror.operations.recording.formats import har
from pulumi_traffic_mirror.operations.recording.formats.tally import Tally
from pulumi_traffic_mirror.operations.recording.schema import to_batch

WRITTEN = Path(__file__).parents[3] / "data/formats/har/calls.har"


def headers(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in pairs]


def entry(request: dict[str, Any] | None = None, response: dict[str, Any] | None = None, **changes: Any) -> Any:
    asked = {"method": "GET", "url": "https://shop.example/a?b=c", "headers": [], "bodySize": 0}
    content = {"size": 2, "text": "ok", "mimeType": "text/plain"}
    answered = {"status": 200, "headers": [], "content": content}
    return {
        "startedDateTime": "2026-01-01T01:00:00.250+01:00",
        "time": 30.5,
        "timings": {"blocked": 1, "dns": -1, "connect": 2, "ssl": 1, "send": 0, "wait": 7.25, "receive": 20},
        "request": asked | (request or {}),
        "response": answered | (response or {}),
        **changes,
    }


def read(*entries: Any) -> tuple[list[Exchange], Tally]:
    return read_bytes(json.dumps({"log": {"entries": entries}}).encode())


def read_bytes(content: bytes) -> tuple[list[Exchange], Tally]:
    tally = Tally()
    return list(har.read(content, tally, source="har", name="a.har")), tally


def test_an_entry_becomes_an_exchange() -> None:
    (one,), tally = read(entry({"headers": headers((":authority", "x"), ("Host", "y"), ("X-A", "é"))}))
    assert (one.method, one.scheme, one.authority, one.path) == ("GET", "https", "shop.example", "/a?b=c")
    assert one.request.headers == (("x-a", "\xc3\xa9"),)
    assert one.started_at.isoformat() == "2026-01-01T00:00:00.250000+00:00"
    assert (one.first_byte_us, one.duration_us) == (10_250, 30_500)
    assert (one.status, one.response.body, one.response.truncated) == (200, b"ok", False)
    assert (one.request_id, one.ending, tally.refused) == ("a.har#1", Ending.COMPLETE, {})


def test_what_a_careless_writer_wrote_is_marked_where_sizes_tell() -> None:
    """The archive is mitmproxy's, which decodes binary bodies of requests to text and forgets streamed ones."""
    found, tally = read_bytes(WRITTEN.read_bytes())
    by_path = {one.path.partition("?")[0]: one for one in found}
    assert tally.refused == {}
    assert by_path["/login"].request.body == b'{"user": "a", "password": "fake"}'
    assert not by_path["/login"].request.truncated
    assert by_path["/binary"].request.truncated
    assert (by_path["/binary"].response.body, by_path["/binary"].response.truncated) == (
        bytes(range(255, -1, -1)) * 2,
        False,
    )
    assert by_path["/separator"].request.truncated
    assert (by_path["/large"].request.truncated, by_path["/large"].request.body_size) == (True, 1_536)
    assert (by_path["/large"].response.truncated, by_path["/large"].response.body_size) == (True, 1_536)


@pytest.mark.parametrize(
    ("request_", "cut"),
    [
        ({"bodySize": 3, "postData": {"text": "abc"}}, False),
        ({"bodySize": -1, "postData": {"text": "abc"}}, False),
        ({"bodySize": -1, "postData": {"text": "é"}}, True),
        ({"bodySize": 2, "postData": {"text": "é"}}, False),
        ({"bodySize": 1, "postData": {"text": "é"}}, True),
        ({"bodySize": 9}, True),
        ({"bodySize": 9, "postData": None}, True),
        ({"bodySize": 3, "postData": {"text": "abc"}, "headers": headers(("content-length", "9"))}, True),
    ],
)
def test_a_request_s_body_is_whole_where_its_size_is_right(request_: dict[str, Any], cut: bool) -> None:
    (one,), _ = read(entry({"method": "POST", **request_}))
    assert one.request.truncated is cut


@pytest.mark.parametrize(
    ("content", "cut"),
    [
        ({"size": 4, "text": "b2s=", "encoding": "base64"}, True),
        ({"size": 2, "text": "b2s=", "encoding": "base64"}, False),
        ({"size": 2, "text": "?!", "encoding": "base64"}, True),
        ({"size": 2, "text": "é", "encoding": "base64"}, True),
        ({"size": 1, "text": "é", "mimeType": "text/html; charset=iso-8859-1"}, False),
        ({"size": 2, "text": "é", "mimeType": "text/html; charset=nonsense"}, False),
        ({"size": 2, "text": "é", "mimeType": "text/html; charset=\0"}, False),
        ({"size": 2, "text": "é", "mimeType": "text/html; charset=\ud800"}, False),
        ({"size": 2, "text": "ok", "encoding": ""}, False),
        ({"size": 2, "text": "bx", "encoding": "rot13"}, True),
        ({"size": 9}, True),
        ({"size": 0}, False),
        ({"text": "ok"}, True),
    ],
)
def test_an_answer_s_body_is_whole_where_its_size_is_right(content: dict[str, Any], cut: bool) -> None:
    (one,), _ = read(entry(response={"content": content}))
    assert one.response.truncated is cut


def test_a_decoded_body_loses_the_headers_of_its_coding() -> None:
    coded = headers(("Content-Encoding", "br"), ("Content-Length", "77"), ("Set-Cookie", "a=1\nb=2"))
    (one,), _ = read(entry(response={"headers": coded}))
    assert one.response.headers == (("set-cookie", "a=1"), ("set-cookie", "b=2"))
    assert not one.response.truncated


def test_the_answer_to_head_and_304_have_no_body_to_miss() -> None:
    length = {"headers": headers(("content-length", "9")), "content": {"size": 0}}
    (head,), _ = read(entry({"method": "HEAD"}, length))
    (unchanged,), _ = read(entry(response={"status": 304, **length}))
    assert (head.response.truncated, unchanged.response.truncated) == (False, False)


def test_what_got_no_answer_has_none() -> None:
    (one,), _ = read(entry(response={"status": 0}))
    assert (one.status, one.ending, one.first_byte_us) == (None, Ending.RESET, None)


def test_an_answer_whose_status_is_none_is_refused() -> None:
    found, tally = read(entry(response={"status": 1_000}), entry(response={"status": 999}))
    assert ([one.status for one in found], tally.refused) == ([999], {"answer without a status": 1})


@pytest.mark.parametrize(("status", "taken"), [("200", 200), (200.0, 200), (200.5, None), (True, None), ("ok", None)])
def test_a_status_is_no_other_number(status: object, taken: int | None) -> None:
    found, tally = read(entry(response={"status": status}))
    assert [one.status for one in found] == ([] if taken is None else [taken])
    assert sum(tally.refused.values()) == (taken is None)


@pytest.mark.parametrize(
    ("url", "scheme"),
    [("HTTPS://a/b", "https"), ("ws://a/b", "ws"), ("/b", ""), ("ftp://a/b", None), ("data:text/plain,b", None)],
)
def test_what_was_not_asked_by_http_is_refused(url: str, scheme: str | None) -> None:
    found, tally = read(entry({"url": url}))
    assert [one.scheme for one in found] == ([] if scheme is None else [scheme])
    assert tally.refused == ({} if found else {"address that is not of HTTP": 1})


def test_what_cannot_be_taken_is_counted() -> None:
    grpc = {"headers": headers(("Content-Type", "application/grpc-web+proto"))}
    socket = entry(response={"status": 101, "content": {"size": 0}}, _webSocketMessages=[{}])
    found, tally = read(
        entry(grpc), entry(startedDateTime="2026-01-01T00:00:00"), {}, [], None, entry(time=None), socket
    )
    assert len(found) == 1
    assert tally.records == 7
    assert tally.refused == {
        "gRPC, whose messages no archive keeps": 1,
        "time without a zone": 1,
        "no entry as HAR 1.2 has them": 4,
    }
    assert tally.remarks == {har.WEBSOCKET: 1}


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"log": {"entries": [', b"[]", b'{"log": 1}', b'{"log": {"entries": 5}}', b"\xff"]
)
def test_what_is_no_archive_is_refused(content: bytes) -> None:
    found, tally = read_bytes(content)
    assert found == []
    assert tally.refused == {"no archive that can be read, or cut by the end of the file": 1}


@pytest.mark.parametrize(
    ("whole", "odd", "left"),
    [
        (b'"time": 30.5', b'"time": ' + b"9" * 5_000, 1),
        (b'"text": "ok"', b'"text": "\xff"', 2),
        (b'"url": "https://shop.example/a?b=c"', b'"url": "https://shop.example/\xff"', 2),
    ],
)
def test_what_json_does_not_have_costs_no_other_entry(whole: bytes, odd: bytes, left: int) -> None:
    content = json.dumps({"log": {"entries": [entry(), entry()]}}).encode().replace(whole, odd, 1)
    found, tally = read_bytes(content)
    assert (len(found), tally.refused.total()) == (left, 2 - left)
    assert to_batch(found).num_rows == left


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


_ODD = st.sampled_from([10**30, -(10**30), 1e300, 2**53, "\ud800", "\0", "9" * 5_000, [None], [{}], {"text": "\ud800"}])


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each place that another value can be put at."""
    if isinstance(value, dict | list):
        for key, inner in list(value.items() if isinstance(value, dict) else enumerate(value)):
            yield value, key
            yield from _places(inner)


@given(values=st.lists(st.tuples(st.integers(0, 99), _JSON | _ODD), min_size=1, max_size=3))
def test_no_entry_breaks_it(values: list[tuple[int, Any]]) -> None:
    coded = headers(("content-type", "text/plain; charset=utf-8"), ("content-length", "2"))
    one = entry({"headers": coded, "postData": {"text": "ok"}}, {"headers": coded})
    for at, value in values:
        places = list(_places(one))
        inside, key = places[at % len(places)]
        inside[key] = copy.deepcopy(value)
    found, tally = read(one, entry())
    assert len(found) + sum(tally.refused.values()) == 2
    assert to_batch(found).num_rows == len(found)


@pytest.mark.parametrize(
    ("response_", "size"),
    [
        ({"content": {"size": 10**30}}, LARGEST),
        ({"headers": headers(("content-length", "9" * 5_000))}, LARGEST),
        ({"content": {"size": -(10**30), "text": "ok"}}, 2),
    ],
)
def test_a_length_beyond_all_is_the_largest_one(response_: dict[str, Any], size: int) -> None:
    found, _ = read(entry({"bodySize": 10**30}, response_))
    assert [(one.request.body_size, one.response.body_size) for one in found] == [(LARGEST, size)]
    assert to_batch(found).num_rows == 1


@pytest.mark.parametrize("changes", [{"time": 2**53}, {"time": 1e300}, {"timings": {"wait": 2**53}}])
def test_a_time_that_no_recording_can_tell_is_refused(changes: dict[str, Any]) -> None:
    found, tally = read(entry(**changes), entry())
    assert (len(found), tally.refused) == (1, {"time out of range": 1})


def test_text_that_is_none_can_be_written() -> None:
    found, _ = read(entry({"url": "http://a/\ud800é", "method": "\udcff", "headers": headers(("\ud800", "\udcff"))}))
    assert to_batch(found).num_rows == 1
