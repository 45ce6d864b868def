"""Entries of a delegate, by which name they are found again."""

import pytest

from tests.differential.maker import Object
from tests.differential.naming import told_apart


def delegating(*names: str) -> list[Object]:
    """A root that delegates, and a delegate whose entries have these names, or none."""
    root: Object = {"kind": "VirtualService", "metadata": {"name": "root"}}
    root["spec"] = {"hosts": ["web.example"], "http": [{"name": "outer", "delegate": {"name": "child"}}]}
    child: Object = {"kind": "VirtualService", "metadata": {"name": "child"}}
    child["spec"] = {"http": [{"name": each} if each else {"route": []} for each in names]}
    return [root, child]


def for_routes(name: str) -> Object:
    """An EnvoyFilter for routes of a name, or for all."""
    match = {"routeConfiguration": {"vhost": {"route": {"name": name}}}} if name else {}
    return {"kind": "EnvoyFilter", "metadata": {"name": "f"}, "spec": {"configPatches": [{"match": match}]}}


@pytest.mark.parametrize(("name", "kept"), [("", False), ("other", False), ("outer", True)])
def test_entries_get_names_unless_a_filter_is_for_that_of_their_root(name: str, kept: bool) -> None:
    given = [*delegating("", "own"), for_routes(name)]
    root, child, _ = told_apart(given)
    assert root == given[0]
    assert [each.get("name") for each in child["spec"]["http"]] == [None if kept else "child-0", "own"]


def test_what_is_given_stays_as_it_is() -> None:
    given = delegating("")
    told_apart(given)
    assert given == delegating("")
