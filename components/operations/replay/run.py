"""Replaying a recording: read in order, send in time, count and write what comes back."""

import asyncio
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final

from ...model import HeaderName, ValidationError
from ...model.credentials import without_credentials
from ..recording import Exchange, RecordingReader, RecordingStore, RecordingWriter, Side
from ..recording.buckets import Shard
from ..recording.exchange import value_of
from ..recording.noted_rules import note_of, noted_rules
from ..recording.ordering import OrderedReader
from ..recording.redaction import REDACTED, URL_REDACTED, RedactionRules, carries_redacted
from ..recording.schema import REQUEST_COLUMNS
from .feed import read_ahead
from .guard import ReplayGuard, Sightings, Skip
from .outcome import Outcome
from .pace import Pace, schedule
from .results import ResultWriter
from .sender import Sender
from .sharding import ShardResult, first_start, own, read_part, share_of
from .statistics import ReplayedPart, ReplayReport, ReplayStatistics, report_of
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
    session_header: str | None = None
    """Requests with the same value of this header are sent one after another, each when the one before has its answer;
    without it, or where redaction replaced it, in their time alone."""
    shard: Shard = field(default_factory=Shard)
    """Which part of the requests to send, by a hash of their identifiers, or of their sessions. Rates and limits are
    those of all parts together; answers appear in a folder of the part's own when all are there."""
    begin: datetime | None = None
    """When the recording begins anew: one moment for all parts. A part that comes later begins at once, at its own
    pace; ``None``: all do."""
    mark_header: str = MARK_HEADER
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])

    def __post_init__(self) -> None:
        object.__setattr__(self, "mark_header", HeaderName(self.mark_header, field="mark_header"))
        if self.session_header is not None:
            object.__setattr__(self, "session_header", HeaderName(self.session_header, field="session_header"))
        if self.begin is not None and self.begin.tzinfo is None:
            raise ValidationError(
                field="begin",
                value=self.begin.isoformat(),
                rule="must have a time zone",
                remedy="Write for example '2026-01-31T12:00:00Z'",
            )
        for name, low, high in (
            ("max_requests", 1, 10**12),
            # Each part sends one at a time at least.
            ("max_in_flight", self.shard.of, 10_000),
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
        ValidationError: The recording is empty or of another schema version, the result's place is not empty, or the
            target's files cannot be read.
    """
    place = _place(job, dry_run=dry_run)
    if place is not None and (done := place.report()) is not None:
        return done
    part = await replay_part(job, dry_run=dry_run, stop=stop, on_progress=on_progress)
    return report_of([part], run_id=job.run_id, target=job.target.url, is_dry_run=dry_run)


async def replay_part(
    job: ReplayJob,
    *,
    dry_run: bool = False,
    stop: asyncio.Event | None = None,
    on_progress: Callable[[ReplayStatistics], None] | None = None,
) -> ReplayedPart:
    """Replay what a job's part has of a recording, whatever was done of it before; see :func:`replay`."""
    reader, place = RecordingReader.open(job.recording), _place(job, dry_run=dry_run)
    run = _Run(job, stop or asyncio.Event(), noted_rules(reader) if job.result else [], place)
    origin = first_start(reader) if job.shard.of > 1 else None
    # Whose a session is tells only the request as a whole.
    is_part = job.shard.of > 1 and job.session_header is None
    ordered = read_part(reader, job.shard) if is_part else OrderedReader(reader, columns=REQUEST_COLUMNS)
    started = time.monotonic()
    showing = asyncio.ensure_future(_show(run.statistics, on_progress)) if on_progress else None
    try:
        stopped_by = await (run.plan(ordered) if dry_run else run.send_all(ordered, origin))
    finally:
        if showing:
            showing.cancel()
    part = ReplayedPart(
        statistics=run.statistics,
        out_of_order=ordered.out_of_order,
        elapsed_seconds=0.0 if dry_run else time.monotonic() - started,
        stopped_by=stopped_by,
        damage=tuple(reader.damage),
    )
    if place is not None and stopped_by != "interrupted" and not run.statistics.unwritten:
        place.finish(report_of([part], run_id=job.run_id, target=job.target.url, is_dry_run=dry_run))
    return part


def _place(job: ReplayJob, *, dry_run: bool) -> ShardResult | None:
    return ShardResult(job.result, job.shard) if job.result and job.shard.of > 1 and not dry_run else None


def require_empty(store: RecordingStore, place: str) -> None:
    """Refuse to write answers beside others.

    Args:
        store: Where they go.
        place: The same as the user wrote it.

    Raises:
        ValidationError: There are some.
    """
    if not store.is_empty:
        raise ValidationError(
            field="result",
            value=without_credentials(place),
            rule="holds files of a recording already, with which these answers would be mixed up",
            remedy="Name a new directory, or remove the old one",
        )


async def _show(statistics: ReplayStatistics, on_progress: Callable[[ReplayStatistics], None]) -> None:
    while True:
        await asyncio.sleep(_PROGRESS_SECONDS)
        on_progress(statistics)


class _Run:
    """One replay."""

    def __init__(
        self, job: ReplayJob, stop: asyncio.Event, rules: Sequence[RedactionRules], place: ShardResult | None
    ) -> None:
        self._job = job
        self._place = place
        self._is_own = own(job.shard, self._session_of) if job.session_header and job.shard.of > 1 else None
        self._max_requests = None if job.max_requests is None else share_of(job.max_requests, job.shard)
        self._max_in_flight = share_of(job.max_in_flight, job.shard)
        self._stop = stop
        self._chosen = 0
        self._stopped_by = ""
        self.statistics = ReplayStatistics()
        self._sightings = Sightings()
        self._sessions: dict[str, deque[Callable[[], None]]] = {}
        self._in_flight = 0
        self._fewer = asyncio.Event()
        self._headers_for = job.target.headers_for(mark=(job.mark_header, job.run_id))
        self._results = self._result_writer([RedactionRules(), *rules])

    @cached_property
    def _sender(self) -> Sender:
        """What sends, made when something is sent: a plan needs none."""
        job = self._job
        return Sender(
            job.target,
            timeout_seconds=job.timeout_seconds,
            max_body_bytes=job.max_body_bytes,
            speed=None if job.pace.rate else job.pace.speed,
            max_in_flight=self._max_in_flight,
            guard=job.guard,
        )

    async def plan(self, ordered: OrderedReader) -> str:
        """Count what would be sent."""
        async with aclosing(read_ahead(ordered.exchanges())) as chunks:
            async for chunk in chunks:
                for _ in self._wanted(chunk):
                    self.statistics.sent += 1
                if self._stopped_by:
                    break
        return self._stopped_by

    async def send_all(self, ordered: OrderedReader, first: datetime | None) -> str:
        """Send everything that may be sent, and wait for the responses."""
        stopping = asyncio.ensure_future(self._stop.wait())
        try:
            return await self._send_in_time(ordered, first, stopping)
        finally:
            # Also after Ctrl-C: nothing that was sent is forgotten.
            await self._finish(stopping)
            if self._results:
                await self._results.close()
            self._sender.close()

    async def _finish(self, stopping: asyncio.Future[Any]) -> None:
        """Wait for what was sent. Each call has a limit of its own, which for a stream is longer than the usual one."""
        ended = asyncio.ensure_future(self._fewer_than(1))
        await asyncio.wait([ended, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        # Whoever stops the replay waits no longer than for a usual call.
        await asyncio.wait([ended], timeout=self._job.timeout_seconds + _GRACE_SECONDS)
        self._sender.abandon()
        await ended

    async def _fewer_than(self, count: int) -> None:
        while self._in_flight >= count:
            self._fewer.clear()
            await self._fewer.wait()

    async def _send_in_time(self, ordered: OrderedReader, first: datetime | None, stopping: asyncio.Future[Any]) -> str:
        due = schedule(self._job.pace, shard=self._job.shard, origin=first)
        origin: float | None = None
        async with aclosing(read_ahead(ordered.exchanges())) as chunks:
            async for chunk in chunks:
                for exchange in self._wanted(chunk):
                    if origin is None:
                        origin = time.perf_counter() + max(_LEAD_SECONDS, self._until_begin())
                    moment = origin + due(exchange.started_at)
                    await self._turn_of(moment, stopping)
                    if self._stop.is_set():
                        return "interrupted"
                    self._send(exchange, moment)
                if self._stopped_by:
                    break
        return self._stopped_by

    async def _turn_of(self, moment: float, stopping: asyncio.Future[Any]) -> None:
        """Wait until a request is due and there is room for it and for its answer, or the replay is stopped."""
        if (wait := moment - time.perf_counter()) > 0:
            await asyncio.wait([stopping], timeout=wait)
        if self._in_flight >= self._max_in_flight:
            self.statistics.held_back += 1
            await self._fewer_than(self._max_in_flight)
        if self._results:
            await self._results.room()

    def _until_begin(self) -> float:
        begin = self._job.begin
        return 0.0 if begin is None else (begin - datetime.now(UTC)).total_seconds()

    def _wanted(self, exchanges: Sequence[Exchange]) -> Iterator[Exchange]:
        """Yield what may be sent, until it is enough; then it is noted why."""
        for exchange in exchanges:
            if self._stop.is_set():
                self._stopped_by = "interrupted"
                return
            if self._is_own is not None and not self._is_own(exchange):
                continue
            if not self._may_send(exchange):
                continue
            if self._max_requests is not None and self._chosen >= self._max_requests:
                self._stopped_by = "limit"
                return
            self._chosen += 1
            self.statistics.redacted += carries_redacted(exchange)
            if self._job.session_header:
                self.statistics.without_session += not self._session_of(exchange)
            if REDACTED in exchange.path:
                # Brackets are no part of a path, and some servers refuse them (RFC 3986 section 3.4).
                exchange = replace(exchange, path=exchange.path.replace(REDACTED, URL_REDACTED))  # noqa: PLW2901
            yield exchange

    def _send(self, exchange: Exchange, moment: float) -> None:
        """Send a request, or put it behind the one of its session that has no answer yet."""
        self._in_flight += 1
        session = self._session_of(exchange)
        if session in self._sessions:
            self._sessions[session].append(lambda: self._send_now(exchange, moment, session))
            return
        if session:
            self._sessions[session] = deque()
        self._send_now(exchange, moment, session)

    def _send_now(self, exchange: Exchange, moment: float, session: str) -> None:
        headers = self._headers_for(exchange.request.headers)
        sent_at = datetime.now(UTC)
        self.statistics.started(late_seconds=max(0.0, time.perf_counter() - moment))

        def end(outcome: Outcome) -> None:
            self._in_flight -= 1
            self._fewer.set()
            self.statistics.ended(exchange, outcome)
            if self._results:
                self._results.add(exchange, outcome, sent_at=sent_at)
            if session:
                self._go_on(session)

        self._sender.send(exchange, headers, end)

    def _go_on(self, session: str) -> None:
        waiting = self._sessions[session]
        if self._stop.is_set():
            self._in_flight -= len(waiting)
            waiting.clear()
        if waiting:
            # Not within the other's end, or a long session of failures would be a deep recursion.
            asyncio.get_running_loop().call_soon(waiting.popleft())
        else:
            del self._sessions[session]

    def _session_of(self, exchange: Exchange) -> str:
        name = self._job.session_header
        value = value_of(exchange.request.headers, name) if name else None
        return "" if value is None or REDACTED in value else value

    def _may_send(self, exchange: Exchange) -> bool:
        self.statistics.read += 1
        reason = self._job.guard.refuse(exchange)
        if reason is None and self._sightings.is_repeated(exchange):
            reason = Skip.SEEN_TWICE
        if reason is not None:
            self.statistics.skip(reason)
        return reason is None

    def _result_writer(self, rules: Sequence[RedactionRules]) -> ResultWriter | None:
        job = self._job
        if job.result is None:
            return None

        def lose(count: int) -> None:
            self.statistics.unwritten += count

        store = self._place.begin() if self._place else RecordingStore.open(job.result)
        require_empty(store, job.result)
        name = f"replay-{job.run_id}"
        writer = RecordingWriter(store, instance=name, notes=note_of(rules))
        return ResultWriter(writer, rules=rules, side=job.result_side, source=name, on_loss=lose)
