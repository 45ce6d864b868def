"""A real Envoy with what istiod gives a waypoint for one Service: chain and clusters as they are, but for who answers.

What this machine cannot have is left out: the tunnel from ztunnel, by which requests come to the chain, and mutual TLS
to pods. Istio's own filters, which Envoy alone does not know, are left out too; they only count and tell identities.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pulumi_traffic_mirror.operations.whatif.messages import MANAGER
from pulumi_traffic_mirror.operations.whatif.unseen import runs
from tests.support.loopback_envoy import Proxy, running_envoy
from tests.support.loopback_service import Handler, serving

_ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_FOREIGN = (
    "access_log",
    "tracing",
    "stat_prefix",
    "server_name",
    "forward_client_cert_details",
    "early_header_mutation_extensions",
)


@dataclass(frozen=True)
class Waypoint:
    """The proxy, and the settings that its clusters have."""

    proxy: Proxy
    clusters: Mapping[str, Mapping[str, Any]]


def manager_of(rendered: Mapping[str, Any], chain: str) -> dict[str, Any]:
    """The connection manager of one filter chain of the waypoint's listener."""
    found = [
        each["typed_config"]
        for listener in rendered["listeners"]
        for known in listener.get("filter_chains", [])
        if known.get("name") == chain
        for each in known["filters"]
        if each["typed_config"]["@type"] == MANAGER
    ]
    (manager,) = found
    return manager


@asynccontextmanager
async def running_waypoint(
    binary: Path, folder: Path, rendered: Mapping[str, Any], chain: str, handlers: Mapping[str, Handler]
) -> AsyncIterator[Waypoint]:
    """Run it.

    Args:
        binary: Envoy.
        folder: For its files.
        rendered: Listeners and clusters as istiod renders them.
        chain: Name of the filter chain that requests enter.
        handlers: Who answers, by the name of the cluster.
    """
    given = manager_of(rendered, chain)
    manager = {key: value for key, value in given.items() if key not in _FOREIGN}
    filters = [each for each in given["http_filters"] if runs(each) or each["typed_config"]["@type"] == _ROUTER]
    manager |= {"stat_prefix": "in", "http_filters": filters}
    clusters = {each["name"]: each for each in rendered["clusters"] if each["name"] in handlers}
    assert clusters.keys() == handlers.keys(), "istiod gives the waypoint clusters for all of them"
    async with AsyncExitStack() as stack:
        ports = {name: await stack.enter_async_context(serving(each)) for name, each in handlers.items()}
        listener = {
            "name": "in",
            "address": _address(0),
            "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
        }
        config = {
            "admin": {"address": _address(0)},
            "static_resources": {
                "listeners": [listener],
                "clusters": [_answered(each, ports[name]) for name, each in clusters.items()],
            },
        }
        proxy = await stack.enter_async_context(running_envoy(binary, folder, config))
        yield Waypoint(proxy=proxy, clusters=clusters)


def _answered(cluster: Mapping[str, Any], port: int) -> dict[str, Any]:
    """A cluster with its limits and HTTP options, whose one endpoint is a server on loopback."""
    name = cluster["name"]
    kept = {key: cluster[key] for key in ("connect_timeout", "circuit_breakers", "outlier_detection") if key in cluster}
    options = cluster.get("typed_extension_protocol_options", {}).get(_OPTIONS)
    if options:
        kept["typed_extension_protocol_options"] = {_OPTIONS: options}
    endpoint = {"endpoint": {"address": _address(port)}}
    load = {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]}
    return {"name": name, "type": "STATIC", **kept, "load_assignment": load}


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
