"""Mirroring that others write: delegates, short names, both spellings of a field, the Gateway API."""

from typing import Any

import pytest

from pulumi_traffic_mirror.model.rules import UNKNOWN, ClusterObjects, MirrorEntry
from pulumi_traffic_mirror.model.rules.policies import proxies
from tests.unit.model.rule_cases import back, bare
from tests.unit.model.samples import (
    HOST,
    Object,
    broken,
    changed,
    findings,
    mesh,
    of_kind,
    receiving,
    sending,
    service,
)

PARENT = {"name": "internal-gateway", "namespace": "istio-system"}
ALL = {"namespaces": {"from": "All"}}


def native(
    kind: str = "HTTPRoute", *, mirror: Object | None = None, parent: Object | None = None, **rule: Any
) -> Object:
    """A route of the Gateway API with one mirror."""
    target = {"backendRef": {"name": "b", "port": 8000}, **(mirror or {})}
    given = {
        "backendRefs": [{"name": "a", "port": 8000}],
        "filters": [{"type": "RequestMirror", "requestMirror": target}],
        **rule,
    }
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": "a", "namespace": "hello"},
        "spec": {"parentRefs": [parent or PARENT], "hostnames": [HOST], "rules": [given]},
    }


def native_gateway(**listener: Any) -> Object:
    """A gateway of the Gateway API."""
    given = {"name": "grpc", "port": 8000, "protocol": "HTTP", **listener}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {**PARENT},
        "spec": {"gatewayClassName": "istio", "listeners": [given]},
    }


def mirror_entries(*objects: Object) -> list[MirrorEntry]:
    """The mirrors in one cluster."""
    return list(ClusterObjects(name="staging", objects=objects).routing.mirror_entries)


def test_a_delegate_s_mirrors_have_the_hosts_and_gateways_of_their_root() -> None:
    root = bare()
    root["metadata"]["name"] = "root"
    root["spec"]["gateways"] = ["istio-system/internal-gateway"]
    root["spec"]["hosts"] = [HOST]
    match = [{"uri": {"exact": "/a.B/C"}}]
    root["spec"]["http"] = [{"match": match, "delegate": {"name": "a", "namespace": "hello"}}]
    delegate = bare()
    del delegate["spec"]["hosts"]
    [mirror_entry] = mirror_entries(root, delegate)
    assert mirror_entry.route.hosts == (HOST,)
    assert mirror_entry.route.gateways == ("istio-system/internal-gateway",)
    assert str(mirror_entry.source) == "VirtualService hello/a"
    # The root's conditions hold as well, so the methods are named.
    assert findings(mesh([root, delegate]), "mirror-side-effects") == []
    del root["spec"]["http"][0]["match"]
    assert findings(mesh([root, delegate]), "mirror-side-effects")


def delegated(outer: Object, inner: Object) -> list[Object]:
    """A root in `front` whose only entry delegates to one in `hello`."""
    root = bare()
    root["metadata"] = {"name": "root", "namespace": "front"}
    root["spec"] = {"hosts": [HOST], "http": [{"delegate": {"name": "a", "namespace": "hello"}, **outer}]}
    delegate = bare(**inner)
    del delegate["spec"]["hosts"]
    return [root, delegate]


def test_a_delegate_has_what_its_root_says_and_it_does_not() -> None:
    outer = {
        "name": "outer",
        "mirror": {"host": "c", "port": {"number": 8000}},
        "mirrorPercentage": {"value": 10},
        "timeout": "5s",
        "headers": {"request": {"remove": ["authorization"]}},
    }
    objects = delegated(outer, {"name": "inner", "mirror": None})
    [mirror_entry] = mirror_entries(*objects)
    assert (str(mirror_entry.source), mirror_entry.node.path) == ("VirtualService front/root", "spec.http[0].mirror")
    assert (mirror_entry.target.host, mirror_entry.percent, mirror_entry.route.name) == (
        "c.front.svc.cluster.local",
        10,
        "outer-inner",
    )
    assert mirror_entry.route.removed_headers == {"authorization"}
    assert findings(mesh(objects), "mirror-unbounded-life") == []

    [own] = mirror_entries(*delegated(outer, {"headers": {}, "mirrorPercentage": {"value": 20}}))
    assert (str(own.source), own.target.host, own.percent) == (
        "VirtualService hello/a",
        "b.hello.svc.cluster.local",
        20,
    )
    assert own.route.removed_headers == set()


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("gw", "hello/gw"),
        ("./gw", "hello/gw"),
        ("front/gw", "front/gw"),
        ("gw.front.svc.cluster.local", "front/gw"),
        ("gw.front", "front/gw"),
        ("mesh", "mesh"),
    ],
)
def test_gateways_are_named_in_every_form_of_istio_s(written: str, read: str) -> None:
    given = bare()
    given["spec"]["gateways"] = [written]
    assert mirror_entries(given)[0].route.gateways == (read,)
    given["spec"]["gateways"] = ["mesh", "other/gw", read]
    given["spec"]["http"][0]["match"] = [{"gateways": [written]}]
    assert mirror_entries(given)[0].route.gateways == (read,)


@pytest.mark.parametrize(
    ("entry", "authority"),
    [
        ({"rewrite": {"authority": "x.example"}}, "x.example"),
        ({"headers": {"request": {"set": {"Host": "x.example"}}}}, "x.example"),
        ({"headers": {"request": {"add": {":authority": "x.example"}}}}, "x.example"),
        ({"headers": {"request": {"set": {"x-host": "x.example"}}}}, "a.hello.svc.cluster.local"),
        ({"rewrite": {"authority": "y.example"}, "headers": {"request": {"set": {"host": "x.example"}}}}, "y.example"),
    ],
)
def test_the_authority_is_rewritten_in_every_way_of_istio_s(entry: Object, authority: str) -> None:
    assert mirror_entries(bare(**entry))[0].route.authorities == (authority,)


def test_what_the_only_destination_takes_off_is_off() -> None:
    one: Object = {"destination": {"host": "a"}, "headers": {"request": {"remove": ["Cookie"], "set": {"X-Mark": "1"}}}}
    [mirror_entry] = mirror_entries(bare(route=[one]))
    assert (mirror_entry.route.removed_headers, mirror_entry.route.set_headers) == ({"cookie"}, {"x-mark"})
    [mirror_entry] = mirror_entries(bare(route=[one, {"destination": {"host": "b"}}]))
    assert (mirror_entry.route.removed_headers, mirror_entry.route.set_headers) == (set(), set())


def test_an_empty_percentage_is_zero_as_protobuf_reads_it() -> None:
    assert mirror_entries(bare(mirrorPercentage={}))[0].percent == 0
    assert mirror_entries(bare(mirror=None, mirrors=[{"destination": {"host": "b"}, "percentage": {}}]))[0].percent == 0
    assert findings(mesh([bare(mirrorPercentage={})]), "mirror-percent-implicit") == []


def test_a_delegate_that_nobody_refers_to_mirrors_nothing() -> None:
    delegate = bare()
    del delegate["spec"]["hosts"]
    assert mirror_entries(delegate) == []


def test_short_names_are_completed_with_the_route_s_namespace() -> None:
    [mirror_entry] = mirror_entries(bare(mirror={"host": "b", "subset": "v2"}))
    assert (mirror_entry.target.host, mirror_entry.target.subset, mirror_entry.target.port) == (
        "b.hello.svc.cluster.local",
        "v2",
        None,
    )


@pytest.mark.parametrize(
    ("fields", "percent"),
    [
        ({"mirror_percent": 20}, 20),
        ({"mirrorPercent": 20}, 20),
        ({"mirrorPercentage": {"value": 20.5}}, 20.5),
        ({"mirror_percentage": {"value": 20.5}}, 100),
        ({"mirrorPercentage": {"value": 10}, "mirror_percent": 90}, 10),
        ({}, 100),
        ({"mirrorPercentage": {"value": "20"}}, None),
        ({"mirrorPercentage": {"value": True}}, None),
    ],
)
def test_every_spelling_of_a_share_is_read(fields: Object, percent: float | None) -> None:
    [mirror_entry] = mirror_entries(bare(**fields))
    assert mirror_entry.percent == percent


@pytest.mark.parametrize(
    ("mirror", "percent"),
    [
        ({}, 100),
        ({"percent": 35}, 35),
        ({"fraction": {"numerator": 25, "denominator": 50}}, 50),
        ({"fraction": {"numerator": 7}}, 7),
        ({"fraction": {"numerator": 1, "denominator": 0}}, None),
    ],
)
@pytest.mark.parametrize("kind", ["HTTPRoute", "GRPCRoute"])
def test_mirrors_of_the_gateway_api_are_read(kind: str, mirror: Object, percent: float | None) -> None:
    [mirror_entry] = mirror_entries(native(kind, mirror=mirror))
    assert mirror_entry.percent == percent
    assert mirror_entry.target.host == "b.hello.svc.cluster.local"
    assert mirror_entry.route.gateways == ("istio-system/internal-gateway",)
    assert mirror_entry.route.hosts == (HOST,)


def test_a_route_on_a_service_is_the_mesh_s() -> None:
    parent = {"kind": "Service", "group": "", "name": "a", "port": 8000}
    [mirror_entry] = mirror_entries(native("GRPCRoute", parent=parent))
    assert mirror_entry.route.gateways == ("mesh",)
    assert "a.hello.svc.cluster.local" in mirror_entry.route.hosts


def test_a_mirror_on_a_backend_is_one_too() -> None:
    rule = {
        "filters": [],
        "backendRefs": [
            {
                "name": "a",
                "port": 8000,
                "filters": [{"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "b", "port": 8000}}}],
            }
        ],
    }
    assert [mirror_entry.node.path for mirror_entry in mirror_entries(native(**rule))] == [
        "spec.rules[0].backendRefs[0].filters[0].requestMirror"
    ]


@pytest.mark.parametrize(
    ("matches", "named"),
    [
        ([{"method": {"service": "a.B", "method": "C"}}], True),
        ([{"method": {"service": "a.B"}}], False),
        ([{"method": {"type": "RegularExpression", "service": "a.B", "method": "C"}}], False),
        ([], False),
    ],
)
def test_methods_of_a_grpc_route_are_read(matches: list[Object], named: bool) -> None:
    found = findings(mesh([native("GRPCRoute", matches=matches)]), "mirror-side-effects")
    assert (found == []) is named


@pytest.mark.parametrize(
    ("matches", "named"),
    [
        ([{"method": "GET"}], True),
        ([{"path": {"type": "Exact", "value": "/a.B/C"}}], True),
        ([{"path": {"type": "PathPrefix", "value": "/a.B/C"}}], False),
        ([{"method": "GET"}, {"headers": [{"name": "x", "value": "y"}]}], False),
    ],
)
def test_methods_of_an_http_route_are_read(matches: list[Object], named: bool) -> None:
    found = findings(mesh([native(matches=matches)]), "mirror-side-effects")
    assert (found == []) is named


def test_the_whole_of_a_gateway_api_mirror_is_judged() -> None:
    objects = [native(), native_gateway(allowedRoutes=ALL), service("a"), service("b")]
    assert {"mirror-no-brakes", "mirror-unbounded-life", "mirror-credentials", "mirror-side-effects"} <= broken(
        mesh(objects)
    )


def test_a_gateway_api_receiver_is_understood() -> None:
    target = {"host": "b.testing.example", "port": {"number": 8000}}
    sender = bare(mirror=target)
    sender["spec"] |= {"hosts": [HOST], "gateways": ["istio-system/internal-gateway"]}
    back = native(filters=[])
    gateway = native_gateway(hostname=HOST)
    single = mesh([sender], [back, gateway])
    assert [finding.message for finding in findings(single, "receiver-single-form")]
    assert findings(single, "receiver-no-route") == []
    back["spec"]["hostnames"] = [HOST, f"{HOST}-shadow"]
    both = mesh([sender], [back, native_gateway(allowedRoutes=ALL)])
    assert findings(both, "receiver-single-form") == []


def test_a_route_timeout_bounds_a_copy() -> None:
    assert findings(mesh([bare(timeout="5s")]), "mirror-unbounded-life") == []
    assert findings(mesh([native(timeouts={"request": "500ms"})]), "mirror-unbounded-life") == []
    assert findings(mesh([bare(timeout="0s")]), "mirror-unbounded-life")


@pytest.mark.parametrize(
    ("methods", "named"),
    [({"exact": "GET"}, True), ({"regex": "GET|HEAD"}, True), ({"regex": ".*"}, False), ({"prefix": "GE"}, False)],
)
def test_http_methods_of_a_virtual_service_are_read(methods: Object, named: bool) -> None:
    assert (findings(mesh([bare(match=[{"method": methods}])]), "mirror-side-effects") == []) is named


def test_rules_of_a_port_stand_alone() -> None:
    policy = {
        "connectionPool": {
            "tcp": {"maxConnections": 1, "connectTimeout": "1s", "tcpKeepalive": {"time": "5s"}},
            "http": {"http1MaxPendingRequests": 1, "http2MaxRequests": 1},
        },
        "outlierDetection": {"consecutive5xxErrors": 5},
    }
    rule = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": "b", "namespace": "hello"},
        "spec": {"host": "b", "trafficPolicy": policy},
    }
    assert findings(mesh([bare(), rule]), "mirror-no-brakes") == []
    rule["spec"]["trafficPolicy"] = {**policy, "portLevelSettings": [{"port": {"number": 8000}}]}
    [found] = findings(mesh([bare(), rule]), "mirror-no-brakes")
    assert "a connection limit" in found.message
    rule["spec"]["trafficPolicy"]["portLevelSettings"] = [{"port": {"number": 8000}, **policy}]
    assert findings(mesh([bare(), rule]), "mirror-no-brakes") == []


def test_addresses_tell_which_of_several_clusters_a_mirror_leads_to() -> None:
    def third(address: str) -> list[Object]:
        gateway = [each for each in receiving() if each["kind"] == "Gateway"]
        front = service("front", "istio-system", selector={"istio": "internal-gateway"})
        front["status"] = {"loadBalancer": {"ingress": [{"ip": address}]}}
        return [*gateway, front]

    sender = bare(mirror={"host": "b.example", "port": {"number": 8000}})
    sender["spec"] |= {"hosts": [HOST], "gateways": ["istio-system/internal-gateway"]}
    entry = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": "b", "namespace": "hello"},
        "spec": {
            "hosts": ["b.example"],
            "ports": [{"number": 8000, "name": "grpc"}],
            "resolution": "STATIC",
            "endpoints": [{"address": "10.0.0.3"}],
        },
    }
    clusters = [
        ClusterObjects(name="a", objects=[sender, entry]),
        ClusterObjects(name="b", objects=third("10.0.0.2")),
        ClusterObjects(name="c", objects=third("10.0.0.3")),
    ]
    given = mesh()
    found = findings(type(given)(clusters=clusters, now=given.now), "receiver-no-route")
    assert found
    assert all(finding.message.startswith("c has no route") for finding in found)


@pytest.mark.parametrize(
    ("outliers", "ejects"),
    [
        ({"interval": "5s"}, True),
        ({"consecutive5xxErrors": 3}, True),
        ({"consecutive5xxErrors": 0}, False),
        ({"consecutive5xxErrors": 0, "consecutiveGatewayErrors": 2}, True),
        ({"consecutive5xxErrors": 0, "consecutiveGatewayErrors": 0}, False),
    ],
)
def test_outlier_detection_that_is_switched_off_is_none(outliers: Object, ejects: bool) -> None:
    judged = mesh(changed(sending(), "DestinationRule", "spec.trafficPolicy.outlierDetection", outliers, last=True))
    assert (findings(judged, "mirror-no-brakes") == []) is ejects


@pytest.mark.parametrize("limit", [0, -1, 2**31, 2**32 - 1, "64", None])
def test_a_limit_that_limits_nothing_is_none(limit: Any) -> None:
    path = "spec.trafficPolicy.connectionPool.http.http2MaxRequests"
    judged = mesh(changed(sending(), "DestinationRule", path, limit, last=True))
    assert "requests in flight" in findings(judged, "mirror-no-brakes")[0].message


def test_a_list_that_leaves_a_mirror_out_has_drifted() -> None:
    path = "spec.configPatches.3.patch.value.route.request_mirror_policies"
    kept = of_kind(sending(), "EnvoyFilter")["spec"]["configPatches"][3]["patch"]["value"]["route"][
        "request_mirror_policies"
    ][:1]
    [found] = findings(mesh(changed(sending(), "EnvoyFilter", path, kept)), "mirror-policy-drift")
    assert "leaves out outbound|8000||testing-mirror" in found.message


@pytest.mark.parametrize(
    ("port", "broken_rules"),
    [
        ({"name": "tcp-x", "port": 8000, "appProtocol": "grpc"}, set[str]()),
        ({"name": "grpc", "port": 8000, "appProtocol": "http"}, {"mirror-protocol"}),
        ({"name": "http", "port": 8000}, {"mirror-protocol", "mirror-port-name"}),
        ({"name": "http2-x", "port": 8000}, set[str]()),
        ({"name": "main", "port": 8000}, {"mirror-port-name"}),
        ({"name": "grpc-web", "port": 8000}, set[str]()),
        ({"name": "tcp", "port": 8000}, {"mirror-protocol", "mirror-port-name"}),
    ],
)
def test_a_port_s_protocol_is_read_as_istio_does(port: Object, broken_rules: set[str]) -> None:
    given = mesh([bare(), service("a"), service("b", ports=[port])])
    assert broken(given) & {"mirror-protocol", "mirror-port-name"} == broken_rules


@pytest.mark.parametrize(
    ("port", "opens"),
    [
        ({"port": 8000}, True),
        ({"port": 80, "targetPort": 8000}, True),
        ({"port": 8000, "targetPort": 80}, True),
        ({"port": 80, "targetPort": 80}, False),
        ({"port": 80, "targetPort": "grpc"}, True),
    ],
)
def test_a_gateway_s_service_opens_what_it_forwards_to(port: Object, opens: bool) -> None:
    front = service("internal-gateway", "istio-system", selector={"istio": "internal-gateway"}, ports=[port])
    assert (findings(mesh([*sending(), front]), "gateway-port-closed") == []) is opens


def test_a_port_that_a_service_maps_reaches_the_receiver() -> None:
    receiver = changed(receiving(), "Gateway", "spec.servers.0.port.number", 8443)
    assert findings(mesh(sending(), receiver), "receiver-port")
    front = service(
        "front", "istio-system", selector={"istio": "internal-gateway"}, ports=[{"port": 8000, "targetPort": 8443}]
    )
    assert findings(mesh(sending(), [*receiver, front]), "receiver-port") == []


@pytest.mark.parametrize(
    ("entry", "reached"),
    [
        ({"ports": [{"number": 8000, "name": "grpc", "targetPort": 9000}]}, False),
        ({"ports": [{"number": 9000, "name": "grpc"}]}, True),
        ({"endpoints": [{"address": "10.0.0.1", "ports": {"grpc": 9000}}]}, False),
    ],
)
def test_the_port_at_the_far_end_counts(entry: Object, reached: bool) -> None:
    objects = sending()
    of_kind(objects, "ServiceEntry")["spec"] |= entry
    assert (findings(mesh(objects, receiving()), "receiver-port") == []) is reached


CERTIFIED: Object = {"mode": "MUTUAL", "credentialName": "client"}


@pytest.mark.parametrize(
    ("tls", "said"),
    [
        ({"mode": "DISABLE"}, "wants TLS"),
        ({**CERTIFIED, "sni": "other.example"}, "other.example is not among"),
        ({"mode": "SIMPLE", "sni": HOST}, "no certificate"),
        ({**CERTIFIED}, ""),
        ({**CERTIFIED, "sni": HOST}, ""),
    ],
)
def test_tls_must_fit_at_both_ends(tls: Object, said: str) -> None:
    judged = mesh(changed(sending(), "DestinationRule", "spec.trafficPolicy.tls", tls, last=True), receiving())
    found = findings(judged, "receiver-tls")
    assert bool(found) is bool(said)
    assert all(said in finding.message for finding in found)


def test_tls_at_a_plain_listener_is_named() -> None:
    server = {"port": {"number": 8000, "name": "grpc", "protocol": "GRPC"}, "hosts": [HOST, f"{HOST}-shadow"]}
    [found] = findings(mesh(sending(), changed(receiving(), "Gateway", "spec.servers.0", server)), "receiver-tls")
    assert "takes plain text" in found.message


@pytest.mark.parametrize(
    ("export", "in_reach"), [([], True), (["*"], True), (["istio-system"], True), (["."], False), (["other"], False)]
)
def test_a_rule_that_is_not_exported_is_out_of_reach(export: list[str], in_reach: bool) -> None:
    objects = changed(sending(), "DestinationRule", "spec.exportTo", export, last=True)
    assert (findings(mesh(objects), "destination-rule-out-of-reach") == []) is in_reach


def test_two_entries_of_one_virtual_service_are_no_second_owner() -> None:
    assert findings(mesh(sending(), receiving()), "host-routed-twice") == []
    other = bare()
    other["metadata"]["name"] = "other"
    assert findings(mesh([bare(), other]), "host-routed-twice")
    other["spec"]["gateways"] = ["istio-system/internal-gateway"]
    assert findings(mesh([bare(), other]), "host-routed-twice") == []


def test_headers_that_the_gateway_api_takes_off_are_off() -> None:
    names = ["Authorization", "proxy-authorization", "cookie", "x-api-key", "x-forwarded-client-cert"]
    given = native()
    modifier = {"remove": names[:4], "set": [{"name": "X-Mark", "value": "1"}]}
    given["spec"]["rules"][0]["filters"].append({"type": "RequestHeaderModifier", "requestHeaderModifier": modifier})
    [found] = findings(mesh([given]), "mirror-credentials")
    assert found.message.startswith("x-forwarded-client-cert of the caller")
    modifier["remove"] = names
    assert findings(mesh([given]), "mirror-credentials") == []


def test_a_service_is_missed_only_where_its_namespace_is_at_hand() -> None:
    assert findings(mesh([bare(), service("a", "elsewhere")]), "mirror-target-undefined") == []
    [found] = findings(mesh([bare(), service("a")]), "mirror-target-undefined")
    assert "no Service b.hello.svc.cluster.local" in found.message
    assert findings(mesh([bare(), service("a"), service("b")]), "mirror-target-undefined") == []
    assert findings(mesh([bare(mirror={"port": {"number": 1}})]), "mirror-target-undefined")


def test_the_server_name_is_the_authority_where_none_is_given() -> None:
    sender = changed(sending(), "DestinationRule", "spec.trafficPolicy.tls", CERTIFIED, last=True)
    hosts = [HOST, f"{HOST}-shadow"]
    assert findings(mesh(sender, changed(receiving(), "Gateway", "spec.servers.0.hosts", hosts)), "receiver-tls") == []
    named = mesh(sending(), changed(receiving(), "Gateway", "spec.servers.0.hosts", hosts))
    assert "testing-mirror" in findings(named, "receiver-tls")[0].message


def test_short_hosts_are_completed_and_a_delegate_is_looked_for_beside_its_root() -> None:
    root, delegate = bare(), bare()
    root["spec"] = {"hosts": ["greeter"], "http": [{"delegate": {"name": "inner"}}]}
    delegate["metadata"]["name"] = "inner"
    del delegate["spec"]["hosts"]
    [mirror_entry] = mirror_entries(root, delegate)
    assert (mirror_entry.route.hosts, mirror_entry.source.name) == (("greeter.hello.svc.cluster.local",), "inner")


def test_a_service_s_own_name_is_a_host_like_others_where_only_gateways_are_bound() -> None:
    given = bare()
    given["spec"]["hosts"] = [HOST, "a.hello.svc.cluster.local"]
    given["spec"]["gateways"] = ["istio-system/edge"]
    assert mirror_entries(given)[0].route.hosts == (HOST, "a.hello.svc.cluster.local")
    given["spec"]["gateways"] = ["istio-system/edge", "mesh"]
    given["spec"]["http"][0]["match"] = [{"gateways": ["istio-system/edge"]}]
    assert mirror_entries(given)[0].route.hosts == (HOST,)


def test_every_gateway_and_sidecar_that_sends_a_mirror_is_one_of_its_proxies() -> None:
    given = bare()
    given["spec"]["gateways"] = ["one/edge", "two/edge", "mesh"]
    cluster = ClusterObjects(name="staging", objects=[given])
    assert set(proxies(cluster, cluster.routing.routes[0])) == {
        ("GATEWAY", "one"),
        ("GATEWAY", "two"),
        ("SIDECAR_OUTBOUND", "hello"),
    }


def test_a_receiving_route_may_be_bound_to_sidecars_first_and_to_a_gateway_that_is_not_at_hand() -> None:
    bound = changed(receiving(), "VirtualService", "spec.gateways", ["mesh", "istio-system/internal-gateway"])
    assert findings(mesh(sending(), bound), "receiver-no-route") == []
    elsewhere = [each for each in bound if each["kind"] != "Gateway"]
    assert findings(mesh(sending(), elsewhere), "receiver-no-route") == []
    sidecars = changed(receiving(), "VirtualService", "spec.gateways", ["mesh"])
    assert findings(mesh(sending(), sidecars), "receiver-no-route")


def test_a_primary_without_a_port_speaks_what_its_service_s_only_port_does() -> None:
    def protocol(*ports: Object) -> set[str]:
        entry = {"route": [{"destination": {"host": "a.hello.svc.cluster.local"}}]}
        target = service("b", ports=[{"name": "http", "port": 8000}])
        return broken(mesh([bare(**entry), service("a", ports=list(ports)), target])) & {"mirror-protocol"}

    grpc = {"name": "grpc", "port": 9000}
    assert protocol(grpc) == {"mirror-protocol"}
    assert protocol(grpc, {"name": "http", "port": 9001}) == set()


@pytest.mark.parametrize(
    ("weights", "primary"),
    [((100, 0), False), ((100, None), False), ((99, 1), True), ((None, None), True), ((100, UNKNOWN), True)],
)
def test_who_gets_no_share_of_the_requests_is_no_primary(weights: tuple[Any, Any], primary: bool) -> None:
    """As Flagger writes a canary that is mirrored to before it answers anybody."""
    a, b = ({"host": f"{name}.hello.svc.cluster.local", "port": {"number": 8000}} for name in "ab")
    shares = [{"destination": each, "weight": weight} for each, weight in zip((a, b), weights, strict=True)]
    assert bool(findings(mesh([bare(route=shares)]), "mirror-is-primary")) is primary


@pytest.mark.parametrize(("weight", "primary"), [(0, False), (None, True), (1, True)])
def test_a_backend_of_the_gateway_api_without_weight_answers_too(weight: int | None, primary: bool) -> None:
    backends = [{"name": "a", "port": 8000}, {"name": "b", "port": 8000, "weight": weight}]
    route = native(mirror={"backendRef": {"name": "b", "port": 8000}})
    route["spec"]["rules"][0]["backendRefs"] = backends
    assert bool(findings(mesh([route]), "mirror-is-primary")) is primary


RESTING = {"value": 0}


@pytest.mark.parametrize("share", [{"mirrorPercentage": RESTING}, {"mirrorPercentage": {}}])
def test_a_mirror_with_a_share_of_nothing_sends_nothing(share: Object) -> None:
    """Istio gives it to no proxy. Source: MirrorPercent of its pilot."""
    assert {"mirror-no-brakes", "mirror-credentials", "mirror-side-effects"} <= broken(mesh([bare()]))
    assert broken(mesh([bare(**share)])) == set()


def test_a_mirror_with_a_share_of_nothing_is_no_loop_and_no_second_one() -> None:
    target = {"destination": {"host": "b", "port": {"number": 8000}}}
    twice = bare(mirror=None, mirrors=[{**target, "percentage": RESTING}, target])
    assert findings(mesh([twice]), "mirror-duplicate") == []
    objects = changed(sending(), "VirtualService", "spec.hosts", [HOST])
    assert findings(mesh(objects, back()), "mirror-loop")
    with_disabled = back()
    with_disabled[-1]["spec"]["http"][0]["mirrorPercentage"] = RESTING
    assert findings(mesh(objects, with_disabled), "mirror-loop") == []


def test_a_share_of_nothing_is_still_written_in_a_form_that_istio_takes() -> None:
    assert broken(mesh([bare(mirror_percent=0)])) == {"mirror-deprecated-percent"}
    both = bare(mirrors=[{"destination": {"host": "c"}, "percentage": RESTING}], mirrorPercentage=RESTING)
    assert broken(mesh([both])) == {"mirror-and-mirrors"}


def test_a_share_that_is_not_known_yet_may_be_some() -> None:
    assert findings(mesh([bare(mirrorPercentage={"value": UNKNOWN})]), "mirror-no-brakes")


@pytest.mark.parametrize(("listed", "drifts"), [(True, True), (False, False)])
def test_a_share_of_nothing_agrees_with_a_list_that_leaves_it_out(listed: bool, drifts: bool) -> None:
    objects = changed(sending(), "VirtualService", "spec.http.1.mirrors.0.percentage.value", 0)
    for patch in of_kind(objects, "EnvoyFilter")["spec"]["configPatches"] if not listed else ():
        if patch["applyTo"] == "HTTP_ROUTE":
            del patch["patch"]["value"]["route"]["request_mirror_policies"][0]
    assert bool(findings(mesh(objects), "mirror-policy-drift")) is drifts
