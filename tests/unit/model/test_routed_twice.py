"""Routes of the Gateway API for one host: of those that ask for the same the older one counts."""

from typing import Any

import pytest

from tests.unit.model.samples import Object, findings, mesh, service

EVERYTHING: Object = {}
READS: Object = {"matches": [{"method": "GET"}]}
PATH: Object = {"matches": [{"path": {"type": "PathPrefix", "value": "/a"}}]}
GATEWAY: Object = {"name": "own"}
MESH: Object = {"group": "", "kind": "Service", "name": "a"}


def native(name: str, rule: Object, parent: Object = GATEWAY, *, mirrors: bool = False, **spec: Any) -> Object:
    """An HTTPRoute with one rule."""
    copied = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "b", "port": 8000}}}
    full = {**rule, "backendRefs": [{"name": "a", "port": 8000}], **({"filters": [copied]} if mirrors else {})}
    made: Object = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute"}
    made |= {"metadata": {"name": name, "namespace": "hello"}}
    return made | {"spec": {"parentRefs": [parent], "rules": [full], **spec}}


def said(*routes: Object) -> list[str]:
    found = findings(mesh([*routes, service("a"), service("b")]), "host-routed-twice")
    return [each.message for each in found]


@pytest.mark.parametrize(
    ("own", "other", "when"),
    [
        (EVERYTHING, EVERYTHING, "where it is older"),
        (READS, READS, "where it is older"),
        (READS, EVERYTHING, ""),
        (EVERYTHING, READS, ""),
        (READS, PATH, ""),
        ({"matches": [{"path": {"type": "RegularExpression", "value": ".*"}}]}, EVERYTHING, "before it does"),
    ],
    ids=["everything", "the same", "more particular", "less particular", "something else", "asked later"],
)
@pytest.mark.parametrize("parent", [GATEWAY, MESH], ids=["at a gateway", "in the mesh"])
def test_a_rule_whose_requests_another_route_takes(own: Object, other: Object, when: str, parent: Object) -> None:
    found = said(native("one", own, parent, mirrors=True), native("two", other, parent))
    assert [each.endswith(when) for each in found] == [True] * bool(when)
    assert all("HTTPRoute hello/two takes its requests" in each for each in found)


@pytest.mark.parametrize(
    ("own", "other", "meet"),
    [
        ({"hostnames": ["a.example"]}, {"hostnames": ["a.example", "b.example"]}, True),
        ({"hostnames": ["a.example"]}, {"hostnames": ["b.example"]}, False),
        ({"hostnames": ["a.example"]}, {}, False),
        ({"parentRefs": [{"name": "own", "sectionName": "x"}]}, {}, True),
        (
            {"parentRefs": [{"name": "own", "sectionName": "x"}]},
            {"parentRefs": [{"name": "own", "sectionName": "y"}]},
            False,
        ),
        ({"parentRefs": [{"name": "own", "port": 80}]}, {"parentRefs": [{"name": "own", "port": 81}]}, False),
        ({}, {"parentRefs": [{"name": "another"}]}, False),
    ],
)
def test_only_routes_of_one_host_and_one_listener_meet(own: Object, other: Object, *, meet: bool) -> None:
    found = said(native("one", EVERYTHING, mirrors=True, **own), native("two", EVERYTHING, **other))
    assert len(found) == meet


def test_of_routes_as_old_as_each_other_the_first_name_counts() -> None:
    routes = [native(name, EVERYTHING, mirrors=name == "b") for name in ("c", "b", "a")]
    assert said(*routes) == ["HTTPRoute hello/a takes its requests for * on hello/own where it is older, or as old"]


def test_a_route_for_a_gateway_and_a_service_has_the_hosts_of_each_there() -> None:
    route = native("one", EVERYTHING, mirrors=True)
    route["spec"]["parentRefs"].append(MESH)
    [mirror_entry] = mesh([route, service("a"), service("b")]).clusters[0].routing.mirror_entries
    hosts = {each: mirror_entry.route.hosts_at(each) for each in mirror_entry.route.bound}
    assert hosts == {"hello/own": ("*",), "mesh": ("a.hello.svc.cluster.local",)}


@pytest.mark.parametrize(("group", "there"), [("", True), ("gateway.networking.k8s.io", False)])
def test_a_service_is_a_parent_by_its_own_group_alone(group: str, *, there: bool) -> None:
    route = native("one", EVERYTHING, {"group": group, "kind": "Service", "name": "a"}, mirrors=True)
    objects = mesh([route, service("a"), service("b")])
    assert (findings(objects, "mirror-never-sent") == []) is there


@pytest.mark.parametrize(("port", "sent"), [(None, True), (8000, True), (80, False)])
def test_a_port_of_one_parent_says_nothing_of_another(port: int | None, *, sent: bool) -> None:
    named = {**MESH, **({"port": port} if port else {})}
    route = native("one", EVERYTHING, named, mirrors=True)
    route["spec"]["parentRefs"].append({**MESH, "name": "gone"})
    objects = mesh([route, service("a"), service("b")])
    assert (findings(objects, "mirror-never-sent") == []) is sent


@pytest.mark.parametrize(
    ("beside", "sent"),
    [("a.example", False), ("*.example", False), ("b.example", True), ("*.a.example", True), ("", True)],
)
def test_a_host_of_a_narrower_listener_comes_to_no_other_one_of_its_port(beside: str, *, sent: bool) -> None:
    gateway: Object = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway"}
    gateway |= {"metadata": {"name": "own", "namespace": "hello"}}
    wide, other = ({"name": name, "port": 80, "protocol": "HTTP"} for name in ("wide", "other"))
    listeners = [wide, {**other, "hostname": beside}] if beside else [wide]
    gateway["spec"] = {"gatewayClassName": "istio", "listeners": listeners}
    route = native("one", EVERYTHING, {"name": "own", "sectionName": "wide"}, mirrors=True, hostnames=["a.example"])
    objects = mesh([gateway, route, service("a"), service("b")])
    assert (findings(objects, "mirror-never-sent") == []) is sent
    listeners[-1]["port"] = 81
    assert findings(mesh([gateway, route, service("a"), service("b")]), "mirror-never-sent") == []
