"""When a proxy has no cluster for the primary of a mirror, so that it answers 503 and copies nothing."""

from typing import Any

import pytest

from pulumi_traffic_mirror.model.rules import Finding
from tests.unit.model.rule_cases import bare
from tests.unit.model.samples import Object, findings, mesh, service

A, B, C = (f"{name}.hello.svc.cluster.local" for name in "abc")


def said(*objects: Object) -> list[Finding]:
    """What is said of the primary, of a route for the Service ``a`` that mirrors to ``b``."""
    return findings(mesh([*objects, service("b")]), "mirror-primary-undefined")


def to(**destination: Any) -> Object:
    """A route of ``a`` to another destination."""
    return bare(route=[{"destination": {"host": A, "port": {"number": 8000}, **destination}}])


def at_gateway(route: Object, port: int = 8000) -> list[Object]:
    """A route at a gateway of another namespace alone, and the gateway."""
    route["spec"] |= {"gateways": ["edge/own"], "hosts": ["a.example"]}
    server = {"port": {"number": port, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}
    gateway: Object = {"apiVersion": "networking.istio.io/v1", "kind": "Gateway"}
    gateway["metadata"] = {"name": "own", "namespace": "edge"}
    gateway["spec"] = {"selector": {"istio": "own"}, "servers": [server]}
    pods = {"metadata": {"labels": {"istio": "own"}}, "spec": {"containers": [{"name": "istio-proxy"}]}}
    deployment: Object = {"apiVersion": "apps/v1", "kind": "Deployment"}
    deployment |= {"metadata": {"name": "own", "namespace": "edge"}, "spec": {"template": pods}}
    ports = [{"name": "http", "port": port}]
    front = service("own", "edge", ports=ports, selector={"istio": "own"})
    return [route, gateway, deployment, front]


def rule(host: str = A, *subsets: str) -> Object:
    made: Object = {"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule"}
    made |= {"metadata": {"name": "rule", "namespace": "hello"}}
    return made | {"spec": {"host": host, "subsets": [{"name": each, "labels": {"v": each}} for each in subsets]}}


def exported(to: str) -> Object:
    made = service("a")
    made["metadata"]["annotations"] = {"networking.istio.io/exportTo": to}
    return made


def test_a_primary_that_is_there_is_no_fault() -> None:
    assert said(bare(), service("a")) == []


def test_a_port_that_the_primary_lacks() -> None:
    [found] = said(to(port={"number": 81}), service("a"))
    assert found.message == "its primary has no cluster: Service hello/a has 8000, not 81"
    assert (found.object, found.field) == ("VirtualService hello/a", "spec.http[0]")


@pytest.mark.parametrize(("port", "lacking"), [(8000, False), (80, True)])
def test_without_a_port_a_gateway_of_several_ports_sends_to_its_own(port: int, *, lacking: bool) -> None:
    ports = [{"name": "grpc", "port": 8000}, {"name": "http", "port": 9000}]
    found = said(*at_gateway(to(port={}), port), service("a", ports=ports))
    assert ["has no port 80, as requests have at edge/own" in each.message for each in found] == [True] * lacking


def test_a_port_for_datagrams_is_one_of_several_for_whoever_sends_without_a_port() -> None:
    ports = [{"name": "grpc", "port": 9000}, {"name": "dns", "port": 53, "protocol": "UDP"}]
    [found] = said(*at_gateway(to(port={})), service("a", ports=ports))
    assert "Service hello/a has no port 8000" in found.message


def test_a_primary_without_any_port() -> None:
    [found] = said(*at_gateway(to(port={})), service("a", ports=[]))
    assert "Service hello/a has no port 8000" in found.message


@pytest.mark.parametrize(("exports", "hidden"), [("*", False), ("edge", False), (".", True), ("lab", True)])
def test_a_primary_that_its_gateway_does_not_see(exports: str, *, hidden: bool) -> None:
    found = said(*at_gateway(bare()), exported(exports))
    assert [f"proxies in edge do not see {A}" in each.message for each in found] == [True] * hidden


NARROW: Object = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "Sidecar",
    "metadata": {"name": "narrow", "namespace": "hello"},
    "spec": {"egress": [{"hosts": ["*/*"]}]},
}
AMBIENT: Object = {
    "apiVersion": "v1",
    "kind": "Namespace",
    "metadata": {"name": "hello", "labels": {"istio.io/dataplane-mode": "ambient"}},
}


@pytest.mark.parametrize(
    ("also", "beside", "hidden"),
    [([], [], True), (["mesh"], [], False), (["mesh"], [NARROW], True), (["mesh"], [AMBIENT], True)],
    ids=["the gateway alone", "the mesh too", "sidecars of a Sidecar", "no sidecars"],
)
def test_a_gateway_knows_its_own_namespace_s_services_by_what_sidecars_there_know(
    also: list[str], beside: list[Object], *, hidden: bool
) -> None:
    objects = at_gateway(bare())
    objects[0]["spec"]["gateways"] += also
    for each in objects[1:]:
        each["metadata"]["namespace"] = "hello"
    objects[0]["spec"]["gateways"][0] = "own"
    found = said(*objects, *beside, exported("lab"))
    assert [f"proxies in hello do not see {A}" in each.message for each in found] == [True] * hidden


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        ([], f"no DestinationRule for {A} is in reach"),
        ([rule(A, "v2")], "DestinationRule hello/rule does not define it"),
        ([rule(A, "v1", "v2")], ""),
    ],
    ids=["no rule", "another subset", "defined"],
)
def test_a_subset_that_nothing_defines(rules: list[Object], why: str) -> None:
    found = said(to(subset="v1"), service("a"), *rules)
    assert [each.message.partition("unknown: ")[2] for each in found] == ([why] if why else [])


def test_one_of_several_primaries_that_is_there_answers() -> None:
    there, lacking = to()["spec"]["http"][0]["route"][0], to(port={"number": 81})["spec"]["http"][0]["route"][0]
    both = bare(route=[{**there, "weight": 50}, {**lacking, "weight": 50}])
    assert said(both, service("a")) == []
    both["spec"]["http"][0]["route"][0]["weight"] = 0
    assert len(said(both, service("a"))) == 1


def test_each_sender_has_another_of_two_primaries() -> None:
    route = bare(route=[{"destination": {"host": each, "port": {"number": 8000}}, "weight": 50} for each in (A, C)])
    objects = at_gateway(route)
    route["spec"] |= {"gateways": ["edge/own", "mesh"], "hosts": ["a.example", A]}
    seen_at_home, seen_at_the_gateway = exported("."), service("c")
    seen_at_the_gateway["metadata"]["annotations"] = {"networking.istio.io/exportTo": "edge"}
    assert said(*objects, seen_at_home, seen_at_the_gateway) == []
    assert (
        len(said(*objects, seen_at_home, exported(".") | {"metadata": seen_at_home["metadata"] | {"name": "c"}})) == 1
    )


@pytest.mark.parametrize(("number", "taken"), [(8000, True), (9000, False)])
def test_a_cluster_that_a_filter_takes_away(number: int, *, taken: bool) -> None:
    match = {"cluster": {"portNumber": number, "service": A}}
    removal = {"applyTo": "CLUSTER", "match": match, "patch": {"operation": "REMOVE"}}
    made: Object = {"apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter"}
    made |= {"metadata": {"name": "removal", "namespace": "hello"}, "spec": {"configPatches": [removal]}}
    found = said(bare(), service("a"), made)
    words = f"EnvoyFilter hello/removal takes outbound|8000||{A} away"
    assert [words in each.message for each in found] == [True] * taken


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ([], "no ServiceEntry defines out.example for it"),
        ([8000], ""),
        ([80], "ServiceEntry hello/out has 80, not 8000"),
    ],
    ids=["nothing", "with its port", "with another port"],
)
def test_a_primary_that_stands_for_a_host_outside(entries: list[int], why: str) -> None:
    made: Object = {"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry"}
    made |= {"metadata": {"name": "out", "namespace": "hello"}, "spec": {"hosts": ["out.example"], "resolution": "DNS"}}
    made["spec"]["ports"] = [{"number": each, "name": "grpc", "protocol": "GRPC"} for each in entries]
    alias = service("a", type="ExternalName", externalName="out.example")
    # Another Service makes the listener that an alias has none of.
    found = said(bare(), alias, service("c"), *([made] if entries else []))
    assert [why in each.message for each in found] == [True] * bool(why)


@pytest.mark.parametrize(("last", "why"), [(C, ""), (A, "leads to no other host")], ids=["a Service", "itself"])
def test_a_primary_that_stands_for_another_one(last: str, why: str) -> None:
    first = service("a", type="ExternalName", externalName="d.hello.svc.cluster.local")
    second = service("d", type="ExternalName", externalName=last)
    found = said(bare(), first, second, service("c"))
    assert [why in each.message for each in found] == [True] * bool(why)


@pytest.mark.parametrize(("port", "lacking"), [(8000, False), (9000, True)])
def test_sidecars_know_what_a_primary_stands_for_on_its_own_ports_alone(port: int, *, lacking: bool) -> None:
    route = to(host="d.hello.svc.cluster.local")
    alias = service("d", type="ExternalName", externalName=C, ports=[{"name": "grpc", "port": port}])
    found = said(route, service("a"), alias, service("c"))
    assert [f"stands for {C} on its own ports alone" in each.message for each in found] == [True] * lacking


@pytest.mark.parametrize(("protocol", "lacking"), [("TCP", False), ("UDP", True)])
def test_a_port_for_datagrams_has_no_cluster(protocol: str, *, lacking: bool) -> None:
    primary = service("a", ports=[{"name": "grpc", "port": 8000, "protocol": protocol}])
    assert bool(said(bare(), primary)) is lacking
    target = service("b", ports=[{"name": "grpc", "port": 8000, "protocol": protocol}])
    found = findings(mesh([bare(), service("a"), target]), "mirror-target-port-undefined")
    assert ["Service hello/b has no port, not 8000" in each.message for each in found] == [True] * lacking


def test_the_entry_of_a_delegate_is_named_in_the_delegate() -> None:
    root, delegate = bare(), to(port={"number": 81})
    root["spec"]["http"] = [{"delegate": {"name": "child"}, "mirror": {"host": B, "port": {"number": 8000}}}]
    delegate["metadata"]["name"] = "child"
    del delegate["spec"]["hosts"], delegate["spec"]["http"][0]["mirror"]
    [found] = said(root, delegate, service("a"))
    assert (found.object, found.field) == ("VirtualService hello/child", "spec.http[0]")


FOR_ALL, FOR_LAB = {"uri": {"prefix": "/a"}}, {"uri": {"prefix": "/a"}, "sourceNamespace": "lab"}
FOR_OWN = {"uri": {"prefix": "/b"}, "sourceNamespace": "hello"}


@pytest.mark.parametrize(("matches", "lacking"), [([FOR_ALL], False), ([FOR_ALL, FOR_LAB], True), ([FOR_OWN], False)])
def test_sidecars_know_a_hidden_primary_by_an_entry_that_names_no_other_namespaces_alone(
    matches: list[Object], *, lacking: bool
) -> None:
    sidecar: Object = {"apiVersion": "networking.istio.io/v1", "kind": "Sidecar"}
    sidecar |= {"metadata": {"name": "narrow", "namespace": "hello"}}
    sidecar["spec"] = {"egress": [{"hosts": [f"*/{A}"]}]}
    route = to(host=C)
    route["spec"]["http"][0]["match"] = matches
    found = said(route, sidecar, service("a"), service("c"))
    assert [f"sidecars in hello know no {C}: their Sidecar" in each.message for each in found] == [True] * lacking


@pytest.mark.parametrize(("hosts", "told"), [(["./*"], True), (["*/*"], False), (["./*", "lab/out.example"], False)])
def test_what_an_alias_stands_for_must_be_seen_itself(hosts: list[str], *, told: bool) -> None:
    """Where an entry leads makes the alias known to sidecars, and not the host behind it."""
    alias = service("a", type="ExternalName", externalName="out.example")
    outside: Object = {"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry"}
    outside["metadata"] = {"name": "out", "namespace": "lab"}
    ports = [{"name": "http", "number": 8000, "protocol": "HTTP"}]
    outside["spec"] = {"hosts": ["out.example"], "ports": ports, "resolution": "DNS"}
    sidecar: Object = {"apiVersion": "networking.istio.io/v1", "kind": "Sidecar"}
    sidecar |= {"metadata": {"name": "narrow", "namespace": "hello"}, "spec": {"egress": [{"hosts": hosts}]}}
    assert bool(said(bare(), alias, outside, sidecar)) is told


def behind_a_waypoint(exports: str, *ports: Object) -> list[Object]:
    """The Service of the primary behind a waypoint, and its namespace."""
    namespace: Object = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "hello"}}
    namespace["metadata"]["labels"] = {"istio.io/dataplane-mode": "ambient", "istio.io/use-waypoint": "way"}
    own = service("a", ports=list(ports))
    own["metadata"]["annotations"] = {"networking.istio.io/exportTo": exports}
    return [namespace, own]


@pytest.mark.parametrize(
    ("exports", "port", "told"), [("lab", 9000, True), ("lab", 8000, False), ("hello", 9000, False)]
)
def test_a_waypoint_takes_ports_of_its_service_for_http_where_it_does_not_see_it(
    exports: str, port: int, *, told: bool
) -> None:
    objects = behind_a_waypoint(exports, {"name": "grpc", "port": 8000}, {"name": "tcp", "port": 9000})
    found = said(to(port={"number": port}), *objects)
    assert [f"takes its port {port} for HTTP" in each.message for each in found] == [True] * told


@pytest.mark.parametrize(("exports", "told"), [("lab", True), ("hello", False)])
def test_without_a_port_a_waypoint_sends_to_the_only_one_of_what_it_sees(exports: str, *, told: bool) -> None:
    route = to(port={})
    route["spec"]["hosts"] = [B]
    found = said(route, *behind_a_waypoint(exports, {"name": "grpc", "port": 9000}))
    assert ["has no port 8000, as requests have at hello/way" in each.message for each in found] == [True] * told
