"""Harmless HTTP/1 traffic on the loopback that is the same each time: what other tools record in these tests."""

import socket
import socketserver
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

SEPARATOR: Final = "\n🐵🙈🙉\n".encode()
BINARY: Final = bytes(range(256)) * 2
LARGE: Final = b"0123456789abcdef" * 96
"""1,536 bytes: more than Envoy's tap keeps of a body by default."""


@dataclass(frozen=True)
class Call:
    """One request and its answer, as they are on the wire."""

    name: str
    request: bytes
    response: bytes


def _request(line: str, body: bytes = b"", *headers: str) -> bytes:
    length = (f"content-length: {len(body)}",) if body else ()
    lines = (f"{line} HTTP/1.1", "Host: shop.example", "X-Mixed-Case: Kept", *headers, *length)
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def _response(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = (f"HTTP/1.1 {status}", *headers, f"content-length: {len(body)}", "connection: close")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


_JSON: Final = "content-type: application/json"
_BYTES: Final = "content-type: application/octet-stream"

CALLS: Final = (
    Call("get", _request("GET /orders?page=2&token=fake"), _response(b'{"orders": []}', _JSON)),
    Call(
        "credentials",
        _request("POST /login", b'{"user": "a", "password": "fake"}', _JSON, "Authorization: Bearer fake"),
        _response(b'{"access_token": "fake", "ok": true}', _JSON, "set-cookie: a=fake", "set-cookie: b=fake"),
    ),
    Call(
        "repeated",
        _request("GET /repeated", b"", "X-Tag: one", "X-Tag: two", "X-Latin: caf\xe9"),
        _response(b"", "x-tag: three", "x-tag: four", status="204 No Content").replace(b"content-length: 0\r\n", b""),
    ),
    Call("binary", _request("PUT /binary", BINARY, _BYTES), _response(BINARY[::-1], _BYTES)),
    Call(
        "chunked",
        b"POST /chunked HTTP/1.1\r\nHost: shop.example\r\ntransfer-encoding: chunked\r\n\r\n"
        b"4\r\nfour\r\n6\r\nsix-ty\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\nconnection: close\r\n\r\n"
        b"5\r\nfirst\r\n6\r\nsecond\r\n0\r\nx-sum: 42\r\n\r\n",
    ),
    Call("large", _request("POST /large", LARGE, _BYTES), _response(LARGE, _BYTES)),
    Call(
        "separator",
        _request("POST /separator", b"before" + SEPARATOR + b"behind", "content-type: text/plain"),
        _response(b"ok", "content-type: text/plain"),
    ),
    Call(
        "missing", _request("GET /missing"), _response(b"not here", "content-type: text/plain", status="404 Not Found")
    ),
)
"""Each on a connection of its own."""


@contextmanager
def answering() -> Generator[int]:
    """Serve the answers of :data:`CALLS` by path; gives the port."""
    answers = {call.request.split(b" ")[1]: call.response for call in CALLS}

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            request = receive(self.request)
            if request:
                self.request.sendall(answers[request.split(b" ")[1]])

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


def receive(connection: socket.socket) -> bytes:
    """Return one request or answer."""
    data = b""
    while not _is_whole(data):
        more = connection.recv(65_536)
        if not more:
            break
        data += more
    return data


def _is_whole(data: bytes) -> bool:
    head, found, body = data.partition(b"\r\n\r\n")
    lower = head.lower()
    if b"transfer-encoding: chunked" in lower:
        return b"0\r\n" in body and body.endswith(b"\r\n\r\n")
    length = lower.partition(b"content-length: ")[2].split(b"\r\n")[0]
    return bool(found) and len(body) >= int(length or b"0")


def call_all(port: int) -> list[bytes]:
    """Send every request to a port of the loopback, one after the other; returns the answers."""
    answers: list[bytes] = []
    for call in CALLS:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall(call.request)
            answers.append(receive(connection))
    return answers
