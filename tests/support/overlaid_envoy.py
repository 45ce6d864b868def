"""A real Envoy with other people's routes, patched by what an overlay renders as istiod would patch them."""

import asyncio
import copy
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pulumi_traffic_mirror.model import OverlayRoute, render
from tests.support.loopback_envoy import Proxy, running_envoy
from tests.support.loopback_service import serving

_HCM = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER = {
    "name": "envoy.filters.http.router",
    "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
}

Routes = Sequence[Mapping[str, Any]]


@dataclass
class Server:
    """An HTTP/1.1 server that keeps what it gets; it accepts every upgrade and keeps the frames that follow."""

    name: str
    heads: list[tuple[str, dict[str, str]]] = field(default_factory=list[tuple[str, dict[str, str]]])
    """Request line and headers of each request."""
    frames: bytes = b""
    """What followed an upgrade."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            await reader.readexactly(int(headers.get("content-length", "0")))
            self.heads.append((first, headers))
            if "upgrade" in headers:
                writer.write(b"HTTP/1.1 101 Switching\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n")
                await writer.drain()
                while data := await reader.read(1024):
                    self.frames += data
                return
            body = self.name.encode()
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
            await writer.drain()


@dataclass(frozen=True)
class Overlaid:
    """The proxy, and who stands behind it: servers by the name of their cluster."""

    proxy: Proxy
    servers: Mapping[str, Server]

    def copies(self, cluster: str) -> list[tuple[str, dict[str, str]]]:
        """What arrived at a cluster."""
        return self.servers[cluster].heads


def patched(hosts: Mapping[str, Routes], route: OverlayRoute) -> list[dict[str, Any]]:
    """Virtual hosts of a gateway with the patches of an overlay: istiod's MERGE, which appends to lists."""
    found = [
        {"name": domains, "domains": [*domains.split(","), *(f"{each}:*" for each in domains.split(","))], "routes": []}
        for domains in hosts
    ]
    filters = list(render.overlay_filters(route).values())
    for host, routes in zip(found, hosts.values(), strict=True):
        for each in routes:
            entry: Any = copy.deepcopy(each)
            for patch in _patches(filters):
                if patch["applyTo"] == "HTTP_ROUTE" and _meets(patch, host, entry):
                    entry = merged(entry, patch["patch"]["value"])
            host["routes"].append(entry)
    return found


def at_waypoint(route: OverlayRoute) -> dict[str, Any]:
    """What an overlay merges into the connection manager of a waypoint's Services; nothing without waypoints."""
    found: dict[str, Any] = {}
    for patch in _patches(list(render.overlay_filters(route).values())):
        if patch["applyTo"] == "NETWORK_FILTER":
            found = merged(found, patch["patch"]["value"]["typed_config"])
    return found


def _patches(filters: Sequence[Any]) -> list[Any]:
    return [patch for each in filters for patch in each["spec"]["configPatches"]]


def _meets(patch: Any, host: Mapping[str, Any], entry: Mapping[str, Any]) -> bool:
    wanted = patch["match"]["routeConfiguration"]["vhost"]
    named = wanted["route"].get("name") in (None, entry.get("name"))
    return wanted["domainName"] in host["domains"] and named and "route" in entry


def merged(into: Any, value: Any) -> Any:
    """Protobuf's merge of two messages in JSON."""
    if isinstance(into, dict) and isinstance(value, dict):
        return {**into, **{key: merged(into[key], each) if key in into else each for key, each in value.items()}}
    return [*into, *value] if isinstance(into, list) else value


@asynccontextmanager
async def overlaid(
    binary: Path, folder: Path, hosts: Mapping[str, Routes], route: OverlayRoute, clusters: Sequence[str]
) -> AsyncIterator[Overlaid]:
    """Run a proxy with routes and an overlay on them.

    Args:
        binary: Envoy.
        folder: For its files.
        hosts: Routes by host; several hosts with one list of routes are given as one text with commas.
        route: The overlay.
        clusters: Names of all clusters; each has a server of its own.
    """
    servers = {name: Server(name) for name in clusters}
    manager = {
        "@type": _HCM,
        "stat_prefix": "in",
        "normalize_path": True,
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "route_config": {"virtual_hosts": patched(hosts, route)},
        "http_filters": [_ROUTER],
    }
    manager = merged(manager, at_waypoint(route))
    async with AsyncExitStack() as stack:
        ports = {name: await stack.enter_async_context(serving(server.serve)) for name, server in servers.items()}
        config = {
            "admin": {"address": _address(0)},
            "static_resources": {
                "listeners": [
                    {
                        "name": "in",
                        "address": _address(0),
                        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
                    }
                ],
                "clusters": [
                    {
                        "name": name,
                        "type": "STATIC",
                        "load_assignment": {
                            "cluster_name": name,
                            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(port)}}]}],
                        },
                    }
                    for name, port in ports.items()
                ],
            },
        }
        proxy = await stack.enter_async_context(running_envoy(binary, folder, config))
        yield Overlaid(proxy=proxy, servers=servers)


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
