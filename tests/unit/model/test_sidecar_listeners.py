"""What a Sidecar with listeners for single ports leaves its sidecars, and what the mesh's defaults hide."""

from typing import Any

import pytest

from pulumi_traffic_mirror.model.rules import ClusterObjects, Mesh
from tests.unit.model.rule_cases import bare
from tests.unit.model.samples import NEW, Object, findings, mesh, service

A = "a.hello.svc.cluster.local"
EVERYWHERE: Object = {"hosts": ["*/*"]}


def at(number: int, *hosts: str) -> Object:
    return {"hosts": list(hosts), "port": {"number": number, "protocol": "HTTP", "name": "http"}}


def sidecar(*egress: Object) -> Object:
    made: Object = {"apiVersion": "networking.istio.io/v1", "kind": "Sidecar"}
    made |= {"metadata": {"name": "own", "namespace": "hello"}}
    return made | {"spec": {"egress": list(egress)}}


@pytest.mark.parametrize(
    ("egress", "sent"),
    [
        ([EVERYWHERE], True),
        ([at(8000, f"*/{A}")], True),
        ([at(8000, "lab/*"), EVERYWHERE], False),
        ([at(9000, "lab/*"), EVERYWHERE], True),
        ([at(9000, "*/*")], False),
        ([{"hosts": ["~/*", "hello/*"]}], False),
        ([at(8000, "hello/*"), {"hosts": ["~/*"]}], True),
    ],
    ids=["all", "its port", "others at its port", "others at another", "another port alone", "none and all", "a port"],
)
def test_a_listener_for_a_port_takes_what_is_called_there(egress: list[Object], *, sent: bool) -> None:
    objects = mesh([bare(), service("a"), service("b"), sidecar(*egress)])
    assert (findings(objects, "mirror-never-sent") == []) is sent


@pytest.mark.parametrize(
    ("egress", "said"),
    [
        ([EVERYWHERE], True),
        ([at(9000, "*/*")], False),
        ([at(9000, "*/*"), {"hosts": ["istio-system/*"]}], False),
        ([at(9000, "*/*"), EVERYWHERE], True),
    ],
    ids=["all", "another port alone", "others at the plain port", "all at the plain port"],
)
def test_a_host_that_nobody_knows_is_where_the_plain_port_has_its_route(egress: list[Object], *, said: bool) -> None:
    route = bare(route=None, mirror=None, redirect={"uri": "/y"}, name="a")
    route["spec"]["hosts"] = ["outside.example"]
    merging = {"applyTo": "HTTP_ROUTE", "patch": {"operation": "MERGE", "value": {"route": {}}}}
    written: Object = {"apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter"}
    written |= {"metadata": {"name": "f", "namespace": "hello"}, "spec": {"configPatches": [merging]}}
    entrance = service("entrance", "istio-system", ports=[{"name": "http", "port": 80}])
    found = findings(mesh([route, entrance, written, sidecar(*egress)]), "envoy-filter-refused-routes")
    assert bool(found) is said


@pytest.mark.parametrize(("number", "known"), [(8000, True), (9000, False)])
def test_a_listener_for_a_port_makes_that_of_a_target_known_alone(number: int, *, known: bool) -> None:
    ports = [{"name": "grpc", "port": each} for each in (8000, 9000)]
    route = bare(mirror={"host": "b.hello.svc.cluster.local", "port": {"number": number}})
    objects = mesh([route, service("a"), service("b", ports=ports), sidecar(at(8000, f"*/{A}"))])
    assert (findings(objects, "mirror-target-hidden") == []) is known


def under(*objects: Object, **config: Any) -> Mesh:
    """A mesh with a configuration."""
    return Mesh(clusters=[ClusterObjects(name="staging", objects=objects, istio=NEW, mesh_config=config)])


def native() -> Object:
    made: Object = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute"}
    made |= {"metadata": {"name": "native", "namespace": "hello"}}
    copied = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "b", "port": 8000}}}
    rule = {"backendRefs": [{"name": "a", "port": 8000}], "filters": [copied]}
    return made | {"spec": {"parentRefs": [{"name": "own", "namespace": "edge"}], "rules": [rule]}}


def gateway() -> Object:
    made: Object = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway"}
    made |= {"metadata": {"name": "own", "namespace": "edge"}}
    listener = {"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "All"}}}
    return made | {"spec": {"gatewayClassName": "istio", "listeners": [listener]}}


@pytest.mark.parametrize(
    ("exports", "sent"), [(["*"], True), ([".", "*"], True), (["edge"], True), (["."], False), (["~"], False)]
)
def test_routes_of_the_gateway_api_are_seen_as_the_mesh_s_virtual_services_are(
    exports: list[str], *, sent: bool
) -> None:
    objects = under(native(), gateway(), service("a"), service("b"), defaultVirtualServiceExportTo=exports)
    assert (findings(objects, "mirror-never-sent") == []) is sent


@pytest.mark.parametrize(
    ("exports", "seen"), [(["*"], True), (["lab"], True), (["~"], True), (["."], False), ([".", "lab"], False)]
)
def test_of_destination_rules_the_mesh_hides_those_that_it_leaves_to_their_own_namespace(
    exports: list[str], *, seen: bool
) -> None:
    rule: Object = {"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule"}
    rule |= {"metadata": {"name": "b", "namespace": "istio-system"}}
    rule["spec"] = {"host": "b.hello.svc.cluster.local", "subsets": [{"name": "v1", "labels": {"v": "1"}}]}
    route = bare(mirror={"host": "b.hello.svc.cluster.local", "port": {"number": 8000}, "subset": "v1"})
    objects = under(route, service("a"), service("b"), rule, defaultDestinationRuleExportTo=exports)
    assert (findings(objects, "mirror-subset-undefined") == []) is seen


def test_two_destination_rules_of_which_one_alone_says_that_all_see_it_stay_apart() -> None:
    rule: Object = {"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule"}
    spec: Object = {"host": "b.hello.svc.cluster.local", "trafficPolicy": {"tls": {}}}
    first = {**rule, "metadata": {"name": "one", "namespace": "hello"}, "spec": {**spec, "exportTo": ["*"]}}
    pool = {"connectionPool": {"tcp": {"maxConnections": 10}}}
    second = {**rule, "metadata": {"name": "two", "namespace": "hello"}, "spec": {**spec, "trafficPolicy": pool}}
    objects = [bare(), service("a"), service("b"), first, second]
    for config in ({}, {"defaultDestinationRuleExportTo": ["lab"]}):
        [found] = findings(under(*objects, **config), "mirror-no-brakes")
        assert "a connection limit" not in found.message, config


@pytest.mark.parametrize("exports", [["."], ["lab"]])
def test_one_for_chosen_workloads_is_refused_for_no_default_of_the_mesh(exports: list[str]) -> None:
    rule: Object = {"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule"}
    rule |= {"metadata": {"name": "b", "namespace": "hello"}}
    rule["spec"] = {"host": "b.hello.svc.cluster.local", "workloadSelector": {"matchLabels": {"app": "a"}}}
    assert findings(under(rule, defaultDestinationRuleExportTo=exports), "object-refused") == []


@pytest.mark.parametrize("exports", [[5], [["*"]], [""], {"a": "*"}, 5])
def test_what_is_no_list_of_namespaces_is_refused_whatever_the_mesh_says(exports: Any) -> None:
    rule: Object = {"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule"}
    rule |= {"metadata": {"name": "b", "namespace": "hello"}}
    rule["spec"] = {"host": "b.hello.svc.cluster.local", "exportTo": exports}
    assert findings(under(rule, defaultDestinationRuleExportTo=["."]), "object-refused")


def test_a_host_that_nobody_knows_is_routed_nowhere_where_the_mesh_hides_all_that_have_the_plain_port() -> None:
    route = bare()
    route["spec"]["hosts"] = ["a.example"]
    plain = service("front", "istio-system", ports=[{"name": "http", "port": 80}])
    objects = [route, service("a"), service("b"), plain]
    assert findings(under(*objects), "mirror-never-sent") == []
    assert findings(under(*objects, defaultServiceExportTo=["."]), "mirror-never-sent")
