"""Has each tool record the traffic of :mod:`tests.formats.traffic`; the folder gets the tool's own files."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from tests.formats import tools
from tests.formats.traffic import CALLS, SEPARATOR, answering, call_all
from tests.support.loopback_envoy import find_envoy
from tests.support.loopback_service import free_port


def make_gor(folder: Path) -> None:
    """Have GoReplay capture the loopback."""
    log, separators = folder / "goreplay.log", 2 * len(CALLS) + 1  # one of them in a body
    with answering() as port:
        command = (tools.goreplay(), "--input-raw", f"127.0.0.1:{port}", "--input-raw-track-response")
        # Its file is whole only once it has ended; standard output, which the log gets, tells when it has seen all.
        into = ("--output-file", folder / "calls.gor", "--output-stdout")
        with tools.running(*command, *into, log=log):
            tools.until(lambda: b"Interface:" in log.read_bytes(), "GoReplay listens")
            call_all(port)
            tools.until(lambda: log.read_bytes().count(SEPARATOR) >= separators, "GoReplay has all")
    log.unlink()


_TYPES: Final = "type.googleapis.com/envoy.extensions"


def make_tap(folder: Path, *, form: str, streamed: bool) -> None:
    """Have Envoy tap what goes through it; without trailers and identifiers of its own it would lose and add some."""
    admin_file, config_file, log = (folder.parent / f"{folder.name}-{name}" for name in ("admin", "config", "log"))
    with answering() as port:
        config_file.write_text(json.dumps(_tapping(port, folder / "trace", form, streamed=streamed)))
        command = (_envoy(), "-c", config_file, "--admin-address-path", admin_file, "--concurrency", "1")
        with tools.running(*command, "--use-dynamic-base-id", "-l", "error", log=log):
            call_all(tools.listener_of(admin_file))
            tools.until(lambda: len(list(folder.iterdir())) == len(CALLS), "Envoy has written all")
    for number, file in enumerate(sorted(folder.iterdir(), key=lambda file: file.stat().st_mtime_ns)):
        file.rename(folder / f"trace-{number}{file.suffix}")


def _envoy() -> Path:
    found = find_envoy()
    if found is None:
        raise RuntimeError("no Envoy: python -m pulumi_traffic_mirror.rehearsal.toolchain builds it")
    return found


def _tapping(port: int, prefix: Path, form: str, *, streamed: bool) -> dict[str, Any]:
    sinks = [{"format": form, "file_per_tap": {"path_prefix": str(prefix)}}]
    output = {"streaming": streamed, "sinks": sinks}
    tap = {
        "@type": f"{_TYPES}.filters.http.tap.v3.Tap",
        "common_config": {"static_config": {"match": {"any_match": True}, "output_config": output}},
        "record_headers_received_time": True,
    }
    filters = [("tap", tap), ("router", {"@type": f"{_TYPES}.filters.http.router.v3.Router"})]
    manager = {
        "@type": f"{_TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "generate_request_id": False,
        "http_protocol_options": {"enable_trailers": True},
        "route_config": {
            "virtual_hosts": [
                {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "up"}}]}
            ]
        },
        "http_filters": [{"name": f"envoy.filters.http.{name}", "typed_config": config} for name, config in filters],
    }
    options = {
        "@type": f"{_TYPES}.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http_protocol_options": {"enable_trailers": True}},
    }
    endpoint = {"endpoint": {"address": _address(port)}}
    cluster = {
        "name": "up",
        "type": "STATIC",
        "load_assignment": {"cluster_name": "up", "endpoints": [{"lb_endpoints": [endpoint]}]},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options},
    }
    chain = {"filters": [{"name": "http", "typed_config": manager}]}
    listener = {"name": "in", "address": _address(0), "filter_chains": [chain]}
    return {
        "admin": {"address": _address(0)},
        "static_resources": {"listeners": [listener], "clusters": [cluster]},
    }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


_WITH_TRAILERS: Final = """
import sys
from mitmproxy import http, io
from mitmproxy.test import tflow, tutils
flow = tflow.tflow(resp=True)
headers = http.Headers([(b"content-type", b"application/grpc"), (b"te", b"trailers")])
flow.request = tutils.treq(method=b"POST", path=b"/shop.v1.Shop/Get", headers=headers, content=b"\\0\\0\\0\\0\\2hi",
                           http_version=b"HTTP/2.0", authority=b"shop.example", timestamp_start=1.0, timestamp_end=2.0)
flow.response = tutils.tresp(headers=http.Headers([(b"content-type", b"application/grpc")]), content=b"\\0\\0\\0\\0\\0",
                             trailers=http.Headers([(b"grpc-status", b"5")]), timestamp_start=3.0, timestamp_end=4.0)
with open(sys.argv[1], "wb") as file:
    writer = io.FlowWriter(file)
    for each in (flow, tflow.tflow(err=True), tflow.twebsocketflow(), tflow.ttcpflow()):
        writer.add(each)
"""
"""mitmproxy ends a connection of HTTP/1 with a traceback where trailers come, so it writes some without traffic."""


def make_mitmproxy(folder: Path) -> None:
    """Have mitmproxy stand before the service, and let large bodies through unrecorded."""
    mine, confdir = free_port(), folder.parent / "confdir"
    with answering() as port:
        options = ["keep_host_header=true", "stream_large_bodies=1k", f"confdir={confdir}"]
        mode = ("--mode", f"reverse:http://127.0.0.1:{port}", "--listen-host", "127.0.0.1", "--listen-port", str(mine))
        command = (tools.mitmproxy(), *mode, "-w", folder / "calls.flow")
        log = folder.parent / "log"
        with tools.running(*command, *(word for each in options for word in ("--set", each)), log=log):
            tools.until(lambda: tools.is_listening(mine), "mitmproxy listens")
            call_all(mine)
            tools.until(lambda: log.read_bytes().count(b"<< ") > len(CALLS), "mitmproxy has all")
    subprocess.run([tools.mitmproxy("python"), "-c", _WITH_TRAILERS, folder / "others.flow"], check=True)


def make_har(folder: Path) -> None:
    """Have mitmproxy write the archive of its flows, which it is known to do badly."""
    flows = Path(__file__).parents[1] / "data/formats/mitmproxy/calls.flow"
    options = ("--set", f"hardump={folder / 'calls.har'}", "--set", f"confdir={folder.parent / 'confdir'}")
    subprocess.run([tools.mitmproxy(), "-n", "-q", "-r", flows, *options], check=True)


_TEMPORARY: Final = Path("/tmp")  # noqa: S108 -- where grpc-go itself puts them
_LOGS_OF_GO: Final = "grpcgo_binarylog_*.txt"


def make_grpc_go(folder: Path) -> None:
    """Have grpc-go log its calls; it chooses the file's name itself."""
    before = set(_TEMPORARY.glob(_LOGS_OF_GO))
    subprocess.run([tools.grpc_go()], env=os.environ | {"GRPC_BINARY_LOG_FILTER": "*"}, check=True, timeout=60)
    (made,) = set(_TEMPORARY.glob(_LOGS_OF_GO)) - before
    shutil.move(made, folder / "calls.log")


def make_grpc_java(folder: Path) -> None:
    """Have grpc-java log its calls, where a JDK is there."""
    program, *words = tools.grpc_java()
    command = [program, f"-Djava.io.tmpdir={folder}", *words]
    settings = {"GRPC_BINARY_LOG_CONFIG": "*"}
    subprocess.run(command, env=os.environ | settings, check=True, timeout=60, stderr=subprocess.DEVNULL)
    (made,) = folder.glob("BINARY_INFO.*")
    made.rename(folder / "calls.log")
    for other in folder.iterdir():
        if other.name != "calls.log":
            shutil.rmtree(other)


MAKERS: Final[Mapping[str, Callable[[Path], None]]] = {
    "gor": make_gor,
    "grpc-go": make_grpc_go,
    "grpc-java": make_grpc_java,
    "har": make_har,
    "mitmproxy": make_mitmproxy,
    "tap-json": partial(make_tap, form="JSON_BODY_AS_BYTES", streamed=False),
    "tap-json-text": partial(make_tap, form="JSON_BODY_AS_STRING", streamed=False),
    "tap-json-streamed": partial(make_tap, form="JSON_BODY_AS_BYTES", streamed=True),
    "tap-binary": partial(make_tap, form="PROTO_BINARY", streamed=False),
    "tap-binary-streamed": partial(make_tap, form="PROTO_BINARY", streamed=True),
    "tap-delimited-streamed": partial(make_tap, form="PROTO_BINARY_LENGTH_DELIMITED", streamed=True),
    "tap-text": partial(make_tap, form="PROTO_TEXT", streamed=False),
    "tap-text-streamed": partial(make_tap, form="PROTO_TEXT", streamed=True),
}
"""By the folder's name in tests/data/formats."""
