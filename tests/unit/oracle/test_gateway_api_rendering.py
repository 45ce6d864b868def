"""What istiod in memory makes of routing in the Gateway API: as of Istio's own kinds, route by route."""

import base64
from typing import Any

import pytest

from pulumi_traffic_mirror.model import (
    CrossClusterMirror,
    Destination,
    Match,
    MirroredRoute,
    MirrorOffer,
    Protocol,
    Scrub,
    SpecOf,
    client_server,
    receiver_server,
    render,
)
from pulumi_traffic_mirror.operations.oracle import Answer, Oracle, question_of
from pulumi_traffic_mirror.rehearsal.mirror_tls import make_mirror_tls
from tests.unit.model.samples import GATEWAY, HOST, MIRROR, NEW, contract, cross_cluster, in_cluster, service
from tests.unit.model.test_gateway_api import MANAGED, SERVICE, reading, receiver, route

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_800)]

CLASS = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "GatewayClass",
    "metadata": {"name": "istio"},
    "spec": {"controllerName": "istio.io/gateway-controller"},
}


def ask(oracle: Oracle, objects: list[Any], servers: list[Any]) -> Answer:
    """What istiod renders for a gateway of the chart that a Gateway of the Gateway API stands for."""
    # The pods that a question has for a gateway; which labels they have plays no part, only the Service before them.
    labels = {"gateway.networking.k8s.io/gateway-name": "internal-gateway"}
    front = service("internal-gateway", "istio-system", selector=labels)
    ports = sorted({int(each.port) for each in servers})
    front["spec"]["ports"] = [{"name": f"http-{port}", "port": port, "targetPort": port} for port in ports]
    services = [service(), service("greeter-v2"), front]
    gateway = render.native_gateway(GATEWAY, servers)
    made = make_mirror_tls("mirror.example")["testing"]
    keys = {"tls.crt": "certificate", "tls.key": "key", "ca.crt": "ca"}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "mirror-server", "namespace": "istio-system"},
        "data": {key: base64.b64encode(made[part].encode()).decode() for key, part in keys.items()},
    }
    answer = oracle.ask(question_of([*services, CLASS, secret, gateway, *objects]))
    refused = [each for each in answer.get("objects", []) if each.get("refused") or each.get("pruned")]
    assert not refused, "the API server or istiod takes an object otherwise than it is written"
    return answer


def routes_of(answer: Answer, kind: str, host: str) -> list[Any]:
    """Routes of the virtual host of a name, at the proxies of one kind."""
    found: list[Any] = []
    for name, fact in answer.get("proxies", {}).items():
        for config in fact["routes"] or []:
            assert not config.get("refused"), config
            for each in config["hosts"] or []:
                if name.startswith(kind) and host in each["domains"] and each["routes"]:
                    found = each["routes"]
    return found


def objects_of(given: MirroredRoute) -> list[Any]:
    entries = [
        render.service_entry(given, mirror, MirrorOffer.of(mirror.contract, "198.18.0.120"))
        for mirror in given.mirrors
        if isinstance(mirror, CrossClusterMirror)
    ]
    filters = [each for each in [render.native_filter(given)] if each]
    return [*entries, *render.destination_rules(given), *render.native_routes(given), *filters]


@pytest.mark.parametrize("protocol", [Protocol.GRPC, Protocol.HTTP])
def test_what_an_overlay_adds_reaches_gateway_and_sidecars(oracle: Oracle, protocol: Protocol) -> None:
    match = None if protocol is Protocol.HTTP else in_cluster().match
    mirrors = [in_cluster(match=match), cross_cluster(contract=contract(protocol=protocol), match=match)]
    given = route(protocol=protocol, mirrors=mirrors)
    answer = ask(oracle, objects_of(given), [client_server([HOST], 8000, protocol)])
    (at_gateway,) = routes_of(answer, "router", HOST)
    assert at_gateway["clusters"] == {SERVICE.cluster_name: 1}
    assert sorted(each["share"] for each in at_gateway["mirrors"]) == [10.0, 50.0]
    assert all("authorization" in each["remove"] for each in at_gateway["mirrors"])
    assert all("x-traffic-mirror" in each["append"] for each in at_gateway["mirrors"])
    (inside,) = routes_of(answer, "sidecar", str(SERVICE.host))
    assert [each["share"] for each in inside["mirrors"]] == [50.0]
    lives = {
        fact["clusters"][MIRROR.cluster_name]["max_stream_duration"]
        for fact in answer.get("proxies", {}).values()
        if MIRROR.cluster_name in fact["clusters"]
    }
    assert lives == {8.0}


def test_a_request_mirror_is_asked_after_its_guard(oracle: Oracle) -> None:
    second = in_cluster(
        service=Destination("greeter.other.svc.cluster.local", 8000),
        name="other",
        match=Match(path_prefixes=["/api/orders"]),
        scrub=reading().mirrors[0].scrub,
    )
    given = route(protocol=Protocol.HTTP, mirrors=[*reading().mirrors, second], timeout_seconds=2)
    targets = [each.destination() for each in given.native]
    grants = list(render.reference_grants("greeter", "hello", Protocol.HTTP, targets).values())
    objects = [*objects_of(given), *grants, service("greeter", "other")]
    answer = ask(oracle, objects, [client_server([HOST], 8000, Protocol.HTTP)])
    for kind, host in (("router", HOST), ("sidecar", str(SERVICE.host))):
        found = routes_of(answer, kind, host)
        mirrored = [index for index, each in enumerate(found) if each.get("mirrors")]
        assert mirrored, kind
        for index in mirrored:
            guards = [each for each in found[:index] if not each.get("mirrors")]
            assert any("x-traffic-mirror" in each["match"] for each in guards)
            assert any("upgrade" in each["match"] for each in guards)
        counts = [len(found[index]["mirrors"]) for index in mirrored]
        assert counts[0] == 2, "what both take is asked first"
        assert set(counts[1:]) == {1}
        assert not found[-1].get("mirrors")
        assert {each.get("timeout") for each in found} == {2.0}


def test_a_mirror_across_by_request_mirror_is_known(oracle: Oracle) -> None:
    mirror = cross_cluster(contract=contract(protocol=Protocol.HTTP), match=Match(http_methods=["GET"]))
    given = route(istio=MANAGED, protocol=Protocol.HTTP, timeout_seconds=1, mirrors=[mirror])
    answer = ask(oracle, objects_of(given), [client_server([HOST], 8000, Protocol.HTTP)])
    shares = [each["share"] for found in routes_of(answer, "router", HOST) for each in found.get("mirrors", [])]
    assert shares == [10.0]
    clusters = next(fact["clusters"] for name, fact in answer.get("proxies", {}).items() if name.startswith("router"))
    limits = clusters[mirror.destination().cluster_name]["limits"]
    assert (limits["connections"], limits["requests"]) == (64, 256)


@pytest.mark.parametrize("protocol", [Protocol.GRPC, Protocol.HTTP])
def test_the_receiver_scrubs_both_authority_forms(oracle: Oracle, protocol: Protocol) -> None:
    terms = contract(protocol=protocol)
    wanted = receiver(contract=terms)
    objects: list[Any] = [render.native_receiver(wanted), render.receiver_envoy_filter(wanted)]
    answer = ask(oracle, objects, [receiver_server(terms, "mirror-server")])
    for host in terms.accepted_hosts:
        found = routes_of(answer, "router", str(host))
        marked, refused, rest = found
        assert marked["clusters"] == rest["clusters"] == {SERVICE.cluster_name: 1}
        assert not refused.get("clusters")
        for each in (marked, rest):
            assert set(each.get("remove", [])) >= set(Scrub().headers)
        assert "mirror" in marked["match"]


def test_a_route_of_one_s_own_is_mirrored_and_else_as_it_was(oracle: Oracle) -> None:
    spec: Any = {
        "parentRefs": [{"name": "internal-gateway", "namespace": "istio-system"}],
        "hostnames": [HOST],
        "rules": [
            {
                "matches": [{"path": {"type": "PathPrefix", "value": "/api"}}],
                "backendRefs": [
                    {"name": "greeter", "port": 8000, "weight": 90},
                    {"name": "other", "port": 8000, "weight": 10},
                ],
                "timeouts": {"request": "7s"},
            },
            {"filters": [{"type": "RequestRedirect", "requestRedirect": {"hostname": "b.example"}}]},
        ],
    }
    at = SpecOf(name="greeter", namespace="hello", istio=NEW)
    result = render.mirrored(spec, [in_cluster(match=None, percent=10)], at=at)
    written = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "greeter", "namespace": "hello"},
        "spec": result.spec,
    }
    servers = [client_server([HOST], 8000, Protocol.HTTP)]
    before = routes_of(ask(oracle, [written, service("other")], servers), "router", HOST)
    after = routes_of(ask(oracle, [written, service("other"), *result.objects], servers), "router", HOST)
    assert [each["action"] for each in before] == ["route", "redirect"]
    assert [each.get("mirrors", []) != [] for each in after] == [True, False]
    added = ("mirrors", "remove")
    assert [{key: each[key] for key in each if key not in added} for each in after] == before
    (copy,) = after[0]["mirrors"]
    assert copy["share"] == 10.0
    assert "authorization" in copy["remove"]
