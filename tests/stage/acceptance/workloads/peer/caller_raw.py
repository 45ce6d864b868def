"""Requests that no HTTP client library sends: bytes as they are."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from caller_result import Answer

SHOWN_BYTES = 4000

Call = Callable[[str], Awaitable[Answer]]


@asynccontextmanager
async def raw_client(job: dict[str, Any]) -> AsyncIterator[Call]:
    """Give a function that sends a job's ``bytes`` (text, one byte per character) over a connection of its own.

    ``CALL`` in it becomes the call's identifier. With ``tls`` (``name`` of the server, perhaps a ``certificate`` with
    its key) the connection is encrypted; whose certificate the server has is not checked.
    """

    async def call(identifier: str) -> Answer:
        sent = job["bytes"].replace("CALL", identifier).encode("latin-1")
        return await _exchange(job, lambda reader, writer: _raw(sent, reader, writer))

    yield call


async def _exchange(
    job: dict[str, Any],
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[Answer]],
) -> Answer:
    host, _, port = job["address"].rpartition(":")
    try:
        context, name = _tls(job.get("tls"))
        reader, writer = await asyncio.open_connection(host, int(port), ssl=context, server_hostname=name)
    except OSError as error:
        return Answer(status=f"error {type(error).__name__}", text=str(error))
    try:
        return await asyncio.wait_for(talk(reader, writer), job["timeout"])
    except TimeoutError:
        return Answer(status="error timeout")
    except OSError as error:
        return Answer(status=f"error {type(error).__name__}", text=str(error))
    finally:
        writer.transport.abort()


def _tls(settings: dict[str, str] | None) -> tuple[ssl.SSLContext | None, str | None]:
    if settings is None:
        return None, None
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if "certificate" in settings:
        context.load_cert_chain(settings["certificate"])
    return context, settings["name"]


async def _raw(sent: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Answer:
    writer.write(sent)
    await writer.drain()
    received = b""
    try:
        while data := await asyncio.wait_for(reader.read(65536), 1.0):
            received += data
    except TimeoutError:
        # A server that keeps the connection has said all that it says.
        pass
    lines = received.decode("latin-1").splitlines()
    codes = [line.split()[1] for line in lines if line.startswith("HTTP/1.") and len(line.split()) > 1]
    return Answer(status=",".join(codes) or "closed", text=received.decode("latin-1")[:SHOWN_BYTES])
