"""What overlays are judged by beyond one mesh for each answer: order, reach, and what cannot be read."""

import copy
from typing import Any

import pytest

from pulumi_traffic_mirror.model import GatewayHosts, InClusterMirror, MeshService, Waiver, WaypointService
from pulumi_traffic_mirror.model.rules import UNKNOWN, Finding, Mesh, Outcome
from tests.unit.model.overlay_cases import NEXT, ORDERS, around, overlay_objects, replacing, with_patches
from tests.unit.model.samples import HOST, Object, findings, mesh, service

AT_GATEWAY = (GatewayHosts(hosts=[HOST]),)
AT_WAYPOINT = (WaypointService(ORDERS, 8080),)


def made(objects: list[Object], *more: Object) -> Mesh:
    return mesh([*objects, *around(), *more])


def dated(each: Object, second: int) -> Object:
    changed = copy.deepcopy(each)
    changed["metadata"]["creationTimestamp"] = f"2026-01-01T00:00:0{second}Z"
    return changed


def filters(objects: list[Object]) -> list[Object]:
    return [each for each in objects if each["kind"] == "EnvoyFilter"]


def other(priority: int = 10, namespace: str = "istio-system", **match: Any) -> Object:
    changed = copy.deepcopy(replacing(priority))
    changed["metadata"]["namespace"] = namespace
    changed["spec"]["configPatches"][0]["match"] = match
    return changed


def vhost(**host: Any) -> dict[str, Any]:
    return {"routeConfiguration": {"vhost": host}}


@pytest.mark.parametrize(
    ("mine", "theirs", "told"),
    [
        (1, other(11), True),
        (1, other(9), False),
        # Of equal priority the older one comes first, those of the root namespace before all others.
        (1, dated(other(), 2), True),
        (2, dated(other(), 1), False),
        (0, other(), True),
        (2, dated(other(namespace="hello"), 1), True),
        # Who replaces mirrors elsewhere takes nothing away.
        (1, other(11, context="SIDECAR_OUTBOUND"), False),
        (1, other(11, **vhost(domainName="else.example")), False),
        (1, other(11, **vhost(domainName=HOST)), True),
        (1, other(11, **vhost(route={"name": "orders"})), True),
    ],
)
def test_what_replaces_lists_after_an_overlay_is_told(mine: int, theirs: Object, told: bool) -> None:
    objects = overlay_objects(on=AT_GATEWAY)
    objects = [dated(each, mine) if mine else each for each in objects]
    assert bool(findings(made(objects, theirs), "overlay-order")) is told


def test_a_patch_of_other_routes_leaves_an_overlay_of_named_routes_alone() -> None:
    objects = overlay_objects(on=AT_GATEWAY, routes=["cart"])
    assert not findings(made(objects, other(11, **vhost(route={"name": "orders"}))), "overlay-order")
    assert findings(made(objects, other(11, **vhost(route={"name": "cart"}))), "overlay-order")


def test_no_patch_of_routes_takes_anything_from_a_waypoint() -> None:
    assert not findings(made(overlay_objects(on=AT_WAYPOINT), other(11)), "overlay-order")


def istiod(value: str) -> Object:
    env = [{"name": "PILOT_FILTER_GATEWAY_CLUSTER_CONFIG", "value": value}]
    container = {"name": "discovery", "image": "istio/pilot:1.31.0", "env": env}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "istiod", "namespace": "istio-system", "labels": {"app": "istiod"}},
        "spec": {"template": {"spec": {"containers": [container]}}},
    }


@pytest.mark.parametrize(("value", "told"), [("true", True), ("false", False)])
def test_a_gateway_that_gets_only_what_its_routes_name_must_know_the_mirror(value: str, told: bool) -> None:
    objects = overlay_objects(on=AT_GATEWAY)
    assert not findings(made(objects, istiod(value)), "overlay-hidden-cluster")
    for each in filters(objects):
        del each["metadata"]["annotations"]["envoyfilter.istio.io/referenced-services"]
    assert bool(findings(made(objects, istiod(value)), "overlay-hidden-cluster")) is told


def waypoint(gateway_class: str = "istio-waypoint") -> Object:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "waypoint", "namespace": "hello"},
        "spec": {"gatewayClassName": gateway_class, "listeners": [{"name": "m", "port": 15008, "protocol": "HBONE"}]},
    }


def aimed_at_waypoint(reference: Object, context: str = "SIDECAR_OUTBOUND") -> list[Object]:
    """Patches of routes in an EnvoyFilter for a waypoint."""
    objects = overlay_objects(on=AT_GATEWAY)
    for each in filters(objects):
        each["metadata"]["namespace"] = "hello"
        each["spec"]["targetRefs"] = [{"group": "gateway.networking.k8s.io", **reference}]
        for patch in each["spec"]["configPatches"]:
            if patch["applyTo"] == "HTTP_ROUTE":
                patch["match"]["context"] = context
    return objects


@pytest.mark.parametrize(
    ("reference", "gateway_class", "told"),
    [
        ({"kind": "Gateway", "name": "waypoint"}, "istio-waypoint", True),
        ({"kind": "GatewayClass", "name": "istio-waypoint"}, "istio-waypoint", True),
        ({"kind": "Gateway", "name": "waypoint"}, "istio", False),
    ],
)
def test_patches_of_routes_run_at_no_waypoint(reference: Object, gateway_class: str, told: bool) -> None:
    found = findings(made(aimed_at_waypoint(reference), waypoint(gateway_class)), "overlay-waypoint-target")
    assert ["HTTP_ROUTE" in each.message for each in found] == ([True] if told else [])


def test_the_context_of_waypoints_is_no_proxy_s() -> None:
    objects = aimed_at_waypoint({"kind": "Gateway", "name": "waypoint"}, context="WAYPOINT")
    (found,) = findings(made(objects, waypoint()), "overlay-waypoint-target")
    assert "WAYPOINT" in found.message


def free_form(patch: Any) -> None:
    """Aim by an expression of another form."""
    for header in patch["patch"]["value"]["request_headers_to_add"]:
        header["header"]["value"] = "%CEL(request.size < 10 ? 'a' : '')%"


def test_what_only_the_proxy_understands_is_not_judged() -> None:
    def told(rule: str) -> list[Finding]:
        return findings(with_patches(free_form)(), rule)

    found = told("overlay-side-effects")
    assert found
    assert {each.outcome for each in found} == {Outcome.NOT_JUDGED}
    assert "only the proxy understands" in found[0].message
    # One finding for each mirror says it; who aims by nothing at all is told of the header alone.
    assert not told("overlay-websockets")


def other_mark(patch: Any) -> None:
    """Put another mark on the copies."""
    for policy in patch["patch"]["value"]["route"]["request_mirror_policies"]:
        for mutation in policy["request_headers_mutations"]:
            if "append" in mutation:
                mutation["append"]["header"]["key"] = "x-other"


def test_a_mark_that_the_condition_does_not_leave_out_is_none() -> None:
    assert {each.outcome for each in findings(with_patches(other_mark)(), "overlay-unmarked")} == {Outcome.BROKEN}


def test_an_overlay_whose_scrub_is_waived_has_no_mark_with_the_same_reason() -> None:
    waived = InClusterMirror(percent=100, service=NEXT, name="next", scrub=Waiver(reason="a test without credentials"))
    found = findings(made(overlay_objects(on=AT_GATEWAY, mirrors=[waived])), "overlay-unmarked")
    assert {(each.outcome, each.reason) for each in found} == {(Outcome.WAIVED, "a test without credentials")}


FOREIGN = "stock.depot.svc.cluster.local"
AT_FOREIGN = {"on": (MeshService(FOREIGN, 80),), "name": "stock"}


def nameless() -> Object:
    """A Service of that namespace whose name only a deployment decides."""
    found = service("stock", "depot", ports=[{"name": "http", "port": 80}])
    found["metadata"]["name"] = UNKNOWN
    return found


@pytest.mark.parametrize(
    ("found", "outcomes"),
    [
        ([service("stock", "depot", ports=[{"name": "http", "port": 80}])], set()),
        ([service("stock", "hello", ports=[{"name": "http", "port": 80}])], {Outcome.BROKEN}),
        ([service("stock", "depot", ports=[{"name": "http", "port": 8080}])], {Outcome.BROKEN}),
        ([], {Outcome.BROKEN}),
        # What may be the Service is named as what hides the verdict.
        ([nameless()], {Outcome.NOT_JUDGED}),
        ([service("stock", "depot", ports=[{"name": "http", "port": UNKNOWN}])], {Outcome.NOT_JUDGED}),
        ([service("stock", "depot", ports=UNKNOWN)], {Outcome.NOT_JUDGED}),
    ],
)
def test_an_overlay_on_a_service_of_another_namespace_is_judged_by_that_service(
    found: list[Object], outcomes: set[Outcome]
) -> None:
    told = findings(made(overlay_objects(**AT_FOREIGN), *found), "overlay-unmatched")
    assert {each.outcome for each in told} == outcomes
    if Outcome.NOT_JUDGED in outcomes:
        assert {each.object.partition(" ")[0] for each in told} == {"Service"}


def test_an_overlay_on_a_service_of_another_namespace_is_not_missed_where_objects_may_be_elsewhere() -> None:
    part = mesh([*overlay_objects(**AT_FOREIGN), *around()], complete=False)
    assert not findings(part, "overlay-unmatched")
