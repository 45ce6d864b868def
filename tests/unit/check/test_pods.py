"""What is said when pods cannot be asked."""

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import pytest
from websocket import WebSocketConnectionClosedException
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Event, Request

from pulumi_traffic_mirror.operations.errors import OperationError
from pulumi_traffic_mirror.operations.forwarding import get_page
from pulumi_traffic_mirror.operations.kube import ClusterAccess, Pods, PodSelection

NOBODY = PodSelection(cluster="staging", namespace="hello", selector="app=greeter", container="greeter")


class Answers:
    """What the API server answers."""

    status = 200


@pytest.fixture
def answers() -> Answers:
    return Answers()


def written(path: Path, port: int) -> str:
    document = {
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "c", "user": {}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
    }
    path.write_text(json.dumps(document), encoding="utf-8")
    return str(path)


@pytest.fixture
def kubeconfig(answers: Answers, tmp_path: Path) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b'{"kind":"PodList","apiVersion":"v1","metadata":{},"items":[]}'
            self.send_response(answers.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the name of the base class
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield written(tmp_path / "kubeconfig", server.server_port)
    server.shutdown()
    thread.join()
    server.server_close()


def test_no_pod_is_no_line_and_no_error(kubeconfig: str) -> None:
    assert list(Pods(ClusterAccess(name="staging", kubeconfig=kubeconfig)).log_lines(NOBODY, since_seconds=10)) == []


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (403, "No permission to list pods in namespace hello of staging"),
        (500, "Cannot list pods in namespace hello of staging: 500"),
    ],
)
def test_refusals_of_the_api_server_are_shown(answers: Answers, kubeconfig: str, status: int, words: str) -> None:
    answers.status = status
    with pytest.raises(OperationError, match=words):
        Pods(ClusterAccess(name="staging", kubeconfig=kubeconfig)).names(NOBODY)


@pytest.mark.parametrize("content", [None, "", "not: [a kubeconfig", "a: 1"])
def test_a_kubeconfig_that_cannot_be_used_is_said(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "broken"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(OperationError, match="The kubeconfig of staging"):
        Pods(ClusterAccess(name="staging", kubeconfig=str(path)))


def test_a_context_that_is_missing_is_said(kubeconfig: str) -> None:
    with pytest.raises(OperationError, match="no-such-context"):
        Pods(ClusterAccess(name="staging", kubeconfig=kubeconfig, context="no-such-context"))


def test_an_api_server_that_does_not_listen_is_said(tmp_path: Path) -> None:
    with pytest.raises(OperationError, match="The API server of staging cannot be reached"):
        Pods(ClusterAccess(name="staging", kubeconfig=written(tmp_path / "kubeconfig", 1))).names(NOBODY)


@dataclass
class Forwarder:
    """An API server that forwards a port of a pod, by Kubernetes' protocol ``v4.channel.k8s.io``."""

    listening: socket.socket
    answer: bytes = b""
    """What the pod's port answers; empty for one at which nobody listens."""

    asked: list[str] = field(default_factory=list[str])
    """Paths at the API server, and what was sent through."""

    def serve(self) -> None:
        connection, _ = self.listening.accept()
        line = WSConnection(ConnectionType.SERVER)
        with connection:
            while received := connection.recv(65536):
                line.receive_data(received)
                for event in line.events():
                    for reply in self._replies(event):
                        connection.sendall(line.send(reply))

    def _replies(self, event: Event) -> Iterator[Event]:
        if isinstance(event, Request):
            self.asked.append(event.target)
            yield AcceptConnection(subprotocol="v4.channel.k8s.io")
            for channel in (b"\0", b"\1"):
                yield BytesMessage(channel + (15000).to_bytes(2, "little"))
            if not self.answer:
                yield BytesMessage(b"\1error forwarding port 15000: connection refused")
        elif isinstance(event, BytesMessage):
            self.asked.append(bytes(event.data)[1:].decode().partition("\r\n")[0])
            for part in (self.answer[:100], self.answer[100:]):
                yield BytesMessage(b"\0" + part)
            yield CloseConnection(code=1000)


@pytest.fixture
def forwarder() -> Iterator[Forwarder]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        made = Forwarder(listening)
        thread = Thread(target=made.serve)
        thread.start()
        yield made
        thread.join()


def page(forwarder: Forwarder, tmp_path: Path) -> str:
    kubeconfig = written(tmp_path / "kubeconfig", forwarder.listening.getsockname()[1])
    pods = Pods(ClusterAccess(name="staging", kubeconfig=kubeconfig))
    return pods.page("gate-1", "gateways", 15000, "/clusters")


def test_a_page_comes_through_a_forwarded_port_in_pieces(forwarder: Forwarder, tmp_path: Path) -> None:
    body = "a::b::rq_total::1\n" * 1000
    forwarder.answer = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
    assert page(forwarder, tmp_path) == body
    forward = "/api/v1/namespaces/gateways/pods/gate-1/portforward?ports=15000"
    assert forwarder.asked == [forward, "GET /clusters HTTP/1.1"]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "connection refused"),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nno!\n", "403 Forbidden: no!"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\nhalf", "IncompleteRead"),
    ],
)
def test_a_port_that_gives_no_page_is_said(forwarder: Forwarder, tmp_path: Path, answer: bytes, words: str) -> None:
    forwarder.answer = answer
    with pytest.raises(OperationError, match=f"^Port 15000 of pod gate-1 in namespace gateways of staging.*{words}"):
        page(forwarder, tmp_path)


def test_an_end_that_closes_before_it_is_asked_is_said_with_what_it_said() -> None:
    class Closed:
        """A connection on which the other end gave up at once."""

        sock = SimpleNamespace(shutdown=lambda: None)

        def write_channel(self, *_: object) -> None:
            raise WebSocketConnectionClosedException("socket is already closed.")

        def peek_channel(self, channel: int) -> bytes:
            assert channel == 1
            return b"\x98\x3aconnection refused"

        def close(self, *, timeout: float) -> None:
            assert timeout > 0

    with pytest.raises(OperationError, match=r"^Port 15000 gives no page /clusters: connection refused"):
        get_page(Closed(), "/clusters", where="Port 15000", timeout_seconds=1)
