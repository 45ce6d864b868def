"""What is certain because istiod shows it, and what is not because it was not asked for all that matters."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from pulumi_traffic_mirror.model.rules import Mesh, run_rules
from pulumi_traffic_mirror.operations.oracle import Oracle, confirm, question_of
from pulumi_traffic_mirror.operations.oracle.rendered import named_entries
from pulumi_traffic_mirror.operations.oracle.showing import ABSENT, UNANSWERED, UNBOUNDED, UNSENT, shown
from tests.differential.claims import claims_of
from tests.support.oracle import made

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ISTIO = "networking.istio.io/v1"
COPY = "copy.shop.svc.cluster.local"
EXPORT = "networking.istio.io/exportTo"
OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def service(
    name: str, port: int = 80, namespace: str = "shop", *, exported: str = "", **spec: object
) -> dict[str, Any]:
    """A Service for requests."""
    ports = [{"name": "http", "port": port}]
    found = made("v1", "Service", name, namespace, **{"selector": {"app": name}, "ports": ports, **spec})
    found["metadata"]["annotations"] = {EXPORT: exported} if exported else {}
    return found


def entry(host: str, namespace: str, port: int) -> dict[str, Any]:
    """A ServiceEntry."""
    ports = [{"number": port, "name": "http", "protocol": "HTTP"}]
    addresses = [{"address": "192.0.2.1"}]
    spec = {"hosts": [host], "ports": ports, "resolution": "STATIC", "endpoints": addresses}
    return made(ISTIO, "ServiceEntry", "e", namespace, **spec)


def route(*mirrors: dict[str, Any], primary: str = "web") -> dict[str, Any]:
    """A route for one host, which mirrors."""
    targets = [{"destination": each} for each in mirrors or [{"host": COPY}]]
    rule = {"route": [{"destination": {"host": primary}}], "mirrors": targets, "timeout": "1s"}
    return made(ISTIO, "VirtualService", "v", hosts=["web"], http=[rule])


def behind(routing: dict[str, Any]) -> dict[str, Any]:
    """A route behind one that takes every request."""
    [rule] = routing["spec"]["http"]
    return {**routing, "spec": {**routing["spec"], "http": [{"route": rule["route"]}, rule]}}


def endless(routing: dict[str, Any]) -> dict[str, Any]:
    """A route without a timeout."""
    [rule] = routing["spec"]["http"]
    kept = {key: each for key, each in rule.items() if key != "timeout"}
    return {**routing, "spec": {**routing["spec"], "http": [kept]}}


def aborting(routing: dict[str, Any]) -> dict[str, Any]:
    """A route that answers every request with an error."""
    [rule] = routing["spec"]["http"]
    fault = {"abort": {"httpStatus": 503, "percentage": {"value": 100}}}
    return {**routing, "spec": {**routing["spec"], "http": [{**rule, "fault": fault}]}}


def to_port(port: int, routing: dict[str, Any]) -> dict[str, Any]:
    """A route whose primary has a port."""
    [rule] = routing["spec"]["http"]
    [primary] = rule["route"]
    aimed = {"destination": {**primary["destination"], "port": {"number": port}}}
    return {**routing, "spec": {**routing["spec"], "http": [{**rule, "route": [aimed]}]}}


def chosen(kind: str, *, key: str = "labels", version: str = ISTIO, **spec: object) -> dict[str, Any]:
    """An object for some workloads only."""
    return made(version, kind, "some", **{"workloadSelector": {key: {"app": "caller"}}, **spec})


def alias(to: str) -> dict[str, Any]:
    """A Service that stands for another host."""
    return service("copy", type="ExternalName", externalName=to)


def bounding() -> dict[str, Any]:
    """An EnvoyFilter that ends the copies of some workloads."""
    value = {"@type": f"type.googleapis.com/{OPTIONS}", "common_http_protocol_options": {"max_stream_duration": "5s"}}
    value["explicit_http_config"] = {"http_protocol_options": {}}
    patch = {
        "applyTo": "CLUSTER",
        "match": {"context": "SIDECAR_OUTBOUND", "cluster": {"name": f"outbound|80||{COPY}"}},
        "patch": {"operation": "MERGE", "value": {"typed_extension_protocol_options": {OPTIONS: value}}},
    }
    return chosen("EnvoyFilter", version="networking.istio.io/v1alpha3", configPatches=[patch])


def waypoint() -> list[Any]:
    """A waypoint, and its namespace."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
    namespace["metadata"]["labels"] = {"istio.io/dataplane-mode": "ambient", "istio.io/use-waypoint": "way"}
    listener = {"name": "mesh", "port": 15008, "protocol": "HBONE"}
    parts = {"gatewayClassName": "istio-waypoint", "listeners": [listener]}
    return [namespace, made("gateway.networking.k8s.io/v1", "Gateway", "way", **parts)]


SUBSET = [{"name": "v2", "labels": {"version": "2"}}]

MESHES: dict[str, tuple[Sequence[Any], set[str]]] = {
    "all is well": ([service("web"), service("copy"), route()], set()),
    "a route behind one for all": ([service("web"), service("copy"), behind(route())], {UNSENT}),
    "a port that the primary lacks": ([service("web"), service("copy"), to_port(81, route())], {UNANSWERED}),
    "aborted requests": ([service("web"), service("copy"), aborting(route())], set()),
    "no end": ([service("web"), service("copy"), endless(route())], {UNBOUNDED}),
    "a port that another Service has": (
        [service("web", 8000), service("copy", 8000), service("edge", 80, "istio-system"), route()],
        set(),
    ),
    "an alias": ([service("web", 8000), service("real"), alias("real.shop.svc.cluster.local"), route()], set()),
    "an alias elsewhere": ([service("web"), alias("shop.example"), route()], set()),
    "a target for nobody": ([service("web"), service("copy", exported="~"), route()], set()),
    "a primary for nobody": (
        [service("web"), service("old", exported="~"), service("copy"), route(primary="old")],
        set(),
    ),
    "a target that others do not see": (
        [service("web"), service("copy", exported="."), service("bill", namespace="billing"), route()],
        set(),
    ),
    "a subset for some callers": (
        [
            *(service("web"), service("copy"), route({"host": COPY, "subset": "v2"})),
            chosen("DestinationRule", key="matchLabels", host=COPY, subsets=SUBSET),
        ],
        set(),
    ),
    "hidden but from some callers": (
        [
            *(service("web"), service("copy"), route()),
            *(chosen("Sidecar", egress=[{"hosts": ["./*"]}]), made(ISTIO, "Sidecar", "s", egress=[{"hosts": ["~/*"]}])),
        ],
        set(),
    ),
    "an end for some callers": ([service("web"), service("copy"), endless(route()), bounding()], set()),
    "a target that is defined twice": (
        [
            service("web"),
            entry("copy.example", "a", 80),
            entry("copy.example", "b", 81),
            route({"host": "copy.example"}),
        ],
        set(),
    ),
    "a headless target behind a waypoint": (
        [*waypoint(), service("web"), service("copy", clusterIP="None"), route()],
        set(),
    ),
}


@pytest.mark.parametrize("name", MESHES)
def test_what_istiod_shows_is_certain_where_nothing_else_decides_it(oracle: Oracle, name: str) -> None:
    objects, expected = MESHES[name]
    claims = claims_of(objects)
    found = confirm(claims.cluster, claims.findings, oracle).by_istiod
    assert {each.rule for each in found} & {UNSENT, ABSENT, UNANSWERED, UNBOUNDED} == expected


@pytest.mark.parametrize(("root", "expected"), [("roots", set[str]()), ("istio-system", {UNBOUNDED})])
def test_istiod_is_asked_about_the_root_namespace_that_the_cluster_has(
    oracle: Oracle, root: str, expected: set[str]
) -> None:
    reaching = bounding()
    reaching["metadata"]["namespace"] = "roots"
    del reaching["spec"]["workloadSelector"]
    objects = [service("web"), service("copy"), endless(route()), reaching]
    cluster = replace(claims_of(objects).cluster, root_namespace=root)
    found = confirm(cluster, run_rules(Mesh(clusters=[cluster])), oracle).by_istiod
    assert {each.rule for each in found} & {UNSENT, ABSENT, UNANSWERED, UNBOUNDED} == expected


def test_a_mirror_without_a_port_shows_nothing_of_one_beside_it_whose_port_its_host_lacks(oracle: Oracle) -> None:
    objects = [service("web"), service("copy"), route({"host": COPY, "port": {"number": 81}}, {"host": COPY})]
    question, cluster = question_of(named_entries(objects)), claims_of(objects).cluster
    answers = [oracle.ask(question)]
    absent = {each.node.key: ABSENT in shown(cluster, each, question, answers).facts for each in cluster.routing.sent}
    assert absent == {0: True, 1: False}
