"""One page over a forwarded port, by the channels of Kubernetes' WebSocket."""

import http.client
import importlib
import io
import time
from contextlib import suppress
from typing import Any, Final

from .errors import OperationError

DATA, ERRORS = 0, 1
"""Channels of the first port. Source: k8s.io/kubelet, portforward/websocket.go."""

PREFIX_BYTES: Final = 2
"""Each channel begins with the number of its port."""


class _Incoming(io.RawIOBase):
    """What the pod sends, as a file."""

    def __init__(self, client: Any, deadline: float) -> None:  # noqa: ANN401 -- the stream client has no types
        self._client, self._deadline = client, deadline
        self._buffer, self._skipped = b"", 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401 -- any buffer of bytes
        while not self._buffer:
            self._buffer = bytes(self._client.read_channel(DATA))
            skipped = min(PREFIX_BYTES - self._skipped, len(self._buffer))
            self._buffer, self._skipped = self._buffer[skipped:], self._skipped + skipped
            left = self._deadline - time.monotonic()
            if self._buffer or not self._client.is_open():
                break
            if left <= 0:
                raise TimeoutError("no answer in time")
            self._client.update(timeout=left)
        size = min(len(buffer), len(self._buffer))
        buffer[:size], self._buffer = self._buffer[:size], self._buffer[size:]
        return size


class _Connected:
    """As much of a socket as reading an answer takes."""

    def __init__(self, incoming: _Incoming) -> None:
        self._incoming = incoming

    def makefile(self, mode: str) -> io.BufferedReader:
        del mode
        return io.BufferedReader(self._incoming)


def get_page(client: Any, path: str, *, where: str, timeout_seconds: float) -> str:  # noqa: ANN401 -- untyped
    """Return a page that is served at a forwarded port, and close the connection.

    Args:
        client: The WebSocket, binary, to one forwarded port.
        path: Path of the page, which begins with a slash.
        where: The port, for messages.
        timeout_seconds: Bound on the whole.

    Raises:
        OperationError: There is no page.
    """
    websocket: Any = importlib.import_module("websocket")
    lost = (OSError, http.client.HTTPException, websocket.WebSocketException)
    incoming = _Incoming(client, time.monotonic() + timeout_seconds)
    answer: Any = http.client.HTTPResponse(_Connected(incoming), method="GET")  # type: ignore[arg-type]
    said = ""
    try:
        client.write_channel(DATA, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer.begin()
        text = answer.read().decode(errors="replace")
        failure = "" if answer.status == http.client.OK else f"{answer.status} {answer.reason}: {text.strip()}"
    except lost as error:
        text, failure = "", str(error) or type(error).__name__
    # Where nobody listens, the other end says so and closes, perhaps before the question was sent.
    with suppress(*lost):
        said = bytes(client.peek_channel(ERRORS))[PREFIX_BYTES:].decode(errors="replace")
    answer.close()
    with suppress(*lost):
        client.close(timeout=1)
    client.sock.shutdown()
    if failure:
        raise OperationError(
            f"{where} gives no page {path}: {(said or failure)[:300]}",
            remedy="Look at the pod",
        )
    return text
