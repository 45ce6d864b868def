"""The collector in this process, on a free port of loopback."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio

from pulumi_traffic_mirror.operations.recording import Exchange, MemoryBudget, RecordingReader
from pulumi_traffic_mirror.operations.recording.__main__ import open_writer
from pulumi_traffic_mirror.operations.recording.collector import Collector, new_server
from pulumi_traffic_mirror.operations.recording.counters import Counters
from pulumi_traffic_mirror.operations.recording.redaction import Redactor
from pulumi_traffic_mirror.operations.recording.settings import CollectorSettings
from pulumi_traffic_mirror.operations.recording.sink import RecordingSink


@dataclass
class LoopbackCollector:
    """A running collector; its recording can be read once it has ended."""

    settings: CollectorSettings
    port: int
    collector: Collector
    budget: MemoryBudget
    counters: Counters
    server: grpc.aio.Server

    def exchanges(self) -> list[Exchange]:
        return list(RecordingReader.open(self.settings.url).exchanges())


@asynccontextmanager
async def running_collector(directory: Path, *, port: int = 0, **settings: Any) -> AsyncIterator[LoopbackCollector]:
    """Serve until the block ends, then stop as after SIGTERM."""
    chosen = CollectorSettings(url=str(directory), **settings)
    counters, budget = Counters(), MemoryBudget(chosen.bounds.memory_bytes)
    sink = RecordingSink(
        writer=open_writer(chosen, instance="test", counters=counters),
        redactor=Redactor(chosen.redaction),
        budget=budget,
        counters=counters,
        max_waiting=chosen.bounds.max_waiting,
    )
    collector = Collector(chosen, sink=sink, budget=budget, counters=counters)
    server = new_server()
    server.add_generic_rpc_handlers(collector.handlers())
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    sink.start()
    try:
        yield LoopbackCollector(chosen, bound, collector, budget, counters, server)
    finally:
        await collector.stop(server)
        sink.close()
