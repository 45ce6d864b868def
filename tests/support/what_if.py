"""States of a mesh and recorded requests for tests of what-if."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pulumi_traffic_mirror.operations.oracle import ProxyKind
from pulumi_traffic_mirror.operations.whatif.choosing import Request
from pulumi_traffic_mirror.operations.whatif.messages import MANAGER
from pulumi_traffic_mirror.operations.whatif.requests import Recorded
from pulumi_traffic_mirror.operations.whatif.state import Cluster, Door, State
from pulumi_traffic_mirror.rehearsal.places import cache_directory

HOST = "shop.example.com"

CACHE = cache_directory()
"""Asked for at once: during a test the home directory is another."""

needs_programs = pytest.mark.usefixtures("programs")
"""For tests of the command, which finds istiod in memory and Envoy in the cache."""

START = datetime(2026, 1, 2, tzinfo=UTC)


def cluster_name(name: str, subset: str = "") -> str:
    return f"outbound|80|{subset}|{name}.shop.svc.cluster.local"


V1, V2 = cluster_name("v1"), cluster_name("v2")


def route(name: str, prefix: str = "/", **action: Any) -> dict[str, Any]:
    """A route of an entry; ``action`` is Envoy's."""
    owner = {
        "filter_metadata": {"istio": {"config": "/apis/networking.istio.io/v1/namespaces/shop/virtual-service/shop"}}
    }
    return {
        "name": name,
        "match": {"prefix": prefix},
        "metadata": owner,
        "route": {"cluster": V1, "timeout": "0s", **action},
    }


def weighted(**weights: int) -> dict[str, Any]:
    clusters = [{"name": cluster_name(name), "weight": weight} for name, weight in weights.items()]
    return {"cluster": None, "weighted_clusters": {"clusters": clusters}}


def door(
    routes: Sequence[Mapping[str, Any]],
    *,
    proxy: str = "gateway ingress/app=ingress",
    kind: ProxyKind = ProxyKind.GATEWAY,
    host: str = HOST,
    port: int = 80,
    filters: Sequence[Any] = (),
    **values: Any,
) -> Door:
    cleaned = []
    for each in routes:
        own = dict(each)
        if "route" in own:
            own["route"] = {key: value for key, value in own["route"].items() if value is not None}
        cleaned.append(own)
    hosts = [{"name": f"{host}:{port}", "domains": [host], "routes": cleaned}]
    manager = {"@type": MANAGER, "stat_prefix": "in", "use_remote_address": True, "http_filters": list(filters)}
    manager["upgrade_configs"] = [{"upgrade_type": "websocket"}]
    return Door(
        key=f"{proxy} http.{port}",
        proxy=proxy,
        kind=kind,
        port=port,
        tls=values.pop("tls", False),
        manager=manager,
        routes={"name": f"http.{port}", "virtual_hosts": hosts, "ignore_port_in_host_matching": True},
        **values,
    )


def state(*doors: Door, clusters: Mapping[str, Cluster] | None = None) -> State:
    known = {V1: Cluster(reachable=True, settings={}), V2: Cluster(reachable=True, settings={}), **(clusters or {})}
    return State(doors={each.key: each for each in doors}, clusters=known)


def request(number: int = 0, path: str = "/", method: str = "GET", **values: Any) -> Request:
    given: dict[str, Any] = {
        "number": number,
        "request_id": f"id-{number}",
        "source": "gateway",
        "started_at": START + timedelta(seconds=number),
        "method": method,
        "scheme": "http",
        "authority": HOST,
        "path": path,
        "headers": (("user-agent", "curl"),),
    }
    return Request(**{**given, **values})


def recorded(*requests: Request) -> Recorded:
    return Recorded(requests=requests, copies=0, damage=())
