"""What sending one request costs: ``python -m tests.bench.bench_replay_speed [--against CHECKOUT]``.

It needs nginx, and without one it says so. 16 requests are in flight to an nginx on loopback, by HTTP/1.1 and HTTP/2,
and to a gRPC service in a process of its own. Each round runs all clients one after another, and the median of the
rounds' ratios counts: on a shared machine absolute times say little. Clients are the replay of this checkout, that of
another one with an environment of its own (``--against``), and vegeta and ghz where PATH has them. Processor time is
that of the sending process alone, user and system, without its start. Bounds, beside a checkout whose replay sends by
httpcore and grpc.aio: 0.2 of its processor time per request for HTTP/1.1, 0.25 for HTTP/2, 0.4 for gRPC; beside vegeta
and ghz: 2.5 times theirs.
"""

import argparse
import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

IN_FLIGHT: Final = 16
KINDS: Final = {"HTTP/1.1": 0.2, "HTTP/2": 0.25, "gRPC": 0.4}
"""What is sent, and the share of another checkout's processor time that it may take."""

TOOL_BOUND: Final = 2.5
_METHOD: Final = "bench.Echo/Say"
_TEXT: Final = "x" * 38
_PROTO: Final = """syntax = "proto3"; package bench;
service Echo { rpc Say (Message) returns (Message); }
message Message { string text = 1; }
"""
_NGINX: Final = """daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/log;
events {{ worker_connections 512; }}
http {{ access_log off; keepalive_requests 100000000;
  client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
  uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
  server {{ listen 127.0.0.1:{http}; location / {{ add_header x-a b; add_header x-c d; return 200 "{body}"; }} }}
  server {{ listen 127.0.0.1:{h2} http2; location / {{ add_header x-a b; add_header x-c d; return 200 "{body}"; }} }}
}}
"""


def record(path: Path, count: int, *, is_grpc: bool) -> None:
    """Write requests with the headers of a browser, or calls with one small message."""
    from pulumi_traffic_mirror.operations.recording import (  # noqa: PLC0415 -- the sending process needs none of it
        Exchange,
        Message,
        Part,
        RecordingStore,
        RecordingWriter,
        Side,
    )

    headers = (
        ("accept", "*/*"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit"),
        ("accept-language", "en-US,en;q=0.5"),
        ("cookie", "a=b; c=d"),
    )
    grpc = (("content-type", "application/grpc"), ("te", "trailers"))
    message = b"\x0a" + bytes([len(_TEXT)]) + _TEXT.encode()
    writer = RecordingWriter(RecordingStore.open(str(path)), instance="bench")
    writer.write(
        [
            Exchange(
                request_id=f"{number:032x}",
                side=Side.PRIMARY,
                source="bench",
                started_at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(milliseconds=number),
                method="POST" if is_grpc else "GET",
                scheme="http",
                authority="shop.example",
                path=f"/{_METHOD}" if is_grpc else f"/things/{number}?a=b",
                is_grpc=is_grpc,
                request=Part(
                    headers=(("x-request-id", f"{number:032x}"), *headers, *(grpc if is_grpc else ())),
                    messages=(Message(offset_us=0, size=len(message), data=message),) if is_grpc else (),
                ),
            )
            for number in range(count)
        ]
    )
    writer.close()


def send(recording: str, url: str, kind: str) -> None:
    """Replay, in a process of its own, and print what one request took; runs in other checkouts too."""
    from pulumi_traffic_mirror.operations.replay import (  # noqa: PLC0415 -- of the checkout that is measured
        HttpVersion,
        Pace,
        ReplayGuard,
        ReplayJob,
        Target,
        replay,
    )

    job = ReplayJob(
        recording=recording,
        target=Target(url=url, http_version=HttpVersion.HTTP_2 if kind == "HTTP/2" else HttpVersion.HTTP_1_1),
        pace=Pace(rate=100_000),
        guard=ReplayGuard(rpc_methods=[_METHOD]),
        max_in_flight=IN_FLIGHT,
    )
    wall, processor = time.perf_counter(), time.process_time()
    report = asyncio.run(replay(job))
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    assert report.completed, report.failures
    print(json.dumps({"us": processor / report.completed * 1e6, "rate": report.completed / wall}))


async def serve_grpc() -> None:
    """Answer each call with its message, in a process of its own; prints the port and ends with standard input."""
    import grpc.aio  # noqa: PLC0415 -- the sending process needs none of it

    async def say(message: bytes, _context: Any) -> bytes:
        return message

    make: Any = grpc.unary_unary_rpc_method_handler
    service, _, method = _METHOD.partition("/")
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: make(say)}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.stop(0)


@contextmanager
def nginx(folder: Path) -> Iterator[tuple[int, int]]:
    """Run nginx; gives its ports for HTTP/1.1 and HTTP/2."""
    from tests.support.loopback_service import free_port  # noqa: PLC0415 -- the sending process needs none of it

    http, h2 = free_port(), free_port()
    config = folder / "nginx.conf"
    config.write_text(_NGINX.format(folder=folder, http=http, h2=h2, body="hello " * 10), encoding="utf-8")
    with subprocess.Popen(
        ["nginx", "-c", str(config), "-e", str(folder / "log")], stderr=subprocess.DEVNULL
    ) as process:
        time.sleep(0.5)
        try:
            yield http, h2
        finally:
            process.terminate()


def replayed(python: str, recording: Path, url: str, kind: str) -> tuple[float, float]:
    """Return the microseconds of processor time per request and the requests per second of a checkout's replay."""
    command = [python, str(Path(__file__).resolve()), "--send", str(recording), "--url", url, "--kind", kind]
    # From no checkout's folder, so that each environment finds its own.
    ended = subprocess.run(command, check=True, capture_output=True, text=True, cwd="/")
    found = json.loads(ended.stdout)
    return found["us"], found["rate"]


def attacked(folder: Path, url: str, kind: str, count: int) -> tuple[float, float]:
    """Return the same of vegeta or ghz."""
    before, wall = os.times(), time.perf_counter()
    if kind == "gRPC":
        (folder / "bench.proto").write_text(_PROTO, encoding="utf-8")
        options = ["--insecure", "--proto", str(folder / "bench.proto"), "--call", _METHOD.replace("/", ".")]
        options += ["-d", json.dumps({"text": _TEXT}), "-n", str(count), "-c", str(IN_FLIGHT), "--connections", "1"]
        subprocess.run(["ghz", *options, url.removeprefix("http://")], check=True, capture_output=True)
        done = count
    else:
        targets = "\n".join(f"GET {url}/things/{number}?a=b\naccept: */*\ncookie: a=b; c=d\n" for number in range(1000))
        (folder / "targets").write_text(targets, encoding="utf-8")
        options = [f"-targets={folder / 'targets'}", "-rate=0", f"-max-workers={IN_FLIGHT}", f"-workers={IN_FLIGHT}"]
        options += ["-duration=3s", f"-output={folder / 'results'}", *(["-h2c"] if kind == "HTTP/2" else [])]
        subprocess.run(["vegeta", "attack", *options], check=True, capture_output=True)
        done = 0
    after, wall = os.times(), time.perf_counter() - wall
    if not done:
        report = ["vegeta", "report", "-type=json", str(folder / "results")]
        done = json.loads(subprocess.run(report, check=True, capture_output=True, text=True).stdout)["requests"]
    processor = after.children_user + after.children_system - before.children_user - before.children_system
    return processor / done * 1e6, done / wall


def measure(folder: Path, clients: dict[str, str], *, rounds: int, count: int, grpc_address: str) -> bool:
    """Measure and print; return whether the bounds hold."""
    held = True
    for name in ("http", "grpc"):
        record(folder / name, count, is_grpc=name == "grpc")
    with ExitStack() as stack:
        http, h2 = stack.enter_context(nginx(folder))
        urls = {
            "HTTP/1.1": f"http://127.0.0.1:{http}",
            "HTTP/2": f"http://127.0.0.1:{h2}",
            "gRPC": f"http://{grpc_address}",
        }
        for kind, bound in KINDS.items():
            tool = "ghz" if kind == "gRPC" else "vegeta"
            found: dict[str, list[tuple[float, float]]] = {}
            for _ in range(rounds):
                for client, python in clients.items():
                    recording = folder / ("grpc" if kind == "gRPC" else "http")
                    found.setdefault(client, []).append(replayed(python, recording, urls[kind], kind))
                if shutil.which(tool):
                    found.setdefault(tool, []).append(attacked(folder, urls[kind], kind, count))
            own = found["this"]
            for client, results in found.items():
                us = statistics.median(one for one, _ in results)
                rate = statistics.median(one for _, one in results)
                line = f"{kind:8} {client:8} {us:6.1f} us of processor per request, {rate:7,.0f} requests/s"
                if client != "this":
                    ratio = statistics.median(mine[0] / other[0] for mine, other in zip(own, results, strict=True))
                    faster = statistics.median(mine[1] / other[1] for mine, other in zip(own, results, strict=True))
                    limit = bound if client == "other" else TOOL_BOUND
                    held = held and ratio <= limit
                    line += f"; this takes x{ratio:.2f} (bound x{limit:g}) and is x{faster:.1f} as fast"
                print(line, flush=True)
    return held


def main() -> int:
    """Measure, print, and say whether the bounds hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path, help="A checkout with its environment in .venv.")
    parser.add_argument("--grpc", default="", help="HOST:PORT of another gRPC service, which answers bench.Echo/Say.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=10_000, help="Requests of each client in a round.")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--send", help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--kind", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.send:
        send(arguments.send, arguments.url, arguments.kind)
        return 0
    if arguments.serve:
        asyncio.run(serve_grpc())
        return 0
    if not shutil.which("nginx"):
        print("not measured: nginx is needed (apt-get install nginx-light)")
        return 0
    clients = {"this": sys.executable}
    if arguments.against:
        clients["other"] = str(arguments.against.resolve() / ".venv/bin/python")
    service = [sys.executable, "-m", __spec__.name, "--serve"]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(service, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process,
    ):
        assert process.stdout is not None
        address = arguments.grpc or f"127.0.0.1:{process.stdout.readline().strip()}"
        held = measure(Path(folder), clients, rounds=arguments.rounds, count=arguments.count, grpc_address=address)
        process.communicate()
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
