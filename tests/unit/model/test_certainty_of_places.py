"""How sure the places of entries and filters are where what would make them so is not at hand."""

import pytest

from pulumi_traffic_mirror.model.rules.placements import standing
from tests.unit.model.rule_cases import bare
from tests.unit.model.samples import Object, findings, mesh, service


def freezing(namespace: str = "hello", **chosen: str) -> Object:
    """A filter whose routes Envoy refuses."""
    patch = {"applyTo": "HTTP_ROUTE", "patch": {"operation": "ADD", "value": {"route": {}}}}
    spec: Object = {"configPatches": [patch], **({"workloadSelector": {"labels": chosen}} if chosen else {})}
    metadata = {"name": "freezing", "namespace": namespace}
    return {"apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter", "metadata": metadata, "spec": spec}


def workload(**labels: str) -> Object:
    spec = {"template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "a", "image": "a"}]}}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "a", "namespace": "hello"},
        "spec": spec,
    }


@pytest.mark.parametrize("chosen", ["a", "b"], ids=["at hand", "elsewhere"])
def test_a_filter_that_envoy_refuses_is_told_of_though_its_pods_are_not_at_hand(chosen: str) -> None:
    objects = [freezing(app=chosen), workload(app="a"), service("a")]
    assert [each.likely for each in findings(mesh(objects), "envoy-filter-refused-routes")] == [True]


@pytest.mark.parametrize(("port", "sure"), [(80, True), (8000, False)])
def test_a_host_that_nothing_defines_is_surely_called_only_beside_a_service_of_the_plain_port(
    port: int, *, sure: bool
) -> None:
    route = bare()
    route["spec"]["hosts"] = ["a.example"]
    (cluster,) = mesh([route, service("a", ports=[{"name": "http", "port": port}]), service("b")]).clusters
    (entry,) = cluster.routing.routes
    assert [each.sure for each in standing(cluster, entry).placements] == [sure]


def test_sidecars_of_a_filter_s_namespace_may_have_a_route_though_nothing_else_is_there() -> None:
    route = bare(redirect={"uri": "/y"}, route=None, mirror=None)
    changed = freezing("lab")
    changed["spec"]["configPatches"][0]["patch"]["operation"] = "MERGE_AND_REPLACE_LIST"
    found = findings(mesh([route, changed, service("a")]), "envoy-filter-refused-routes")
    assert [each.likely for each in found] == [True]
