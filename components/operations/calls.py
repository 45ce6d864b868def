"""Tagged gRPC calls through a gateway: who answered each of them, how fast, and what failed.

Every call has an identifier of its own as the greeted name, so that its copies can be found wherever they are logged,
and carries made-up credentials, so that a mirror that lets credentials through is found out.
"""

import asyncio
import re
import statistics
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import grpc
import grpc.aio
from google.protobuf.wrappers_pb2 import StringValue

from ..model import JsonObject, ValidationError
from ..model.credentials import CREDENTIAL_HEADERS
from ..model.safety import SET_BY_PROXIES
from .jobs import Wrap, Write, run_child, serve_job, unwrapped

SAY_HELLO = "helloworld.Greeter/SayHello"

MADE_UP_CREDENTIALS: Mapping[str, str] = {
    name: "made-up-for-a-rehearsal" for name in CREDENTIAL_HEADERS if name not in SET_BY_PROXIES
}
"""Headers that look like credentials and open nothing: all that a scrub promises to take off."""

_ANSWERED_BY = re.compile(r" from (?P<version>\S+) pod (?P<pod>\S*) ")
_RUN_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
MAX_CALLS = 1_000_000
MAX_CONCURRENCY = 1000


@dataclass(frozen=True, kw_only=True)
class CallJob:
    """What to call and how often.

    Raises:
        ValidationError: A value is out of its range.
    """

    address: str
    """``host:port`` that the connection goes to."""

    authority: str
    """``:authority`` of every call, as the clients of the gateway send it."""

    run_id: str
    """Tag of all calls: 1-40 lower-case letters, digits and hyphens. Choose a new one for each run."""

    count: int
    """Number of calls, 1 to 1,000,000."""

    rpc: str = SAY_HELLO
    """Unary method; request and reply have a text as field 1, as in ``helloworld.Greeter/SayHello``."""

    concurrency: int = 16
    """Calls in flight at most, 1 to 1000."""

    calls_per_second: float = 0.0
    """Rate at which calls start, >= 0; 0 means as fast as :attr:`concurrency` allows."""

    timeout_seconds: float = 5.0
    """Bound on each call, > 0."""

    with_credentials: bool = True
    """Whether calls carry :data:`MADE_UP_CREDENTIALS`."""

    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Further headers of every call, e.g. those that a mirror's match asks for; names in lower case."""

    @property
    def metadata(self) -> dict[str, str]:
        """Headers that every call carries."""
        return {**(MADE_UP_CREDENTIALS if self.with_credentials else {}), **self.headers}

    def __post_init__(self) -> None:
        _check(bool(_RUN_ID.fullmatch(self.run_id)), "run_id", self.run_id, "must be 1-40 of a-z, 0-9 and -")
        _check(1 <= self.count <= MAX_CALLS, "count", self.count, f"must be between 1 and {MAX_CALLS}")
        _check(
            1 <= self.concurrency <= MAX_CONCURRENCY,
            "concurrency",
            self.concurrency,
            f"must be between 1 and {MAX_CONCURRENCY}",
        )
        _check(self.calls_per_second >= 0, "calls_per_second", self.calls_per_second, "must not be negative")
        _check(self.timeout_seconds > 0, "timeout_seconds", self.timeout_seconds, "must be greater than 0")

    def call_id(self, index: int) -> str:
        """Return the identifier of one call."""
        return f"{self.run_id}-{index:06d}"


def _check(holds: bool, field: str, value: object, rule: str) -> None:
    if not holds:
        raise ValidationError(field=field, value=value, rule=rule, remedy="Choose a value in that range")


@dataclass(frozen=True, kw_only=True)
class CallResult:
    """What came of one call."""

    call_id: str
    """Its identifier."""

    status: str
    """Name of the gRPC status, ``OK`` for an answer."""

    seconds: float
    """Time until answer or error."""

    version: str = ""
    """Version that answered; empty without an answer, or when the answer names none."""

    pod: str = ""
    """Pod that answered; empty like :attr:`version`."""

    detail: str = ""
    """The server's or the client's words about an error."""


async def make_calls(job: CallJob) -> AsyncIterator[CallResult]:
    """Make the calls and yield their results as they come, in no particular order.

    Args:
        job: What to call.
    """
    options: list[tuple[str, Any]] = [
        ("grpc.default_authority", job.authority),
        # A proxy of the machine must not see, change or lose the calls.
        ("grpc.enable_http_proxy", 0),
        # Gateways log the user agent, so their lines can be told from those of other traffic.
        ("grpc.primary_user_agent", job.run_id),
    ]
    results: asyncio.Queue[CallResult | Exception] = asyncio.Queue()
    indices = iter(range(job.count))
    start = time.monotonic()
    async with grpc.aio.insecure_channel(job.address, options=options) as channel:
        # StringValue has one text as field 1, so it is HelloRequest and HelloReply on the wire.
        method: Any = channel.unary_unary(
            f"/{job.rpc}",
            request_serializer=StringValue.SerializeToString,
            response_deserializer=StringValue.FromString,
        )

        async def work() -> None:
            for index in indices:
                if job.calls_per_second:
                    await asyncio.sleep(start + index / job.calls_per_second - time.monotonic())
                results.put_nowait(await settled(_call_once(method, job, index)))

        workers = [asyncio.create_task(work()) for _ in range(min(job.concurrency, job.count))]
        try:
            for _ in range(job.count):
                yield result_of(await results.get())
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)


async def settled(call: Awaitable[CallResult]) -> CallResult | Exception:
    """Return what came of a call, or why it could not even be made; whoever waits for it must not wait for ever."""
    try:
        return await call
    except Exception as error:
        return error


def result_of(found: CallResult | Exception) -> CallResult:
    """Return what came of a call, or raise why it could not be made."""
    if isinstance(found, Exception):
        raise found
    return found


async def _call_once(method: Any, job: CallJob, index: int) -> CallResult:  # noqa: ANN401 -- grpc's own type is generic
    call_id = job.call_id(index)
    headers = {"x-request-id": call_id, **job.metadata}
    before = time.monotonic()
    try:
        reply = await method(StringValue(value=call_id), timeout=job.timeout_seconds, metadata=tuple(headers.items()))
    except grpc.aio.AioRpcError as error:
        return CallResult(
            call_id=call_id,
            status=error.code().name,
            seconds=time.monotonic() - before,
            detail=(error.details() or "")[:200],
        )
    seconds = time.monotonic() - before
    who = _ANSWERED_BY.search(reply.value)
    return CallResult(
        call_id=call_id,
        status="OK",
        seconds=seconds,
        version=who["version"] if who else "",
        pod=who["pod"] if who else "",
    )


@dataclass(frozen=True, kw_only=True)
class CallSummary:
    """All results of a run, counted."""

    total: int
    """Calls made."""

    answered_by: Mapping[str, int]
    """Answers by version."""

    failures: Mapping[str, int]
    """Failed calls by gRPC status and detail."""

    median_seconds: float
    """Median time of an answer; 0 without answers."""

    p95_seconds: float
    """95th percentile of the time of an answer; 0 without answers."""

    @property
    def answered(self) -> int:
        """Calls that were answered."""
        return self.total - sum(self.failures.values())

    @classmethod
    def of(cls, results: Sequence[CallResult]) -> "CallSummary":
        """Count the results."""
        answers = [result for result in results if result.status == "OK"]
        failed = Counter(f"{r.status}: {r.detail}" if r.detail else r.status for r in results if r.status != "OK")
        times = sorted(result.seconds for result in answers)
        return cls(
            total=len(results),
            answered_by=dict(sorted(Counter(result.version for result in answers).items())),
            failures=dict(failed.most_common()),
            median_seconds=statistics.median(times) if times else 0.0,
            p95_seconds=times[int(0.95 * (len(times) - 1))] if times else 0.0,
        )

    def to_json(self) -> JsonObject:
        """Return the summary as a JSON object."""
        return asdict(self)


def call_from_child(job: CallJob, *, wrap: Wrap = unwrapped, timeout_seconds: float = 300) -> Iterator[CallResult]:
    """Make the calls in a child process and yield the results as they come.

    Args:
        job: What to call.
        wrap: Where the child runs, e.g. in a network namespace.
        timeout_seconds: Bound on the whole job, > 0.

    Raises:
        OperationError: The child failed or took too long; a failed call is a result, no error.
    """
    for answer in run_child("calls", asdict(job), wrap=wrap, timeout_seconds=timeout_seconds):
        raw: dict[str, Any] = dict(answer)
        yield CallResult(**raw)


def _work(raw: dict[str, Any], write: Write) -> None:
    async def call() -> None:
        async for result in make_calls(CallJob(**raw)):
            write(asdict(result))

    asyncio.run(call())


if __name__ == "__main__":
    sys.exit(serve_job(_work))
