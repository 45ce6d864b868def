"""Which proxies the EnvoyFilters of routes and receivers reach: no more than mirror."""

from typing import Any

import pytest

from pulumi_traffic_mirror.model import GatewayRef, client_server, render
from tests.unit.model.samples import HOST, cross_cluster, findings, in_cluster, mesh, plain, receiver, route

LABELS = {"istio": "edge"}
EDGE = GatewayRef(name="edge", namespace="gateways", labels=LABELS)
ANY = GatewayRef(name="edge", namespace="gateways")


def placed(gateway: GatewayRef = EDGE, **changes: Any) -> tuple[str, Any]:
    found = render.envoy_filter(route(gateway=gateway, **changes))
    assert found is not None
    (read,) = plain([found])
    return read["metadata"]["namespace"], read["spec"].get("workloadSelector")


@pytest.mark.parametrize(
    "changes", [{"mesh": False}, {"mirrors": [cross_cluster()]}], ids=["gateway only", "other cluster"]
)
def test_a_filter_for_a_gateway_alone_reaches_the_gateway_s_pods(changes: dict[str, Any]) -> None:
    assert placed(**changes) == ("gateways", {"labels": LABELS})
    assert placed(ANY, **changes) == ("gateways", None)


def test_a_filter_that_callers_inside_the_mesh_need_reaches_them_all() -> None:
    assert placed(mesh=True, mirrors=[in_cluster()]) == ("istio-system", None)


def test_a_receiver_s_filter_reaches_the_gateway_that_copies_enter_by() -> None:
    (found,) = plain([render.receiver_envoy_filter(receiver(gateway=EDGE))])
    assert (found["metadata"]["namespace"], found["spec"]["workloadSelector"]) == ("gateways", {"labels": LABELS})


def test_rules_see_that_such_a_filter_holds_for_the_gateway() -> None:
    """Bound and scrub are believed although the filter is not in the root namespace."""
    given = route(mesh=False, gateway=EDGE)
    edge = render.gateway(EDGE, {**LABELS}, [client_server([HOST])])
    objects = [*render.destination_rules(given), render.virtual_service(given), edge]
    for rule in ("mirror-unbounded-life", "mirror-credentials"):
        assert not findings(mesh(plain([*objects, render.envoy_filter(given)])), rule)
        assert findings(mesh(plain(objects)), rule), rule
