"""GoReplay's files: pairs in whatever order, and nothing made up where a file is broken."""

import io
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulumi_traffic_mirror.operations.recording import Ending, Exchange, Side
from pulumi_traffic_mirror.operations.recording.assembling import LARGEST
from pulumi_traffic_mirror.operations.recording.formats import gor
from pulumi_traffic_mirror.operations.recording.formats.tally import Tally
from tests.formats.traffic import BINARY, LARGE

WRITTEN = Path(__file__).parents[3] / "data/formats/gor/calls_0.gor"
"""Captured by GoReplay 1.3.2 itself; see the README beside it."""

BEGUN = 1_767_225_600_000_000_000
GET = b"GET /a HTTP/1.1\r\nHost: shop.example\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def record(kind: int, identifier: str, message: bytes, *, at_ns: int = BEGUN, took_ns: int = 0) -> bytes:
    return f"{kind} {identifier} {at_ns} {took_ns}\n".encode() + message + gor.SEPARATOR


def read(data: bytes, **limits: int) -> tuple[list[Exchange], Tally]:
    tally = Tally()
    records = gor.read_records(io.BytesIO(data), tally)
    return list(gor.Pairing(tally, source="gor", **limits).exchanges(records)), tally


def test_what_goreplay_captured_is_there_byte_for_byte() -> None:
    found, tally = read(WRITTEN.read_bytes())
    by_path = {one.path: one for one in found}
    assert (tally.records, len(found)) == (17, 7)
    assert all(one.authority == "shop.example" and one.scheme == "http" and one.side is Side.PRIMARY for one in found)
    assert by_path["/binary"].request.body == BINARY
    assert by_path["/binary"].response.body == BINARY[::-1]
    assert by_path["/large"].response.body == LARGE
    assert [value for name, value in by_path["/repeated"].request.headers if name == "x-tag"] == ["one", "two"]
    assert ("x-latin", "caf\xe9") in by_path["/repeated"].request.headers
    assert by_path["/repeated"].status == 204
    chunked = by_path["/chunked"]
    assert (chunked.request.body, chunked.response.body) == (b"foursix-ty", b"firstsecond")
    assert chunked.response.trailers == (("x-sum", "42"),)
    assert not any(one.request.truncated or one.response.truncated for one in found)


def test_a_record_that_its_separator_broke_is_refused_with_what_is_left_of_it() -> None:
    found, tally = read(WRITTEN.read_bytes())
    assert "/separator" not in {one.path for one in found}
    assert tally.refused == {
        "broken by a separator within": 1,
        "no line of GoReplay's before it": 1,
        "answer without its request": 1,
    }


@given(seed=st.integers())
def test_the_order_of_records_changes_nothing(seed: int) -> None:
    records = [record(1, f"{n:024x}", GET, at_ns=BEGUN + n * 1_000) for n in range(20)]
    records += [record(2, f"{n:024x}", OK, at_ns=BEGUN + n * 1_000 + 5_000, took_ns=2_000) for n in range(20)]
    random.Random(seed).shuffle(records)  # noqa: S311 -- test data
    found, tally = read(b"".join(records))
    assert not tally.refused
    assert sorted((one.request_id, one.status, one.first_byte_us, one.duration_us) for one in found) == [
        (f"{n:024x}", 200, 5, 7) for n in range(20)
    ]


def test_times_are_those_of_the_capture() -> None:
    (one,), _ = read(record(1, "a1", GET, at_ns=BEGUN + 1_234_567) + record(2, "a1", OK, at_ns=BEGUN + 2_234_567))
    assert one.started_at.isoformat() == "2026-01-01T00:00:00.001234+00:00"
    assert (one.first_byte_us, one.ending) == (1_000, Ending.COMPLETE)


def test_the_identifier_is_the_request_s_own_where_it_has_one() -> None:
    marked = GET.replace(b"\r\n\r\n", b"\r\nX-Request-Id: mine\r\n\r\n")
    found, _ = read(record(1, "a1", marked) + record(2, "a1", OK) + record(1, "a2", GET) + record(2, "a2", OK))
    assert [one.request_id for one in found] == ["mine", "a2"]


def test_a_replayed_answer_is_a_mirror_s() -> None:
    replayed = record(3, "a1", OK.replace(b"200", b"500"), at_ns=BEGUN + 10**9, took_ns=3_000_000)
    found, tally = read(replayed + record(1, "a1", GET) + record(2, "a1", OK))
    assert [(one.side, one.status, one.path) for one in found] == [
        (Side.MIRROR, 500, "/a"),
        (Side.PRIMARY, 200, "/a"),
    ]
    assert (found[0].duration_us, found[0].first_byte_us, found[0].started_at.second) == (3_000, None, 1)
    assert not tally.refused


def test_a_request_without_an_answer_is_kept_and_said() -> None:
    (one,), tally = read(record(1, "a1", GET))
    assert (one.status, one.ending) == (None, Ending.CUT)
    assert tally.remarks == {"requests without an answer": 1}


def test_an_answer_without_its_request_is_counted() -> None:
    found, tally = read(record(2, "a1", OK))
    assert found == []
    assert tally.refused == {"answer without its request": 1}


def test_an_identifier_that_comes_again_makes_no_second_exchange() -> None:
    found, tally = read(record(1, "a1", GET) + record(1, "a1", GET) + record(2, "a1", OK) + record(2, "a1", OK))
    assert len(found) == 1
    assert tally.refused == {"another of its kind has the same identifier": 2}


@pytest.mark.parametrize("limits", [{"window_ns": 1_000}, {"waiting_bytes": 10_000}])
def test_what_waits_is_bounded(limits: dict[str, int]) -> None:
    requests = [record(1, f"{n:024x}", GET, at_ns=BEGUN + n * 1_000) for n in range(100)]
    found, tally = read(b"".join(requests) + record(2, f"{0:024x}", OK), **limits)
    assert len(found) == 100
    assert tally.refused == {"answer without its request": 1}


@pytest.mark.parametrize("length", range(1, len(record(1, "a2", GET))))
def test_a_file_that_is_being_written_gives_what_is_whole(length: int) -> None:
    whole = record(1, "a1", GET) + record(2, "a1", OK)
    found, tally = read(whole + record(1, "a2", GET)[:length])
    assert [one.request_id for one in found] == ["a1"]
    assert tally.refused == {"cut by the end of the file": 1}


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00", "no HTTP/1 message"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "no HTTP/1 message"),
        (b"GET /a HTTP/1.1\r\nHost: sh", "headers cut"),
        (GET + GET, "more than one message in a record"),
        (b"GET http://[a/ HTTP/1.1\r\n\r\n", "target of the request is no URL"),
        (b"", "no HTTP/1 message"),
    ],
)
def test_what_is_no_whole_request_is_refused(message: bytes, reason: str) -> None:
    found, tally = read(record(1, "a1", message))
    assert found == []
    assert tally.refused == {reason: 1}


def test_a_body_that_ends_early_is_marked() -> None:
    post = b"POST /a HTTP/1.1\r\nHost: a\r\ncontent-length: 10\r\n\r\nhalf"
    (one,), _ = read(record(1, "a1", post) + record(2, "a1", OK.replace(b"2\r\n\r\nok", b"9\r\n\r\nok")))
    assert (one.request.body, one.request.truncated, one.request.body_size) == (b"half", True, 10)
    assert (one.response.body, one.response.truncated, one.response.body_size) == (b"ok", True, 9)


def test_a_length_beyond_all_is_the_largest_one() -> None:
    post = b"POST /a HTTP/1.1\r\nHost: a\r\ncontent-length: %d\r\n\r\nhalf" % (2**64 - 1)
    (one,), _ = read(record(1, "a1", post))
    assert (one.request.truncated, one.request.body_size) == (True, LARGEST)


def test_the_answer_to_head_has_no_body_to_miss() -> None:
    head = GET.replace(b"GET", b"HEAD")
    (one,), _ = read(record(1, "a1", head) + record(2, "a1", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"))
    assert (one.response.truncated, one.response.body_size) == (False, 0)


def test_an_answer_without_length_reaches_to_the_end() -> None:
    (one,), _ = read(record(1, "a1", GET) + record(2, "a1", b"HTTP/1.1 200 OK\r\n\r\nuntil closed"))
    assert (one.response.body, one.response.truncated) == (b"until closed", False)


def test_informational_answers_are_passed_over_and_a_switch_is_an_answer() -> None:
    early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n"
    (one,), _ = read(record(1, "a1", GET) + record(2, "a1", early + OK))
    assert (one.status, one.response.body) == (200, b"ok")
    upgrade = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n\x81\x05hello"
    (one,), _ = read(record(1, "a1", GET) + record(2, "a1", upgrade))
    assert (one.status, one.response.truncated) == (101, True)


def test_an_absolute_target_says_scheme_and_host() -> None:
    (one,), _ = read(record(1, "a1", b"GET https://b.example:8443/x?y=1 HTTP/1.1\r\nHost: a\r\n\r\n"))
    assert (one.scheme, one.authority, one.path) == ("https", "b.example:8443", "/x?y=1")


def test_a_record_without_end_takes_no_memory() -> None:
    class Endless(io.RawIOBase):
        left = 40

        def read(self, size: int = -1) -> bytes:
            self.left -= 1
            return b"1 a1 1 1\n" + b"x" * size if self.left > 0 else b""

    tally = Tally()
    assert list(gor.read_records(Endless(), tally)) == []  # pyright: ignore[reportArgumentType] -- enough of a file
    assert tally.refused["longer than 64 MiB"] == 1


@given(data=st.binary(max_size=300), at=st.integers(0, 200))
def test_no_bytes_break_it(data: bytes, at: int) -> None:
    whole = record(1, "a1", GET) + record(2, "a1", OK) + record(3, "a1", OK)
    found, tally = read(whole[:at] + data + whole[at:])
    assert len(found) <= tally.records
