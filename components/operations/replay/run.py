"""Replaying a recording: read in order, send in time, count and write what comes back."""

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from ...model import HeaderName, ValidationError
from ..recording import Exchange, RecordingReader, RecordingStore, RecordingWriter, Side
from ..recording.noted_rules import note_of, noted_rules
from ..recording.ordering import OrderedReader
from ..recording.redaction import RedactionRules
from .feed import read_ahead
from .grpc_sender import GrpcSender
from .guard import ReplayGuard
from .http_sender import HttpSender
from .outcome import Outcome
from .pace import Pace, schedule
from .results import ResultWriter
from .statistics import ReplayReport, ReplayStatistics
from .target import Target

MARK_HEADER: Final = "x-traffic-replay"
"""Header that every replayed request carries, with the run's identifier, so that nobody takes it for a user's."""

_PROGRESS_SECONDS: Final = 0.5

_LEAD_SECONDS: Final = 0.2
"""Between being ready and the first request, so that it is not late itself."""

_GRACE_SECONDS: Final = 5.0
"""Beyond its own limit in which the last call may end, so that it says how it ended even on a busy machine."""


@dataclass(frozen=True, kw_only=True)
class ReplayJob:
    """What to replay, where to, and how.

    Raises:
        ValidationError: A value breaks its rule.
    """

    recording: str
    """Path or URL of the recording."""
    target: Target
    pace: Pace = field(default_factory=Pace)
    guard: ReplayGuard = field(default_factory=ReplayGuard)
    result: str | None = None
    """Path or URL for the responses, as a recording; ``None`` keeps none."""
    result_side: Side = Side.MIRROR
    """Which side the responses stand for; primary for a repeated replay to v1, which shows its natural variation."""
    max_requests: int | None = None
    """No more than this many requests; ``None`` for all."""
    max_in_flight: int = 256
    """Requests without a response at once, 1 to 10,000; a target that hangs is not flooded."""
    timeout_seconds: float = 30.0
    """Bound on each request, 0.1 to 3,600 s."""
    max_body_bytes: int = 1024 * 1024
    """Bytes of each response that are kept."""
    mark_header: str = MARK_HEADER
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])

    def __post_init__(self) -> None:
        object.__setattr__(self, "mark_header", HeaderName(self.mark_header, field="mark_header"))
        for name, low, high in (
            ("max_requests", 1, 10**12),
            ("max_in_flight", 1, 10_000),
            ("timeout_seconds", 0.1, 3_600),
            ("max_body_bytes", 0, 2**31),
        ):
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise ValidationError(
                    field=name,
                    value=value,
                    rule=f"must be from {low:g} to {high:g}",
                    remedy="Choose a value in that range",
                )


async def replay(
    job: ReplayJob,
    *,
    dry_run: bool = False,
    stop: asyncio.Event | None = None,
    on_progress: Callable[[ReplayStatistics], None] | None = None,
) -> ReplayReport:
    """Replay a recording.

    Args:
        job: What to do.
        dry_run: Read and decide, send nothing.
        stop: Once set, nothing more is sent; what was sent is finished, written and reported.
        on_progress: Called twice a second with the numbers so far.

    Raises:
        ValidationError: The recording is empty or of another schema version, or the target's files cannot be read.
    """
    reader = RecordingReader.open(job.recording)
    run = _Run(job, stop or asyncio.Event(), noted_rules(reader) if job.result else [])
    ordered = OrderedReader(reader)
    started = time.monotonic()
    showing = asyncio.ensure_future(_show(run.statistics, on_progress)) if on_progress else None
    try:
        stopped_by = await (run.plan(ordered) if dry_run else run.send_all(ordered))
    finally:
        if showing:
            showing.cancel()
    statistics = run.statistics
    return ReplayReport(
        run_id=job.run_id,
        target=job.target.url,
        read=statistics.read,
        sent=statistics.sent,
        completed=statistics.completed,
        failures=dict(statistics.failures),
        skipped=dict(statistics.skipped),
        statuses=dict(statistics.statuses),
        changed_status=statistics.changed_status,
        latency=statistics.latency,
        lateness=statistics.lateness,
        held_back=statistics.held_back,
        out_of_order=ordered.out_of_order,
        unwritten=statistics.unwritten,
        elapsed_seconds=0.0 if dry_run else time.monotonic() - started,
        stopped_by=stopped_by,
        damage=tuple(reader.damage),
        is_dry_run=dry_run,
    )


async def _show(statistics: ReplayStatistics, on_progress: Callable[[ReplayStatistics], None]) -> None:
    while True:
        await asyncio.sleep(_PROGRESS_SECONDS)
        on_progress(statistics)


class _Run:
    """One replay."""

    def __init__(self, job: ReplayJob, stop: asyncio.Event, rules: Sequence[RedactionRules]) -> None:
        self._job = job
        self._stop = stop
        self._chosen = 0
        self._stopped_by = ""
        self.statistics = ReplayStatistics()
        self._slots = asyncio.Semaphore(job.max_in_flight)
        self._tasks: set[asyncio.Task[None]] = set()
        self._http = HttpSender(
            job.target,
            timeout_seconds=job.timeout_seconds,
            max_body_bytes=job.max_body_bytes,
        )
        self._grpc = GrpcSender(
            job.target,
            timeout_seconds=job.timeout_seconds,
            max_body_bytes=job.max_body_bytes,
            speed=None if job.pace.rate else job.pace.speed,
        )
        self._results = self._result_writer([RedactionRules(), *rules])

    async def plan(self, ordered: OrderedReader) -> str:
        """Count what would be sent."""
        async with aclosing(self._wanted(ordered)) as wanted:
            async for _ in wanted:
                self.statistics.sent += 1
        return self._stopped_by

    async def send_all(self, ordered: OrderedReader) -> str:
        """Send everything that may be sent, and wait for the responses."""
        try:
            return await self._send_in_time(ordered)
        finally:
            # Also after Ctrl-C: nothing that was sent is forgotten.
            await self._finish()
            if self._results:
                await self._results.close()
            await self._http.close()
            await self._grpc.close()

    async def _finish(self) -> None:
        """Wait for what was sent. Each call has a limit of its own, which for a stream is longer than the usual one."""
        sent = set(self._tasks)
        if not sent:
            return
        stopping = asyncio.ensure_future(self._stop.wait())
        ended = asyncio.gather(*sent, return_exceptions=True)
        await asyncio.wait([ended, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        # Whoever stops the replay waits no longer than for a usual call.
        _, late = await asyncio.wait(sent, timeout=self._job.timeout_seconds + _GRACE_SECONDS)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _send_in_time(self, ordered: OrderedReader) -> str:
        due = schedule(self._job.pace)
        origin: float | None = None
        stopping = asyncio.ensure_future(self._stop.wait())
        try:
            async with aclosing(self._wanted(ordered)) as wanted:
                async for exchange in wanted:
                    if origin is None:
                        origin = time.perf_counter() + _LEAD_SECONDS
                    moment = origin + due(exchange.started_at)
                    if (wait := moment - time.perf_counter()) > 0:
                        await asyncio.wait([stopping], timeout=wait)
                    if self._stop.is_set():
                        return "interrupted"
                    await self._start(exchange, moment)
        finally:
            stopping.cancel()
        return self._stopped_by

    async def _start(self, exchange: Exchange, moment: float) -> None:
        if self._slots.locked():
            self.statistics.held_back += 1
        await self._slots.acquire()
        task = asyncio.create_task(self._send(exchange, moment))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _wanted(self, ordered: OrderedReader) -> AsyncGenerator[Exchange, None]:
        """Yield what may be sent, until it is enough."""
        async with aclosing(read_ahead(ordered.exchanges())) as exchanges:
            async for exchange in exchanges:
                if self._stop.is_set():
                    self._stopped_by = "interrupted"
                    return
                if not self._may_send(exchange):
                    continue
                if self._job.max_requests is not None and self._chosen >= self._job.max_requests:
                    self._stopped_by = "limit"
                    return
                self._chosen += 1
                yield exchange

    async def _send(self, exchange: Exchange, moment: float) -> None:
        job = self._job
        try:
            headers = job.target.headers_for(exchange.request.headers, mark=(job.mark_header, job.run_id))
            sent_at = datetime.now(UTC)
            self.statistics.started(late_seconds=max(0.0, time.perf_counter() - moment))
            sender = self._grpc if exchange.is_grpc else self._http
            try:
                outcome = await sender.send(exchange, headers)
            except asyncio.CancelledError:  # the replay is over, and this call is counted all the same
                outcome = Outcome(failure="cut off")
            except Exception as error:  # one request that cannot be sent must not end the others
                outcome = Outcome(failure=type(error).__name__)
        finally:
            self._slots.release()
        self.statistics.ended(exchange, outcome)
        if self._results:
            await self._results.add(exchange, outcome, sent_at=sent_at)

    def _may_send(self, exchange: Exchange) -> bool:
        self.statistics.read += 1
        reason = self._job.guard.refuse(exchange)
        if reason is not None:
            self.statistics.skip(reason)
        return reason is None

    def _result_writer(self, rules: Sequence[RedactionRules]) -> ResultWriter | None:
        job = self._job
        if job.result is None:
            return None

        def lose(count: int) -> None:
            self.statistics.unwritten += count

        name = f"replay-{job.run_id}"
        writer = RecordingWriter(RecordingStore.open(job.result), instance=name, notes=note_of(rules))
        return ResultWriter(writer, rules=rules, side=job.result_side, source=name, on_loss=lose)
