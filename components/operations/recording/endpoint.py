"""Health and metrics over HTTP, for Kubernetes' probes and for Prometheus."""

from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar

from .counters import Counters


class Endpoint:
    """Serves ``/healthz``, ``/readyz`` and ``/metrics`` from a thread of its own."""

    def __init__(self, *, host: str, port: int, counters: Counters, is_ready: Callable[[], bool]) -> None:
        """Bind; :meth:`start` begins to serve.

        Args:
            host: Address to listen on.
            port: TCP port; 0 takes a free one.
            counters: What ``/metrics`` shows.
            is_ready: What ``/readyz`` tells.
        """
        self._server = ThreadingHTTPServer((host, port), partial(_Handler, counters, is_ready))
        self._thread = Thread(target=self._server.serve_forever, name="health", daemon=True)

    @property
    def port(self) -> int:
        """The port in use."""
        return self._server.server_port

    def start(self) -> None:
        """Start serving."""
        self._thread.start()

    def close(self) -> None:
        """Stop serving and free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    timeout: ClassVar[float | None] = 5.0  # a probe that sends nothing must not hold a thread

    def __init__(self, counters: Counters, is_ready: Callable[[], bool], *args: Any) -> None:  # noqa: ANN401 -- the base class's
        self._counters = counters
        self._is_ready = is_ready
        super().__init__(*args)

    def do_GET(self) -> None:
        match self.path.partition("?")[0]:
            case "/healthz":
                self._answer(HTTPStatus.OK, "alive\n")
            case "/readyz" if self._is_ready():
                self._answer(HTTPStatus.OK, "ready\n")
            case "/readyz":
                self._answer(HTTPStatus.SERVICE_UNAVAILABLE, "not ready\n")
            case "/metrics":
                self._answer(HTTPStatus.OK, self._counters.as_prometheus())
            case _:
                self._answer(HTTPStatus.NOT_FOUND, "unknown\n")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401 -- the base class's
        """Probes come every few seconds; they are not worth a line."""

    def _answer(self, status: HTTPStatus, text: str) -> None:
        content = text.encode()
        self.send_response(status)
        self.send_header("content-type", "text/plain; version=0.0.4")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
