"""Objects of several namespaces: which of them a gateway takes, and which a proxy sees."""

from typing import Any

import pytest

from tests.unit.model.rule_cases import bare, elsewhere, grant, namespace
from tests.unit.model.samples import HOST, Object, changed, deployment, findings, mesh, of_kind, sending
from tests.unit.model.test_foreign_routes import ALL, PARENT, native, native_gateway


def listener_set(kind: str = "ListenerSet", group: str = "gateway.networking.k8s.io/v1", **listener: Any) -> Object:
    """Listeners in `front` for the gateway of the samples."""
    return {
        "apiVersion": group,
        "kind": kind,
        "metadata": {"name": "set", "namespace": "front"},
        "spec": {"parentRef": PARENT, "listeners": [{"port": 8000, "protocol": "HTTP", "hostname": HOST, **listener}]},
    }


@pytest.mark.parametrize(
    ("allowed", "objects", "taken"),
    [
        (None, [], False),
        ({"namespaces": {}}, [], False),
        ({"namespaces": {"from": "Same"}}, [], False),
        (ALL, [], True),
        ({"namespaces": {"from": "Selector", "selector": {"matchLabels": {"team": "a"}}}}, [], True),
        (
            {"namespaces": {"from": "Selector", "selector": {"matchLabels": {"team": "a"}}}},
            [namespace(team="a")],
            True,
        ),
        (
            {"namespaces": {"from": "Selector", "selector": {"matchLabels": {"team": "a"}}}},
            [namespace(team="b")],
            False,
        ),
        (
            {"namespaces": {"from": "Selector", "selector": {"matchLabels": {"kubernetes.io/metadata.name": "hello"}}}},
            [namespace()],
            True,
        ),
    ],
)
def test_a_listener_takes_the_namespaces_that_it_allows(
    allowed: Object | None, objects: list[Object], taken: bool
) -> None:
    gateway = native_gateway(**({"allowedRoutes": allowed} if allowed else {}))
    found = findings(mesh([native(), gateway, *objects]), "gateway-namespace")
    assert (found == []) is taken
    assert all(finding.field == "spec.parentRefs" for finding in found)


@pytest.mark.parametrize(
    ("kind", "group"),
    [
        ("ListenerSet", "gateway.networking.k8s.io/v1"),
        ("XListenerSet", "gateway.networking.x-k8s.io/v1alpha1"),
    ],
)
def test_a_set_of_listeners_is_its_gateway_s(kind: str, group: str) -> None:
    parent = {"kind": kind, "name": "set", "namespace": "front"}
    route = native(parent=parent)
    objects = [route, native_gateway(hostname="other.example"), listener_set(kind, group, allowedRoutes=ALL)]
    judged = mesh(objects)
    [mirror_entry] = judged.clusters[0].routing.mirror_entries
    assert (mirror_entry.route.gateways, mirror_entry.route.hosts) == (("istio-system/internal-gateway",), (HOST,))
    assert [rule.rule for rule in findings(judged) if rule.rule.startswith("gateway-")] == []
    closed = mesh([*objects[:2], listener_set(kind, group)])
    assert findings(closed, "gateway-namespace")
    assert findings(mesh(objects[:2]), "gateway-undefined")[0].message == "no Gateway front/set is defined"


@pytest.mark.parametrize(
    ("exports", "seen"), [([], True), (["*"], True), (["istio-system"], True), (["."], False), (["hello"], False)]
)
def test_a_gateway_sees_what_is_exported_to_it(exports: list[str], seen: bool) -> None:
    found = findings(mesh(changed(sending(), "VirtualService", "spec.exportTo", exports)), "gateway-namespace")
    assert (found == []) is seen
    assert all((finding.field, "exportTo" in finding.remedy) == ("spec.exportTo", True) for finding in found)


@pytest.mark.parametrize(
    ("hosts", "taken"),
    [
        ([f"*/{HOST}"], True),
        (["hello/*"], True),
        (["./*", f"hello/{HOST}"], True),
        ([f"other/{HOST}", "hello/b.example"], False),
    ],
)
def test_a_server_takes_the_namespaces_that_it_lists(hosts: list[str], taken: bool) -> None:
    judged = mesh(changed(sending(), "Gateway", "spec.servers.0.hosts", hosts))
    assert (findings(judged, "gateway-namespace") == []) is taken


def test_private_routes_of_two_namespaces_are_no_two_owners() -> None:
    first, second = bare(), bare()
    second["metadata"] = {"name": "a", "namespace": "other"}
    assert findings(mesh([first, second]), "host-routed-twice")
    for each in (first, second):
        each["spec"]["exportTo"] = ["."]
    assert findings(mesh([first, second]), "host-routed-twice") == []
    second["spec"]["exportTo"] = ["hello"]
    assert findings(mesh([first, second]), "host-routed-twice")


@pytest.mark.parametrize(
    ("granted", "named"),
    [
        (grant("HTTPRoute"), True),
        (grant("HTTPRoute", name="b"), True),
        (grant("HTTPRoute", name="c"), False),
        (grant("HTTPRoute", "other"), False),
    ],
)
def test_a_grant_counts_for_what_it_names(granted: Object, named: bool) -> None:
    assert (findings(mesh([elsewhere(), granted]), "mirror-not-granted") == []) is named


def test_callers_in_the_mesh_need_no_grant() -> None:
    route = elsewhere()
    route["spec"]["parentRefs"] = [{"kind": "Service", "group": "", "name": "a"}]
    assert findings(mesh([route]), "mirror-not-granted") == []


def test_a_service_entry_as_parent_has_its_own_hosts() -> None:
    entry = of_kind(sending(), "ServiceEntry")
    parent = {"kind": "ServiceEntry", "group": "networking.istio.io", "name": entry["metadata"]["name"]}
    [cluster] = mesh([native(parent=parent), entry]).clusters
    [mirror_entry] = cluster.routing.mirror_entries
    assert mirror_entry.route.hosts == (HOST, *entry["spec"]["hosts"])


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        ({"app": "greeter"}, False),
        ({"app": "istiod", "istio": "pilot"}, False),
        ({"app": "other", "istio": "ingressgateway"}, True),
    ],
)
def test_only_gateways_tell_that_a_selector_finds_none(labels: dict[str, str], found: bool) -> None:
    selector = {"app": "gateway", "istio": "internal-gateway"}
    objects = changed(sending(), "Gateway", "spec.selector", selector)
    judged = mesh([*objects, deployment("it", **labels)])
    assert bool(findings(judged, "gateway-selector")) is found


def test_an_injected_gateway_tells_that_a_selector_finds_none() -> None:
    front = deployment("it", app="other")
    front["spec"]["template"]["spec"] = {"containers": [{"name": "istio-proxy", "image": "auto"}]}
    objects = changed(sending(), "Gateway", "spec.selector", {"app": "gateway"})
    assert findings(mesh([*objects, front]), "gateway-selector")
