"""The stand-in load balancer gives an address to exactly the Services that wait for one."""

import json
from collections.abc import Iterator
from typing import cast

import httpx
import pytest

from pulumi_traffic_mirror.rehearsal.cluster import loadbalancer
from pulumi_traffic_mirror.rehearsal.cluster.loadbalancer import Service, needs_address


def service(kind: str = "LoadBalancer", **more: object) -> Service:
    value = {
        "metadata": {"name": "gateway", "namespace": "mesh"},
        "spec": {"type": kind},
        "status": {"loadBalancer": {}},
        **more,
    }
    return cast("Service", value)


@pytest.mark.parametrize(
    ("waiting", "candidate"),
    [
        (True, service()),
        (True, service(status={})),
        (False, service("ClusterIP")),
        (False, service(status={"loadBalancer": {"ingress": [{"ip": "198.18.0.110"}]}})),
        (False, service(status={"loadBalancer": {"ingress": [{"hostname": "x.example"}]}})),
        (False, service(spec={"type": "LoadBalancer", "loadBalancerClass": "other/one"})),
    ],
)
def test_who_waits_for_an_address(waiting: bool, candidate: Service) -> None:
    assert needs_address(candidate) is waiting


def test_waiting_services_get_the_address_and_others_nothing() -> None:
    events = [
        {"type": "ADDED", "object": service("ClusterIP")},
        {"type": "ADDED", "object": service()},
        {"type": "DELETED", "object": service()},
        {"type": "BOOKMARK", "object": {"metadata": {}, "spec": {}, "status": {}}},
    ]
    patches: list[tuple[str, object, str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            assert request.url.params["watch"] == "true"
            return httpx.Response(200, text="\n".join(json.dumps(event) for event in events))
        patches.append((request.url.path, json.loads(request.content), request.headers["content-type"]))
        return httpx.Response(200)

    with httpx.Client(transport=httpx.MockTransport(answer), base_url="https://api.example") as client:
        loadbalancer._watch(client, "198.18.0.110")
    assert patches == [
        (
            "/api/v1/namespaces/mesh/services/gateway/status",
            {"status": {"loadBalancer": {"ingress": [{"ip": "198.18.0.110"}]}}},
            "application/merge-patch+json",
        )
    ]


@pytest.fixture
def closed() -> Iterator[httpx.Client]:
    transport = httpx.MockTransport(lambda request: httpx.Response(403))
    with httpx.Client(transport=transport, base_url="https://api.example") as client:
        yield client


def test_a_refusal_is_not_taken_for_an_empty_cluster(closed: httpx.Client) -> None:
    with pytest.raises(httpx.HTTPStatusError):
        loadbalancer._watch(closed, "198.18.0.110")
