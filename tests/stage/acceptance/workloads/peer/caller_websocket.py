"""Calls over WebSockets."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from caller_result import Answer
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, RejectConnection, Request, TextMessage


@asynccontextmanager
async def websocket_client(job: dict[str, Any]) -> AsyncIterator[Callable[[str], Awaitable[Answer]]]:
    """Give a function that opens a WebSocket, sends text messages, each once the one before came back, and closes it.

    Args:
        job: Beside the common fields ``authority`` (the Host header), ``path``, ``headers``, ``messages``.
    """

    async def call(identifier: str) -> Answer:
        host, _, port = job["address"].rpartition(":")
        try:
            async with asyncio.timeout(job["timeout"]):
                reader, writer = await asyncio.open_connection(host, int(port))
                try:
                    return await _talk(job, identifier, reader, writer)
                finally:
                    writer.transport.abort()
        except OSError as error:  # a TimeoutError is one
            return Answer(status=f"error {type(error).__name__}", text=str(error))

    yield call


async def _talk(
    job: dict[str, Any], identifier: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> Answer:
    connection = WSConnection(ConnectionType.CLIENT)
    headers = {**job["headers"], "x-call": identifier}
    given = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    writer.write(connection.send(Request(host=job["authority"], target=job["path"], extra_headers=given)))
    answer = Answer(status="closed")
    while data := await reader.read(65536):
        connection.receive_data(data)
        for event in connection.events():
            if isinstance(event, AcceptConnection):
                answer.headers = {name.decode(): value.decode("latin-1") for name, value in event.extra_headers}
                answer.version = answer.headers.get("x-version", "")
                answer.status = "101"
            elif isinstance(event, RejectConnection):
                return Answer(status=str(event.status_code))
            elif isinstance(event, TextMessage):
                answer.messages += 1
            elif isinstance(event, CloseConnection):
                answer.status = "OK"
                return answer
            if answer.messages < job["messages"]:
                writer.write(connection.send(TextMessage(data=f"{identifier} {answer.messages}")))
            else:
                writer.write(connection.send(CloseConnection(code=1000)))
    return answer
