"""What is certain stays so whatever else a cluster has; what depends on something that is not given is not certain."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from pulumi_traffic_mirror.model.credentials import LEAST_CREDENTIAL_HEADERS
from pulumi_traffic_mirror.model.rules import RULES, ClusterObjects, Finding, Mesh, MirrorEntry, Outcome, Scope
from pulumi_traffic_mirror.model.rules.envoy import HTTP_OPTIONS
from pulumi_traffic_mirror.model.rules.patching import cluster_at, sent
from pulumi_traffic_mirror.model.safety import PEER_HEADERS
from tests.unit.model.rule_cases import CASES, Case, bare
from tests.unit.model.samples import Object, deployment, findings, mesh, service

OF_ROUTES = {rule.id for rule in RULES if rule.scope is Scope.ROUTE}
NATIVE = "gateway.networking.k8s.io/v1"
BRAKES = {
    "connectionPool": {
        "tcp": {"maxConnections": 10, "connectTimeout": "1s", "tcpKeepalive": {"time": "30s"}},
        "http": {"http1MaxPendingRequests": 10, "http2MaxRequests": 10},
    },
    "outlierDetection": {"consecutive5xxErrors": 5},
    "tls": {"mode": "SIMPLE"},
}


def certain(found: Finding) -> bool:
    return found.outcome is Outcome.BROKEN and found.rule in OF_ROUTES and not found.likely


def istio(kind: str, name: str, spec: object) -> Object:
    version = "networking.istio.io/v1alpha3" if kind == "EnvoyFilter" else "networking.istio.io/v1"
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": "istio-system"}, "spec": spec}


def patch(kind: str, match: object, value: object) -> Object:
    operation = "MERGE" if kind == "CLUSTER" else "MERGE_AND_REPLACE_LIST"
    return {"applyTo": kind, "match": match, "patch": {"operation": operation, "value": value}}


def others(cluster: ClusterObjects) -> Iterator[Object]:
    """What somebody else may have for a cluster's mirrors: what is defined or written nowhere among its objects."""
    patches: list[Object] = []
    for index, mirror_entry in enumerate(cluster.routing.mirror_entries):
        host, port = mirror_entry.target.host, mirror_entry.target.port or 80
        if not any(cluster.destination_rules.covering(host)):
            yield istio("DestinationRule", f"other-{index}", {"host": host, "trafficPolicy": BRAKES})
        if "." in host and not cluster.service(host) and not any(cluster.service_entries.covering(host)):
            ports = [{"number": number, "name": f"http-{number}", "protocol": "HTTP"} for number in {port, 80}]
            yield istio("ServiceEntry", f"other-{index}", {"hosts": [host], "ports": ports, "resolution": "DNS"})
        patches += _patches(cluster, mirror_entry)
    for index, each in enumerate(patches):
        yield istio("EnvoyFilter", f"other-{index}", {"configPatches": [each]})


def _patches(cluster: ClusterObjects, mirror_entry: MirrorEntry) -> Iterator[Object]:
    options = {
        "@type": f"type.googleapis.com/{HTTP_OPTIONS}",
        "common_http_protocol_options": {"max_stream_duration": "5s"},
        "explicit_http_config": {"http_protocol_options": {}},
    }
    removed = [{"remove": name} for name in (*LEAST_CREDENTIAL_HEADERS, *PEER_HEADERS)]
    mark = {"append": {"header": {"key": "x-copy", "value": "1"}}}
    for each in sent(cluster, mirror_entry.route):
        name = cluster_at(cluster, mirror_entry, each.placement.outlet)
        if not cluster.patches.of_cluster(name):
            yield patch(
                "CLUSTER", {"cluster": {"name": name}}, {"typed_extension_protocol_options": {HTTP_OPTIONS: options}}
            )
        if not each.applied and mirror_entry.percent is not None:
            share = {"numerator": round(mirror_entry.percent * 10_000), "denominator": "MILLION"}
            policy = {
                "cluster": name,
                "runtime_fraction": {"default_value": share},
                "request_headers_mutations": [*removed, mark],
            }
            route = {"action": "ROUTE", **({"name": each.placement.name} if each.placement.name else {})}
            match = {"routeConfiguration": {"vhost": {"route": route}}}
            yield patch("HTTP_ROUTE", match, {"route": {"request_mirror_policies": [policy]}})


@pytest.mark.parametrize("case", [case for case in CASES if case.rule in OF_ROUTES], ids=lambda case: case.rule)
def test_what_is_certain_stays_whatever_else_there_is(case: Case) -> None:
    given = case.fails()
    found = {(each.rule, each.object, each.field) for each in findings(given, "", case.settings) if certain(each)}
    more = [replace(cluster, objects=[*cluster.objects, *others(cluster)]) for cluster in given.clusters]
    again = findings(Mesh(clusters=more, now=given.now), "", case.settings)
    assert found <= {(each.rule, each.object, each.field) for each in again}


def test_of_a_route_alone_only_what_it_says_itself_is_certain() -> None:
    found = [each for each in findings(mesh([bare()])) if each.rule in OF_ROUTES and each.outcome is Outcome.BROKEN]
    assert {each.rule for each in found if certain(each)} == {"mirror-percent-implicit", "mirror-side-effects"}
    assert {each.rule for each in found if not certain(each)} == {
        "mirror-credentials",
        "mirror-no-brakes",
        "mirror-unbounded-life",
        "mirror-unmarked",
    }


def ruled(**policy: Any) -> list[Object]:
    rule = istio("DestinationRule", "b", {"host": "b.hello.svc.cluster.local", "trafficPolicy": policy})
    return [bare(), rule]


@pytest.mark.parametrize(
    ("policy", "config", "said"),
    [
        ({"outlierDetection": {"consecutive5xxErrors": 5}}, None, False),
        ({"connectionPool": {"tcp": {"tcpKeepalive": {}}}, "outlierDetection": {}}, None, True),
        ({"outlierDetection": {}}, {"trustDomain": "cluster.local"}, True),
    ],
    ids=["a mesh may say it", "it says so itself", "the mesh is at hand"],
)
def test_a_missing_brake_is_certain_where_nothing_else_may_say_it(policy: Any, config: Any, said: bool) -> None:
    cluster = ClusterObjects(name="staging", objects=ruled(**policy), mesh_config=config or {})
    [found] = findings(Mesh(clusters=[cluster]), "mirror-no-brakes")
    assert certain(found) is said


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [("", "", False), ("2026-01-01T00:00:00Z", "", False), ("2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z", True)],
)
def test_what_follows_from_the_age_of_rules_is_certain_where_they_tell_it(first: str, second: str, said: bool) -> None:
    limited = {"connectionPool": {"tcp": {"maxConnections": 10, "tcpKeepalive": {}}}, "outlierDetection": {}}
    objects = ruled(connectionPool={"tcp": {"tcpKeepalive": {}}}, outlierDetection={})
    objects.append(istio("DestinationRule", "c", {"host": "b.hello.svc.cluster.local", "trafficPolicy": limited}))
    for rule, created in zip(objects[1:], (first, second), strict=True):
        rule["metadata"] |= {"creationTimestamp": created} if created else {}
    [found] = findings(mesh(objects), "mirror-no-brakes")
    assert certain(found) is said


def test_what_rules_say_beside_each_other_is_certain_in_any_order() -> None:
    subsets = istio("DestinationRule", "c", {"host": "b.hello.svc.cluster.local", "subsets": [{"name": "v1"}]})
    objects = ruled(connectionPool={"tcp": {"tcpKeepalive": {}}}, outlierDetection={})
    for given in ([*objects, subsets], [objects[0], subsets, objects[1]]):
        [found] = findings(mesh(given), "mirror-no-brakes")
        assert certain(found)


def waypoint() -> list[Object]:
    namespace: Object = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "hello"}}
    namespace["metadata"]["labels"] = {"istio.io/dataplane-mode": "ambient", "istio.io/use-waypoint": "way"}
    way: Object = {"apiVersion": NATIVE, "kind": "Gateway", "metadata": {"name": "way", "namespace": "hello"}}
    way["spec"] = {
        "gatewayClassName": "istio-waypoint",
        "listeners": [{"name": "mesh", "port": 15008, "protocol": "HBONE"}],
    }
    route = bare()
    route["spec"]["hosts"] = ["greeter.hello.svc.cluster.local"]
    return [namespace, way, route, service(), service("b")]


@pytest.mark.parametrize("rule", ["mirror-credentials", "mirror-unbounded-life", "mirror-unmarked"])
def test_no_filter_that_is_not_given_changes_what_a_waypoint_sends(rule: str) -> None:
    [found] = findings(mesh(waypoint()), rule)
    assert certain(found)


def scrubbed(removed: str, *, gateway: bool) -> list[Object]:
    """A route at a gateway, given or not, whose copies an EnvoyFilter changes."""
    route = bare()
    route["spec"]["gateways"] = ["istio-system/edge"]
    route["spec"]["http"][0]["name"] = "first"
    policy = {"cluster": "outbound|8000||b.hello.svc.cluster.local", "request_headers_mutations": [{"remove": removed}]}
    match = {"context": "GATEWAY", "routeConfiguration": {"vhost": {"route": {"name": "first"}}}}
    value = {"route": {"request_mirror_policies": [policy]}}
    found = [route, istio("EnvoyFilter", "scrub", {"configPatches": [patch("HTTP_ROUTE", match, value)]})]
    server = {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}
    edge = istio("Gateway", "edge", {"selector": {"istio": "edge"}, "servers": [server]})
    return [*found, edge, deployment("edge", "istio-system", istio="edge")] if gateway else found


def test_a_filter_that_leaves_a_credential_on_says_so() -> None:
    [found] = findings(mesh(scrubbed("cookie", gateway=True)), "mirror-credentials")
    assert "authorization" in found.message
    assert certain(found)


@pytest.mark.parametrize("gateway", [True, False])
def test_a_share_that_a_filter_changes_is_certain_where_the_gateway_is_given(gateway: bool) -> None:
    objects = scrubbed("cookie", gateway=gateway)
    objects[0]["spec"]["http"][0]["mirrorPercentage"] = {"value": 10}
    [found] = findings(mesh(objects), "mirror-policy-drift")
    assert certain(found) is gateway


def hidden_entry(*workloads: Object) -> list[Object]:
    route = bare()
    route["spec"]["gateways"] = ["istio-system/edge"]
    route["spec"]["http"][0]["mirror"] = {"host": "out.example", "port": {"number": 80}}
    ports = [{"number": 80, "name": "http", "protocol": "HTTP"}]
    entry = istio(
        "ServiceEntry", "out", {"hosts": ["out.example"], "ports": ports, "resolution": "DNS", "exportTo": ["lab"]}
    )
    server = {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}
    return [route, entry, istio("Gateway", "edge", {"selector": {"istio": "edge"}, "servers": [server]}), *workloads]


@pytest.mark.parametrize("given", [True, False])
def test_who_does_not_see_an_entry_is_certain_where_the_gateway_s_pods_are_given(given: bool) -> None:
    pods = [deployment("edge", "istio-system", istio="edge")] if given else []
    [found] = findings(mesh(hidden_entry(*pods)), "service-entry-hidden")
    assert certain(found) is given


@pytest.mark.parametrize(("known", "said"), [(True, True), (False, False)])
def test_a_port_that_the_target_lacks_is_certain_where_the_callers_ports_are_given(known: bool, said: bool) -> None:
    route = bare()
    route["spec"]["hosts"] = ["greeter.hello.svc.cluster.local"] if known else ["outside.example"]
    del route["spec"]["http"][0]["mirror"]["port"]
    [found] = findings(
        mesh([route, service(), service("b", ports=[{"name": "http", "port": 9}])]), "mirror-target-no-port"
    )
    assert certain(found) is said


@pytest.mark.parametrize("placed", [True, False], ids=["in its namespace", "wherever it is applied"])
def test_a_short_name_is_mended_only_where_its_namespace_is_written(*, placed: bool) -> None:
    route = bare(mirror={"host": "b", "port": {"number": 8000}})
    if not placed:
        del route["metadata"]["namespace"]
    [found] = findings(mesh([route]), "mirror-target-short-name")
    assert (bool(found.mend), found.likely) == (placed, not placed)


def test_a_short_name_may_be_a_host_that_is_defined_elsewhere() -> None:
    route = bare()
    route["spec"]["http"][0]["mirror"]["host"] = "b.hello"
    [found] = findings(mesh([route]), "mirror-target-short-name")
    assert not certain(found)


@pytest.mark.parametrize(("given", "said"), [(True, True), (False, False)])
def test_that_requests_may_become_websockets_is_certain_where_the_primary_s_port_is_given(
    given: bool, said: bool
) -> None:
    route = bare(match=[{"method": {"exact": "GET"}}])
    primary = [service("a", ports=[{"name": "http", "port": 8000}])] if given else []
    [found] = findings(mesh([route, *primary]), "mirror-websockets")
    assert certain(found) is said


@pytest.mark.parametrize("given", [True, False])
def test_routes_that_envoy_refuses_are_certain_where_some_proxy_is_given(given: bool) -> None:
    value = {"route": {"cluster": "outbound|80||b.hello.svc.cluster.local"}}
    added = {"applyTo": "HTTP_ROUTE", "match": {}, "patch": {"operation": "ADD", "value": value}}
    adding = istio("EnvoyFilter", "adding", {"configPatches": [added]})
    adding["metadata"]["namespace"] = "hello"
    [found] = findings(mesh([adding, *([deployment("a")] if given else [])]), "envoy-filter-refused-routes")
    assert certain(found) is given


@pytest.mark.parametrize(("given", "said"), [(True, True), (False, False)])
def test_what_a_listener_takes_by_labels_is_certain_where_the_namespace_is_given(given: bool, said: bool) -> None:
    chosen = {"from": "Selector", "selector": {"matchLabels": {"team": "red"}}}
    listener = {"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": {"namespaces": chosen}}
    edge: Object = {"apiVersion": NATIVE, "kind": "Gateway", "metadata": {"name": "edge", "namespace": "hello"}}
    edge["spec"] = {"gatewayClassName": "istio", "listeners": [listener]}
    redirect = {"type": "RequestRedirect", "requestRedirect": {"hostname": "z.example"}}
    route: Object = {"apiVersion": NATIVE, "kind": "HTTPRoute", "metadata": {"name": "a", "namespace": "hello"}}
    route["spec"] = {"parentRefs": [{"name": "edge"}], "rules": [{"filters": [redirect]}]}
    merged = {"operation": "MERGE", "value": {"route": {"request_mirror_policies": [{"cluster": "outbound|80||b"}]}}}
    mirrors = istio("EnvoyFilter", "mirrors", {"configPatches": [{"applyTo": "HTTP_ROUTE", "patch": merged}]})
    namespace: Object = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "hello"}}
    namespace["metadata"]["labels"] = {"team": "red"}
    objects = [edge, route, mirrors, *([namespace] if given else [])]
    [found] = findings(mesh(objects), "envoy-filter-refused-routes")
    assert certain(found) is said
