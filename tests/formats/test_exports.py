"""The tools send what was exported for them, byte for byte."""

import socket
import socketserver
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from pulumi_traffic_mirror.model import RpcMethod
from pulumi_traffic_mirror.operations.recording import RecordingReader, RecordingStore
from pulumi_traffic_mirror.operations.recording.formats import Target, export, import_files
from pulumi_traffic_mirror.operations.recording.formats.http1 import read_request
from tests.formats import tools
from tests.formats.traffic import BINARY, LARGE, receive

pytestmark = [pytest.mark.other_tools, pytest.mark.timeout(600)]

DATA = Path(__file__).parents[1] / "data/formats"


@contextmanager
def listening(received: list[bytes]) -> Generator[int]:
    """Keep every request that comes."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            connection: socket.socket = self.request
            while request := receive(connection):
                received.append(request)
                connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


def test_goreplay_sends_what_was_recorded(tmp_path: Path) -> None:
    import_files([DATA / "gor"], RecordingStore.open(str(tmp_path / "recording")))
    result = export(RecordingReader.open(str(tmp_path / "recording")), tmp_path / "calls.gor", Target.GOR)
    received: list[bytes] = []
    with listening(received) as port:
        target = ("--output-http", f"http://127.0.0.1:{port}", "--http-original-host")
        with tools.running(tools.goreplay(), "--input-file", tmp_path / "calls.gor", *target, log=tmp_path / "log"):
            tools.until(lambda: len(received) == result.requests, "GoReplay has sent all")
    sent = {head.target.partition("?")[0]: (head, part) for head, part in map(read_request, received)}
    assert {head.host for head, _ in sent.values()} == {"shop.example"}
    assert sent["/binary"][1].body == BINARY
    assert sent["/large"][1].body == LARGE
    assert sent["/chunked"][1].body == b"foursix-ty"
    assert [value for name, value in sent["/repeated"][1].headers if name == "x-tag"] == ["one", "two"]
    assert ("x-latin", "caf\xe9") in sent["/repeated"][1].headers


def test_ghz_sends_what_was_recorded(tmp_path: Path) -> None:
    import_files([DATA / "grpc-go"], RecordingStore.open(str(tmp_path / "recording")))
    method = RpcMethod("shop.v1.Shop/Get")
    result = export(RecordingReader.open(str(tmp_path / "recording")), tmp_path / "get.bin", Target.GHZ, rpc=method)
    received: list[bytes] = []

    def get(request: bytes, _context: grpc.ServicerContext) -> bytes:
        received.append(request)
        return b""

    handlers = {"Get": grpc.unary_unary_rpc_method_handler(get)}
    server = grpc.server(ThreadPoolExecutor(max_workers=2))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("shop.v1.Shop", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    (tmp_path / "shop.proto").write_text(
        'syntax = "proto3"; package shop.v1; message Text { string value = 1; }'
        " service Shop { rpc Get(Text) returns (Text); }"
    )
    try:
        words = (
            "--insecure",
            "--proto",
            tmp_path / "shop.proto",
            "--call",
            "shop.v1.Shop.Get",
            "-n",
            str(result.requests),
        )
        tools.run(tools.ghz(), *words, "-c", "1", "--binary-file", tmp_path / "get.bin", f"127.0.0.1:{port}")
    finally:
        server.stop(None)
    assert sorted(received) == sorted([b"\n\x01a", b"\n\x01a", b"\n\x07missing", b"\n\x07missing"])
