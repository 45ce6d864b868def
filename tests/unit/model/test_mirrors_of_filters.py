"""Mirrors that an EnvoyFilter makes where no route lists them, or where a route's own is left out."""

import pytest

from tests.unit.model.rule_cases import bare, elsewhere
from tests.unit.model.samples import Object, deployment, findings, mesh, service

B = "outbound|8000||b.hello.svc.cluster.local"
LISTS = "MERGE_AND_REPLACE_LIST"


def mirroring(  # what a patch consists of
    context: str,
    vhost: Object | None = None,
    *,
    kind: str = "HTTP_ROUTE",
    operation: str = LISTS,
    to: str = B,
    **spec: object,
) -> Object:
    """An EnvoyFilter in `hello` that writes a mirror into routes, or virtual hosts."""
    match: Object = {"context": context, "routeConfiguration": {"vhost": vhost or {"route": {}}}}
    written: Object = {"request_mirror_policies": [{"cluster": to}]}
    value = written if kind == "VIRTUAL_HOST" else {"match": {"prefix": "/"}, "route": {**written, "cluster": to}}
    patch = {"applyTo": kind, "match": match, "patch": {"operation": operation, "value": value}}
    return {
        "apiVersion": "networking.istio.io/v1alpha3",
        "kind": "EnvoyFilter",
        "metadata": {"name": "mirrors", "namespace": "hello"},
        "spec": {"configPatches": [patch], **spec},
    }


def told_of(*objects: Object) -> str:
    """How sure it is that the EnvoyFilter makes a mirror that no route lists; empty where it makes none."""
    return next(
        ("likely" if each.likely else "certain" for each in findings(mesh(objects), "envoy-filter-mirrors")), ""
    )


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (mirroring("SIDECAR_INBOUND"), "certain"),
        (mirroring("SIDECAR_INBOUND", {"route": {"name": "default"}}), "certain"),
        (mirroring("SIDECAR_INBOUND", {"route": {"name": "a"}}), ""),
        (mirroring("SIDECAR_INBOUND", {"route": {"action": "REDIRECT"}}), ""),
        (mirroring("SIDECAR_INBOUND", operation="REPLACE"), ""),
        (mirroring("SIDECAR_INBOUND", workloadSelector={"labels": {"app": "none"}}), "likely"),
    ],
    ids=["every route", "the default one", "an entry's", "redirects", "replaces nothing", "pods that are not given"],
)
def test_a_mirror_of_what_pods_take_in_is_on_no_list(written: Object, told: str) -> None:
    """Proxies take everything in by routes of their own, which have the name `default`."""
    assert told_of(bare(name="a"), service("a"), service("b"), deployment("a", app="a"), written) == told


A: Object = {"name": "a.hello.svc.cluster.local:8000"}
C: Object = {"name": "c.hello.svc.cluster.local:8000"}


@pytest.mark.parametrize(
    ("vhost", "told"),
    [
        (A, ""),
        (C, "certain"),
        ({**A, "route": {"name": "default"}}, ""),
        ({"route": {"name": "default"}}, "certain"),
    ],
    ids=["a routed host", "a host without a route", "routed, the default one", "the default one of all"],
)
def test_a_mirror_for_what_sidecars_have_of_services_by_themselves_is_on_no_list(vhost: Object, told: str) -> None:
    assert told_of(bare(), service("a"), service("b"), service("c"), mirroring("SIDECAR_OUTBOUND", vhost)) == told


def test_an_alias_has_no_virtual_host_by_itself() -> None:
    alias = service("c", type="ExternalName", externalName="b.hello.svc.cluster.local")
    assert told_of(bare(), service("a"), service("b"), alias, mirroring("SIDECAR_OUTBOUND", C)) == ""


@pytest.mark.parametrize(
    ("match", "told"),
    [
        ({"sourceLabels": {"app": "c"}}, "likely"),
        ({"sourceLabels": {"app": "c"}, "method": {"exact": "GET"}}, "certain"),
        ({"sourceNamespace": "lab"}, "certain"),
    ],
    ids=["all of some callers", "some of some callers", "all of callers elsewhere"],
)
def test_what_an_entry_before_it_may_take_whole_is_not_called_certain(match: Object, told: str) -> None:
    route = bare(name="first", match=[match])
    route["spec"]["http"] += bare(name="second", mirror=None)["spec"]["http"]
    written = mirroring("SIDECAR_OUTBOUND", {"route": {"name": "second"}})
    assert told_of(route, service("a"), service("b"), written) == told


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (mirroring("SIDECAR_OUTBOUND", {**C, "route": {}}, operation="INSERT_FIRST"), "certain"),
        (mirroring("SIDECAR_OUTBOUND", {"name": "d.hello.svc.cluster.local:8000"}, operation="ADD"), ""),
        (mirroring("SIDECAR_OUTBOUND", {"route": {"name": "b"}}, operation="INSERT_AFTER"), ""),
        (mirroring("SIDECAR_OUTBOUND", {"route": {"name": "a"}}, operation="INSERT_AFTER"), "certain"),
        (mirroring("SIDECAR_OUTBOUND", {"route": {"name": "b"}}, operation="ADD"), "certain"),
        (mirroring("GATEWAY", {"route": {"name": "b"}}, operation="ADD"), "likely"),
        (mirroring("SIDECAR_OUTBOUND", C, kind="VIRTUAL_HOST", operation="MERGE"), "certain"),
        (mirroring("SIDECAR_OUTBOUND", {"name": "other:1"}, kind="VIRTUAL_HOST", operation="MERGE"), ""),
        (mirroring("GATEWAY", kind="VIRTUAL_HOST", operation="MERGE"), "likely"),
        (mirroring("SIDECAR_OUTBOUND", C, kind="VIRTUAL_HOST", operation="REMOVE"), ""),
    ],
    ids=[
        *("first of a Service", "of no Service", "after no route", "after a route", "at the end"),
        *(
            "at a gateway that is not given",
            "a virtual host",
            "no virtual host",
            "hosts of a gateway not given",
            "away",
        ),
    ],
)
def test_what_a_patch_adds_is_told_where_it_finds_a_place(written: Object, told: str) -> None:
    objects = [bare(name="a"), service("a"), service("b"), service("c"), deployment("a", app="a")]
    assert told_of(*objects, written) == told


@pytest.mark.parametrize(
    ("value", "lacking"),
    [
        ({}, "a name"),
        ({"name": "new"}, "domains"),
        ({"name": "new", "domains": ["new.example"]}, ""),
    ],
)
def test_a_new_virtual_host_needs_a_name_and_domains(value: Object, lacking: str) -> None:
    written = mirroring("SIDECAR_OUTBOUND", kind="VIRTUAL_HOST", operation="ADD")
    written["spec"]["configPatches"][0]["patch"]["value"] = value
    objects = mesh([bare(name="a"), service("a"), service("b"), deployment("a", app="a"), written])
    found = [each.message for each in findings(objects, "envoy-filter-refused-routes")]
    assert found == ([f"ADD makes a virtual host without {lacking}"] if lacking else [])


GATEWAY: Object = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "Gateway",
    "metadata": {"name": "gw", "namespace": "hello"},
    "spec": {
        "gatewayClassName": "istio",
        "listeners": [
            {"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "All"}}}
        ],
    },
}


def native() -> Object:
    """A route that sends requests on at that gateway, and mirrors them to `next`."""
    route = elsewhere()
    route["spec"]["rules"][0]["backendRefs"] = [{"name": "a", "port": 8000}]
    return route


THERE = "outbound|8000||b.next.svc.cluster.local"


@pytest.mark.parametrize(("operation", "context"), [(LISTS, "GATEWAY"), ("MERGE", "ANY")])
def test_what_a_filter_writes_needs_no_grant_and_is_on_no_list(operation: str, context: str) -> None:
    """Istio leaves a mirror out that nothing grants, and an EnvoyFilter writes it all the same."""
    objects = [native(), GATEWAY, service("a"), service("b", "next")]
    assert findings(mesh(objects), "mirror-not-granted")
    written = mirroring(context, {"route": {"name": "hello.a.0"}}, operation=operation, to=THERE)
    judged = mesh([*objects, written])
    assert findings(judged, "mirror-not-granted") == []
    assert findings(judged, "mirror-policy-drift") == []
    assert findings(judged, "envoy-filter-mirrors")


def test_a_filter_for_sidecars_grants_a_gateway_nothing() -> None:
    written = mirroring("SIDECAR_OUTBOUND", {"route": {"name": "hello.a.0"}}, to=THERE)
    objects = [native(), GATEWAY, service("a"), service("b", "next"), written]
    assert findings(mesh(objects), "mirror-not-granted")


def test_a_mirror_to_nothing_is_left_out_and_a_filter_s_is_the_only_one() -> None:
    """So no copy leaves unscrubbed, and none is sent twice."""
    route = native()
    route["spec"]["parentRefs"] = [{"group": "", "kind": "Service", "name": "a"}]
    route["spec"]["rules"][0]["filters"][0]["requestMirror"]["backendRef"] = {"name": "gone", "port": 8000}
    gone = "outbound|8000||gone.hello.svc.cluster.local"
    written = mirroring("SIDECAR_OUTBOUND", {"route": {"name": "hello.a.0"}}, operation="MERGE", to=gone)
    judged = mesh([route, service("a"), deployment("a", app="a"), written])
    assert findings(judged, "mirror-target-undefined")
    assert findings(judged, "mirror-policy-drift") == []
    assert findings(judged, "envoy-filter-mirrors")


def test_a_cluster_that_is_taken_away_is_told_beside_another_share() -> None:
    taking = mirroring("SIDECAR_OUTBOUND")
    taking["metadata"]["name"] = "taking"
    taking["spec"]["configPatches"] = [
        {"applyTo": "CLUSTER", "match": {"cluster": {"name": B}}, "patch": {"operation": "REMOVE"}}
    ]
    other = mirroring("SIDECAR_OUTBOUND", {"route": {"name": "a"}})
    objects = [bare(name="a", mirrorPercentage={"value": 10}), service("a"), service("b"), other, taking]
    told = [found.message for found in findings(mesh(objects), "mirror-policy-drift")]
    assert any("gets 100 %" in message for message in told)
    assert any(f"{B} is taken away" in message for message in told)


@pytest.mark.parametrize(("operation", "told"), [(LISTS, False), ("MERGE", True)])
def test_a_missing_port_matters_where_the_route_s_own_mirror_is_left(operation: str, told: bool) -> None:
    route = bare(name="a")
    del route["spec"]["http"][0]["mirror"]["port"]
    written = mirroring("SIDECAR_OUTBOUND", {"route": {"name": "a"}}, operation=operation)
    other = service("b", ports=[{"name": "http", "port": 9}])
    assert bool(findings(mesh([route, service("a"), other, written]), "mirror-target-no-port")) is told


A_HOST, ITS_DOMAIN = {"name": "a.hello.svc.cluster.local:8000"}, {"domainName": "c.hello.svc.cluster.local"}


@pytest.mark.parametrize(
    ("vhost", "clean"),
    [({}, True), (A_HOST, False), (ITS_DOMAIN, False)],
    ids=["every host", "one host by its name", "one by its domain"],
)
def test_a_scrub_for_one_host_of_a_route_leaves_the_other_s_credentials(vhost: Object, *, clean: bool) -> None:
    route = bare(name="a")
    route["spec"]["hosts"].append("c.hello.svc.cluster.local")
    written = mirroring("SIDECAR_OUTBOUND", {**vhost, "route": {"name": "a"}})
    names = ("authorization", "cookie", "proxy-authorization", "x-api-key", "x-forwarded-client-cert")
    policy = written["spec"]["configPatches"][0]["patch"]["value"]["route"]["request_mirror_policies"][0]
    policy["request_headers_mutations"] = [{"remove": name} for name in names]
    objects = mesh([route, service("a"), service("b"), service("c"), written])
    assert (findings(objects, "mirror-credentials") == []) is clean


@pytest.mark.parametrize(("operation", "told"), [("REMOVE", False), ("MERGE", True)])
def test_a_missing_port_matters_nowhere_where_the_route_is_taken_away(operation: str, *, told: bool) -> None:
    route = bare(name="a", mirror={"host": "b.hello.svc.cluster.local"})
    target = service("b", ports=[{"name": "grpc", "port": 9000}])
    written = mirroring("SIDECAR_OUTBOUND", {"route": {"name": "a"}}, operation=operation)
    found = findings(mesh([route, service("a"), target, written]), "mirror-target-no-port")
    assert ["copies in hello on port 8000 go to port 8000" in each.message for each in found] == [True] * told


def test_what_is_written_into_virtual_hosts_is_less_sure_where_some_are_taken_away() -> None:
    written = mirroring("SIDECAR_OUTBOUND", C, kind="VIRTUAL_HOST", operation="MERGE")
    away = mirroring("SIDECAR_OUTBOUND", C, kind="VIRTUAL_HOST", operation="REMOVE")
    away["metadata"] = {"name": "away", "namespace": "hello"}
    objects = [bare(name="a"), service("a"), service("b"), service("c"), deployment("a", app="a"), written]
    assert [told_of(*objects), told_of(*objects, away)] == ["certain", "likely"]


def hosts_away(vhost: Object, context: str = "SIDECAR_OUTBOUND", namespace: str = "hello", **match: object) -> Object:
    away = mirroring(context, vhost, kind="VIRTUAL_HOST", operation="REMOVE")
    away["spec"]["configPatches"][0]["match"]["routeConfiguration"] |= match
    away["metadata"]["namespace"] = namespace
    return away


@pytest.mark.parametrize(
    ("away", "told"),
    [
        (hosts_away(A), True),
        (hosts_away({"domainName": "a.hello.svc.cluster.local"}), True),
        (hosts_away({"route": {}}), True),
        (hosts_away(A, "ANY", "istio-system"), True),
        (hosts_away({"route": {}}, portNumber=8000), True),
        (hosts_away({"route": {}}, portNumber=9000), False),
        (hosts_away(C), False),
        (hosts_away(A, "GATEWAY"), False),
        (hosts_away(A, namespace="lab"), False),
    ],
    ids=[
        *("by name", "by domain", "every one", "of all namespaces", "of the port", "of another port", "another one"),
        *("at gateways", "of another namespace"),
    ],
)
def test_a_mirror_goes_with_its_virtual_host(away: Object, told: bool) -> None:
    found = findings(mesh([bare(), service("a"), service("b"), away]), "mirror-never-sent")
    assert bool(found) is told
    assert all(f"{away['metadata']['namespace']}/mirrors takes its route away" in each.message for each in found)


@pytest.mark.parametrize(("to", "told"), [(B, True), ("outbound|9000||b.hello.svc.cluster.local", False)])
def test_credentials_are_no_matter_of_a_mirror_that_a_list_leaves_out(to: str, *, told: bool) -> None:
    written = mirroring("SIDECAR_OUTBOUND", to=to)
    assert bool(findings(mesh([bare(), service("a"), service("b"), written]), "mirror-credentials")) is told
    assert bool(findings(mesh([bare(), service("a"), service("b"), written]), "mirror-policy-drift")) is not told


@pytest.mark.parametrize(("port", "told"), [(8000, "likely"), (80, "likely")])
def test_a_patch_for_a_virtual_host_of_a_service_that_is_not_given_may_be_for_it_on_any_port(
    port: int, told: str
) -> None:
    route = bare(name="a")
    route["spec"]["hosts"] = ["d.lab.svc.cluster.local"]
    written = mirroring("SIDECAR_OUTBOUND", {"name": f"d.lab.svc.cluster.local:{port}"}, to="outbound|8000||c.example")
    assert told_of(route, service("a"), service("b"), written) == told


@pytest.mark.parametrize(("operation", "told"), [("REMOVE", "likely"), ("MERGE", "certain")])
def test_what_is_added_beside_a_route_is_less_sure_where_some_are_taken_away(operation: str, told: str) -> None:
    added = mirroring(
        "SIDECAR_OUTBOUND", {"route": {"name": "a"}}, operation="INSERT_AFTER", to="outbound|8000||c.example"
    )
    beside = mirroring("GATEWAY", {"route": {"name": "other"}}, operation=operation)
    beside["metadata"]["name"] = "beside"
    objects = [bare(name="a"), service("a"), service("b"), deployment("a", app="a")]
    found = [
        each for each in findings(mesh([*objects, added, beside]), "envoy-filter-mirrors") if "mirrors" in each.object
    ]
    assert ["likely" if each.likely else "certain" for each in found][:1] == [told]
