"""Which entry of a route takes a call."""

import pytest

from components.operations.verify.request import Request, takes
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
