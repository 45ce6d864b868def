"""A real Envoy on loopback, configured by what the library renders."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from pulumi_traffic_mirror.model.recorder_filter import RecorderFilter, render_recorder_filter
from pulumi_traffic_mirror.rehearsal.places import cache_directory

BINARY_VARIABLE = "TRAFFIC_MIRROR_ENVOY"
"""Names an Envoy to test with; without it the one that the stage has built is taken."""

CACHE = cache_directory()
"""Asked for at once: during a test the home directory is another."""

_HCM = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER = {
    "name": "envoy.filters.http.router",
    "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
}
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def find_envoy() -> Path | None:
    """Return a real Envoy of this machine, if it has one."""
    named = os.environ.get(BINARY_VARIABLE)
    candidates = [Path(named)] if named else sorted(CACHE.glob("envoy-*/bin/envoy"))
    return next((path for path in reversed(candidates) if path.is_file()), None)


@dataclass(frozen=True)
class Proxy:
    """A running Envoy."""

    port: int
    admin: str
    pid: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def stats(self, prefix: str) -> dict[str, int]:
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"{self.admin}/stats?format=json&filter={prefix}")
        return {one["name"]: one["value"] for one in answer.json()["stats"] if "value" in one}


def recorder_filter(**changes: Any) -> RecorderFilter:
    values = {
        "name": "recorder",
        "namespace": "istio-system",
        "workload_labels": {"istio": "internal-gateway"},
        "collector_host": "recorder.istio-system.svc.cluster.local",
    }
    return RecorderFilter(**{**values, **changes})


def bootstrap(
    recorder: RecorderFilter, *, collector_port: int, upstream_port: int | None, h2: bool, at_edge: bool = False
) -> dict[str, Any]:
    """A static configuration around the rendered patches; only the collector's address is replaced.

    At the edge every caller is from outside, as Istio has it at gateways.
    """
    patches: Any = render_recorder_filter(recorder)["spec"]
    (_, cluster), *others = ((patch["applyTo"], patch["patch"]["value"]) for patch in patches["configPatches"])
    cluster = json.loads(
        json.dumps(cluster)
        .replace(str(recorder.collector_host), "127.0.0.1")
        .replace(f'"port_value": {recorder.collector_port}', f'"port_value": {collector_port}')
    )
    answer: Mapping[str, Any] = (
        {"route": {"cluster": "upstream", "timeout": "0s"}}
        if upstream_port
        else {"direct_response": {"status": 200, "body": {"inline_string": '{"answer": 42}'}}}
    )
    manager = {
        "@type": _HCM,
        "stat_prefix": "in",
        "use_remote_address": at_edge,
        "route_config": {
            "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, **answer}]}]
        },
        "http_filters": [*(value for kind, value in others if kind == "HTTP_FILTER"), _ROUTER],
    }
    for value in (value for kind, value in others if kind == "NETWORK_FILTER"):
        manager |= value["typed_config"]
    options = {"http2_protocol_options": {}} if h2 else {"http_protocol_options": {}}
    upstream = {
        "name": "upstream",
        "type": "STATIC",
        "load_assignment": _endpoint("upstream", upstream_port or 1),
        "typed_extension_protocol_options": {
            _HTTP_OPTIONS: {"@type": f"type.googleapis.com/{_HTTP_OPTIONS}", "explicit_http_config": options}
        },
    }
    return {
        "admin": {"address": _address(0)},
        "static_resources": {
            "listeners": [
                {
                    "name": "in",
                    "address": _address(0),
                    "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
                }
            ],
            "clusters": [cluster, upstream],
        },
    }


@asynccontextmanager
async def running_envoy(binary: Path, folder: Path, config: Mapping[str, Any]) -> AsyncIterator[Proxy]:
    """Start Envoy and wait until its listener is there."""
    config_path, admin_path = folder / "envoy.json", folder / "admin"
    config_path.write_text(json.dumps(config), encoding="utf-8")
    with (folder / "envoy.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            str(binary),
            *("-c", str(config_path), "--admin-address-path", str(admin_path)),
            *("--concurrency", "1", "--use-dynamic-base-id", "-l", "warning"),
            stdout=log,
            stderr=log,
        )
    try:
        async with httpx.AsyncClient(trust_env=False) as client:
            admin = await _until_known(admin_path, process, folder / "envoy.log")
            listeners: list[Any] = []
            while not listeners:
                listeners = (await client.get(f"{admin}/listeners?format=json")).json().get("listener_statuses", [])
        port = listeners[0]["local_address"]["socket_address"]["port_value"]
        yield Proxy(port=port, admin=admin, pid=process.pid)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _until_known(path: Path, process: asyncio.subprocess.Process, log: Path) -> str:
    while not path.exists() or not path.read_text(encoding="utf-8"):
        if process.returncode is not None:
            raise RuntimeError(log.read_text(encoding="utf-8"))
        await asyncio.sleep(0.01)
    return f"http://{path.read_text(encoding='utf-8')}"


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _endpoint(name: str, port: int) -> dict[str, Any]:
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(port)}}]}]}
