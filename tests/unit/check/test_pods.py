"""What is said when pods cannot be asked."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from pulumi_traffic_mirror.operations.errors import OperationError
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
