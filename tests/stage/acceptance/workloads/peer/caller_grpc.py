"""Calls of ``helloworld.Greeter`` over gRPC, of all four kinds, without a protocol compiler."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
from caller_result import Answer

_ANSWERED_BY = re.compile(r" from (\S+) pod (\S*) ip")

Call = Callable[[str], Awaitable[Answer]]


@asynccontextmanager
async def grpc_client(job: dict[str, Any]) -> AsyncIterator[Call]:
    """Give a function that makes one call.

    Args:
        job: Beside the common fields ``authority``, ``rpc`` (``package.Service/Method``), ``kind`` (unary,
            server, client, bidi), ``messages`` (of a client's stream, or replies asked for), ``message_bytes``,
            ``headers``.
    """
    options: list[tuple[str, Any]] = [
        ("grpc.enable_http_proxy", 0),
        ("grpc.max_send_message_length", -1),
        ("grpc.primary_user_agent", job["run"]),
    ]
    if job["authority"]:
        options.append(("grpc.default_authority", job["authority"]))
    async with grpc.aio.insecure_channel(job["address"], options=options) as channel:
        kinds: dict[str, Callable[[Any, str, dict[str, Any]], Awaitable[list[bytes]]]] = {
            "unary": _unary,
            "server": _server_stream,
            "client": _client_stream,
            "bidi": _bidi,
        }
        make = getattr(channel, _MULTICALLABLE[job["kind"]])
        method = make(f"/{job['rpc']}", request_serializer=bytes, response_deserializer=bytes)

        async def call(identifier: str) -> Answer:
            try:
                replies = await kinds[job["kind"]](method, identifier, job)
            except grpc.aio.AioRpcError as error:
                return Answer(status=error.code().name, text=error.details() or "")
            text = replies[0].decode(errors="replace") if replies else ""
            who = _ANSWERED_BY.search(text)
            return Answer(status="OK", version=who[1] if who else "", text=text, messages=len(replies))

        yield call


_MULTICALLABLE = {"unary": "unary_unary", "server": "unary_stream", "client": "stream_unary", "bidi": "stream_stream"}


def _options(identifier: str, job: dict[str, Any]) -> dict[str, Any]:
    headers = {**job["headers"], "x-call": identifier}
    return {"timeout": job["timeout"], "metadata": tuple(headers.items())}


async def _unary(method: Any, identifier: str, job: dict[str, Any]) -> list[bytes]:
    return [await method(_request(identifier, 0, job["message_bytes"]), **_options(identifier, job))]


async def _server_stream(method: Any, identifier: str, job: dict[str, Any]) -> list[bytes]:
    stream = method(_request(identifier, job["messages"], 0), **_options(identifier, job))
    return [reply async for reply in stream]


async def _client_stream(method: Any, identifier: str, job: dict[str, Any]) -> list[bytes]:
    return [await method(_requests(identifier, job), **_options(identifier, job))]


async def _bidi(method: Any, identifier: str, job: dict[str, Any]) -> list[bytes]:
    stream = method(_requests(identifier, job), **_options(identifier, job))
    return [reply async for reply in stream]


def _requests(identifier: str, job: dict[str, Any]) -> Iterator[bytes]:
    request = bytes.fromhex(job["raw"]) if "raw" in job else _request(identifier, 0, job["message_bytes"])
    return (request for _ in range(job["messages"]))


def _request(identifier: str, replies: int, padding: int) -> bytes:
    """Return a ``HelloRequest``: field 1 the name, field 2 the wanted replies, and bytes that nobody reads."""
    name = identifier.encode()
    request = b"\x0a" + _varint(len(name)) + name
    if replies:
        request += b"\x10" + _varint(replies)
    if padding:
        # Field 15, which no version of the message knows.
        request += b"\x7a" + _varint(padding) + b"x" * padding
    return request


def _varint(number: int) -> bytes:
    encoded = b""
    while number > 127:
        encoded += bytes([number & 127 | 128])
        number >>= 7
    return encoded + bytes([number])
