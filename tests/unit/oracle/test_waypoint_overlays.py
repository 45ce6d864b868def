"""An overlay's EnvoyFilter at a waypoint before istiod: who gets it, and that nothing is refused or dropped."""

import json
from dataclasses import replace
from typing import Any

import pytest

from pulumi_traffic_mirror.model import (
    Destination,
    InClusterMirror,
    IstioBehaviour,
    IstioVersion,
    OverlayRoute,
    WaypointService,
    render,
)
from pulumi_traffic_mirror.model.rules import ClusterObjects
from pulumi_traffic_mirror.operations.oracle import Oracle, ProxyKind, question_of
from pulumi_traffic_mirror.operations.verify.inside import choose_inside, make_inside_plan
from pulumi_traffic_mirror.operations.verify.proxy import ProxyView
from pulumi_traffic_mirror.operations.verify.request import Request
from tests.unit.model.samples import plain

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ORDERS = "orders.shop.svc.cluster.local"


def service(name: str, namespace: str, **labels: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 80}]},
    }


def ambient() -> list[dict[str, Any]]:
    """A Service behind a waypoint, and the mirror's."""
    waypoint = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "waypoint", "namespace": "shop"},
        "spec": {
            "gatewayClassName": "istio-waypoint",
            "listeners": [{"name": "mesh", "port": 15008, "protocol": "HBONE"}],
        },
    }
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "shop", "labels": {"istio.io/dataplane-mode": "ambient"}},
    }
    used = {"istio.io/use-waypoint": "waypoint"}
    return [namespace, waypoint, service("orders", "shop", **used), service("next", "labs")]


def filters() -> list[dict[str, Any]]:
    """What an overlay on that Service is rendered to."""
    mirror = InClusterMirror(percent=100, service=Destination("next.labs.svc.cluster.local", 80))
    istio, on = IstioBehaviour(version=IstioVersion(1, 31)), [WaypointService(ORDERS, 80)]
    route = OverlayRoute(name="shop", namespace="shop", on=on, istio=istio, mirrors=[mirror])
    return plain([*render.overlay_filters(route).values()])


def at_waypoint(oracle: Oracle, *made: dict[str, Any], rendered: bool = False) -> dict[str, Any]:
    question = question_of([*ambient(), *made])
    names = frozenset(each.name for each in question.proxies if each.kind is ProxyKind.WAYPOINT)
    answer: Any = oracle.ask(replace(question, rendered=names if rendered else frozenset()))
    assert not answer.get("error")
    assert not [each for each in answer.get("objects", ()) if each.get("refused") or each.get("pruned")]
    (found,) = [facts for name, facts in answer["proxies"].items() if name.startswith("waypoint")]
    return found


def test_istiod_gives_a_waypoint_the_filter_that_names_it(oracle: Oracle) -> None:
    (made,) = filters()
    name = "shop/shop-shop-waypoint-overlay"
    found = at_waypoint(oracle, made)
    assert found["envoy_filters"] == [f"{name} CLUSTER MERGE", f"{name} NETWORK_FILTER MERGE"]
    assert not [each for each in found["routes"] if each.get("refused")]
    made["spec"].pop("targetRefs")
    assert not at_waypoint(oracle, made).get("envoy_filters")


def routed() -> list[dict[str, Any]]:
    """A route of the Service's owner with two versions by weight."""
    to = [{"name": name, "port": 80, "weight": weight} for name, weight in (("orders", 90), ("orders-v2", 10))]
    rules = [
        {"matches": [{"path": {"type": "PathPrefix", "value": "/api"}}], "backendRefs": to},
        {"backendRefs": to[:1]},
    ]
    route = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "orders", "namespace": "shop"},
        "spec": {"parentRefs": [{"group": "", "kind": "Service", "name": "orders", "port": 80}], "rules": rules},
    }
    return [service("orders-v2", "shop"), route]


def seen(rendered: dict[str, Any]) -> ProxyView:
    """What a proxy would show of what istiod gives it."""
    sections: dict[str, Any] = {
        "ListenersConfigDump": {
            "dynamic_listeners": [{"active_state": {"listener": each}} for each in rendered["listeners"]]
        },
        "ClustersConfigDump": {"dynamic_active_clusters": [{"cluster": each} for each in rendered["clusters"]]},
    }
    configs = [{"@type": f"envoy.admin.v3.{kind}", **content} for kind, content in sections.items()]
    return ProxyView(json.dumps({"configs": configs}))


def test_what_istiod_gives_a_waypoint_is_read_as_an_overlay_in_force(oracle: Oracle) -> None:
    made = [*routed(), *filters()]
    staging = ClusterObjects(name="staging", objects=[*ambient(), *made])
    place = choose_inside(staging, ORDERS)
    assert place is not None
    request = Request(authority="", path="/api/7", method="GET")
    plan = make_inside_plan(staging, (), request, place)
    rendered = at_waypoint(oracle, *made, rendered=True)["rendered"]
    view = seen(rendered)
    route = view.route(plan.request.authority, request.path, {}, routes=plan.routes, method="GET")
    assert route is not None
    assert [policy.cluster for policy in route.policies] == [plan.targets[0].wanted.cluster]
    assert len(view.forwarding(plan.request.authority, routes=plan.routes)) == 2
    assert view.clusters[plan.targets[0].wanted.cluster].max_duration_seconds == 8
    answering = {each["name"] for each in rendered["clusters"]} & set(plan.primaries)
    assert answering == {f"inbound-vip|80|http|{ORDERS}", "outbound|80||orders-v2.shop.svc.cluster.local"}
    bare = seen(at_waypoint(oracle, *routed(), rendered=True)["rendered"])
    found = bare.route(plan.request.authority, request.path, {}, routes=plan.routes, method="GET")
    assert found is not None
    assert not found.policies
