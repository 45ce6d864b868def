"""What istiod in memory is given of objects: in the version that it reads, of the kinds that it reads."""

from collections.abc import Sequence
from typing import Any

import pytest

from pulumi_traffic_mirror.operations.oracle import Answer, Oracle, question_of
from tests.support.oracle import made

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

GATEWAY_API = "gateway.networking.k8s.io"
COPY = "outbound|80||copy.other.svc.cluster.local"


def service(name: str, namespace: str) -> dict[str, Any]:
    """A Service for requests."""
    return made("v1", "Service", name, namespace, selector={"app": name}, ports=[{"name": "http", "port": 80}])


def gateway(version: str = "v1", of_class: str = "istio") -> dict[str, Any]:
    """A gateway of the Gateway API."""
    listener = {"name": "http", "port": 80, "protocol": "HTTP"}
    return made(f"{GATEWAY_API}/{version}", "Gateway", "edge", "shop", gatewayClassName=of_class, listeners=[listener])


def native(version: str, grant: str) -> list[Any]:
    """A gateway, and a route there that mirrors to a granted Service of another namespace."""
    mirror = {"backendRef": {"name": "copy", "namespace": "other", "port": 80}}
    rule = {
        "backendRefs": [{"name": "web", "port": 80}],
        "filters": [{"type": "RequestMirror", "requestMirror": mirror}],
    }
    route = made(f"{GATEWAY_API}/{version}", "HTTPRoute", "r", "shop", parentRefs=[{"name": "edge"}], rules=[rule])
    granted = made(f"{GATEWAY_API}/{grant}", "ReferenceGrant", "g", "other")
    granted["spec"]["from"] = [{"group": GATEWAY_API, "kind": "HTTPRoute", "namespace": "shop"}]
    granted["spec"]["to"] = [{"group": "", "kind": "Service"}]
    return [gateway(version), route, granted, service("web", "shop"), service("copy", "other")]


def istio(version: str) -> list[Any]:
    """A route of Istio's own that mirrors."""
    copy = {"host": "copy.other.svc.cluster.local", "port": {"number": 80}}
    entry = {"route": [{"destination": {"host": "web", "port": {"number": 80}}}], "mirror": copy}
    route = made(f"networking.istio.io/{version}", "VirtualService", "v", "shop", hosts=["web"], http=[entry])
    return [route, service("web", "shop"), service("copy", "other")]


def targets(answer: Answer) -> set[str]:
    """Clusters that some proxy mirrors to."""
    configs = [config for fact in answer.get("proxies", {}).values() for config in fact["routes"] or []]
    routes = [route for config in configs for host in config["hosts"] or [] for route in host["routes"] or []]
    return {mirror["cluster"] for route in routes for mirror in route.get("mirrors", [])}


@pytest.mark.parametrize(
    "objects",
    [
        *(native(version, grant) for version in ("v1", "v1beta1") for grant in ("v1", "v1beta1")),
        *(istio(version) for version in ("v1", "v1beta1", "v1alpha3")),
    ],
)
def test_every_version_that_is_served_is_read(oracle: Oracle, objects: Sequence[Any]) -> None:
    answer = oracle.ask(question_of(objects))
    assert answer.get("objects", []) == []
    assert targets(answer) == {COPY}


def test_a_version_that_is_not_served_is_refused(oracle: Oracle) -> None:
    answer = oracle.ask(question_of([made(f"{GATEWAY_API}/v1alpha2", "HTTPRoute", "r", "shop")]))
    [fact] = answer.get("objects", [])
    assert (fact["object"], fact.get("refused"), fact.get("by")) == (
        "HTTPRoute shop/r",
        "no kind HTTPRoute is served in version gateway.networking.k8s.io/v1alpha2",
        "API server",
    )


@pytest.mark.parametrize(
    ("version", "kind"),
    [
        ("flagger.app/v1beta1", "Canary"),
        ("argoproj.io/v1alpha1", "Rollout"),
        ("multicluster.x-k8s.io/v1alpha1", "ServiceImport"),
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
        ("batch/v1", "CronJob"),
        ("extensions/v1beta1", "Deployment"),
    ],
)
def test_kinds_that_istiod_does_not_read_are_passed_over(oracle: Oracle, version: str, kind: str) -> None:
    answer = oracle.ask(question_of([made(version, kind, "web", "shop", schedule=["?"]), *istio("v1")]))
    assert (answer.get("error"), answer.get("objects", [])) == (None, [])
    assert targets(answer) == {COPY}


def test_a_gateway_of_another_class_alone_is_answered(oracle: Oracle) -> None:
    answer = oracle.ask(question_of([gateway(of_class="nginx")]))
    assert answer.get("error") is None
    assert answer["milliseconds"] < 10_000


def test_what_has_no_name_is_called_as_the_linter_calls_it(oracle: Oracle) -> None:
    nameless = {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "spec": {"hosts": 1}}
    assert [fact["object"] for fact in oracle.ask(question_of([nameless])).get("objects", [])] == [
        "VirtualService default/?"
    ]
