"""Recorded requests, and their replay within a test."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc.aio

from pulumi_traffic_mirror.model import Waiver
from pulumi_traffic_mirror.operations.recording import (
    Exchange,
    Message,
    Part,
    RecordingReader,
    RecordingStore,
    RecordingWriter,
    Side,
)
from pulumi_traffic_mirror.operations.recording.codings import encode
from pulumi_traffic_mirror.operations.recording.noted_rules import note_of
from pulumi_traffic_mirror.operations.recording.redaction import RedactionRules
from pulumi_traffic_mirror.operations.replay import ReplayGuard, ReplayJob, ReplayReport, Target, replay

START = datetime(2026, 1, 2, tzinfo=UTC)
WAIVER = Waiver(reason="the target is a test double")


def recorded_request(number: int = 0, **changes: Any) -> Exchange:
    exchange = Exchange(
        request_id=f"id-{number}",
        side=Side.PRIMARY,
        source="s",
        started_at=START + timedelta(milliseconds=10 * number),
        method="GET",
        scheme="http",
        authority="shop.example:8000",
        path=f"/things/{number}?a=%2F..",
        status=200,
        request=Part(headers=(("x-request-id", f"id-{number}"), ("accept", "*/*"))),
    )
    return replace(exchange, **changes)


def recorded_call(method: str, messages: list[bytes], *, coding: str = "", gap_us: int = 0) -> Exchange:
    return recorded_request(
        method="POST",
        path=f"/test.Echo/{method}",
        is_grpc=True,
        grpc_status=0,
        request=Part(
            headers=(("content-type", "application/grpc"), ("x-tag-bin", "AAE"))
            + ((("grpc-encoding", coding),) if coding else ()),
            messages=tuple(
                Message(offset_us=n * gap_us, size=len(m), data=encode(m, coding), compressed=bool(coding))
                for n, m in enumerate(messages)
            ),
        ),
    )


def record(directory: Path, *exchanges: Exchange, rules: RedactionRules | None = None) -> str:
    notes = note_of([rules]) if rules else None
    store = RecordingStore.open(str(directory / "recording"))
    writer = RecordingWriter(store, instance="t", now=lambda: START, notes=notes)
    writer.write(exchanges)
    writer.close()
    return str(directory / "recording")


async def replayed(recording: str, url: str, **changes: Any) -> ReplayReport:
    target = changes.pop("target", None) or Target(url=url)
    dry_run = changes.pop("dry_run", False)
    return await replay(ReplayJob(recording=recording, target=target, run_id="run-1", **changes), dry_run=dry_run)


async def results_of(
    directory: Path, recorded: Sequence[Exchange], target: str | Target, **changes: Any
) -> tuple[ReplayReport, list[Exchange]]:
    """Record and replay requests, whatever their methods; return the report and what was written of the answers."""
    job = ReplayJob(
        recording=record(directory, *recorded),
        target=Target(url=target) if isinstance(target, str) else target,
        guard=ReplayGuard(waiver=WAIVER),
        result=str(directory / "result"),
        **changes,
    )
    report = await replay(job)
    return report, list(RecordingReader.open(str(directory / "result")).exchanges())


@asynccontextmanager
async def unary_service(answer: Any) -> AsyncIterator[str]:
    """A gRPC service whose one method takes one message; ``answer`` gets it and the context."""
    make: Any = grpc.unary_unary_rpc_method_handler
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", {"Ask": make(answer)}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await server.stop(0)
