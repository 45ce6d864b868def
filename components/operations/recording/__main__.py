"""``python -m …operations.recording SETTINGS``: run the collector until SIGTERM."""

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
from pathlib import Path

from ...model import ValidationError
from ...model.credentials import without_credentials
from .budget import MemoryBudget
from .collector import Collector, new_server
from .counters import Counters
from .endpoint import Endpoint
from .health import health_handler
from .noted_rules import note_of
from .redaction import Redactor
from .settings import CollectorSettings, read_settings
from .sink import RecordingSink
from .storage import RecordingStore
from .writing import RecordingWriter

_LOG = logging.getLogger("recorder")

_REPORT_SECONDS = 60.0
"""How often the totals go to the log, for clusters without Prometheus."""


def open_writer(settings: CollectorSettings, *, instance: str, counters: Counters) -> RecordingWriter:
    """Return what writes the recording, each file with the rules by which it was redacted."""
    return RecordingWriter(
        RecordingStore.open(settings.url),
        instance=instance,
        limits=settings.roll,
        counters=counters.as_dict,
        notes=note_of([settings.redaction], settings.logged_headers or None),
    )


async def run(settings: CollectorSettings, *, instance: str) -> None:
    """Serve until SIGTERM or SIGINT, then write everything that is at hand."""
    counters, budget = Counters(), MemoryBudget(settings.bounds.memory_bytes)
    sink = RecordingSink(
        writer=open_writer(settings, instance=instance, counters=counters),
        redactor=Redactor(settings.redaction, session=settings.session),
        budget=budget,
        counters=counters,
        max_waiting=settings.bounds.max_waiting,
    )
    collector = Collector(settings, sink=sink, budget=budget, counters=counters)
    stopping = asyncio.Event()
    endpoint = Endpoint(host="", port=settings.http_port, counters=counters, is_ready=lambda: not stopping.is_set())
    server = new_server()
    server.add_generic_rpc_handlers((*collector.handlers(), health_handler(lambda: not stopping.is_set())))
    server.add_insecure_port(f"[::]:{settings.port}")
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    sink.start()
    await server.start()
    endpoint.start()
    _LOG.info("recording to %s on port %d", without_credentials(settings.url), settings.port)
    tasks = [asyncio.create_task(collector.sweep()), asyncio.create_task(_report(counters))]
    await stopping.wait()
    _LOG.info("stopping")
    await collector.stop(server)
    for task in tasks:
        task.cancel()
    if not await asyncio.to_thread(sink.close):
        _LOG.error("the storage did not answer; what it had not taken is lost")
    endpoint.close()
    _LOG.info("stopped: %s", counters.as_dict())


async def _report(counters: Counters) -> None:
    last = counters.as_dict()
    while True:
        await asyncio.sleep(_REPORT_SECONDS)
        now = counters.as_dict()
        if now != last:
            _LOG.info("totals: %s", now)
        last = now


def main() -> int:
    """Run the collector; 2 when its settings are wrong."""
    parser = argparse.ArgumentParser(description="Record what Envoy's external processing filter reports.")
    parser.add_argument("settings", type=Path, help="JSON file with the settings")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    # A pod's name is its host name; two collectors may write to one place.
    instance = os.environ.get("RECORDER_INSTANCE") or socket.gethostname()
    try:
        asyncio.run(run(read_settings(arguments.settings), instance=instance))
    except ValidationError as error:
        _LOG.error("%s", error)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
