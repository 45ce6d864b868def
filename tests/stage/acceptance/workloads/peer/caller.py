"""Makes tagged calls, over HTTP/1.1, HTTP/2, gRPC or WebSockets, and says what came of them. A script.

It does the job in the file that it is given and writes the result to standard output; with ``serve`` it takes jobs by
HTTP on ``CONTROL_PORT``, so that calls leave from where it runs. Each job has a process of its own: jobs side by side
do not slow each other down, and none waits for libraries to be loaded.
"""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from socketserver import ForkingMixIn
from typing import Any

from caller_grpc import grpc_client
from caller_http import http_client
from caller_raw import raw_client
from caller_result import Answer, summarise
from caller_websocket import websocket_client

Client = Callable[[str], Awaitable[Answer]]
"""Makes one call, given its identifier."""


async def make_calls(job: dict[str, Any]) -> dict[str, Any]:
    """Make all calls of a job and return what came of them.

    Args:
        job: ``protocol`` (http1, http2, websocket, grpc, raw), ``address``, ``run``, ``count``, ``concurrency``,
            ``rate`` (calls per second, 0 for no limit), ``timeout`` (seconds), and what the protocol's client reads.
    """
    special = {"grpc": grpc_client, "raw": raw_client, "websocket": websocket_client}
    open_client = special.get(job["protocol"], http_client)
    loop = asyncio.get_running_loop()
    numbers = iter(range(job["count"]))
    answers: list[Answer] = []
    async with open_client(job) as call:
        start = loop.time()

        async def work() -> None:
            for number in numbers:
                if job["rate"]:
                    await asyncio.sleep(start + number / job["rate"] - loop.time())
                begun = loop.time()
                answer = await call(f"{job['run']}-{number:06d}")
                answer.start, answer.seconds = begun - start, loop.time() - begun
                answers.append(answer)

        await asyncio.gather(*(work() for _ in range(min(job["concurrency"], job["count"]))))
    return summarise(answers)


class Control(BaseHTTPRequestHandler):
    """Takes jobs."""

    def do_GET(self) -> None:
        """Tell that it is there."""
        self._answer({})

    def do_POST(self) -> None:
        """Do a job and answer with its result."""
        job = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self._answer(asyncio.run(make_calls(job)))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """Say nothing."""

    def _answer(self, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(ForkingMixIn, HTTPServer):
    """Gives each request a process."""


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        port = int(os.environ.get("CONTROL_PORT", "9000"))
        Server(("0.0.0.0", port), Control).serve_forever()  # noqa: S104 - a pod's own network
    else:
        job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
        sys.stdout.write(json.dumps(asyncio.run(make_calls(job))))
