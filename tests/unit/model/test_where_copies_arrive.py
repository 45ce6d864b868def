"""What governs a mirror without a port, and what a waypoint knows of targets elsewhere."""

import pytest

from tests.unit.model.rule_cases import bare
from tests.unit.model.samples import Object, findings, mesh, service


def governed(port: int) -> list[Object]:
    """A mirror without a port, and a DestinationRule with settings of one."""
    route = bare()
    del route["spec"]["http"][0]["mirror"]["port"]
    settings = [{"port": {"number": port}, "outlierDetection": {"consecutive5xxErrors": 5}}]
    policy = {"connectionPool": {"http": {"http1MaxPendingRequests": 10}}, "portLevelSettings": settings}
    rule: Object = {"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule"}
    rule["metadata"] = {"name": "b", "namespace": "hello"}
    rule["spec"] = {"host": "b.hello.svc.cluster.local", "trafficPolicy": policy}
    return [route, rule, service("a"), service("b")]


@pytest.mark.parametrize(
    ("port", "lacking", "there"),
    [
        (8000, "a limit on pending requests", "outlier detection"),
        (9000, "outlier detection", "a limit on pending requests"),
    ],
)
def test_settings_of_the_port_that_copies_go_to_stand_alone(port: int, lacking: str, there: str) -> None:
    [found] = findings(mesh(governed(port)), "mirror-no-brakes")
    assert lacking in found.message
    assert there not in found.message


def ambient(*hosts: str) -> list[Object]:
    """A namespace behind a waypoint, whose route mirrors to another one."""
    namespace: Object = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "hello"}}
    namespace["metadata"]["labels"] = {"istio.io/dataplane-mode": "ambient", "istio.io/use-waypoint": "way"}
    route = bare()
    route["spec"]["hosts"] = list(hosts)
    route["spec"]["http"][0]["mirror"]["host"] = "b.lab.svc.cluster.local"
    return [namespace, route, service("a"), service("b", "lab")]


@pytest.mark.parametrize(
    ("hosts", "said"), [(["*.hello.svc.cluster.local"], True), (["a.hello.svc.cluster.local"], False)]
)
def test_a_waypoint_knows_what_routes_for_its_services_by_name_lead_to(hosts: list[str], said: bool) -> None:
    found = findings(mesh(ambient(*hosts)), "mirror-target-hidden")
    assert [each.object for each in found] == (["VirtualService hello/a"] if said else [])
    assert all("the waypoint hello/way knows no b.lab" in each.message for each in found)


def test_another_route_by_name_makes_a_target_known_to_the_waypoint() -> None:
    named = bare()
    named["metadata"]["name"] = "named"
    named["spec"]["http"][0]["mirror"]["host"] = "b.lab.svc.cluster.local"
    found = findings(mesh([*ambient("*.hello.svc.cluster.local"), named]), "mirror-target-hidden")
    assert found == []


def delegating(outer: Object, inner: Object) -> list[Object]:
    """A route by name whose only entry is a delegate's, with the match of each."""
    root, delegate = bare(), bare(match=[inner])
    root["metadata"]["name"] = "named"
    root["spec"]["http"] = [{"match": [outer], "delegate": {"name": "child", "namespace": "lab"}}]
    delegate["metadata"] = {"name": "child", "namespace": "lab"}
    del delegate["spec"]["hosts"]
    delegate["spec"]["http"][0]["mirror"]["host"] = "b.lab.svc.cluster.local"
    return [root, delegate]


WITHIN, BESIDE = {"uri": {"prefix": "/a/b"}}, {"uri": {"prefix": "/b"}}


@pytest.mark.parametrize(
    ("inner", "exports", "refused", "said"),
    [
        (WITHIN, "*", False, False),
        (BESIDE, "*", False, True),
        (WITHIN, ".", False, True),
        (WITHIN, "*", True, True),
    ],
    ids=["merged", "outside the root's match", "hidden from its root", "refused"],
)
def test_an_entry_that_istio_leaves_out_makes_nothing_known_to_the_waypoint(
    inner: Object, exports: str, refused: bool, said: bool
) -> None:
    root, delegate = delegating({"uri": {"prefix": "/a"}}, inner)
    delegate["spec"]["exportTo"] = [exports]
    if refused:
        del delegate["spec"]["http"][0]["route"]
    found = findings(mesh([*ambient("*.hello.svc.cluster.local"), root, delegate]), "mirror-target-hidden")
    assert [each.object for each in found] == (["VirtualService hello/a"] if said else [])


REFERENCED = "envoyfilter.istio.io/referenced-services"


@pytest.mark.parametrize(
    ("kind", "name", "listed", "said"),
    [
        ("Gateway", "way", "lab/b.lab.svc.cluster.local", False),
        ("Gateway", "way", "hello/a.hello.svc.cluster.local,b.lab.svc.cluster.local", False),
        ("Gateway", "way", "other/b.lab.svc.cluster.local", True),
        ("Gateway", "other", "lab/b.lab.svc.cluster.local", True),
        ("GatewayClass", "istio-waypoint", "lab/b.lab.svc.cluster.local", True),
    ],
    ids=["by namespace and host", "by host", "of another namespace", "another gateway", "its class, from elsewhere"],
)
def test_a_filter_s_annotation_makes_a_target_known_to_the_waypoint(
    kind: str, name: str, listed: str, said: bool
) -> None:
    target = {"group": "gateway.networking.k8s.io", "kind": kind, "name": name}
    telling = patch("MERGE", {}, targetRefs=[target])
    telling["metadata"]["annotations"] = {REFERENCED: listed}
    found = findings(mesh([*ambient("*.hello.svc.cluster.local"), telling]), "mirror-target-hidden")
    assert bool(found) is said


def test_one_of_the_root_namespace_does_so_for_every_waypoint() -> None:
    target = {"group": "gateway.networking.k8s.io", "kind": "GatewayClass", "name": "istio-waypoint"}
    telling = patch("MERGE", {}, targetRefs=[target])
    telling["metadata"] |= {"namespace": "istio-system", "annotations": {REFERENCED: "lab/b.lab.svc.cluster.local"}}
    found = findings(mesh([*ambient("*.hello.svc.cluster.local"), telling]), "mirror-target-hidden")
    assert found == []


def patch(operation: str, match: Object, **spec: object) -> Object:
    patched = {"operation": operation, "value": {"route": {}}}
    written = {"configPatches": [{"applyTo": "HTTP_ROUTE", "match": match, "patch": patched}], **spec}
    metadata = {"name": "patch", "namespace": "hello"}
    return {
        "apiVersion": "networking.istio.io/v1alpha3",
        "kind": "EnvoyFilter",
        "metadata": metadata,
        "spec": written,
    }


@pytest.mark.parametrize(
    ("host", "port", "said"),
    [
        ("", 8000, True),
        ("", 9000, False),
        ("", 15008, False),
        ("a.hello.svc.cluster.local", 8000, False),
        ("a.hello.svc.cluster.local", 15008, False),
        ("*.hello.svc.cluster.local", 15008, False),
        ("*.hello.svc.cluster.local", None, True),
    ],
)
def test_a_new_route_without_a_match_is_refused_for_what_a_waypoint_has_of_its_services_by_itself(
    host: str, port: int | None, said: bool
) -> None:
    """Routes that somebody wrote for a Service are not patched there; before its own Service no waypoint stands.

    What comes for pods themselves has no port.
    """
    way: Object = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway"}
    way["metadata"] = {"name": "way", "namespace": "hello"}
    way["spec"] = {
        "gatewayClassName": "istio-waypoint",
        "listeners": [{"name": "mesh", "port": 15008, "protocol": "HBONE"}],
    }
    target = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "way"}
    adding = patch("ADD", {"routeConfiguration": {"portNumber": port} if port else {}}, targetRefs=[target])
    objects = [each for each in ambient(host) if host or each["kind"] != "VirtualService"]
    found = findings(mesh([*objects, way, adding]), "envoy-filter-refused-routes")
    assert bool(found) is said


def test_mirrors_are_refused_for_a_redirect_that_no_request_meets_as_well() -> None:
    unmet = bare(match=[{"withoutHeaders": {"x": {"regex": ".*"}}}], redirect={"uri": "/y"})
    del unmet["spec"]["http"][0]["route"]
    merging = patch("MERGE_AND_REPLACE_LIST", {})
    [found] = findings(mesh([unmet, merging, service("a")]), "envoy-filter-refused-routes")
    assert "sends nothing on" in found.message


@pytest.mark.parametrize(("timeout", "said"), [("5s", True), ("0s", False)])
def test_mirrors_are_refused_for_no_answer_of_a_delegate_that_is_refused_itself(timeout: str, said: bool) -> None:
    root, delegate = delegating({"uri": {"prefix": "/a"}}, WITHIN)
    entry = delegate["spec"]["http"][0]
    del entry["route"], entry["mirror"]
    entry |= {"directResponse": {"status": 200}, "timeout": timeout}
    found = findings(mesh([root, delegate, patch("MERGE", {}), service("a")]), "envoy-filter-refused-routes")
    assert bool(found) is said


@pytest.mark.parametrize(("port", "unsent"), [(None, "spec.rules[0]"), (8000, "spec.rules[1]")])
def test_a_grpc_rule_without_matches_is_asked_last_unless_a_port_is_asked_for(port: int | None, unsent: str) -> None:
    mirror = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "b", "port": 8000}}}
    rule: Object = {"filters": [mirror], "backendRefs": [{"name": "a", "port": 8000}]}
    route: Object = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GRPCRoute"}
    route["metadata"] = {"name": "native", "namespace": "hello"}
    parent = {"group": "", "kind": "Service", "name": "a", **({"port": port} if port else {})}
    route["spec"] = {"parentRefs": [parent], "rules": [rule, {**rule, "matches": [{}]}]}
    [found] = findings(mesh([route, service("a"), service("b")]), "mirror-never-sent")
    assert found.field.startswith(unsent)


@pytest.mark.parametrize("resting", [False, True])
@pytest.mark.parametrize("kind", ["GRPCRoute", "HTTPRoute"])
def test_a_mirror_to_nothing_at_any_rule_leaves_a_whole_grpc_route_out(kind: str, resting: bool) -> None:
    def rule(name: str, **mirror: object) -> Object:
        copied = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": name, "port": 8000}, **mirror}}
        return {"filters": [copied], "backendRefs": [{"name": "a", "port": 8000}]}

    route: Object = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": kind}
    route["metadata"] = {"name": "native", "namespace": "hello"}
    first = {
        **rule("gone", **({"percent": 0} if resting else {})),
        "matches": [{"headers": [{"name": "x", "value": "1"}]}],
    }
    route["spec"] = {"parentRefs": [{"group": "", "kind": "Service", "name": "a"}], "rules": [first, rule("b")]}
    found = findings(mesh([route, service("a"), service("b")]), "mirror-never-sent")
    unsent = [each for each in found if each.field.startswith("spec.rules[1]")]
    assert bool(unsent) is (kind == "GRPCRoute")
    assert all("because of the mirror of spec.rules[0] to gone.hello" in each.message for each in unsent)


def test_sidecars_have_a_grpc_route_that_only_gateways_leave_out() -> None:
    """A reference to another namespace needs a grant at a gateway alone."""
    copied = {"backendRef": {"name": "b", "namespace": "lab", "port": 8000}}
    rule = {
        "filters": [{"type": "RequestMirror", "requestMirror": copied}],
        "backendRefs": [{"name": "a", "port": 8000}],
    }
    parents: list[Object] = [{"group": "", "kind": "Service", "name": "a"}, {"name": "edge"}]
    route: Object = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GRPCRoute"}
    route["metadata"] = {"name": "native", "namespace": "hello"}
    both, gateway = ({**route, "spec": {"parentRefs": each, "rules": [rule]}} for each in (parents, parents[1:]))
    for given, said in ((both, False), (gateway, True)):
        found = findings(mesh([given, service("a"), service("b", "lab")]), "mirror-never-sent")
        assert bool(found) is said


@pytest.mark.parametrize(("hosts", "sent"), [("*/*", True), ("*/a.hello.svc.cluster.local", False)])
def test_sidecars_route_an_alias_where_they_know_another_service_at_its_port(hosts: str, sent: bool) -> None:
    """A Service of type ExternalName makes no listener of its own."""
    sidecar: Object = {"apiVersion": "networking.istio.io/v1", "kind": "Sidecar"}
    sidecar |= {"metadata": {"name": "narrow", "namespace": "hello"}, "spec": {"egress": [{"hosts": [hosts]}]}}
    alias = service("a", type="ExternalName", externalName="out.example")
    found = findings(mesh([bare(), alias, service("b"), sidecar]), "mirror-never-sent")
    assert (found == []) is sent


@pytest.mark.parametrize(("hosts", "sent"), [("./*", True), ("./b.hello.svc.cluster.local", True), ("other/*", False)])
def test_sidecars_listen_on_a_port_for_an_alias_where_a_listener_for_all_ports_has_a_service(
    hosts: str, sent: bool
) -> None:
    """The alias is taken in on a listener for its port alone, where no other Service is."""
    own = {"hosts": ["*/a.hello.svc.cluster.local"], "port": {"number": 8000, "protocol": "HTTP", "name": "http"}}
    sidecar: Object = {"apiVersion": "networking.istio.io/v1", "kind": "Sidecar"}
    sidecar |= {"metadata": {"name": "narrow", "namespace": "hello"}, "spec": {"egress": [own, {"hosts": [hosts]}]}}
    alias = service("a", type="ExternalName", externalName="out.example")
    route = bare()
    route["spec"]["exportTo"] = ["."]
    found = findings(mesh([route, alias, service("b"), service("c", "other", ports=[]), sidecar]), "mirror-never-sent")
    assert (found == []) is sent


@pytest.mark.parametrize(("port", "said"), [(80, False), (8000, True)])
def test_a_pattern_makes_a_host_of_its_own_where_it_takes_no_service_at_the_plain_port(port: int, said: bool) -> None:
    """A new route beside its entry is refused there, although nobody calls it."""
    pattern = bare(name="first")
    pattern["metadata"]["name"] = "pattern"
    pattern["spec"]["hosts"] = ["*.hello.svc.cluster.local"]
    known = service("a", ports=[{"name": "http", "port": port}])
    match = {"context": "SIDECAR_OUTBOUND", "routeConfiguration": {"vhost": {"route": {"name": "first"}}}}
    found = findings(mesh([pattern, bare(), known, patch("INSERT_AFTER", match)]), "envoy-filter-refused-routes")
    assert bool(found) is said


@pytest.mark.parametrize(("protocol", "said"), [("http", True), ("tcp", False)])
def test_a_new_route_finds_no_place_beside_one_of_a_service_that_carries_no_http(protocol: str, said: bool) -> None:
    known = service("a", ports=[{"name": protocol, "port": 80}])
    match = {"context": "SIDECAR_OUTBOUND", "routeConfiguration": {"vhost": {"route": {"name": "first"}}}}
    found = findings(mesh([bare(name="first"), known, patch("INSERT_FIRST", match)]), "envoy-filter-refused-routes")
    assert bool(found) is said


@pytest.mark.parametrize("given", [True, False])
def test_a_new_route_that_only_may_find_a_place_is_not_called_certain(given: bool) -> None:
    client: Object = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "c", "namespace": "hello"}}
    match = {"context": "SIDECAR_OUTBOUND", "routeConfiguration": {"vhost": {"route": {"name": "first"}}}}
    objects = [bare(name="first"), client, *([service("a")] if given else []), patch("INSERT_FIRST", match)]
    [found] = findings(mesh(objects), "envoy-filter-refused-routes")
    assert found.likely is not given


@pytest.mark.parametrize(
    ("hosts", "sent"),
    [("./*", False), ("~/*", False), ("*/*", True), ("istio-system/*", True), ("other/*", False)],
)
def test_a_host_that_nobody_knows_has_the_plain_port_unless_a_sidecar_hides_it(hosts: str, sent: bool) -> None:
    """What a namespace of which nothing is given has cannot be told."""
    sidecar: Object = {"apiVersion": "networking.istio.io/v1", "kind": "Sidecar"}
    sidecar |= {"metadata": {"name": "narrow", "namespace": "hello"}, "spec": {"egress": [{"hosts": [hosts, "./*"]}]}}
    route = bare()
    route["spec"] |= {"hosts": ["outside.example"], "exportTo": ["."]}
    found = findings(mesh([route, service("a"), service("b"), service("c", "other"), sidecar]), "mirror-never-sent")
    assert (found == []) is sent


@pytest.mark.parametrize(
    ("matches", "sent"),
    [
        (None, True),
        ([], False),
        ([{"gateways": ["mesh"]}], False),
        ([{"sourceNamespace": "hello"}], False),
        ([{"sourceNamespace": "lab"}], True),
        ([{"sourceLabels": {"app": "c"}}], True),
        ([{"sourceLabels": {"app": "c"}}, {"uri": {"prefix": "/a"}}], False),
        ([{"port": 8080}], True),
        ([{"port": 80}], False),
    ],
)
def test_a_pattern_takes_a_service_that_its_callers_do_not_see_unless_a_closer_route_does(
    matches: list[Object] | None, sent: bool
) -> None:
    """A closer route does where some match of it lets its callers through; with None there is no closer route."""
    hidden = service("a", ports=[{"name": "http", "port": 80}])
    hidden["metadata"]["annotations"] = {"networking.istio.io/exportTo": "lab"}
    pattern = bare()
    pattern["spec"] |= {"hosts": ["*.hello.svc.cluster.local"], "exportTo": ["."]}
    pattern["spec"]["http"][0]["mirror"]["host"] = "b.lab.svc.cluster.local"
    own = bare(mirror=None, match=matches)
    own["metadata"]["name"] = "own"
    objects = [hidden, pattern, service("b", "lab"), *([] if matches is None else [own])]
    assert (findings(mesh(objects), "mirror-never-sent") == []) is sent


@pytest.mark.parametrize(("hosts", "sent"), [("./*", True), ("*/*", False)])
def test_a_closer_route_takes_no_service_from_a_pattern_where_a_sidecar_hides_it(hosts: str, sent: bool) -> None:
    sidecar: Object = {"apiVersion": "networking.istio.io/v1", "kind": "Sidecar"}
    sidecar |= {"metadata": {"name": "narrow", "namespace": "hello"}, "spec": {"egress": [{"hosts": [hosts]}]}}
    pattern, closer = bare(), bare(mirror=None)
    pattern["spec"]["hosts"] = ["*.hello.svc.cluster.local"]
    pattern["spec"]["http"][0]["mirror"]["host"] = "b.lab.svc.cluster.local"
    closer["metadata"] = {"name": "closer", "namespace": "lab"}
    objects = [pattern, closer, sidecar, service("a"), service("b", "lab")]
    assert (findings(mesh(objects), "mirror-never-sent") == []) is sent


def narrowed(*matches: Object) -> list[Object]:
    """A route whose callers' Sidecar takes in its host and leaves out what it mirrors to."""
    sidecar: Object = {"apiVersion": "networking.istio.io/v1", "kind": "Sidecar"}
    sidecar |= {"metadata": {"name": "narrow", "namespace": "hello"}}
    sidecar["spec"] = {"egress": [{"hosts": ["*/a.hello.svc.cluster.local"]}]}
    return [bare(match=list(matches)), sidecar, service("a"), service("b")]


FOR_ALL, FOR_LAB = {"uri": {"prefix": "/a"}}, {"uri": {"prefix": "/a"}, "sourceNamespace": "lab"}
FOR_OWN = {"uri": {"prefix": "/b"}, "sourceNamespace": "hello"}


@pytest.mark.parametrize(
    ("matches", "said"),
    [((FOR_ALL,), False), ((FOR_ALL, FOR_LAB), True), ((FOR_LAB, FOR_ALL), True), ((FOR_LAB, FOR_OWN), False)],
    ids=["for all", "for all and another namespace", "for another namespace and all", "for another and its own"],
)
def test_sidecars_know_a_hidden_target_by_an_entry_that_names_no_other_namespaces_alone(
    matches: tuple[Object, ...], said: bool
) -> None:
    found = findings(mesh(narrowed(*matches)), "mirror-target-hidden")
    assert [each.object for each in found] == (["VirtualService hello/a"] if said else [])
    assert all("sidecars in hello know no b.hello" in each.message for each in found)


def test_sidecars_know_a_hidden_target_by_another_entry_that_leads_there() -> None:
    objects = narrowed(FOR_ALL, FOR_LAB)
    other = bare(mirror=None)["spec"]["http"][0] | {"match": [{"method": {"exact": "GET"}}]}
    other["route"][0]["destination"] = {"host": "b.hello.svc.cluster.local"}
    objects[0]["spec"]["http"].append(other)
    assert findings(mesh(objects), "mirror-target-hidden") == []


def test_so_they_know_one_that_is_exported_to_others() -> None:
    objects = [each for each in narrowed(FOR_ALL) if each["kind"] != "Sidecar"]
    objects[-1]["metadata"]["annotations"] = {"networking.istio.io/exportTo": "lab"}
    assert findings(mesh(objects), "mirror-target-hidden") == []
    objects[0]["spec"]["http"][0]["match"].append(FOR_LAB)
    [found] = findings(mesh(objects), "mirror-target-hidden")
    assert found.object == "Service hello/b"


def test_of_a_grpc_route_whose_mirrors_all_rest_the_first_tells_that_it_is_left_out() -> None:
    def rule(name: str) -> Object:
        copied = {"backendRef": {"name": name, "port": 8000}, "percent": 0}
        filters = [{"type": "RequestMirror", "requestMirror": copied}]
        return {"filters": filters, "backendRefs": [{"name": "a", "port": 8000}]}

    route: Object = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GRPCRoute"}
    route["metadata"] = {"name": "native", "namespace": "hello"}
    parents = [{"group": "", "kind": "Service", "name": "a"}]
    route["spec"] = {"parentRefs": parents, "rules": [rule("b"), rule("gone")]}
    [found] = findings(mesh([route, service("a"), service("b")]), "mirror-never-sent")
    assert found.field.startswith("spec.rules[0]")
    assert "because of the mirror of spec.rules[1] to gone.hello" in found.message
    route["spec"]["rules"].pop()
    assert findings(mesh([route, service("a"), service("b")]), "mirror-never-sent") == []


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"resolution": "STATIC", "endpoints": [{"address": "192.0.2.1", "labels": {"version": "v2"}}]}, ""),
        ({"resolution": "STATIC", "endpoints": [{"address": "192.0.2.1"}]}, "none has the labels of subset 'v2'"),
        ({"resolution": "STATIC"}, "there is none"),
        ({"resolution": "STATIC", "workloadSelector": {"labels": {"app": "a"}}}, ""),
        ({"resolution": "DNS"}, ""),
    ],
    ids=["of the subset", "of no subset", "none", "pods", "by name"],
)
def test_a_static_entry_needs_an_endpoint_of_the_subset(spec: Object, said: str) -> None:
    outside: Object = {"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry"}
    outside["metadata"] = {"name": "out", "namespace": "hello"}
    outside["spec"] = {"hosts": ["out.example"], "ports": [{"name": "http", "number": 80, "protocol": "HTTP"}], **spec}
    rule: Object = {"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule"}
    rule["metadata"] = {"name": "out", "namespace": "hello"}
    rule["spec"] = {"host": "out.example", "subsets": [{"name": "v2", "labels": {"version": "v2"}}]}
    route = bare(mirror={"host": "out.example", "port": {"number": 80}, "subset": "v2"})
    found = findings(mesh([route, service("a"), outside, rule]), "service-entry-without-address")
    assert [said in each.message for each in found] == [True] * bool(said)
