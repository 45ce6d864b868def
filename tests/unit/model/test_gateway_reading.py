"""How gateways, their Services and the routes on them are read, and what is said of what is wrong with them."""

from dataclasses import replace
from typing import Any

import pytest

from pulumi_traffic_mirror.model import Expiry, MirrorOffer, ValidationError
from pulumi_traffic_mirror.model.rules import (
    UNKNOWN,
    ClusterObjects,
    Node,
    RuleSettings,
    check_loops,
    describe_loop,
    read_object,
    require,
)
from pulumi_traffic_mirror.model.rules.gateways import (
    Listener,
    gateway_services,
    pod_labels,
    read_listeners,
    service_addresses,
)
from pulumi_traffic_mirror.model.rules.hosts import covers
from pulumi_traffic_mirror.model.rules.loops import MAX_PLACES, Hop, Place
from pulumi_traffic_mirror.model.rules.objects import KubeObject
from pulumi_traffic_mirror.model.rules.ports import name_fault
from tests.unit.model.samples import HOST, NEW, NOW, contract, cross_cluster, deployment, findings, mesh, route, sending


def kube(kind: str, api: str, spec: dict[str, Any], **root: Any) -> KubeObject:
    """An object of the cluster `staging`."""
    metadata = {"name": "it", "namespace": "ns"}
    found = read_object("staging", Node({"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec, **root}))
    assert found is not None
    return found


def native(**listener: Any) -> Listener:
    """A listener of a Gateway API gateway."""
    gateway = kube("Gateway", "gateway.networking.k8s.io/v1", {"listeners": [listener]})
    (found,) = read_listeners([gateway]).known
    return found


@pytest.mark.parametrize(
    ("listener", "protocol", "tls_mode"),
    [
        ({"protocol": "HTTP"}, "HTTP", ""),
        ({"protocol": "https"}, "HTTPS", "SIMPLE"),
        ({"protocol": "TLS"}, "TLS", "SIMPLE"),
        ({"protocol": "HTTPS", "tls": {"frontendValidation": {}}}, "HTTPS", "MUTUAL"),
        ({"protocol": "HTTP", "tls": {"frontendValidation": {}}}, "HTTP", ""),
    ],
)
def test_a_listener_of_the_gateway_api_tells_its_protocol_and_tls(
    listener: dict[str, Any], protocol: str, tls_mode: str
) -> None:
    found = native(port=8000, hostname="a.example", **listener)
    assert (found.protocol, found.tls_mode, found.port, found.hosts) == (protocol, tls_mode, 8000, ("a.example",))
    assert found.source.kind == "KubernetesGateway"
    assert found.node.path == "spec.listeners[0]"


def test_a_listener_without_a_hostname_takes_every_host() -> None:
    assert native(port=80, protocol="HTTP").takes("anything.example")


def test_a_service_is_reached_by_every_address_that_it_tells() -> None:
    ingress = {"loadBalancer": {"ingress": [{"ip": "10.0.0.3"}, {"hostname": "lb.example"}]}}
    spec = {"externalIPs": ["10.0.0.1"], "loadBalancerIP": "10.0.0.2"}
    assert service_addresses(kube("Service", "v1", spec, status=ingress)) == {
        "10.0.0.1",
        "10.0.0.2",
        "10.0.0.3",
        "lb.example",
    }
    assert service_addresses(kube("Service", "v1", {})) == set()


def test_pods_are_labelled_by_their_template_or_by_themselves() -> None:
    pod = kube("Pod", "v1", {}, metadata={"name": "it", "namespace": "ns", "labels": {"app": "own"}})
    assert pod_labels(pod) == {"app": "own"}
    workload = read_object("staging", Node(deployment("greeter", version="v2")))
    assert workload is not None
    assert pod_labels(workload)["version"] == "v2"


def test_a_pattern_takes_names_below_it_and_not_itself_without_the_star() -> None:
    assert covers("*.x", "a.x")
    assert not covers("*.x", ".x")
    assert not covers("*.x", "x")


@pytest.mark.parametrize(
    ("kind", "api", "spec", "place"),
    [
        ("VirtualService", "networking.istio.io/v1", {"gateways": ["ns/gone"]}, "spec.gateways"),
        ("HTTPRoute", "gateway.networking.k8s.io/v1", {"parentRefs": [{"name": "gone"}]}, "spec.parentRefs"),
    ],
)
def test_a_gateway_that_is_gone_is_reported_where_it_is_named(
    kind: str, api: str, spec: dict[str, Any], place: str
) -> None:
    istio = {"http": [{"route": [{"destination": {"host": "a"}}], "mirrors": [{"destination": {"host": "b"}}]}]}
    filters = [{"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "b", "port": 80}}}]
    native_rules = {"rules": [{"filters": filters, "backendRefs": [{"name": "a", "port": 80}]}]}
    body = {"hosts": [HOST], **istio} if kind == "VirtualService" else {"hostnames": [HOST], **native_rules}
    given = {"apiVersion": api, "kind": kind, "metadata": {"name": "r", "namespace": "ns"}, "spec": {**spec, **body}}
    (found,) = findings(mesh([given]), "gateway-undefined")
    assert (found.field, found.message) == (place, "no Gateway ns/gone is defined")


def test_an_offer_of_other_terms_is_refused_with_both_values() -> None:
    offer = dict(MirrorOffer.of(contract(), "198.18.0.120").to_json())
    offer["terms"] = {**contract().terms, "port": 9000}
    with pytest.raises(ValidationError) as refusal:
        MirrorOffer.accept(offer, contract(), now=NOW)
    assert (refusal.value.value, refusal.value.rule) == (9000, "must be 8000, as in this stack's contract")
    assert refusal.value.remedy.startswith("Give both stacks the same contract")


def test_a_house_may_allow_less_than_the_rules_do() -> None:
    cluster = ClusterObjects(name="staging", objects=sending(), istio=NEW, complete=False)
    require(cluster, now=NOW)
    with pytest.raises(ValidationError, match="5 %"):
        require(cluster, now=NOW, settings=RuleSettings(max_percent=5))


def test_an_end_is_judged_by_the_time_that_is_given() -> None:
    ended = route(mirrors=[cross_cluster(expires=Expiry.parse("2026-11-30"))])
    cluster = ClusterObjects(name="staging", objects=sending(ended), istio=NEW, complete=False)
    require(cluster, now=NOW)
    with pytest.raises(ValidationError, match="2026-11-30"):
        require(cluster, now=NOW.replace(year=2027))


def test_a_long_loop_is_told_by_its_beginning_and_its_end() -> None:
    places = [Place(cluster=f"c{index}", gateway="g", host="h.x") for index in range(30)]
    hops = [
        Hop(start=place, cluster=places[(index + 1) % 30].cluster, authority="h.x")
        for index, place in enumerate(places)
    ]
    said = describe_loop(hops)
    kept = [str(place) for place in places if str(place) in said]
    assert kept[: MAX_PLACES // 2] == [str(place) for place in places[: MAX_PLACES // 2]]
    assert said.startswith("c0 ")
    assert said.endswith("-> c0 g h.x")
    assert str(places[-1]) in said
    assert str(places[15]) not in said
    short = describe_loop([replace(hop, start=places[0], cluster="c0") for hop in hops[: MAX_PLACES - 1]])
    assert "more" not in short


def test_a_loop_is_refused_in_words() -> None:
    with pytest.raises(ValidationError) as refusal:
        check_loops({"testing": [route(mirrors=[cross_cluster()])]})
    assert refusal.value.field == "mirrors"
    assert refusal.value.rule.startswith("must not lead in a circle: each copy would come back to where it was made")
    assert refusal.value.remedy == "Take one of these mirrors off"


@pytest.mark.parametrize(
    ("kind", "port", "spoken", "fault"),
    [
        ("Service", {"port": 80, "name": "grpc"}, "http2", ""),
        ("Service", {"port": 80, "name": "grpc-web-a"}, "http2", ""),
        ("Service", {"port": 80, "name": "GRPC-web"}, "http2", ""),
        ("Service", {"port": 80, "name": "web", "appProtocol": "grpc"}, "http2", ""),
        ("Service", {"port": 80}, "http2", "port 80 has no name, so its protocol is guessed"),
        (
            "Service",
            {"port": 80, "name": "web"},
            "",
            "port 80 is named 'web', which says no protocol, so it is guessed",
        ),
        ("Service", {"port": 80, "name": "http-a"}, "http2", "port 80 is named 'http-a' but carries gRPC"),
        ("Service", {"port": 80, "name": "grpc-a"}, "http1", "port 80 is named 'grpc-a' but carries HTTP/1.1"),
        ("Service", {"port": 80, "name": "tcp"}, "http1", "port 80 is named 'tcp' but carries HTTP/1.1"),
        ("Service", {"port": 80, "name": "http"}, "", ""),
        ("ServiceEntry", {"number": 81, "name": "web"}, "http2", ""),
        ("ServiceEntry", {"number": 81, "name": "http2"}, "http2", ""),
        ("ServiceEntry", {"number": 81, "name": "http1"}, "http2", "port 81 is named 'http1' but carries gRPC"),
        ("ServiceEntry", {"number": 81}, "", "port 81 has no name, so its protocol is guessed"),
    ],
)
def test_a_port_is_named_for_what_it_carries(kind: str, port: dict[str, Any], spoken: str, fault: str) -> None:
    api = "v1" if kind == "Service" else "networking.istio.io/v1"
    subject = kube(kind, api, {"ports": [port]})
    (node,) = subject.spec["ports"].elements()
    assert name_fault(subject, node, spoken) == fault


def istio_gateway(name: str = "it", **server: Any) -> KubeObject:
    """A Gateway of Istio with one server."""
    given = {"port": {"number": 8443, "protocol": "TLS"}, "hosts": ["ns/a.example"], **server}
    spec = {"selector": {"istio": "edge"}, "servers": [given]}
    return kube("Gateway", "networking.istio.io/v1", spec, metadata={"name": name, "namespace": "ns"})


def test_every_gateway_s_listeners_are_known_but_for_unknown_ones() -> None:
    gateways = [istio_gateway("a"), istio_gateway("b", tls={"mode": "simple"}), istio_gateway("c", hosts=UNKNOWN)]
    found = read_listeners(gateways)
    assert [(each.gateway, each.hosts, each.tls_mode) for each in found.known] == [
        ("ns/a", ("a.example",), ""),
        ("ns/b", ("a.example",), "SIMPLE"),
    ]
    assert found.unknown == {"ns/c"}


def test_tls_without_a_mode_is_passed_through() -> None:
    """Source: the first member of ServerTLSSettings.TLSmode in Istio's API, which protobuf takes by default."""
    (listener,) = read_listeners([istio_gateway(tls={"credentialName": "edge"})]).known
    assert listener.tls_mode == "PASSTHROUGH"


@pytest.mark.parametrize(
    ("selector", "pods", "reached"),
    [
        ({"istio": "edge", "app": "edge"}, {}, True),
        ({"app": "edge"}, {"istio": "edge", "app": "edge"}, True),
        ({"app": "edge"}, {"istio": "edge", "app": "other"}, False),
        ({"app": "edge"}, {"app": "edge"}, False),
        ({}, {"istio": "edge"}, False),
    ],
    ids=["the gateway's own labels", "pods of both", "pods of the gateway", "pods of the Service", "no selector"],
)
def test_a_gateway_s_services_take_its_pods(selector: dict[str, str], pods: dict[str, str], *, reached: bool) -> None:
    service = kube("Service", "v1", {"selector": selector})
    assert gateway_services(istio_gateway(), [service], [pods]) == ([service] if reached else [])
