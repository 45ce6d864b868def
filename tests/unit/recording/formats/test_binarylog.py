"""gRPC's binary logs of Go and Java: every call from its header to its trailer, and none made up."""

import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulumi_traffic_mirror.operations.recording import Ending, Exchange
from pulumi_traffic_mirror.operations.recording.formats import binarylog
from pulumi_traffic_mirror.operations.recording.formats.binarylog import Event
from pulumi_traffic_mirror.operations.recording.formats.binarylog_types import GrpcLogEntry
from pulumi_traffic_mirror.operations.recording.formats.recognising import recognised
from pulumi_traffic_mirror.operations.recording.formats.table import Format
from pulumi_traffic_mirror.operations.recording.formats.tally import Tally
from pulumi_traffic_mirror.operations.recording.schema import to_batch

DATA = Path(__file__).parents[3] / "data/formats"
BEGUN = 1_767_225_600


def read(content: bytes) -> tuple[list[Exchange], Tally]:
    tally = Tally()
    calls = binarylog.Calls(tally, source="log")
    return list(calls.exchanges(binarylog.read_entries(io.BytesIO(content), tally))), tally


@pytest.mark.parametrize("name", ["grpc-go", "grpc-java"])
def test_what_grpc_logged_is_there(name: str) -> None:
    found, tally = read((DATA / name / "calls.log").read_bytes())
    assert recognised(DATA / name / "calls.log") is Format.BINARY_LOG
    assert (tally.refused, tally.remarks, len(found)) == ({}, {}, 8)
    for side in ("client", "server"):
        own = [one for one in found if one.source == f"log-{side}"]
        good, missing, chat, gone = own
        assert all(one.is_grpc and (one.method, one.authority) == ("POST", "shop.example") for one in own)
        assert [one.path.rpartition("/")[2] for one in own] == ["Get", "Get", "Chat", "Chat"]
        assert ([m.data for m in good.request.messages], good.grpc_status) == ([b"\n\x01a"], 0)
        assert [value for key, value in good.request.headers if key == "x-tag"] == ["one", "two"]
        assert ("x-raw-bin", "AP4") in good.request.headers
        assert (missing.grpc_status, missing.status, missing.ending) == (5, 200, Ending.COMPLETE)
        assert ("grpc-message", "not here: 100 %25") in missing.response.trailers
        assert [m.data[2:] for m in chat.response.messages] == [b"reply to one", b"reply to two"]
        assert not any(one.request.truncated or one.response.truncated for one in (good, missing, chat))
        assert len(gone.response.messages) == 1


def test_java_s_credentials_are_read_so_that_they_can_be_redacted() -> None:
    found, _ = read((DATA / "grpc-java/calls.log").read_bytes())
    assert all(("authorization", "Bearer fake") in one.request.headers for one in found)


def test_a_call_that_java_s_client_gave_up_has_no_status_of_the_server() -> None:
    found, _ = read((DATA / "grpc-java/calls.log").read_bytes())
    gone = [one for one in found if one.ending is Ending.RESET]
    assert [(one.source, one.grpc_status, one.response.truncated) for one in gone] == [
        ("log-client", None, True),
        ("log-server", None, True),
    ]


def entry(event: Event, *, call: int = 1, logger: int = 2, at_ms: int = 0, **payload: Any) -> Any:
    made = GrpcLogEntry(type=event, call_id=call, logger=logger, **payload)
    made.timestamp.seconds, made.timestamp.nanos = BEGUN + at_ms // 1000, at_ms % 1000 * 10**6
    return made


def header(**changes: Any) -> Any:
    metadata = {"entry": [{"key": key, "value": value} for key, value in changes.pop("metadata", {}).items()]}
    known = {"method_name": "/a.B/C", "authority": "a", "metadata": metadata, **changes.pop("client_header", {})}
    return entry(Event.CLIENT_HEADER, client_header=known, **changes)


def message(event: Event, data: bytes, **changes: Any) -> Any:
    return entry(event, message={"length": len(data), "data": data} | changes.pop("message", {}), **changes)


TRAILER = entry(Event.SERVER_TRAILER, trailer={}, at_ms=9)


def go(*entries: Any) -> bytes:
    return b"".join(len(one := each.SerializeToString()).to_bytes(4, "big") + one for each in entries)


def java(*entries: Any) -> bytes:
    def varint(size: int) -> bytes:
        return bytes([size]) if size < 128 else bytes([size & 127 | 128]) + varint(size >> 7)

    return b"".join(varint(len(one := each.SerializeToString())) + one for each in entries)


@pytest.mark.parametrize("framed", [go, java])
def test_calls_interleave(framed: Any) -> None:
    entries = [header(call=1), header(call=2), entry(Event.SERVER_TRAILER, call=2, trailer={"status_code": 3}), TRAILER]
    found, tally = read(framed(*entries))
    assert [(one.grpc_status, one.duration_us) for one in found] == [(3, 0), (0, 9_000)]
    assert (tally.records, tally.refused) == (4, {})


@pytest.mark.parametrize("framed", [go, java])
def test_a_cut_log_gives_what_is_whole(framed: Any) -> None:
    content = framed(header(), TRAILER, header(call=2), entry(Event.SERVER_TRAILER, call=2, trailer={}))
    found, tally = read(content[:-3])
    assert [(one.ending, one.status) for one in found] == [(Ending.COMPLETE, 200), (Ending.CUT, None)]
    assert tally.refused == {"cut by the end of the file": 1}
    assert tally.remarks == {"calls without an end": 1}


def test_what_was_cut_for_the_log_is_marked() -> None:
    sent = message(Event.CLIENT_MESSAGE, b"abc", message={"length": 9}, payload_truncated=True)
    (one,), _ = read(go(header(), sent, TRAILER))
    assert [(m.data, m.size, m.truncated) for m in one.request.messages] == [(b"abc", 9, True)]
    assert (one.request.truncated, one.response.truncated, one.request.body_size) == (True, False, 14)
    (one,), _ = read(go(header(payload_truncated=True), TRAILER))
    assert one.request.truncated


def test_values_are_as_on_the_wire() -> None:
    one = header(
        metadata={"a-bin": b"\0", "b": b"\xe9", "grpc-encoding": b"gzip"}, client_header={"timeout": {"seconds": 2}}
    )
    trailer = entry(Event.SERVER_TRAILER, trailer={"status_code": 5, "status_message": "é\n", "status_details": b"x"})
    (found,), _ = read(go(one, trailer))
    assert found.request.headers == (("a-bin", "AA"), ("b", "\xe9"), ("grpc-timeout", "2000m"))
    assert found.response.trailers == (
        ("grpc-status", "5"),
        ("grpc-message", "%C3%A9%0A"),
        ("grpc-status-details-bin", "eA"),
    )


def test_the_identifier_is_the_request_s_own_or_tells_processes_apart() -> None:
    found, _ = read(go(header(metadata={"x-request-id": b"mine"}), TRAILER, header(call=2, at_ms=1)))
    assert [one.request_id for one in found] == ["mine", f"server-2-{BEGUN}001000000"]


def test_what_has_no_place_is_counted() -> None:
    orphan = message(Event.SERVER_MESSAGE, b"a", call=7)
    far = header(call=8)
    far.timestamp.seconds = 2**60
    found, tally = read(go(header(), header(), orphan, far, TRAILER, entry(Event.CANCEL), header()))
    assert len(found) == 1
    assert tally.refused == {
        "another call has the same identifier": 2,
        "entry of a call whose beginning is missing": 1,
        "time out of range": 1,
    }


@pytest.mark.parametrize("event", [Event.SERVER_HEADER, Event.CLIENT_MESSAGE, Event.SERVER_TRAILER])
@pytest.mark.parametrize("seconds", [2**60, -(2**60)])
def test_an_entry_with_a_time_that_no_recording_can_tell_is_refused(event: Event, seconds: int) -> None:
    far = entry(event)
    far.timestamp.seconds = seconds
    found, tally = read(go(header(), far, TRAILER))
    assert (len(found), tally.refused) == (1, {"time out of range": 1})


def test_a_status_that_is_no_code_is_none() -> None:
    found, _ = read(go(header(), entry(Event.SERVER_TRAILER, trailer={"status_code": 2**32 - 1})))
    assert [(one.grpc_status, one.response.trailers) for one in found] == [(None, (("grpc-status", "4294967295"),))]
    assert to_batch(found).num_rows == 1


def test_a_length_that_nobody_believes_ends_the_reading() -> None:
    found, tally = read(go(header(), TRAILER) + b"\x00\xff\xff\xff\xff" + b"\xff" * 99)
    assert len(found) == 1
    assert sum(tally.refused.values()) == 1


def test_open_calls_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binarylog, "WAITING_CALLS", 3)
    found, tally = read(go(*(header(call=number) for number in range(10))))
    assert (len(found), tally.remarks) == (10, {"calls without an end": 10})


@given(
    event=st.sampled_from(Event),
    seconds=st.integers(-(2**63), 2**63 - 1),
    nanos=st.integers(-(2**31), 2**31 - 1),
    number=st.integers(0, 2**32 - 1),
)
def test_no_values_break_it(event: Event, seconds: int, nanos: int, number: int) -> None:
    payloads: dict[Event, dict[str, Any]] = {
        Event.CLIENT_HEADER: {"client_header": {}},
        Event.SERVER_TRAILER: {"trailer": {"status_code": number}},
    }
    odd = entry(event, **payloads.get(event, {"message": {"length": number}}))
    odd.timestamp.seconds, odd.timestamp.nanos = seconds, nanos
    found, tally = read(go(odd, header(), odd, TRAILER))
    assert tally.records == 4
    assert to_batch(found).num_rows == len(found)


@given(content=st.binary(max_size=120), at=st.integers(0, 120), framed=st.sampled_from([go, java]))
def test_no_bytes_break_it(content: bytes, at: int, framed: Any) -> None:
    whole = framed(header(), message(Event.CLIENT_MESSAGE, b"a"), TRAILER)
    read(whole[:at] + content + whole[at:])
    read(content)
    binarylog.is_log(content)
