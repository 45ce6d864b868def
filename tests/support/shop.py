"""A shop behind an Istio gateway, as manifests; what differs between two states is given."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pulumi_traffic_mirror.operations.recording import (
    Exchange,
    Part,
    RecordingStore,
    RecordingWriter,
    Side,
)

HOST = "shop.example.com"
START = datetime(2026, 1, 2, tzinfo=UTC)


def thing(kind: str, name: str, namespace: str, spec: Mapping[str, Any], *, version: str = "v1") -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": dict(spec)}


def istio(kind: str, name: str, namespace: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    return thing(kind, name, namespace, spec, version="networking.istio.io/v1")


def deployment(name: str, namespace: str, **labels: str) -> dict[str, Any]:
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    return thing("Deployment", name, namespace, spec, version="apps/v1")


def service(name: str, namespace: str, selector: Mapping[str, str], *ports: int) -> dict[str, Any]:
    listed = [{"name": f"http-{port}", "port": port} for port in ports or (80,)]
    return thing("Service", name, namespace, {"selector": dict(selector), "ports": listed})


def to(host: str, weight: int | None = None, subset: str = "") -> dict[str, Any]:
    """A destination of a route."""
    destination: dict[str, Any] = {"host": f"{host}.shop.svc.cluster.local", "port": {"number": 80}}
    if subset:
        destination["subset"] = subset
    return {"destination": destination} | ({"weight": weight} if weight is not None else {})


def shop(*http: Mapping[str, Any], more: Sequence[Mapping[str, Any]] = ()) -> list[Mapping[str, Any]]:
    """All objects; ``http`` are the entries of the VirtualService."""
    server = {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": [HOST]}
    subsets = [{"name": name, "labels": {"version": name}} for name in ("one", "two")]
    return [
        deployment("ingress", "ingress", app="ingress"),
        service("ingress", "ingress", {"app": "ingress"}),
        istio("Gateway", "shop", "ingress", {"selector": {"app": "ingress"}, "servers": [server]}),
        *(deployment(f"orders-{name}", "shop", app="orders", version=name) for name in ("one", "two")),
        *(deployment(name, "shop", app=name) for name in ("cart", "next")),
        *(service(name, "shop", {"app": name}) for name in ("orders", "cart", "next")),
        istio("DestinationRule", "orders", "shop", {"host": "orders.shop.svc.cluster.local", "subsets": subsets}),
        istio("VirtualService", "shop", "shop", {"hosts": [HOST], "gateways": ["ingress/shop"], "http": list(http)}),
        *more,
    ]


def written(folder: Path, objects: Sequence[Mapping[str, Any]]) -> Path:
    """Objects as a folder of manifests, one field a line."""
    folder.mkdir()
    for each in objects:
        metadata = each["metadata"]
        file = folder / f"{each['kind']}-{metadata.get('namespace', '')}-{metadata['name']}.yaml".lower()
        file.write_text(json.dumps(each, indent=1), encoding="utf-8")
    return folder


def exchange(number: int, path: str = "/", method: str = "GET", **values: Any) -> Exchange:
    given: dict[str, Any] = {
        "request_id": f"id-{number}",
        "side": Side.PRIMARY,
        "source": "gateway",
        "started_at": START + timedelta(seconds=number),
        "method": method,
        "scheme": "http",
        "authority": HOST,
        "path": path,
        "status": 200,
        "request": Part(headers=(("user-agent", "curl/8"),)),
    }
    return Exchange(**{**given, **values})


def record(folder: Path, *exchanges: Exchange, notes: Mapping[str, str] | None = None) -> Path:
    """A recording."""
    folder.mkdir(exist_ok=True)
    store = RecordingStore.open(str(folder))
    writer = RecordingWriter(store, instance="t", now=lambda: START, counters=dict, notes=notes)
    writer.write(exchanges)
    writer.close()
    return folder
