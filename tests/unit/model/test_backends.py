"""Backends of the Gateway API that Istio sends nothing to."""

import pytest

from tests.unit.model.samples import Object, findings, mesh, service
from tests.unit.model.test_foreign_routes import native

HOSTNAME = {"group": "networking.istio.io", "kind": "Hostname", "name": "b.example", "port": 80}
UNUSABLE: dict[str, tuple[Object, bool]] = {
    "a Bucket": ({"kind": "Bucket", "name": "b", "port": 8000}, False),
    "a Service of the group apps": ({"group": "apps", "name": "b", "port": 8000}, False),
    "a ServiceImport": ({"kind": "ServiceImport", "name": "b", "port": 8000}, False),
    "a Service by a name with dots": ({"name": "b.hello", "port": 8000}, True),
    "a Hostname with a namespace": ({**HOSTNAME, "namespace": "hello"}, True),
    "a backend without a port": ({**HOSTNAME, "port": None}, True),
}
"""Backends, and whether Istio leaves the whole route out for them."""


def judged(place: str, backend: Object, kind: str = "HTTPRoute") -> tuple[set[str], list[str]]:
    """Rules that find fault with a route that has a backend somewhere, and what is said of its mirror."""
    parent = {"group": "", "kind": "Service", "name": "a"}
    mirror = {"backendRef": backend} if place == "mirror" else None
    route = native(kind, mirror=mirror, parent=parent)
    if place == "primary":
        route["spec"]["rules"][0]["backendRefs"] = [backend]
    found = mesh([route, service("a"), service("b")])
    return {each.rule for each in findings(found)}, [each.message for each in findings(found, "mirror-never-sent")]


@pytest.mark.parametrize("words", UNUSABLE)
def test_a_mirror_to_it_is_never_sent_and_nothing_else_is_said(words: str) -> None:
    rules, said = judged("mirror", UNUSABLE[words][0])
    assert said == [f"nobody sends it: Istio sends nothing to {words}"]
    assert rules.isdisjoint({"mirror-target-undefined", "mirror-credentials", "mirror-plain-text", "mirror-no-brakes"})


@pytest.mark.parametrize("words", UNUSABLE)
def test_a_malformed_primary_takes_the_whole_route_along(words: str) -> None:
    backend, malformed = UNUSABLE[words]
    rules, said = judged("primary", backend)
    assert any("the whole HTTPRoute is left out" in each and words in each for each in said) is malformed
    assert ("mirror-primary-undefined" in rules) is not malformed


@pytest.mark.parametrize("words", UNUSABLE)
def test_a_mirror_to_it_takes_a_whole_grpcroute_along(words: str) -> None:
    _, said = judged("mirror", UNUSABLE[words][0], "GRPCRoute")
    assert ["the whole GRPCRoute is left out" in each for each in said] == [True]


def test_a_filter_that_istio_does_not_know_takes_the_whole_route_along() -> None:
    route = native(parent={"group": "", "kind": "Service", "name": "a"})
    route["spec"]["rules"][0]["filters"].append({"type": "ExtensionRef"})
    [found] = findings(mesh([route, service("a"), service("b")]), "mirror-never-sent")
    assert "spec.rules[0].filters[1]: Istio knows no ExtensionRef of HTTPRoutes" in found.message
