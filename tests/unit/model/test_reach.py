"""Which of several clusters a mirror leads to, by what is known of it."""

from typing import Any

import pytest

from pulumi_traffic_mirror.model import MirrorContract
from pulumi_traffic_mirror.model.rules import UNKNOWN, ClusterObjects, Mesh, Outcome
from pulumi_traffic_mirror.model.rules.reach import Side, reach, service_entry
from tests.unit.model.rule_cases import bare
from tests.unit.model.samples import (
    HOST,
    NEW,
    NOW,
    OLD,
    REASON,
    Object,
    contract,
    cross_cluster,
    findings,
    receiver,
    receiving,
    route,
    sending,
    service,
)

ADDRESS = "198.18.0.120"
CALLED_SERVICE = {"selector": {"istio": "internal-gateway"}, "loadBalancerIP": ADDRESS}


def listening(host: str) -> list[Object]:
    """A gateway that takes a host, without any route."""
    gateway: Any = next(each for each in receiving() if each["kind"] == "Gateway")
    gateway["spec"]["servers"][0]["hosts"] = [host]
    return [gateway]


def answering(host: str) -> list[Object]:
    """A gateway and a route for a host, written by somebody who knows of no contracts."""
    found: list[Any] = [*listening(host), *(each for each in receiving() if each["kind"] == "VirtualService")]
    found[1]["metadata"].pop("annotations", None)
    found[1]["spec"]["hosts"] = [host]
    return found


def reached(objects: list[Object]) -> tuple[Side, list[str]]:
    """Where staging's cross-cluster mirror leads when ``testing`` has some objects and ``other`` has a gateway."""
    sent = sending(route(mirrors=[cross_cluster()]), address=ADDRESS)
    staging = ClusterObjects(name="staging", objects=sent, istio=NEW)
    other = ClusterObjects(name="other", objects=listening("unrelated.example"), istio=NEW)
    testing = ClusterObjects(name="testing", objects=objects, istio=NEW)
    mesh = Mesh(clusters=[staging, other, testing], now=NOW)
    (mirror_entry,) = staging.routing.mirror_entries
    found = reach(mesh, staging, mirror_entry.route, mirror_entry.target)
    assert found.entry is not None
    assert found.port == 8000
    return found.side, [cluster.name for cluster in found.clusters]


@pytest.mark.parametrize(
    "objects",
    [
        [*listening("x.example"), service("ingress", "istio-system", **CALLED_SERVICE)],
        receiving(),
        answering(HOST),
        answering(f"{HOST}-shadow"),
    ],
    ids=["by its address", "by its contract", "by the authority", "by the suffixed authority"],
)
def test_the_cluster_is_found_by_what_is_known_of_it(objects: list[Object]) -> None:
    assert reached(objects) == (Side.REMOTE, ["testing"])


def test_the_cluster_is_found_by_the_name_that_the_mirror_is_sent_to() -> None:
    mirror_host = str(MirrorContract(hosts=[HOST]).mirror_host)
    assert reached(listening(mirror_host)) == (Side.REMOTE, ["testing"])


def test_without_any_evidence_it_may_be_each_of_them() -> None:
    assert reached(listening("x.example")) == (Side.REMOTE, ["other", "testing"])


def test_each_mirror_of_a_route_leads_to_the_cluster_of_its_own_contract() -> None:
    contracts = [contract(receiver="plain", scrub=REASON), contract(receiver="testing")]
    sent = sending(route(mirrors=[cross_cluster(contract=each) for each in contracts]))
    staging = ClusterObjects(name="staging", objects=sent, istio=OLD)
    others = [
        ClusterObjects(name=str(each.receiver), objects=receiving(receiver(contract=each)), istio=OLD)
        for each in contracts
    ]
    mesh = Mesh(clusters=[staging, *others], now=NOW)
    ends = [
        reach(mesh, staging, mirror_entry.route, mirror_entry.target).clusters
        for mirror_entry in staging.routing.mirror_entries
    ]
    assert [[cluster.name for cluster in each] for each in ends] == [["plain"], ["testing"]]
    assert {each.outcome for each in findings(mesh, "mirror-credentials")} == {Outcome.WAIVED}


def entry(host: str = "elsewhere.example", namespace: str = "hello", **spec: Any) -> Object:
    """A ServiceEntry for a mirror's target."""
    ports = [{"number": 8000, "name": "grpc", "protocol": "GRPC"}]
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": "it", "namespace": namespace},
        "spec": {"hosts": [host], "ports": ports, "resolution": "STATIC", **spec},
    }


GATEWAYS = [*listening(HOST), service("ingress", "istio-system", **CALLED_SERVICE)]
INGRESS = "ingress.istio-system.svc.cluster.local"


@pytest.mark.parametrize(
    ("host", "objects", "side", "known"),
    [
        ("b.hello.svc.cluster.local", GATEWAYS, Side.LOCAL, False),
        (INGRESS, GATEWAYS, Side.OWN_GATEWAY, False),
        (INGRESS, [], Side.LOCAL, False),
        ("elsewhere.example", [entry(location="MESH_INTERNAL")], Side.LOCAL, True),
        ("elsewhere.example", [*GATEWAYS, entry(endpoints=[{"address": ADDRESS}])], Side.OWN_GATEWAY, True),
        ("elsewhere.example", [*GATEWAYS, entry(endpoints=[{"address": "192.0.2.1"}])], Side.REMOTE, True),
        ("elsewhere.example", [*GATEWAYS, entry(endpoints=[{"address": UNKNOWN}])], Side.REMOTE, True),
        (ADDRESS, GATEWAYS, Side.OWN_GATEWAY, False),
        ("elsewhere.example", GATEWAYS, Side.REMOTE, False),
    ],
)
def test_a_mirror_stays_enters_its_own_gateway_or_leaves(
    host: str, objects: list[Object], side: Side, *, known: bool
) -> None:
    cluster = ClusterObjects(name="staging", objects=[bare(mirror={"host": host, "port": {"number": 8000}}), *objects])
    (mirror_entry,) = cluster.routing.mirror_entries
    found = reach(Mesh(clusters=[cluster]), cluster, mirror_entry.route, mirror_entry.target)
    assert (found.side, found.port, found.entry is not None) == (side, 8000, known)


def test_of_several_entries_the_one_that_a_namespace_sees_counts() -> None:
    entries = [entry(namespace="away", exportTo=["."]), entry(namespace="hello", exportTo=["."])]
    cluster = ClusterObjects(name="staging", objects=entries)
    seen = {
        namespace: found.namespace
        for namespace in ("", "away", "hello", "third")
        if (found := service_entry(cluster, "elsewhere.example", namespace))
    }
    assert seen == {"": "away", "away": "away", "hello": "hello", "third": "away"}
