"""An exchange is what the proxy reported, whatever the order and wherever it broke off."""

from datetime import UTC, datetime

import pytest

from pulumi_traffic_mirror.operations.recording import (
    Assembler,
    CaptureLimits,
    Ending,
    Exchange,
    MemoryBudget,
    Origin,
    Side,
)
from pulumi_traffic_mirror.operations.recording.assembling import LARGEST, is_grpc, to_int

_MS = 1_000_000
_START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
_REQUEST = (
    (":method", "POST"),
    (":scheme", "http"),
    (":authority", "shop.example:8000"),
    (":path", "/orders?x=1"),
    ("x-request-id", "id-1"),
    ("content-type", "application/json"),
)
_GRPC_REQUEST = ((":method", "POST"), (":path", "/a.B/C"), ("content-type", "application/grpc"))


def _assembler(
    *, budget: MemoryBudget | None = None, limits: CaptureLimits | None = None, origin: Origin | None = None
) -> Assembler:
    return Assembler(
        origin=origin or Origin(side=Side.PRIMARY, source="gateway"),
        limits=limits or CaptureLimits(),
        budget=budget or MemoryBudget(1 << 20),
        started_at=_START,
        at_ns=0,
    )


def _finished(assembler: Assembler) -> Exchange:
    exchange = assembler.finish()
    assert exchange is not None
    return exchange


def test_a_plain_call_is_recorded_with_its_times() -> None:
    assembler = _assembler()
    assembler.request_headers(_REQUEST, end=False, at_ns=0)
    assembler.request_body(b"he", end=False, at_ns=1 * _MS)
    assembler.request_body(b"llo", end=True, at_ns=2 * _MS)
    assembler.response_headers(((":status", "201"), ("server", "x")), end=False, at_ns=5 * _MS)
    assert not assembler.is_complete
    assembler.response_body(b"ok", end=True, at_ns=7 * _MS)
    assert assembler.is_complete
    exchange = _finished(assembler)
    assert (exchange.method, exchange.scheme, exchange.authority, exchange.path) == (
        "POST",
        "http",
        "shop.example:8000",
        "/orders?x=1",
    )
    assert (exchange.request_id, exchange.status, exchange.grpc_status) == ("id-1", 201, None)
    assert (exchange.first_byte_us, exchange.duration_us, exchange.started_at) == (5_000, 7_000, _START)
    assert exchange.ending is Ending.COMPLETE
    assert (exchange.request.body, exchange.response.body) == (b"hello", b"ok")
    assert exchange.request.headers == (("x-request-id", "id-1"), ("content-type", "application/json"))


def test_a_grpc_call_is_split_by_message_and_has_its_status_from_the_trailers() -> None:
    assembler = _assembler()
    assembler.request_headers(_GRPC_REQUEST, end=False, at_ns=0)
    assembler.request_body(b"\0\0\0\0\x02hi\0\0\0\0\0", end=True, at_ns=_MS)
    assembler.response_headers(((":status", "200"), ("content-type", "application/grpc")), end=False, at_ns=2 * _MS)
    assembler.response_body(b"\0\0\0\0\x01!", end=False, at_ns=3 * _MS)
    assembler.response_trailers((("grpc-status", "5"),), at_ns=4 * _MS)
    exchange = _finished(assembler)
    assert exchange.is_grpc
    assert [m.data for m in exchange.request.messages] == [b"hi", b""]
    assert [(m.data, m.offset_us) for m in exchange.response.messages] == [(b"!", 3_000)]
    assert exchange.request.body is None
    assert (exchange.grpc_status, exchange.response.trailers) == (5, (("grpc-status", "5"),))


_HEADS = Origin(side=Side.PRIMARY, source="gateway", bodies=False)


def test_without_bodies_a_call_ends_with_the_answer_s_headers() -> None:
    assembler = _assembler(origin=_HEADS)
    assembler.request_headers((*_REQUEST, ("content-length", "5")), end=False, at_ns=0)
    assert not assembler.is_complete
    assembler.response_headers(((":status", "200"),), end=False, at_ns=4 * _MS)
    assert assembler.is_complete
    exchange = _finished(assembler)
    assert (exchange.ending, exchange.status, exchange.duration_us) == (Ending.COMPLETE, 200, 4_000)
    parts = [(part.body, part.body_size, part.truncated) for part in (exchange.request, exchange.response)]
    assert parts == [(None, 5, True), (None, 0, True)]


def test_without_bodies_what_has_none_is_whole() -> None:
    assembler = _assembler(origin=_HEADS)
    assembler.request_headers(_REQUEST, end=True, at_ns=0)
    assembler.response_headers(((":status", "204"),), end=True, at_ns=0)
    exchange = _finished(assembler)
    parts = [(part.body, part.body_size, part.truncated) for part in (exchange.request, exchange.response)]
    assert parts == [(b"", 0, False), (b"", 0, False)]


@pytest.mark.parametrize(
    ("length", "size"),
    [
        ("-1", 0),
        ("x", 0),
        ("²", 0),
        ("٣", 0),
        ("0" * 5_000 + "7", 7),
        (str(LARGEST - 1), LARGEST - 1),
        ("9" * 40, LARGEST),
        ("9" * 5_000, LARGEST),
    ],
)
def test_any_length_fits_its_column(length: str, size: int) -> None:
    assembler = _assembler(origin=_HEADS)
    assembler.request_headers((*_REQUEST, ("content-length", length)), end=False, at_ns=0)
    assembler.response_headers(((":status", "200"),), end=True, at_ns=0)
    assert _finished(assembler).request.body_size == size


def test_without_bodies_a_grpc_call_ends_with_its_trailers() -> None:
    assembler = _assembler(origin=_HEADS)
    assembler.request_headers(_GRPC_REQUEST, end=False, at_ns=0)
    assembler.response_headers(((":status", "200"), ("content-type", "application/grpc")), end=False, at_ns=_MS)
    assert not assembler.is_complete
    assembler.response_trailers((("grpc-status", "5"),), at_ns=2 * _MS)
    assert assembler.is_complete
    exchange = _finished(assembler)
    assert (exchange.is_grpc, exchange.grpc_status, exchange.duration_us) == (True, 5, 2_000)
    assert [(part.messages, part.truncated) for part in (exchange.request, exchange.response)] == [((), True)] * 2


def test_without_bodies_a_page_in_answer_to_a_grpc_call_ends_it() -> None:
    assembler = _assembler(origin=_HEADS)
    assembler.request_headers(_GRPC_REQUEST, end=False, at_ns=0)
    assembler.response_headers(((":status", "503"), ("content-type", "text/html")), end=False, at_ns=_MS)
    assert assembler.is_complete


def test_a_response_of_trailers_only_has_its_grpc_status_too() -> None:
    assembler = _assembler()
    assembler.request_headers(_GRPC_REQUEST, end=True, at_ns=0)
    assembler.response_headers(((":status", "200"), ("grpc-status", "12"), ("x-shard", "1")), end=True, at_ns=0)
    exchange = _finished(assembler)
    assert exchange.grpc_status == 12
    assert (exchange.response.headers, exchange.response.trailers) == ((), (("grpc-status", "12"), ("x-shard", "1")))


@pytest.mark.parametrize(("cut", "ending"), [(False, Ending.RESET), (True, Ending.CUT)])
def test_an_exchange_that_breaks_off_says_so(cut: bool, ending: Ending) -> None:
    assembler = _assembler()
    assembler.request_headers(_REQUEST, end=True, at_ns=0)
    exchange = assembler.finish(cut=cut)
    assert exchange is not None
    assert (exchange.ending, exchange.status) == (ending, None)


@pytest.mark.parametrize("kind", ["application/json", "application/grpc"])
def test_what_breaks_off_is_not_whole(kind: str) -> None:
    assembler = _assembler()
    assembler.request_headers(((":method", "POST"), ("content-type", kind)), end=False, at_ns=0)
    assembler.request_body(b"\0\0\0\0\x01x", end=False, at_ns=0)
    exchange = _finished(assembler)
    assert (exchange.request.truncated, exchange.response.truncated) == (True, False)


def test_nothing_seen_is_no_exchange() -> None:
    assert _assembler().finish() is None


def test_a_body_beyond_the_limit_is_cut_and_counted() -> None:
    assembler = _assembler(limits=CaptureLimits(max_body_bytes=3))
    assembler.request_headers(_REQUEST, end=False, at_ns=0)
    assembler.request_body(b"ab", end=False, at_ns=0)
    assembler.request_body(b"cd", end=False, at_ns=0)
    assembler.request_body(b"ef", end=True, at_ns=0)
    request = _finished(assembler).request
    assert (request.body, request.body_size, request.truncated) == (b"abc", 6, True)


def test_without_memory_the_body_is_dropped_and_the_reservation_stays_exact() -> None:
    budget = MemoryBudget(6_000)
    assembler = _assembler(budget=budget)
    assert assembler.request_headers(_REQUEST, end=False, at_ns=0)
    assembler.request_body(b"x" * 10_000, end=True, at_ns=0)
    request = _finished(assembler).request
    assert (request.body, request.body_size, request.truncated) == (b"", 10_000, True)
    assert budget.used == assembler.reserved < 6_000
    budget.give(assembler.reserved)
    assert budget.used == 0


def test_without_memory_for_the_headers_the_exchange_is_refused() -> None:
    assembler = _assembler(budget=MemoryBudget(100))
    assert not assembler.request_headers(_REQUEST, end=False, at_ns=0)
    assert assembler.reserved == 0


def test_endless_tiny_messages_stay_within_the_budget() -> None:
    budget = MemoryBudget(20_000)
    assembler = _assembler(budget=budget, limits=CaptureLimits(max_messages=10))
    assembler.request_headers(_GRPC_REQUEST, end=False, at_ns=0)
    for _ in range(1_000):
        assembler.request_body(b"\0\0\0\0\x01x", end=False, at_ns=0)
    request = _finished(assembler).request
    assert len(request.messages) == 10
    assert request.truncated
    assert budget.used <= 20_000


def test_messages_that_are_not_kept_hold_no_memory() -> None:
    budget = MemoryBudget(20_000)
    assembler = _assembler(budget=budget, limits=CaptureLimits(max_messages=1))
    assembler.request_headers(_GRPC_REQUEST, end=False, at_ns=0)
    assembler.request_body(b"\0\0\0\0\x01x", end=False, at_ns=0)
    used = budget.used
    for _ in range(1_000):
        assembler.request_body(b"\0\0\0\0\x01x", end=False, at_ns=0)
    assert budget.used == used == assembler.reserved


def test_many_messages_in_one_report_are_kept_as_far_as_memory_goes() -> None:
    budget = MemoryBudget(20_000)
    assembler = _assembler(budget=budget)
    assembler.request_headers(_GRPC_REQUEST, end=False, at_ns=0)
    assembler.request_body(b"\0\0\0\0\x01x" * 2, end=False, at_ns=0)
    assembler.request_body(b"\0\0\0\0\0" * 500, end=False, at_ns=0)
    request = _finished(assembler).request
    assert ([message.data for message in request.messages], request.truncated) == ([b"x", b"x"], True)
    assert budget.used == assembler.reserved


@pytest.mark.parametrize(("marked", "side"), [(True, Side.MIRROR), (False, Side.PRIMARY)])
def test_the_mark_decides_the_side_when_none_is_fixed(marked: bool, side: Side) -> None:
    assembler = _assembler(origin=Origin(side=None, source="", mark_header="x-mark"))
    assembler.request_headers((*_REQUEST, ("x-mark", "1")) if marked else _REQUEST, end=True, at_ns=0)
    assert _finished(assembler).side is side


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("application/grpc", True),
        ("application/grpc+proto", True),
        ("application/grpc;x=y", True),
        ("Application/GRPC+Proto", True),
        ("application/grpc-web", False),
        ("application/json", False),
    ],
)
def test_only_grpc_framing_counts_as_grpc(content_type: str, expected: bool) -> None:
    assert is_grpc((("content-type", content_type),)) is expected


def test_a_status_that_is_no_number_is_no_status() -> None:
    assert [to_int(text) for text in ("200", "", None, "x", "²", "9999")] == [200, None, None, None, None, None]
