"""Which waypoint stands before a Service, and what it sends."""

import pytest

from tests.unit.model.rule_cases import bare
from tests.unit.model.samples import Object, findings, mesh, service

USE, PLACE = "istio.io/use-waypoint", "istio.io/use-waypoint-namespace"
ELSEWHERE = {USE: "way", PLACE: "infra"}


def space(**labels: str) -> Object:
    """The ambient namespace of the route."""
    marks = {"istio.io/dataplane-mode": "ambient", **labels}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "hello", "labels": marks}}


def way(chosen: str = "", kind: str = "") -> Object:
    """A waypoint in another namespace, and whose Services it takes."""
    listener: Object = {"name": "mesh", "port": 15008, "protocol": "HBONE"}
    if chosen:
        listener["allowedRoutes"] = {"namespaces": {"from": chosen}}
    metadata: Object = {"name": "way", "namespace": "infra"}
    if kind:
        metadata["labels"] = {"istio.io/waypoint-for": kind}
    spec = {"gatewayClassName": "istio-waypoint", "listeners": [listener]}
    return {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": metadata, "spec": spec}


def using(**labels: str) -> Object:
    """The Service of the route, with labels of its own."""
    made = service("a")
    made["metadata"]["labels"] = labels
    return made


def unsent(*objects: Object, **route: object) -> list[str]:
    """What is said of a mirror for the Service that nobody sends."""
    judged = mesh([bare(**route), service("b"), *objects])
    return [each.message for each in findings(judged, "mirror-never-sent")]


@pytest.mark.parametrize(("chosen", "sent"), [("All", True), ("Same", False), ("", False)])
def test_a_waypoint_elsewhere_takes_only_services_of_namespaces_that_it_lets_in(chosen: str, sent: bool) -> None:
    assert (unsent(way(chosen), using(**ELSEWHERE), space()) == []) is sent
    assert (unsent(way(chosen), using(), space(**ELSEWHERE)) == []) is sent


@pytest.mark.parametrize(("kind", "sent"), [("service", True), ("all", True), ("workload", False), ("none", False)])
def test_a_waypoint_of_workloads_takes_no_services(kind: str, sent: bool) -> None:
    assert (unsent(way("All", kind), using(**ELSEWHERE), space()) == []) is sent


def test_what_a_service_says_goes_before_what_its_namespace_says() -> None:
    around = space(**{USE: "near"})
    assert unsent(using(), around) == []
    assert unsent(using(**{USE: "none"}), around)
    judged = mesh([bare(), service("b"), using(**{USE: "none"}), around])
    [found] = findings(judged, "mirror-ambient-without-waypoint")
    assert found.message == "Service hello/a of an ambient namespace has no waypoint"


def test_a_waypoint_leaves_matches_by_labels_of_callers_out() -> None:
    match = [{"sourceLabels": {"app": "a"}}]
    assert unsent(using(), space(**{USE: "near"}), match=match)
    assert unsent(using(), space(**{USE: "near"}), match=[*match, {"method": {"exact": "GET"}}]) == []


def test_no_waypoint_stands_before_the_service_of_a_waypoint() -> None:
    managed = using(**{"gateway.istio.io/managed": "istio.io-mesh-controller"})
    assert unsent(managed, space(**{USE: "near"}))
