"""A real Envoy on the loopback, and the sink behind all of its clusters."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..errors import OperationError
from .bootstrap import Bootstrap
from .wire import Answer, ClosedError, Line, Sink

START_SECONDS: Final = 60.0
"""How long Envoy may take until it listens; with a thousand routes it takes about one second."""
SETTLE_SECONDS: Final = 30.0
"""How long the last copies may take."""

_CRITICAL: Final = re.compile(r"\]\[(?:critical|error)\]\S* (?:\[[^]]*\] )?(.*)")


@dataclass(kw_only=True)
class RunningEnvoy:
    """An Envoy that listens.

    Attributes:
        ports: Port of each door by key.
        sink: What stands behind it.
        folder: Its files.
    """

    ports: Mapping[str, int]
    sink: Sink
    folder: Path

    async def settle(self) -> None:
        """Wait until no request and no copy is under way.

        Raises:
            OperationError: Some never end.
        """
        try:
            async with asyncio.timeout(SETTLE_SECONDS):
                # The proxy begins every copy before it answers its request.
                while b": " in (said := await self._stats()) and re.search(rb": [1-9]", said):
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise OperationError(
                f"Copies were still under way after {SETTLE_SECONDS:g} s", remedy="Send fewer requests at once"
            ) from None

    async def _stats(self) -> bytes:
        wanted = r"/stats?filter=^cluster\..*upstream_rq_(active|pending_active)$"
        return (await _admin(self.folder, wanted)).body


@asynccontextmanager
async def running(program: Path, folder: Path, made: Bootstrap) -> AsyncGenerator[RunningEnvoy]:
    """Start Envoy and its sink.

    Args:
        program: Envoy.
        folder: An empty folder for its files, with a short path, as sockets need.
        made: What it is started with.

    Raises:
        OperationError: Envoy cannot be started, or refuses what istiod renders.
    """
    config = folder / "envoy.json"
    config.write_text(json.dumps(made.config), encoding="utf-8")
    sink = Sink()
    server = await asyncio.get_running_loop().create_unix_server(sink.line, str(folder / "sink.sock"))
    try:
        with (folder / "envoy.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                str(program),
                *("-c", str(config), "--concurrency", "1", "--use-dynamic-base-id", "-l", "error"),
                *("--file-flush-interval-msec", "200"),
                stdout=log,
                stderr=log,
                env={},
            )
    except OSError as error:
        server.close()
        raise OperationError(f"{program} cannot be started: {error.strerror}", remedy="Install Envoy again") from error
    try:
        yield RunningEnvoy(ports=await _ports(process, folder, made), sink=sink, folder=folder)
    finally:
        if process.returncode is None:
            process.terminate()
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), 10)
        if process.returncode is None:
            process.kill()
            await process.wait()
        server.close()


async def _ports(process: asyncio.subprocess.Process, folder: Path, made: Bootstrap) -> dict[str, int]:
    """Ports of the doors, once all of them listen."""
    try:
        async with asyncio.timeout(START_SECONDS):
            while True:
                if process.returncode is not None:
                    raise OperationError(
                        f"Envoy refuses what istiod renders: {_reason(folder)}",
                        remedy="Correct the EnvoyFilter that brings it in, or report this if there is none",
                    )
                with suppress(OSError, ClosedError, ValueError):
                    found = json.loads((await _admin(folder, "/listeners?format=json")).body)
                    ports = {each["name"]: _port(each) for each in found.get("listener_statuses", [])}
                    if ports.keys() >= made.listeners.keys():
                        return {key: ports[name] for name, key in made.listeners.items()}
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise OperationError(f"Envoy does not listen after {START_SECONDS:g} s", remedy="Free the processor") from None


def _port(status: Any) -> int:  # noqa: ANN401 -- JSON of Envoy
    return int(status["local_address"]["socket_address"]["port_value"])


def _reason(folder: Path) -> str:
    said = (folder / "envoy.log").read_text(encoding="utf-8", errors="replace")
    found = _CRITICAL.findall(said)
    return found[-1] if found else "it said nothing"


async def _admin(folder: Path, target: str) -> Answer:
    _, line = await asyncio.get_running_loop().create_unix_connection(Line, str(folder / "admin.sock"))
    try:
        return await line.ask("GET", target, [("host", "admin")])
    finally:
        line.close()
