"""Calls over HTTP/1.1 and HTTP/2."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
from caller_result import Answer

CHUNK = b"0123456789abcdef" * 4096
"""64 KiB: bodies are streamed in pieces of this size."""

SHOWN_BYTES = 20_000


@asynccontextmanager
async def http_client(job: dict[str, Any]) -> AsyncIterator[Callable[[str], Awaitable[Answer]]]:
    """Give a function that makes one call.

    Args:
        job: Beside the common fields ``authority`` (the Host header), ``path``, ``method``, ``headers``,
            ``body_bytes``.
    """
    limits = httpx.Limits(max_connections=job["concurrency"], max_keepalive_connections=job["concurrency"])
    version = {"http1": job["protocol"] == "http1", "http2": job["protocol"] == "http2"}
    # A proxy of the machine must not see the calls, so the environment is not read.
    async with httpx.AsyncClient(limits=limits, timeout=job["timeout"], trust_env=False, **version) as client:

        async def call(identifier: str) -> Answer:
            headers = {**job["headers"], "x-call": identifier}
            if job["authority"]:
                headers["host"] = job["authority"]
            if job["body_bytes"]:
                headers["content-length"] = str(job["body_bytes"])
            try:
                response = await client.request(
                    job["method"],
                    f"http://{job['address']}{job['path']}",
                    headers=headers,
                    content=_body(job["body_bytes"]) if job["body_bytes"] else None,
                )
            except httpx.HTTPError as error:
                return Answer(status=f"error {type(error).__name__}", text=str(error))
            return Answer(
                status=str(response.status_code),
                version=response.headers.get("x-version", ""),
                text=response.text[:SHOWN_BYTES],
                headers=dict(response.headers),
            )

        yield call


async def _body(size: int) -> AsyncIterator[bytes]:
    for start in range(0, size, len(CHUNK)):
        yield CHUNK[: size - start]
