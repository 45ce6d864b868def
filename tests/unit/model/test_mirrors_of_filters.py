"""Mirrors that an EnvoyFilter makes where no route lists them, or where a route's own is left out."""

import pytest

from tests.unit.model.rule_cases import bare, elsewhere
from tests.unit.model.samples import Object, deployment, findings, mesh, service

B = "outbound|8000||b.hello.svc.cluster.local"
LISTS = "MERGE_AND_REPLACE_LIST"


def mirroring(
    context: str, vhost: Object | None = None, *, operation: str = LISTS, to: str = B, **spec: object
) -> Object:
    """An EnvoyFilter in `hello` that writes a mirror into routes."""
    match: Object = {"context": context, "routeConfiguration": {"vhost": vhost or {"route": {}}}}
    value = {"route": {"request_mirror_policies": [{"cluster": to}]}}
    patch = {"applyTo": "HTTP_ROUTE", "match": match, "patch": {"operation": operation, "value": value}}
    return {
        "apiVersion": "networking.istio.io/v1alpha3",
        "kind": "EnvoyFilter",
        "metadata": {"name": "mirrors", "namespace": "hello"},
        "spec": {"configPatches": [patch], **spec},
    }


def unlisted(*objects: Object) -> list[str]:
    return [found.message for found in findings(mesh(objects), "envoy-filter-mirrors")]


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (mirroring("SIDECAR_INBOUND"), True),
        (mirroring("SIDECAR_INBOUND", {"route": {"name": "default"}}), True),
        (mirroring("SIDECAR_INBOUND", {"route": {"name": "a"}}), False),
        (mirroring("SIDECAR_INBOUND", {"route": {"action": "REDIRECT"}}), False),
        (mirroring("SIDECAR_INBOUND", operation="REPLACE"), False),
        (mirroring("SIDECAR_INBOUND", workloadSelector={"labels": {"app": "none"}}), False),
    ],
    ids=["every route", "the default one", "an entry's", "redirects", "replaces nothing", "other pods"],
)
def test_a_mirror_of_what_pods_take_in_is_on_no_list(written: Object, told: bool) -> None:
    """Proxies take everything in by routes of their own, which have the name `default`."""
    assert bool(unlisted(bare(name="a"), service("a"), service("b"), deployment("a", app="a"), written)) is told


@pytest.mark.parametrize(
    ("vhost", "told"),
    [
        ({"name": "a.hello.svc.cluster.local:8000"}, False),
        ({"name": "c.hello.svc.cluster.local:8000"}, True),
        ({"name": "a.hello.svc.cluster.local:8000", "route": {"name": "default"}}, False),
        ({"route": {"name": "default"}}, True),
    ],
    ids=["a routed host", "a host without a route", "routed, the default one", "the default one of all"],
)
def test_a_mirror_for_what_sidecars_have_of_services_by_themselves_is_on_no_list(vhost: Object, told: bool) -> None:
    objects = [bare(), service("a"), service("b"), service("c")]
    assert bool(unlisted(*objects, mirroring("SIDECAR_OUTBOUND", vhost))) is told


GATEWAY: Object = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "Gateway",
    "metadata": {"name": "gw", "namespace": "hello"},
    "spec": {
        "gatewayClassName": "istio",
        "listeners": [
            {"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "All"}}}
        ],
    },
}


def native() -> Object:
    """A route that sends requests on at that gateway, and mirrors them to `next`."""
    route = elsewhere()
    route["spec"]["rules"][0]["backendRefs"] = [{"name": "a", "port": 8000}]
    return route


THERE = "outbound|8000||b.next.svc.cluster.local"


@pytest.mark.parametrize(("operation", "context"), [(LISTS, "GATEWAY"), ("MERGE", "ANY")])
def test_what_a_filter_writes_needs_no_grant_and_is_on_no_list(operation: str, context: str) -> None:
    """Istio leaves a mirror out that nothing grants, and an EnvoyFilter writes it all the same."""
    objects = [native(), GATEWAY, service("a"), service("b", "next")]
    assert findings(mesh(objects), "mirror-not-granted")
    written = mirroring(context, {"route": {"name": "hello.a.0"}}, operation=operation, to=THERE)
    judged = mesh([*objects, written])
    assert findings(judged, "mirror-not-granted") == []
    assert findings(judged, "mirror-policy-drift") == []
    assert findings(judged, "envoy-filter-mirrors")


def test_a_filter_for_sidecars_grants_a_gateway_nothing() -> None:
    written = mirroring("SIDECAR_OUTBOUND", {"route": {"name": "hello.a.0"}}, to=THERE)
    objects = [native(), GATEWAY, service("a"), service("b", "next"), written]
    assert findings(mesh(objects), "mirror-not-granted")
