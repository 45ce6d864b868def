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
    assert all("the waypoint of hello knows no b.lab" in each.message for each in found)


def test_another_route_by_name_makes_a_target_known_to_the_waypoint() -> None:
    named = bare()
    named["metadata"]["name"] = "named"
    named["spec"]["http"][0]["mirror"]["host"] = "b.lab.svc.cluster.local"
    found = findings(mesh([*ambient("*.hello.svc.cluster.local"), named]), "mirror-target-hidden")
    assert found == []
