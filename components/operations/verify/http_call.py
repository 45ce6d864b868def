"""Plain HTTP requests through a gateway, tagged like the gRPC calls of :mod:`..calls`."""

import asyncio
import importlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

from ...model import ValidationError
from ..calls import CallJob, CallResult, result_of, settled

ANSWERED: Final = 500
"""HTTP status from which on an answer counts as a failure of the server."""


@dataclass(frozen=True, kw_only=True)
class HttpCall:
    """A plain HTTP request.

    Raises:
        ValidationError: The path is none.
    """

    method: str
    path: str

    def __post_init__(self) -> None:
        if not (self.path.startswith("/") and self.path.isascii() and self.path.isprintable()):
            raise ValidationError(
                field="path",
                value=self.path,
                rule="must begin with / and have printable ASCII characters only",
                remedy="Write for example /orders?page=1, with other characters as %C3%BC",
            )


async def make_http_calls(job: CallJob, http: HttpCall) -> AsyncIterator[CallResult]:
    """Make the requests and yield their results as they come.

    Args:
        job: Where to, how often, how fast.
        http: What to request.
    """
    httpx: Any = importlib.import_module("httpx")
    results: asyncio.Queue[CallResult | Exception] = asyncio.Queue()
    indices = iter(range(job.count))
    start = time.monotonic()
    headers = {"host": job.authority, "user-agent": job.run_id}
    # trust_env off: a proxy of the machine must not see, change or lose the calls.
    client = httpx.AsyncClient(
        base_url=f"http://{job.address}", headers=headers, timeout=job.timeout_seconds, trust_env=False
    )
    async with client:

        async def work() -> None:
            for index in indices:
                if job.calls_per_second:
                    await asyncio.sleep(start + index / job.calls_per_second - time.monotonic())
                results.put_nowait(await settled(_request(client, job, http, index)))

        workers = [asyncio.create_task(work()) for _ in range(min(job.concurrency, job.count))]
        try:
            for _ in range(job.count):
                yield result_of(await results.get())
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)


async def _request(client: Any, job: CallJob, http: HttpCall, index: int) -> CallResult:  # noqa: ANN401 -- httpx is loaded late
    httpx: Any = importlib.import_module("httpx")
    call_id = job.call_id(index)
    headers = {"x-request-id": call_id, **job.metadata}
    before = time.monotonic()
    try:
        answer = await client.request(http.method, http.path, headers=headers)
    except httpx.HTTPError as error:
        return CallResult(
            call_id=call_id, status=type(error).__name__, seconds=time.monotonic() - before, detail=str(error)[:200]
        )
    status = "OK" if answer.status_code < ANSWERED else str(answer.status_code)
    return CallResult(call_id=call_id, status=status, seconds=time.monotonic() - before)
