"""mitmproxy's flows: what its own reader says of them becomes an exchange, and nothing else runs."""

import base64
import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pulumi_traffic_mirror.model import ValidationError
from pulumi_traffic_mirror.operations.recording import Ending, Exchange
from pulumi_traffic_mirror.operations.recording.assembling import LARGEST
from pulumi_traffic_mirror.operations.recording.formats import mitmproxy
from pulumi_traffic_mirror.operations.recording.formats.tally import Tally
from pulumi_traffic_mirror.operations.recording.schema import to_batch

EMPTY: dict[str, Any] = {"scheme": "", "authority": "", "path": ""}
BEGUN = 1_767_225_600.0


def message(body: bytes | None = b"", *headers: tuple[str, str], at: float = BEGUN, **more: Any) -> dict[str, Any]:
    encoded = None if body is None else base64.b64encode(body).decode()
    return {"headers": headers, "body": encoded, "trailers": [], "begin": at, "end": at + 0.5, **more}


def flow(**changes: Any) -> dict[str, Any]:
    known: dict[str, Any] = {"method": "GET", "scheme": "https", "authority": "shop.example", "path": "/a?b=c"}
    request = message(b"", ("Host", "shop.example"), ("X-A", "1"), ("X-A", "2"), **known)
    response = message(b"ok", ("Content-Length", "2"), at=BEGUN + 1, status=200)
    nothing = {"changed": False, "websocket": False, "error": False}
    return {"type": "http", "id": "f-1", **nothing, "request": request, "response": response, **changes}


def read(*flows: dict[str, Any]) -> tuple[list[Exchange], Tally]:
    tally = Tally()
    return list(mitmproxy.read(flows, tally, source="m")), tally


def test_a_flow_is_exact() -> None:
    (one,), tally = read(flow())
    assert (one.method, one.scheme, one.authority, one.path) == ("GET", "https", "shop.example", "/a?b=c")
    assert one.request.headers == (("x-a", "1"), ("x-a", "2"))
    assert (one.status, one.response.body, one.response.truncated) == (200, b"ok", False)
    assert (one.first_byte_us, one.duration_us, one.started_at.timestamp()) == (1_000_000, 1_500_000, BEGUN)
    assert (one.request_id, one.ending, tally.remarks) == ("f-1", Ending.COMPLETE, {})


def test_what_was_streamed_through_is_missing_and_marked() -> None:
    answer = message(None, ("content-length", "99"), status=200)
    (one,), _ = read(flow(response=answer))
    assert (one.response.truncated, one.response.body_size) == (True, 99)


def test_an_answer_that_broke_off_is_none_that_was_whole() -> None:
    (one,), _ = read(flow(error=True))
    assert (one.ending, one.response.truncated) == (Ending.RESET, True)
    (one,), _ = read(flow(error=True, response=None))
    assert (one.ending, one.status) == (Ending.RESET, None)


def test_bytes_in_a_path_survive() -> None:
    (one,), _ = read(flow(request={**flow()["request"], "path": "/a\udcff"}))
    assert one.path == "/a\xff"


def test_grpc_has_messages_and_trailers() -> None:
    kind = ("content-type", "application/grpc")
    known: dict[str, Any] = {"method": "POST", "scheme": "http", "authority": "a", "path": "/a.B/C"}
    request = message(b"\0\0\0\0\2hi", kind, **known)
    answer = message(b"\0\0\0\0\0", kind, status=200) | {"trailers": [("grpc-status", "5")]}
    (one,), _ = read(flow(request=request, response=answer))
    assert one.is_grpc
    assert [m.data for m in one.request.messages] == [b"hi"]
    assert (one.grpc_status, one.response.trailers) == (5, (("grpc-status", "5"),))


def test_what_has_to_be_known_is_counted() -> None:
    _, tally = read(
        flow(changed=True), flow(websocket=True), {"type": "tcp"}, flow(request=message(method="", **EMPTY))
    )
    assert tally.remarks == {mitmproxy.CHANGED: 1, mitmproxy.WEBSOCKET: 1}
    assert tally.refused == {"no HTTP": 1, "flow without a request": 1}


@given(at=st.floats(), part=st.sampled_from(["request", "response"]), when=st.sampled_from(["begin", "end"]))
@example(at=1e15, part="response", when="end")
@example(at=1.7e308, part="response", when="begin")
def test_a_time_out_of_range_is_refused_or_none(at: float, part: str, when: str) -> None:
    found, tally = read(flow(**{part: {**flow()[part], when: at}}))
    assert len(found) + sum(tally.refused.values()) == 1
    assert to_batch(found).num_rows == len(found)


def test_an_answer_whose_status_is_none_is_refused() -> None:
    found, tally = read(flow(response=message(status=-1)))
    assert (found, tally.refused) == ([], {"answer without a status": 1})


def test_a_flow_without_a_time_is_refused() -> None:
    found, tally = read(flow(request={**flow()["request"], "begin": None}), flow())
    assert (len(found), tally.refused) == (1, {"time out of range": 1})


def test_a_length_beyond_all_is_the_largest_one() -> None:
    found, _ = read(flow(response=message(None, ("content-length", "9" * 5_000), status=200)))
    assert [one.response.body_size for one in found] == [LARGEST]


def program(path: Path, script: str) -> str:
    """A stand-in for mitmdump: its words are mitmproxy's, what it says is given."""
    path.write_text(
        f"#!{sys.executable}\nimport os\ninto = os.fdopen(int(os.environ['TRAFFIC_MIRROR_INTO']), 'w')\n{script}"
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_flows_come_through_a_pipe(tmp_path: Path) -> None:
    lines = [json.dumps(each) for each in (flow(), {"end": ""})]
    script = f"for line in {lines!r}: into.write(line + chr(10))\n"
    tally = Tally()
    (one,) = mitmproxy.flows_of(tmp_path / "a", program(tmp_path / "mitmdump", script), tally)
    assert (one["id"], tally.refused) == ("f-1", {})


def test_a_file_that_ends_early_gives_what_is_whole(tmp_path: Path) -> None:
    script = f"into.write({json.dumps(flow())!r} + chr(10) + {json.dumps({'end': 'not enough data'})!r})\n"
    tally = Tally()
    assert len(list(mitmproxy.flows_of(tmp_path / "a", program(tmp_path / "mitmdump", script), tally))) == 1
    assert tally.refused == {"cut by the end of the file, or of a newer mitmproxy": 1}


def test_a_program_that_ends_within_a_flow_is_named(tmp_path: Path) -> None:
    script = f"into.write({json.dumps(flow())[:50]!r})\n"
    with pytest.raises(ValidationError, match="ended without"):
        list(mitmproxy.flows_of(tmp_path / "a", program(tmp_path / "mitmdump", script), Tally()))


def test_a_program_that_does_not_do_it_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="ended without"):
        list(mitmproxy.flows_of(tmp_path / "a", program(tmp_path / "mitmdump", "raise SystemExit(3)"), Tally()))
    with pytest.raises(ValidationError, match="must be mitmproxy's program"):
        list(mitmproxy.flows_of(tmp_path / "a", str(tmp_path / "nowhere"), Tally()))


def test_it_ends_with_whoever_stops_reading(tmp_path: Path) -> None:
    script = f"print(os.getpid(), file=open({str(tmp_path / 'pid')!r}, 'w'), flush=True)\n"
    script += f"while True: into.write({json.dumps(flow())!r} + chr(10))\n"
    flows = mitmproxy.flows_of(tmp_path / "a", program(tmp_path / "mitmdump", script), Tally())
    next(iter(flows))
    flows.close()
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
