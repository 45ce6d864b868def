"""Objects that Flagger and Argo Rollouts have, as their routers read and write them."""

from collections.abc import Callable
from typing import Any

from pulumi_traffic_mirror.model.rules import Mesh
from tests.unit.model.samples import Object, mesh

ORDERS, CANARY, PRIMARY = (f"orders{end}.shop.svc.cluster.local" for end in ("", "-canary", "-primary"))


def canary(**analysis: Any) -> Object:
    """A Canary of orders."""
    return {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": {"namespace": "shop", "name": "orders"},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "orders"},
            "service": {"port": 80},
            "analysis": {"stepWeight": 10, "maxWeight": 50, **analysis},
        },
    }


def rollout(*steps: Object, routes: tuple[str, ...] = ("primary",), name: str = "orders") -> Object:
    """A Rollout between orders and orders-canary."""
    istio = {"virtualService": {"name": name, "routes": list(routes)}}
    strategy = {
        "stableService": "orders",
        "canaryService": "orders-canary",
        "trafficRouting": {"managedRoutes": [{"name": "shadow"}], "istio": istio},
        "steps": [{"setWeight": 10}, *steps],
    }
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"namespace": "shop", "name": "orders"},
        "spec": {"strategy": {"canary": strategy}},
    }


def entry(name: str, *weights: int, stable: str = ORDERS, **more: Any) -> Object:
    """An entry between two Services."""
    hosts = (stable, CANARY)
    targets = [
        {"destination": {"host": host, "port": {"number": 80}}, "weight": weight}
        for host, weight in zip(hosts, weights, strict=False)
    ]
    return {"name": name, "route": targets, **more}


def routes(*entries: Object, **spec: Any) -> Object:
    """A VirtualService called orders."""
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"namespace": "shop", "name": "orders"},
        "spec": {"hosts": ["shop.example.com"], "gateways": ["istio-system/edge"], "http": list(entries), **spec},
    }


def rule(name: str = "orders-canary") -> Object:
    """A DestinationRule with limits."""
    policy = {"connectionPool": {"tcp": {"maxConnections": 5}}}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"namespace": "shop", "name": name},
        "spec": {"host": CANARY, "trafficPolicy": policy},
    }


MIRROR_STEP: Object = {"setMirrorRoute": {"name": "shadow", "percentage": 35, "match": [{"method": {"exact": "GET"}}]}}
ELSEWHERE: dict[str, Any] = {"mirror": {"host": "next.shop.svc.cluster.local", "port": {"number": 80}}}
OWN_MIRROR: dict[str, Any] = {"mirror": {"host": CANARY, "port": {"number": 80}}, "mirrorPercentage": {"value": 10}}


def beside_controllers() -> Mesh:
    """Objects of both controllers that break nothing."""
    written = entry("a", 100, 0, stable=PRIMARY, **OWN_MIRROR)
    rolled = {
        **routes(entry("primary", 90, 10), entry("shadow", 90, 10)),
        "metadata": {"namespace": "shop", "name": "web"},
    }
    undone = {"setMirrorRoute": {"name": "shadow"}}
    return mesh([canary(mirror=False), routes(written), rollout(undone, name="web"), rolled, rule("orders-mirror")])


def no_controller() -> Mesh:
    """No controller."""
    return mesh([routes(entry("primary", 90, 10, **ELSEWHERE)), rule()])


CONTROLLER_MESHES: tuple[tuple[str, Callable[[], Mesh], str], ...] = (
    ("controller-mirror", lambda: mesh([canary(mirror=True)]), "mirror 100 %, as there is no mirrorWeight"),
    (
        "rollout-unlisted-route",
        lambda: mesh([rollout(), routes(entry("primary.guard", 90, 10), entry("primary", 90, 10))]),
        "does not list: primary.guard",
    ),
    ("controller-rewrites", lambda: mesh([canary(), routes(entry("a", 100, 0, **ELSEWHERE))]), "Canary shop/orders"),
)
