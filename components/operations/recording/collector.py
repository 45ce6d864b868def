"""The collector: the gRPC services that Envoy's external processing filter, in observability mode, or log reports to.

Run it with ``python -m …operations.recording SETTINGS``. Traffic never waits for it: the filter sends and
goes on, the collector answers nothing, and whatever it cannot keep up with it drops and counts.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import grpc.aio

from ...model.recorder_filter import LOGGED_KEY
from ...model.recording import logged_digest
from ...model.request_sampling import is_sampled, sample_threshold
from . import access_log
from .access_log import entries_of, exchange_of
from .assembling import Assembler, Origin, cost
from .budget import MemoryBudget
from .counters import Counters
from .exchange import Side
from .protocol import BODIES_KEY, METHOD, NO_BODIES, SERVICE, SIDE_KEY, SOURCE_KEY, ProcessingRequest, take
from .settings import CollectorSettings
from .sink import RecordingSink

_LOG = logging.getLogger(__name__)

_SWEEP_SECONDS: Final = 5.0
"""How often exchanges that have grown too old are looked for."""

_SERVER_OPTIONS: Final = (
    # A report carries at most one buffer of the proxy: 1 MiB by default, more where an operator raised it.
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
    # The proxy may probe an idle connection as often as it likes; the default answers with GOAWAY.
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.keepalive_permit_without_calls", 1),
    # Streams that the event loop has not come to yet. gRPC's own limits (1,000, then 3,000) would cancel them after
    # a second's lag at 1,000 requests per second; ours is max_streams, and it counts what it drops.
    ("grpc.server.max_pending_requests", 65_536),
    ("grpc.server.max_pending_requests_hard_limit", 65_536),
)


@dataclass(slots=True, eq=False)
class _Stream:
    """One exchange in progress."""

    assembler: Assembler
    started_ns: int
    is_done: bool = False


class Collector:
    """Turns streams of reports into exchanges."""

    def __init__(
        self, settings: CollectorSettings, *, sink: RecordingSink, budget: MemoryBudget, counters: Counters
    ) -> None:
        self._settings = settings
        self._sink = sink
        self._budget = budget
        self._counters = counters
        self._threshold = sample_threshold(settings.sample_percent)
        self._streams: set[_Stream] = set()
        # Wall clock by way of the monotonic one, so that a step of the clock cannot reorder a recording.
        self._epoch = datetime.now(UTC)
        self._epoch_ns = time.monotonic_ns()

    def handlers(self) -> tuple[grpc.GenericRpcHandler, ...]:
        """Return the services for a gRPC server; reports arrive as bytes and nothing is ever answered."""
        # Bytes on both ends, so that reading a report costs one parse and no wrapper.
        make_handler: Any = grpc.stream_stream_rpc_method_handler
        make_log_handler: Any = grpc.stream_unary_rpc_method_handler
        return (
            grpc.method_handlers_generic_handler(SERVICE, {METHOD: make_handler(self.process)}),
            grpc.method_handlers_generic_handler(
                access_log.SERVICE, {access_log.METHOD: make_log_handler(self.take_log)}
            ),
        )

    async def take_log(self, requests: AsyncIterator[bytes], context: Any) -> bytes:  # noqa: ANN401 -- grpc.aio's is generic
        """Record what a proxy's access log tells, for as long as it does."""
        origin, headers = self._origin(context), self._settings.logged_headers
        told = next((value for key, value in context.invocation_metadata() or () if key == LOGGED_KEY), "")
        expected = bool(headers) and told == logged_digest(headers)
        async for content in requests:
            for entry in entries_of(content):
                if expected:
                    self._log(entry, origin)
                else:
                    self._refuse("its access log tells other headers than the settings say, or is not asked for")
        return b""

    def _refuse(self, reason: str) -> None:
        """Leave out what a proxy reports in another form, as one does whose configuration is older or newer."""
        if not self._counters.dropped_protocol:
            _LOG.error("a proxy's reports are left out: %s", reason)
        self._counters.dropped_protocol += 1

    def _log(self, entry: Any, origin: Origin) -> None:  # noqa: ANN401 -- HTTPAccessLogEntry
        try:
            exchange = exchange_of(entry, origin)
        except OverflowError:
            self._refuse("an entry of its access log has a time that is none")
            return
        if exchange is None:
            return
        self._counters.streams += 1
        if not is_sampled(exchange.request_id, self._threshold):
            self._counters.sampled_out += 1
        elif self._budget.take(reserved := cost(exchange)):
            self._sink.offer(exchange, reserved)
        else:
            self._counters.dropped_memory += 1

    async def process(self, _requests: AsyncIterator[bytes], context: Any) -> None:  # noqa: ANN401 -- grpc.aio's is generic
        """Follow one exchange to its end; returning ends the proxy's stream at once."""
        self._counters.streams += 1
        if len(self._streams) >= self._settings.bounds.max_streams:
            self._counters.dropped_streams += 1
            return
        at_ns = time.monotonic_ns()
        assembler = Assembler(
            origin=self._origin(context),
            limits=self._settings.capture,
            budget=self._budget,
            started_at=self._epoch + timedelta(microseconds=(at_ns - self._epoch_ns) // 1000),
            at_ns=at_ns,
        )
        stream = _Stream(assembler, at_ns)
        self._streams.add(stream)
        try:
            await self._follow(stream, context)
        finally:
            self._streams.discard(stream)
            self._end(stream, cut=False)

    async def sweep(self) -> None:
        """Cut exchanges that have grown too old, for ever."""
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            self.cut(older_than_seconds=self._settings.bounds.max_exchange_seconds)

    def cut(self, *, older_than_seconds: float = 0.0) -> None:
        """End exchanges in progress and record what was seen of them."""
        oldest = time.monotonic_ns() - int(older_than_seconds * 1e9)
        for stream in [one for one in self._streams if one.started_ns <= oldest]:
            self._end(stream, cut=True)

    async def stop(self, server: grpc.aio.Server) -> None:
        """Take nothing new, let open exchanges go on for a while, and record what was seen of them until then."""
        seconds = self._settings.bounds.stop_seconds
        # A server that is out of patience cancels its streams just as a proxy does, so that is kept from happening.
        stopping = asyncio.ensure_future(server.stop(2 * seconds))
        await asyncio.wait([stopping], timeout=seconds)
        self.cut()
        await server.stop(None)
        await stopping

    async def _follow(self, stream: _Stream, context: Any) -> None:  # noqa: ANN401 -- see above
        is_first = True
        while not stream.is_done:
            content = await context.read()
            if content is grpc.aio.EOF or stream.is_done:
                # What was cut while its next report was awaited is in the writer's hands.
                return
            message = ProcessingRequest.FromString(content)
            kind: str = message.WhichOneof("request") or ""
            if is_first:
                if not self._is_wanted(message, kind):
                    self._discard(stream)
                    return
                is_first = False
            if not take(stream.assembler, message, kind, time.monotonic_ns()):
                self._counters.dropped_memory += 1
                self._discard(stream)
                return
            if stream.assembler.is_complete:
                return
            if stream.assembler.is_too_large:
                self._end(stream, cut=True)
                return

    def _is_wanted(self, message: Any, kind: str) -> bool:  # noqa: ANN401 -- ProcessingRequest
        if not message.observability_mode:
            # The proxy would wait for our answer; ending the stream lets it go on without us.
            self._refuse("its filter waits for answers: set observability_mode in its configuration")
            return False
        if self._settings.logged_headers:
            self._refuse("its filter reports where the access log should")
            return False
        if kind != "request_headers":
            return True
        headers = message.request_headers.headers.headers
        request_id = next((h.raw_value for h in headers if h.key == "x-request-id"), b"")
        if is_sampled(request_id.decode("latin-1"), self._threshold):
            return True
        self._counters.sampled_out += 1
        return False

    def _origin(self, context: Any) -> Origin:  # noqa: ANN401 -- see above
        origin = self._settings.origin
        for key, value in context.invocation_metadata() or ():
            if key == SIDE_KEY and value in tuple(Side):
                origin = replace(origin, side=Side(value))
            elif key == SOURCE_KEY:
                origin = replace(origin, source=str(value))
            elif key == BODIES_KEY:
                origin = replace(origin, bodies=value != NO_BODIES)
        return origin

    def _end(self, stream: _Stream, *, cut: bool) -> None:
        if stream.is_done:
            return
        stream.is_done = True
        exchange = stream.assembler.finish(cut=cut)
        if exchange is None:
            self._counters.dropped_late += 1
            self._budget.give(stream.assembler.reserved)
        else:
            self._sink.offer(exchange, stream.assembler.reserved)

    def _discard(self, stream: _Stream) -> None:
        stream.is_done = True
        self._budget.give(stream.assembler.reserved)


def new_server() -> grpc.aio.Server:
    """Return a server with the limits that a proxy's reports need."""
    return grpc.aio.server(options=_SERVER_OPTIONS)
