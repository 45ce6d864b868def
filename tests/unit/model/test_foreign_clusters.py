"""What surrounds mirroring that others write: gateways and their pods, filters for some, several entries for a host."""

from typing import Any

import pytest

from tests.unit.model.rule_cases import bare, namespace
from tests.unit.model.samples import (
    HOST,
    Object,
    changed,
    deployment,
    findings,
    mesh,
    of_kind,
    receiving,
    route,
    sending,
    service,
)
from tests.unit.model.test_foreign_routes import ALL, mirror_entries, native, native_gateway


def test_pods_of_another_namespace_are_not_shared() -> None:
    target = {"host": "a.next.svc.cluster.local", "port": {"number": 8000}}
    objects = [bare(mirror=target), service("a"), service("a", "next"), deployment("a", "next", app="a")]
    assert findings(mesh(objects), "mirror-shared-selector") == []
    beside = [bare(), service("a"), service("b", selector={"app": "a"}), deployment("b", app="a")]
    assert findings(mesh(beside), "mirror-shared-selector")


def test_a_catch_all_beside_the_receiving_route_takes_no_copies() -> None:
    rest = bare(mirror=None)
    rest["metadata"]["name"] = "rest"
    rest["spec"] |= {"hosts": ["*"], "gateways": ["istio-system/internal-gateway"]}
    receivers = changed(receiving(), "Gateway", "spec.servers.0.hosts", ["*"])
    staging = [each for each in sending() if each["kind"] != "EnvoyFilter"]
    judged = mesh(staging, [*receivers, rest])
    assert findings(judged, "mirror-credentials") == findings(mesh(staging, receivers), "mirror-credentials")
    assert findings(judged, "receiver-no-limits") == []


def outside(name: str, namespace: str, *exports: str, **spec: Any) -> Object:
    """A ServiceEntry for `b.example`."""
    given = {"hosts": ["b.example"], "exportTo": list(exports), "ports": [{"number": 8000, "name": "grpc"}], **spec}
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", "metadata": metadata, "spec": given}


def through(gateway: str) -> Object:
    """A hand-written mirror of a gateway's to `b.example`."""
    given = bare(mirror={"host": "b.example", "port": {"number": 8000}})
    given["spec"] |= {"hosts": [HOST], "gateways": [gateway]}
    return given


def listening(namespace: str) -> Object:
    """A Gateway that takes requests for the host."""
    server = {"port": {"number": 8000, "name": "grpc", "protocol": "GRPC"}, "hosts": [HOST]}
    spec = {"selector": {"istio": "ingressgateway"}, "servers": [server]}
    metadata = {"name": "gw", "namespace": namespace}
    return {"apiVersion": "networking.istio.io/v1", "kind": "Gateway", "metadata": metadata, "spec": spec}


@pytest.mark.parametrize(("export", "seen"), [("istio-system", True), (".", False)])
@pytest.mark.parametrize(
    "front",
    [
        deployment("gateway", "istio-system", istio="ingressgateway", app="gateway"),
        service("gateway", "istio-system", selector={"istio": "ingressgateway"}),
    ],
    ids=["pods", "service"],
)
def test_a_gateway_is_where_its_pods_are(front: Object, export: str, seen: bool) -> None:
    judged = mesh([through("gw"), listening("hello"), front, outside("b", "hello", export)])
    assert (findings(judged, "service-entry-hidden") == []) is seen


def test_of_two_service_entries_a_proxy_takes_the_one_that_it_sees() -> None:
    hidden, seen = outside("a", "other", "."), outside("b", "istio-system", ".")
    sending = [through("istio-system/gw"), listening("istio-system")]
    assert findings(mesh([*sending, hidden, seen]), "service-entry-hidden") == []
    [found] = findings(mesh([*sending, hidden]), "service-entry-hidden")
    assert found.object == "ServiceEntry other/a"


@pytest.mark.parametrize(("complete", "said"), [(True, False), (False, True)])
def test_a_gateway_that_is_nowhere_sees_nothing_and_needs_nothing(complete: bool, said: bool) -> None:
    """What a gateway would need that may be elsewhere is told all the same."""
    objects = [through("istio-system/gw"), outside("a", "other", ".")]
    assert bool(findings(mesh(objects, complete=complete), "service-entry-hidden")) is said


def test_a_name_that_a_wildcard_service_entry_covers_is_no_short_one() -> None:
    route = through("istio-system/gw")
    assert findings(mesh([route]), "mirror-target-short-name")
    wild = outside("b", "hello", hosts=["*.example"])
    assert findings(mesh([route, wild]), "mirror-target-short-name") == []


@pytest.mark.parametrize(
    ("hosts", "listening", "admitted_hosts"),
    [
        (["*"], [HOST], [HOST]),
        (["*"], [HOST, "*.other.example"], [HOST, "*.other.example"]),
        (["*"], ["*"], ["*"]),
        (["*.staging.example"], ["*"], ["*.staging.example"]),
        (["*.staging.example"], [HOST, "b.example"], [HOST]),
        (["*.staging.example"], ["b.example"], ["*.staging.example"]),
        (["b.example"], [HOST], ["b.example"]),
    ],
)
def test_a_listener_narrows_what_enters(hosts: list[str], listening: list[str], admitted_hosts: list[str]) -> None:
    route = through("istio-system/internal-gateway")
    route["spec"]["hosts"] = hosts
    gateway = changed(receiving(), "Gateway", "spec.servers.0.hosts", listening)[0]
    assert [list(mirror_entry.route.authorities) for mirror_entry in mirror_entries(route, gateway)] == [admitted_hosts]


def test_a_route_without_hostnames_mirrors_what_its_listener_takes() -> None:
    outer = {"group": "networking.istio.io", "kind": "Hostname", "name": "b.example", "port": 80}
    route = native(mirror={"backendRef": outer})
    del route["spec"]["hostnames"]
    judged = mesh([route, native_gateway(hostname=HOST, allowedRoutes=ALL), outside("b", "hello")], receiving())
    assert findings(judged, "receiver-no-route") == []
    assert findings(
        mesh([route, native_gateway(allowedRoutes=ALL), outside("b", "hello")], receiving()), "receiver-no-route"
    )


def test_other_hosts_of_the_receiver_that_mirror_back_are_no_loop() -> None:
    route = through("istio-system/internal-gateway")
    route["spec"]["hosts"] = ["*"]
    gateway = changed(sending(), "Gateway", "spec.servers.0.hosts", [HOST])[-1]
    back = through("istio-system/internal-gateway")
    back["spec"]["hosts"] = ["other.example"]
    assert findings(mesh([route, gateway], [*receiving(), back]), "mirror-loop") == []
    gateway["spec"]["servers"][0]["hosts"] = ["*"]
    assert findings(mesh([route, gateway], [*receiving(), back]), "mirror-loop")


@pytest.mark.parametrize(("port", "named"), [("http", False), ("http2", True), ("grpc", True), ("main", True)])
def test_a_path_names_a_method_of_grpc_only(port: str, named: bool) -> None:
    primary = service("a", ports=[{"name": port, "port": 8000}])
    judged = mesh([bare(match=[{"uri": {"exact": "/orders/create"}}]), primary])
    assert (findings(judged, "mirror-side-effects") == []) is named


@pytest.mark.parametrize(
    ("chosen", "pods", "bound"),
    [
        ({}, {}, True),
        ({"istio": "internal-gateway"}, {}, True),
        ({"app": "gateway"}, {}, True),
        ({"istio": "other"}, {}, False),
        ({"app": "gateway"}, {"app": "gateway"}, True),
        ({"app": "gateway"}, {"app": "other"}, False),
    ],
)
def test_a_filter_for_other_pods_bounds_nothing(chosen: Object, pods: dict[str, str], bound: bool) -> None:
    objects = changed(sending(route(mesh=False)), "EnvoyFilter", "spec.workloadSelector", {"labels": chosen})
    front = [deployment("it", "istio-system", istio="internal-gateway", **pods)] if pods else []
    assert (findings(mesh([*objects, *front]), "mirror-unbounded-life") == []) is bound


@pytest.mark.parametrize(("chosen", "bound"), [("internal-gateway", True), ("other", False)])
def test_a_filter_for_another_gateway_of_the_gateway_api_bounds_nothing(chosen: str, bound: bool) -> None:
    filter_ = of_kind(sending(), "EnvoyFilter")
    filter_["spec"]["workloadSelector"] = {"labels": {"gateway.networking.k8s.io/gateway-name": chosen}}
    target = {"backendRef": {"name": "greeter-v2", "port": 8000}}
    judged = mesh([native(mirror=target), native_gateway(allowedRoutes=ALL), filter_])
    assert (findings(judged, "mirror-unbounded-life") == []) is bound


@pytest.mark.parametrize(("name", "known"), [("entry", False), ("entry.one", True), ("entry.two", False)])
def test_a_patch_may_name_a_match_of_a_route(name: str, known: bool) -> None:
    routes = bare(name="entry", match=[{"name": "one", "uri": {"prefix": "/"}}])
    filter_ = of_kind(sending(), "EnvoyFilter")
    patches = [each for each in filter_["spec"]["configPatches"] if each["applyTo"] == "HTTP_ROUTE"][:1]
    patches[0]["match"]["routeConfiguration"]["vhost"]["route"]["name"] = name
    filter_["spec"]["configPatches"] = patches
    assert (findings(mesh([routes, filter_]), "envoy-filter-no-such-route") == []) is known


@pytest.mark.parametrize(
    ("target", "namespace", "bound"),
    [
        ({"name": "internal-gateway"}, "istio-system", True),
        ({"name": "other"}, "istio-system", False),
        ({"name": "internal-gateway"}, "hello", False),
        ({"name": "internal-gateway", "kind": "Service", "group": ""}, "istio-system", False),
    ],
)
def test_a_filter_for_gateways_by_name_bounds_those_alone(target: Object, namespace: str, bound: bool) -> None:
    """Such a filter is nothing to sidecars and to Istio's own gateways. Source: ShouldAttachPolicy of Istio's pilot."""
    filter_ = of_kind(sending(), "EnvoyFilter")
    filter_["metadata"]["namespace"] = namespace
    filter_["spec"]["targetRefs"] = [{"group": "gateway.networking.k8s.io", "kind": "Gateway", **target}]
    mirror = {"backendRef": {"name": "greeter-v2", "port": 8000}}
    assert (
        findings(mesh([native(mirror=mirror), native_gateway(allowedRoutes=ALL), filter_]), "mirror-unbounded-life")
        == []
    ) is bound
    assert (findings(mesh([native(mirror=mirror), filter_]), "mirror-unbounded-life") == []) is bound
    objects = [each for each in sending(route(mesh=False)) if each["kind"] != "EnvoyFilter"]
    assert findings(mesh([*objects, filter_]), "mirror-unbounded-life")


@pytest.mark.parametrize(
    ("name", "kind"), [("greeter-v2", "Service"), ("internal-gateway", "Gateway"), ("waypoint", "Gateway")]
)
def test_a_filter_by_name_bounds_no_mirror_of_sidecars_and_of_waypoints(name: str, kind: str) -> None:
    filter_ = of_kind(sending(), "EnvoyFilter")
    filter_["spec"]["targetRefs"] = [{"kind": kind, "name": name}]
    mirror = bare(mirror={"host": "greeter-v2", "port": {"number": 8000}})
    assert findings(mesh([mirror, native_gateway(allowedRoutes=ALL), filter_]), "mirror-unbounded-life")


def test_a_waypoint_chooses_a_pod_of_a_headless_target() -> None:
    ambient = namespace(**{"istio.io/dataplane-mode": "ambient"})
    headless = service("b", clusterIP="None")
    assert findings(mesh([bare(), headless, namespace()]), "mirror-target-headless")
    assert findings(mesh([bare(), headless, ambient]), "mirror-target-headless") == []


@pytest.mark.parametrize(
    ("around", "own", "has_one"),
    [("way", "", True), ("none", "", False), ("way", "none", False), ("none", "way", True), ("", "way", True)],
)
def test_a_service_or_its_namespace_may_do_without_a_waypoint(around: str, own: str, has_one: bool) -> None:
    use = "istio.io/use-waypoint"
    ambient = namespace(**{"istio.io/dataplane-mode": "ambient", **({use: around} if around else {})})
    primary = service("a")
    primary["metadata"]["labels"] = {use: own} if own else {}
    found = findings(mesh([bare(), primary, service("b"), ambient]), "mirror-ambient-without-waypoint")
    assert (not found) is has_one
