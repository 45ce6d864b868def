"""Tagged calls against a real gRPC server on loopback."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue

from pulumi_traffic_mirror.model import ValidationError
from pulumi_traffic_mirror.operations.calls import (
    MADE_UP_CREDENTIALS,
    CallJob,
    CallResult,
    CallSummary,
    call_from_child,
    make_calls,
)
from pulumi_traffic_mirror.operations.errors import OperationError
from pulumi_traffic_mirror.operations.jobs import run_child
from pulumi_traffic_mirror.operations.verify.calling import run_calls
from pulumi_traffic_mirror.operations.verify.http_call import HttpCall

Answer = Callable[[str, grpc.ServicerContext], str]


class Greeter(grpc.GenericRpcHandler):
    """Answers ``helloworld.Greeter/SayHello`` and keeps what arrived."""

    def __init__(self) -> None:
        self.arrived: list[tuple[str, dict[str, Any], str]] = []
        self.answer: Answer = lambda name, _: f"Hello {name} ! from v1 pod greeter-v1-a ip 10.0.0.1"
        self.in_flight = 0
        self.most_in_flight = 0
        self._lock = threading.Lock()

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        if handler_call_details.method != "/helloworld.Greeter/SayHello":
            return None
        return grpc.unary_unary_rpc_method_handler(
            self._say_hello, StringValue.FromString, StringValue.SerializeToString
        )

    def _say_hello(self, request: StringValue, context: grpc.ServicerContext) -> StringValue:
        internals: Any = context
        with self._lock:
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
            authority = internals._rpc_event.call_details.host.decode()
            headers: dict[str, Any] = dict(context.invocation_metadata())
            self.arrived.append((request.value, headers, authority))
        try:
            return StringValue(value=self.answer(request.value, context))
        finally:
            with self._lock:
                self.in_flight -= 1


@pytest.fixture
def greeter() -> Iterator[tuple[Greeter, str]]:
    handler = Greeter()
    server = grpc.server(futures.ThreadPoolExecutor(32))
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield handler, f"127.0.0.1:{port}"
    server.stop(None).wait()


def job(address: str, **values: Any) -> CallJob:
    return CallJob(
        **{"address": address, "authority": "grpc-hello.staging.example:8000", "run_id": "run1", "count": 20, **values}
    )


def call(job: CallJob) -> list[CallResult]:
    async def collect() -> list[CallResult]:
        return [result async for result in make_calls(job)]

    return asyncio.run(collect())


def test_every_call_has_its_own_id_and_the_authority_of_the_clients(greeter: tuple[Greeter, str]) -> None:
    handler, address = greeter
    results = call(job(address))
    expected = {f"run1-{i:06d}" for i in range(20)}
    assert {result.call_id for result in results} == expected
    assert {name for name, _, _ in handler.arrived} == expected
    assert {headers["x-request-id"] for _, headers, _ in handler.arrived} == expected
    assert {authority for _, _, authority in handler.arrived} == {"grpc-hello.staging.example:8000"}
    assert all(headers["user-agent"].startswith("run1 ") for _, headers, _ in handler.arrived)


def test_the_version_and_pod_that_answered_are_known(greeter: tuple[Greeter, str]) -> None:
    results = call(job(greeter[1]))
    assert {(r.status, r.version, r.pod) for r in results} == {("OK", "v1", "greeter-v1-a")}
    assert all(result.seconds > 0 for result in results)


@pytest.mark.parametrize("wanted", [True, False])
def test_credentials_are_made_up_and_can_be_left_out(greeter: tuple[Greeter, str], wanted: bool) -> None:
    handler, address = greeter
    call(job(address, with_credentials=wanted, count=1))
    ((_, headers, _),) = handler.arrived
    assert all((name in headers) is wanted for name in MADE_UP_CREDENTIALS)


def test_an_answer_that_names_no_version_is_an_answer_by_nobody_known(greeter: tuple[Greeter, str]) -> None:
    handler, address = greeter
    handler.answer = lambda name, _: f"Hi {name}"
    assert {(r.status, r.version) for r in call(job(address))} == {("OK", "")}


def test_a_failed_call_is_a_result_with_status_and_words(greeter: tuple[Greeter, str]) -> None:
    handler, address = greeter

    def fail(_: str, context: grpc.ServicerContext) -> str:
        context.abort(grpc.StatusCode.UNAVAILABLE, "no healthy upstream")

    handler.answer = fail
    results = call(job(address, count=3))
    assert {(r.status, r.detail, r.version) for r in results} == {("UNAVAILABLE", "no healthy upstream", "")}


def test_nobody_listening_fails_every_call_and_raises_nothing() -> None:
    results = call(job("127.0.0.1:1", count=2, timeout_seconds=1))
    assert [result.status for result in results] == ["UNAVAILABLE"] * 2


def test_concurrency_is_used_and_bounded(greeter: tuple[Greeter, str]) -> None:
    handler, address = greeter
    together = threading.Barrier(4)

    def wait_for_three_others(name: str, _: grpc.ServicerContext) -> str:
        together.wait(timeout=10)
        return f"Hello {name} ! from v1 pod p ip i"

    handler.answer = wait_for_three_others
    results = call(job(address, count=12, concurrency=4, timeout_seconds=20))
    assert {result.status for result in results} == {"OK"}
    assert handler.most_in_flight == 4


def test_a_rate_spreads_the_starts(greeter: tuple[Greeter, str]) -> None:
    loop = asyncio.new_event_loop()
    before = loop.time()
    loop.close()
    call(job(greeter[1], count=11, calls_per_second=50))
    loop = asyncio.new_event_loop()
    assert loop.time() - before >= 10 / 50
    loop.close()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("count", 0),
        ("concurrency", 0),
        ("timeout_seconds", 0),
        ("timeout_seconds", float("nan")),
        ("calls_per_second", -1),
        ("run_id", "Upper"),
        ("run_id", ""),
        ("run_id", "x" * 41),
    ],
)
def test_a_bad_job_is_refused_with_its_field(field: str, value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        job("127.0.0.1:1", **{field: value})
    assert caught.value.field == field


def test_a_child_makes_the_same_calls(greeter: tuple[Greeter, str]) -> None:
    handler, address = greeter
    results = list(call_from_child(job(address), timeout_seconds=60))
    assert {(r.call_id, r.version) for r in results} == {(name, "v1") for name, _, _ in handler.arrived}
    assert len(results) == 20


def test_a_child_that_is_refused_its_job_says_why() -> None:
    with pytest.raises(OperationError, match="count = 0"):
        list(run_child("calls", {"address": "a:1", "authority": "a", "run_id": "r", "count": 0}, timeout_seconds=60))


def test_a_child_that_hangs_is_ended(greeter: tuple[Greeter, str]) -> None:
    handler, address = greeter
    release = threading.Event()
    handler.answer = lambda _, __: str(release.wait(30))
    before = time.monotonic()
    with pytest.raises(OperationError, match=r"did not end within 0\.5 s"):
        list(call_from_child(job(address, count=1, timeout_seconds=60), timeout_seconds=0.5))
    assert time.monotonic() - before < 15
    release.set()


def test_a_child_whose_place_is_missing_says_which_program() -> None:
    with pytest.raises(OperationError, match="no-such-program"):
        list(run_child("calls", {}, wrap=lambda command: ["no-such-program", *command], timeout_seconds=5))


def test_a_child_that_crashes_shows_its_last_words() -> None:
    with pytest.raises(OperationError, match="TypeError"):
        list(run_child("calls", {"unknown": 1}, timeout_seconds=60))


def test_the_summary_counts_versions_failures_and_times() -> None:
    results = [
        CallResult(call_id=str(i), status="OK", seconds=float(i), version="v1" if i < 9 else "v2") for i in range(10)
    ]
    results += [CallResult(call_id="x", status="UNAVAILABLE", seconds=9, detail="gone")] * 2
    summary = CallSummary.of(results)
    assert summary.total == 12
    assert summary.answered_by == {"v1": 9, "v2": 1}
    assert summary.failures == {"UNAVAILABLE: gone": 2}
    assert (summary.median_seconds, summary.p95_seconds) == (4.5, 8.0)


def test_the_summary_of_nothing_has_no_times() -> None:
    assert CallSummary.of([]).median_seconds == 0


@pytest.mark.parametrize(("name", "http"), [("x-user-bin", None), ("x-user", HttpCall(method="GET", path="/"))])
def test_calls_that_cannot_be_made_end_at_once(name: str, http: HttpCall | None) -> None:
    job = CallJob(address="127.0.0.1:1", authority="a", run_id="r", count=20, headers={name: "J\u00fcrgen"})

    async def make() -> None:
        async with asyncio.timeout(10):
            async for _ in run_calls(job, http):
                pytest.fail("no call can be made")

    with pytest.raises((TypeError, ValueError)):
        asyncio.run(make())
