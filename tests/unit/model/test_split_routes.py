"""Two VirtualServices for one host: a gateway takes the routes of both, and both may take the same requests."""

from typing import Any

import pytest

from tests.unit.model.rule_cases import bare
from tests.unit.model.samples import HOST, Object, findings, mesh


def part(name: str, *matches: Object, gateway: str = "istio-system/internal-gateway", **entry: Any) -> Object:
    """A VirtualService for the host with one entry."""
    given = bare(**{"match": list(matches)} if matches else {}, **entry)
    given["metadata"]["name"] = name
    given["spec"] |= {"hosts": [HOST], "gateways": [gateway]}
    return given


def uri(**how: str) -> Object:
    """A match of a path."""
    return {"uri": how}


@pytest.mark.parametrize(
    ("first", "second", "clash"),
    [
        ([uri(prefix="/a")], [uri(prefix="/b")], False),
        ([uri(prefix="/a")], [uri(prefix="/a/b")], True),
        ([uri(exact="/a")], [uri(exact="/b")], False),
        ([uri(exact="/a")], [uri(exact="/a")], True),
        ([uri(exact="/a/b")], [uri(prefix="/a")], True),
        ([uri(prefix="/A"), uri(prefix="/c")], [{**uri(prefix="/a"), "ignoreUriCase": True}], True),
        ([uri(regex="/a.*")], [uri(prefix="/b")], True),
        ([uri(prefix="/a"), uri(prefix="/b")], [uri(prefix="/b")], True),
        # A gateway asks those that take everything last.
        ([uri(prefix="/a")], [], False),
        ([uri(prefix="/a")], [uri(prefix="/")], False),
        ([uri(prefix="/a")], [{"uri": {"regex": ".*"}, "port": 8000}], False),
        ([], [], True),
        ([uri(prefix="/")], [], True),
        ([uri(prefix="/a")], [{"method": {"exact": "GET"}}], True),
        ([{"method": {"exact": "GET"}}], [{"method": {"exact": "PUT"}}], False),
        ([{"headers": {"X-A": {"exact": "1"}}}], [{"headers": {"x-a": {"exact": "2"}}}], False),
        ([{"headers": {"x-a": {"exact": "1"}}}], [{"headers": {"x-b": {"exact": "2"}}}], True),
        ([{"headers": {"x-a": {"exact": "1"}}}], [{"headers": {"x-a": {}}}], True),
        ([{"port": 80, **uri(prefix="/a")}], [{"port": 443, **uri(prefix="/a")}], False),
    ],
)
def test_routes_of_two_objects_clash_where_both_take_a_request(
    first: list[Object], second: list[Object], clash: bool
) -> None:
    for one, other in ((first, second), (second, first)):
        judged = mesh([part("a", *one), part("b", *other)])
        assert bool(findings(judged, "host-routed-twice")) is clash


def test_a_sidecar_takes_one_of_two_objects_whatever_they_match() -> None:
    split = [part(name, uri(prefix=f"/{name}"), gateway="mesh") for name in "ab"]
    assert findings(mesh(split), "host-routed-twice")


def test_only_where_they_clash_is_named() -> None:
    split = [part(name, uri(prefix=f"/{name}")) for name in "ab"]
    for each in split:
        each["spec"]["gateways"].append("mesh")
    assert {found.message for found in findings(mesh(split), "host-routed-twice")} == {
        f"VirtualService hello/{name} routes {HOST} on mesh as well" for name in "ab"
    }


def test_conditions_of_a_delegating_object_keep_routes_apart() -> None:
    inner = bare()
    del inner["spec"]["hosts"]
    roots = [
        part(name, uri(prefix=f"/{name}"), mirror=None, route=None, delegate={"name": "a", "namespace": "hello"})
        for name in ("one", "two")
    ]
    assert findings(mesh([inner, *roots]), "host-routed-twice") == []
