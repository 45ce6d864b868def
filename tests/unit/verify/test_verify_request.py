"""Which entry of a route takes a call."""

from dataclasses import replace

import pytest

from pulumi_traffic_mirror.operations.verify.request import Request, takes
from tests.unit.model.rule_cases import bare
from tests.unit.model.samples import HOST, mesh


@pytest.mark.parametrize(("path", "taken"), [("/a/b", True), ("/a/c", False), ("/b", False)])
def test_what_is_delegated_must_fit_the_outer_entry_too(path: str, taken: bool) -> None:
    root, delegate = bare(), bare(match=[{"uri": {"regex": "/./b|/b"}}])
    root["metadata"]["name"] = "root"
    outer = [{"uri": {"prefix": "/a"}, "gateways": ["mesh"]}]
    root["spec"] |= {"hosts": [HOST], "http": [{"match": outer, "delegate": {"name": "a"}}]}
    del delegate["spec"]["hosts"]
    [cluster] = mesh([root, delegate]).clusters
    [route] = cluster.routing.routes
    assert takes(route, Request(authority=HOST, path=path), "mesh") is taken


@pytest.mark.parametrize(
    ("test", "taken"), [({"regex": ".*"}, False), ({"regex": ".+"}, True), ({"regex": "*"}, True), ({}, True)]
)
def test_without_headers_takes_a_missing_header_for_an_empty_one(test: dict[str, str], taken: bool) -> None:
    only = bare(match=[{"withoutHeaders": {"upgrade": test}}])
    [cluster] = mesh([only]).clusters
    [route] = cluster.routing.routes
    call = Request(authority=HOST, path="/a")
    gateway = route.gateways[0]
    assert takes(route, call, gateway) is taken
    assert not takes(route, replace(call, headers=(("upgrade", "websocket"),)), gateway)
