"""A server that answers what it saw, or misbehaves as told, in HTTP/1.1, WebSockets, HTTP/2 and unary gRPC. A script.

Another port takes orders and tells what arrived, so that a test counts requests where they end and not where they
begin. ``ECHO_ADDRESS`` (default all interfaces), ``ECHO_PORTS`` (8000), ``CONTROL_PORT`` (9000), ``VERSION``.
"""

import asyncio
import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from echo_http1 import serve_http1
from echo_http2 import PREFACE, serve_http2
from echo_state import State


async def serve(state: State, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one connection; the client's first bytes tell the protocol."""
    number = state.opened()
    try:
        if state.mode.name == "silent":
            # The connection is accepted and nothing of it is ever read.
            await asyncio.Event().wait()
        start = b""
        while PREFACE.startswith(start) and len(start) < len(PREFACE):
            data = await reader.read(65536)
            if not data:
                return
            start += data
        protocol = serve_http2 if start.startswith(PREFACE) else serve_http1
        await protocol(state, number, start, reader, writer)
    except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
        # The other side has gone, or this one is told to end its connections.
        return
    finally:
        state.closed(number)
        writer.transport.abort()


class Listener:
    """The listening sockets, which can be closed and opened again."""

    def __init__(self, state: State, host: str, ports: list[int]) -> None:
        self._state, self._host, self._ports = state, host, ports
        self._servers: list[asyncio.Server] = []

    async def open(self) -> None:
        """Listen; no effect when it does."""
        for port in self._ports if not self._servers else []:
            self._servers.append(
                await asyncio.start_server(
                    lambda reader, writer: serve(self._state, reader, writer), self._host, port, backlog=1024
                )
            )

    async def close(self) -> None:
        """Refuse new connections and end those that are open."""
        while self._servers:
            self._servers.pop().close()
        self._state.end_connections()


class Control(BaseHTTPRequestHandler):
    """Takes orders and tells what arrived."""

    state: ClassVar[State]
    listener: ClassVar[Listener]
    loop: ClassVar[asyncio.AbstractEventLoop]

    def do_GET(self) -> None:
        """Answer ``/seen`` (counts), ``/records`` (requests) or anything else with an empty object."""
        url = urlsplit(self.path)
        run = parse_qs(url.query).get("run", [""])[0]
        answers = {"/seen": self.state.seen, "/records": self.state.records}
        self._answer(answers[url.path](run) if url.path in answers else {})

    def do_POST(self) -> None:
        """Change the mode; ``refuse`` closes the listening socket, every other one opens it."""
        order = json.loads(self.rfile.read(int(self.headers["content-length"])))
        change = self.listener.close if order["name"] == "refuse" else self.listener.open
        self.state.set_mode(**order)
        asyncio.run_coroutine_threadsafe(change(), self.loop).result(timeout=10)
        self._answer({})

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """Say nothing: the log is for what goes wrong."""

    def _answer(self, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


async def main() -> None:
    """Serve until the process is ended."""
    host = os.environ.get("ECHO_ADDRESS", "0.0.0.0")  # noqa: S104 - a pod's own network
    state = State(version=os.environ.get("VERSION", "v1"), pod=os.environ.get("PODNAME", ""))
    listener = Listener(state, host, [int(port) for port in os.environ.get("ECHO_PORTS", "8000").split(",")])
    await listener.open()
    Control.state, Control.listener, Control.loop = state, listener, asyncio.get_running_loop()
    control = ThreadingHTTPServer((host, int(os.environ.get("CONTROL_PORT", "9000"))), Control)
    threading.Thread(target=control.serve_forever, daemon=True).start()
    sys.stdout.write("listening\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
