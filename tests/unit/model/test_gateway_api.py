"""Routing in the Gateway API: the same contract and guards, in other words."""

from collections.abc import Callable
from typing import Any

import pytest

from pulumi_traffic_mirror.model import (
    CrossClusterMirror,
    Destination,
    GatewayRef,
    HeaderMatch,
    HeaderRules,
    HeaderTest,
    IstioBehaviour,
    IstioVersion,
    Match,
    MirroredRoute,
    MirrorOffer,
    MirrorReceiverRoute,
    Protocol,
    RouteApi,
    Scrub,
    TlsMode,
    ValidationError,
    client_server,
    receiver_server,
    render,
)
from pulumi_traffic_mirror.model.guards import Keeper
from pulumi_traffic_mirror.model.istio import MANAGED_PATCHES
from pulumi_traffic_mirror.model.receiver import GatewayServer
from pulumi_traffic_mirror.model.rules import Outcome, run_rules
from tests.unit.model.samples import GATEWAY, HOST, MIRROR, REASON, contract, cross_cluster, in_cluster, mesh
from tests.unit.model.samples import receiver as istio_receiver
from tests.unit.model.samples import route as istio_route

SERVICE = Destination("greeter.hello.svc.cluster.local", 8000)
OLD = IstioBehaviour(version=IstioVersion(1, 27))
MANAGED = IstioBehaviour(version=IstioVersion(1, 28), patches=MANAGED_PATCHES)
READS = Match(path_prefixes=["/api"], http_methods=["GET"])


def route(**values: Any) -> MirroredRoute:
    return istio_route(**{"api": "gateway", "primary": SERVICE, **values})


def reading(**values: Any) -> MirroredRoute:
    """One over HTTP, mirrored by the route itself."""
    given = {"match": READS, "scrub": REASON, **values.pop("mirror", {})}
    return route(protocol=Protocol.HTTP, mirrors=[in_cluster(**given)], **values)


def rules_of(rendered: Any) -> list[dict[str, Any]]:
    return rendered["spec"]["rules"]


def test_a_mirror_whose_copies_are_scrubbed_is_added_by_an_overlay() -> None:
    given = route(mirrors=[in_cluster(), cross_cluster()])
    at_gateway, in_mesh = render.native_routes(given)
    assert (at_gateway["kind"], in_mesh["kind"]) == ("GRPCRoute", "GRPCRoute")
    assert all(rule.keys() == {"backendRefs"} for each in (at_gateway, in_mesh) for rule in rules_of(each))
    found: Any = render.native_filter(given)
    patched = [each["applyTo"] for each in found["spec"]["configPatches"]]
    assert patched.count("HTTP_ROUTE") == 2, "the host at gateways, and the Service for callers inside the mesh"
    assert patched.count("CLUSTER") == 3
    assert {given.guards(each).scrub for each in given.mirrors} == {Keeper.SOURCE}
    assert {given.guards(each).life for each in given.mirrors} == {Keeper.PATCH}


def test_a_mirror_that_keeps_its_headers_is_a_request_mirror() -> None:
    rendered: Any = render.native_routes(reading(gateway=None, hosts=[]))[0]
    assert rendered["spec"]["parentRefs"] == [{"group": "", "kind": "Service", "name": "greeter", "port": 8000}]
    guard, mirrored, rest = rules_of(rendered)
    assert [each["headers"][0]["name"] for each in guard["matches"]] == ["x-traffic-mirror", "upgrade"]
    assert mirrored["matches"] == [{"path": {"type": "PathPrefix", "value": "/api"}, "method": "GET"}]
    (copy,) = mirrored["filters"]
    assert copy["requestMirror"]["backendRef"] == {"name": "greeter-v2", "port": 8000}
    assert copy["requestMirror"]["fraction"] == {"numerator": 500_000, "denominator": 1_000_000}
    assert rest == {"backendRefs": [{"name": "greeter", "port": 8000}]}


def test_a_mirror_across_is_one_where_no_patch_can_be_had() -> None:
    given = route(
        istio=MANAGED,
        protocol=Protocol.HTTP,
        timeout_seconds=1.25,
        mirrors=[cross_cluster(contract=contract(protocol=Protocol.HTTP), match=READS)],
    )
    at_gateway, in_mesh = render.native_routes(given)
    (copy,) = rules_of(at_gateway)[1]["filters"]
    backend = copy["requestMirror"]["backendRef"]
    assert backend == {
        "group": "networking.istio.io",
        "kind": "Hostname",
        "name": str(given.mirrors[0].destination().host),
        "port": 8000,
    }
    assert rules_of(at_gateway)[1]["timeouts"] == {"request": "1s250ms"}
    assert not any("filters" in rule for rule in rules_of(in_mesh)), "callers inside the mesh carry no such authority"
    assert render.native_filter(given) is None
    kept = given.guards(given.mirrors[0])
    assert (kept.life, kept.scrub) == (Keeper.TIMEOUT, Keeper.RECEIVER)


def test_before_overlays_the_cluster_scrubs_within_and_the_receiver_across() -> None:
    given = route(istio=OLD, mirrors=[in_cluster(), cross_cluster()])
    assert len(given.native) == 2
    assert [given.guards(each).scrub for each in given.mirrors] == [Keeper.SOURCE, Keeper.RECEIVER]
    assert "authorization" in str(render.native_filter(given))


def test_every_match_has_guards_of_the_same_path_and_method() -> None:
    """Proxies try the Gateway API's matches by path, then method, then number of headers."""
    header = HeaderMatch(name="x-user", value="al+ice", test=HeaderTest.PREFIX)
    first = in_cluster(match=Match(path_prefixes=["/api", "/b"], http_methods=["GET"]), scrub=REASON)
    second = in_cluster(
        service=Destination("greeter-v3.hello.svc.cluster.local", 8000),
        match=Match(path_prefixes=["/api/orders"], headers=[header]),
        scrub=REASON,
    )
    guard, *mirrored, rest = rules_of(render.native_routes(route(protocol="HTTP", mirrors=[first, second]))[0])
    wanted = [match for rule in mirrored for match in rule["matches"]]
    for match in wanted:
        place = (match["path"], match.get("method"))
        alike = [each for each in guard["matches"] if (each["path"], each.get("method")) == place]
        assert {each["headers"][-1]["name"] for each in alike} == {"x-traffic-mirror", "upgrade"}
        assert max(len(each["headers"]) for each in alike) == len(match.get("headers", [])) + 1
    assert [len(rule["filters"]) for rule in mirrored] == [2, 1, 1]
    assert "matches" not in rest
    assert mirrored[0]["matches"][0]["headers"][0]["value"] == r"al\+ice.*"


def test_header_rules_are_filters() -> None:
    headers = HeaderRules(request_set={"x-a": "1"}, response_remove=["server"])
    (rule,) = rules_of(render.native_routes(route(mirrors=[], headers=headers))[0])
    assert rule["filters"] == [
        {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-a", "value": "1"}]}},
        {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"remove": ["server"]}},
    ]


def receiver(**values: Any) -> MirrorReceiverRoute:
    given: dict[str, Any] = {
        "name": "greeter",
        "namespace": "hello",
        "contract": contract(),
        "service": SERVICE,
        "gateway": GATEWAY,
        "api": RouteApi.GATEWAY,
        **values,
    }
    return MirrorReceiverRoute(**given)


def test_the_receiver_takes_off_what_istio_s_own_takes_off() -> None:
    served, refusing = rules_of(render.native_receiver(receiver()))
    modifiers = [served["filters"][0], served["backendRefs"][0]["filters"][0]]
    removed = [name for each in modifiers for name in each["requestHeaderModifier"].get("remove", [])]
    theirs: Any = render.receiver_virtual_service(istio_receiver())
    assert removed == theirs["spec"]["http"][1]["headers"]["request"]["remove"]
    assert all(len(each["requestHeaderModifier"]["remove"]) <= 16 for each in modifiers)
    assert modifiers[0]["requestHeaderModifier"]["set"] == [{"name": "x-traffic-mirror", "value": "mirror"}]
    assert served["matches"] == [
        {"headers": [{"type": "Exact", "name": "x-traffic-mirror", "value": "mirror"}]},
        {},
    ]
    assert refusing.keys() == {"matches"}, "no backend: 500"


def test_the_contract_stays_one() -> None:
    both: Any = [render.native_receiver(receiver()), render.receiver_virtual_service(istio_receiver())]
    first, second = (each["metadata"]["annotations"] for each in both)
    assert first == second
    assert both[0]["spec"]["hostnames"] == both[1]["spec"]["hosts"]


def test_with_tls_one_listener_takes_every_server_name() -> None:
    gateway: Any = render.native_gateway(GATEWAY, [receiver_server(contract(), "mirror-server")], "canary")
    (listener,) = gateway["spec"]["listeners"]
    assert "hostname" not in listener
    assert listener["tls"]["options"] == {"gateway.istio.io/tls-terminate-mode": "MUTUAL"}
    assert gateway["metadata"]["labels"] == {"istio.io/rev": "canary"}
    assert gateway["spec"]["addresses"][0]["value"] == "internal-gateway.istio-system.svc.cluster.local"
    patch = str(render.receiver_envoy_filter(receiver()))
    assert "portNumber" in patch
    assert "sni" not in patch


def test_grants_are_for_services_of_other_namespaces_alone() -> None:
    elsewhere = Destination("orders.labs.svc.cluster.local", 80)
    assert not render.reference_grants("a", "hello", Protocol.HTTP, [MIRROR])
    grant: Any = render.reference_grants("a", "hello", Protocol.HTTP, [MIRROR, elsewhere])["labs"]
    assert grant["metadata"] == {"name": "hello-a", "namespace": "labs"}
    assert grant["spec"]["from"][0]["namespace"] == "hello"
    assert grant["spec"]["to"] == [{"group": "", "kind": "Service", "name": "orders"}]


MANY = {f"x-{index}": "1" for index in range(17)}


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: route(primary=Destination(SERVICE.host, 8000, "v1")), "primary.subset = 'v1': has no form in the Gat"),
        (lambda: route(namespace="other"), "namespace = 'other': must be that of the primary's Service"),
        (lambda: route(timeout_seconds=5), "timeout_seconds = 5: has no form in a GRPCRoute"),
        (lambda: route(api="ingress"), "api = 'ingress': must be one of 'istio', 'gateway'"),
        (lambda: reading(istio=MANAGED), "mirrors[0].brakes.max_duration_seconds = 8.0: cannot be kept"),
        (lambda: receiver(service=Destination(SERVICE.host, 8000, "v1")), "service.subset = 'v1': has no form"),
        (
            lambda: render.native_receiver(
                receiver(contract=contract(scrub=Scrub(extra_headers=["x-a", "x-b", "x-c"])))
            ),
            "contract.scrub.extra_headers = '34 headers': may hold at most 32",
        ),
        (
            lambda: render.native_routes(reading(headers=HeaderRules(request_set=MANY))),
            "headers = '17 headers': may hold at most 16",
        ),
        (
            lambda: render.native_routes(
                reading(mirror={"match": Match(exact_paths=[f"/{index}" for index in range(33)])})
            ),
            "must fit into a route of the Gateway API",
        ),
        (
            lambda: render.native_gateway(
                GATEWAY,
                [
                    GatewayServer(hosts=["a.example"], tls=TlsMode.SIMPLE, credential="a"),
                    GatewayServer(hosts=["b.example"], tls=TlsMode.SIMPLE, credential="b"),
                ],
            ),
            "servers[1] = 'port 8000': must have the TLS mode and credential",
        ),
    ],
)
def test_what_the_gateway_api_has_no_words_for_is_refused(build: Callable[[], object], words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        build()
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "given",
    [
        route,
        lambda: route(istio=OLD),
        reading,
        lambda: reading(istio=MANAGED, timeout_seconds=3),
        lambda: route(gateway=None, hosts=[], mirrors=[in_cluster()]),
    ],
)
def test_no_rule_finds_a_fault(given: Callable[[], MirroredRoute]) -> None:
    wanted = given()
    objects = [*render.destination_rules(wanted), *render.native_routes(wanted)]
    objects += [each for each in [render.native_filter(wanted)] if each]
    objects += [
        render.service_entry(wanted, mirror, MirrorOffer.of(mirror.contract, "198.18.0.120"))
        for mirror in wanted.mirrors
        if isinstance(mirror, CrossClusterMirror)
    ]
    found = run_rules(mesh(objects, istio=wanted.istio, complete=False))
    assert not [each for each in found if each.fails and each.outcome is Outcome.BROKEN]


def test_without_its_guard_a_request_mirror_takes_web_sockets() -> None:
    rendered: Any = render.native_routes(reading())[0]
    assert "mirror-websockets" not in {each.rule for each in run_rules(mesh([rendered]))}
    del rendered["spec"]["rules"][0]["matches"][1]
    assert "mirror-websockets" in {each.rule for each in run_rules(mesh([rendered]))}


def test_a_gateway_listens_to_each_host() -> None:
    ref = GatewayRef(name="edge", namespace="ingress")
    listeners: Any = render.native_gateway(ref, [client_server([HOST, "b.example"], 80)])["spec"]
    assert [each["hostname"] for each in listeners["listeners"]] == [HOST, "b.example"]
