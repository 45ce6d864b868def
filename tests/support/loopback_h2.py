"""An HTTP/2 service without TLS on loopback that answers frame by frame, as a test tells it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from tests.support.loopback_service import serving

Answer = Callable[[int, dict[str, str]], Awaitable[list[Any]]]
"""Gets the number of the request on its connection, from 0, and its headers with its body as ``body``; gives steps:
``("headers", headers, end)``, ``("data", bytes, end)``, ``("reset", code)``, ``("goaway", last)`` where ``last`` is the
number of the last request that will be answered, ``("wait", seconds)``, ``("close",)``, ``("abort",)``."""


@asynccontextmanager
async def h2_service(
    answer: Answer, *, answers_at_once: bool = False
) -> AsyncIterator[tuple[str, list[dict[str, str]]]]:
    """Serve; gives the URL and the requests as they come.

    Args:
        answer: What to do for each request.
        answers_at_once: Answer when the headers have come, without waiting for the body.
    """
    seen: list[dict[str, str]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="latin-1"))
        connection.initiate_connection()
        writer.write(connection.data_to_send())
        requests: dict[int, dict[str, str]] = {}
        trigger = h2.events.RequestReceived if answers_at_once else h2.events.StreamEnded
        while data := await reader.read(65536):
            for event in connection.receive_data(data):
                _note(connection, event, requests)
                if not isinstance(event, trigger):
                    continue
                request = requests[event.stream_id]
                seen.append(request)
                for step in await answer(event.stream_id // 2, request):
                    if step[0] == "abort":
                        writer.transport.abort()
                        return
                    if step[0] == "close":
                        return
                    if step[0] == "wait":
                        await asyncio.sleep(step[1])
                        continue
                    _take(connection, event.stream_id, step)
                    writer.write(connection.data_to_send())
            writer.write(connection.data_to_send())

    async with serving(serve) as port:
        yield f"http://127.0.0.1:{port}", seen


def _note(connection: h2.connection.H2Connection, event: object, requests: dict[int, dict[str, str]]) -> None:
    if isinstance(event, h2.events.RequestReceived):
        requests[event.stream_id] = {str(k): str(v) for k, v in event.headers} | {"body": ""}
    elif isinstance(event, h2.events.DataReceived):
        requests[event.stream_id]["body"] += event.data.decode("latin-1")
        with suppress(h2.exceptions.StreamClosedError):
            connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)


def _take(connection: h2.connection.H2Connection, stream: int, step: Any) -> None:
    kind, *values = step
    if kind == "headers":
        connection.send_headers(stream, values[0], end_stream=values[1])
    elif kind == "data":
        connection.send_data(stream, values[0], end_stream=values[1])
    elif kind == "reset":
        connection.reset_stream(stream, error_code=values[0])
    else:
        # By hand: the library refuses to answer anything after its own GOAWAY.
        assert kind == "goaway"
        last = values[0] * 2 + 1
        connection._data_to_send += b"\0\0\x08\7\0\0\0\0\0" + last.to_bytes(4, "big") + b"\0\0\0\0"
