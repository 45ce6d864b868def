"""When an object counts as up."""

import threading
import time
from typing import Any, cast

import pytest

from components.rehearsal.standin_provider.cluster import Cluster, Kind, UnreachableError
from components.rehearsal.standin_provider.conditions import parse_conditions
from components.rehearsal.standin_provider.errors import CancelledError, RefusedError
from components.rehearsal.standin_provider.readiness import Observation, Verdict, check_for
from components.rehearsal.standin_provider.support import api_type, refuse_unsupported
from components.rehearsal.standin_provider.waiting import Waiter


class FakeCluster:
    """Answers with the same objects to every question."""

    def __init__(self, *found: dict[str, Any]) -> None:
        self.found = list(found)

    def find_kind(self, api_version: str, kind: str) -> Kind:
        return Kind(api_version, kind.lower(), namespaced=True)

    def select(self, kind: Kind, namespace: str, selector: str) -> list[dict[str, Any]]:
        del kind, namespace, selector
        return self.found


def judge(obj: dict[str, Any], *found: dict[str, Any], seconds: float = 0) -> Verdict:
    check = check_for(obj)
    assert check is not None
    return check(Observation(obj, cast("Cluster", FakeCluster(*found)), time.monotonic() - seconds))


def deployment(observed: int = 1, **status: int) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d", "generation": 1},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"a": "b"}}},
        "status": {"observedGeneration": observed, **status},
    }


@pytest.mark.parametrize(
    ("obj", "ready"),
    [
        (deployment(observed=0, replicas=2, updatedReplicas=2, availableReplicas=2), False),
        (deployment(replicas=2, updatedReplicas=2, availableReplicas=2), True),
        (deployment(replicas=3, updatedReplicas=2, availableReplicas=2), False),
        (deployment(replicas=2, updatedReplicas=1, availableReplicas=2), False),
        (deployment(replicas=2, updatedReplicas=2, availableReplicas=1), False),
    ],
)
def test_a_deployment_is_up_when_its_rollout_is_complete(obj: dict[str, Any], ready: bool) -> None:
    assert judge(obj).ready is ready


def test_a_deployment_tells_why_its_pods_do_not_come_up() -> None:
    waiting = {"reason": "ImagePullBackOff", "message": "no such image"}
    pulling = {"status": {"containerStatuses": [{"name": "c", "state": {"waiting": waiting}}]}}
    unplaced = {"status": {"conditions": [{"type": "PodScheduled", "status": "False", "message": "no room"}]}}
    message = judge(deployment(), pulling, unplaced).message
    assert "c is waiting: ImagePullBackOff no such image" in message
    assert "not scheduled: no room" in message


def service(kind: str = "ClusterIP", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "s"},
        "spec": {"type": kind, "clusterIP": "10.0.0.1", "selector": {"a": "b"}, **spec},
    }


def endpoints(*ready: bool) -> dict[str, Any]:
    return {"endpoints": [{"conditions": {"ready": item}} for item in ready]}


def test_a_service_waits_for_endpoints_but_not_for_ever() -> None:
    assert judge(service(), endpoints(True, True)).ready
    assert not judge(service(), endpoints(True, False), seconds=60).ready
    assert not judge(service(), endpoints(), seconds=1).ready
    assert judge(service(), endpoints(), seconds=11).ready
    assert judge(service(clusterIP="None")).ready
    assert judge(service(selector={})).ready
    assert judge(service("ExternalName")).ready


def test_a_load_balancer_waits_for_its_address() -> None:
    balancer = service("LoadBalancer")
    assert not judge(balancer, endpoints(True), seconds=60).ready
    balancer["status"] = {"loadBalancer": {"ingress": [{"ip": "198.18.0.9"}]}}
    assert judge(balancer, endpoints(True)).ready


def conditions(kind: str, api_version: str, *items: tuple[str, str]) -> dict[str, Any]:
    listed = [{"type": name, "status": status, "message": "because"} for name, status in items]
    return {"apiVersion": api_version, "kind": kind, "metadata": {}, "status": {"conditions": listed}}


def test_jobs_and_definitions_end_well_or_badly() -> None:
    batch, extensions = "batch/v1", "apiextensions.k8s.io/v1"
    assert judge(conditions("Job", batch, ("Complete", "True"))).ready
    assert judge(conditions("Job", batch, ("Failed", "True"))).failed
    assert not judge(conditions("Job", batch)).ready
    assert judge(conditions("CustomResourceDefinition", extensions, ("Established", "True"))).ready
    assert judge(conditions("CustomResourceDefinition", extensions, ("NamesAccepted", "False"))).failed


def test_other_kinds_are_up_as_soon_as_they_exist() -> None:
    assert check_for({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService"}) is None
    skipped = deployment()
    skipped["metadata"]["annotations"] = {"pulumi.com/skipAwait": "true"}
    assert check_for(skipped) is None


OBJECT = {
    "metadata": {"generation": 2, "labels": {"a.b/c": "d"}},
    "spec": {"clusterIP": "10.0.0.1", "on": True, "list": [{"n": 1}, {"n": 2}]},
    "status": {"observedGeneration": 2, "conditions": [{"type": "Ready", "status": "False"}]},
}


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ("jsonpath={.spec.clusterIP}", True),
        ("jsonpath={.spec.missing}", False),
        ("jsonpath={.spec.on}=true", True),
        ("jsonpath={$.spec.list[1].n}=2", True),
        ("jsonpath={.spec.list[*].n}=1", True),
        ("jsonpath={.spec.list[7].n}", False),
        ("jsonpath={.metadata.labels['a.b/c']}=d", True),
        ("jsonpath={.spec.clusterIP}=10.0.0.2", False),
        ("condition=Ready", False),
        ("condition=ready=false", True),
        ("condition=Other", False),
        ('["jsonpath={.spec.on}", "condition=Ready=False"]', True),
        ('["jsonpath={.spec.on}", "condition=Ready"]', False),
    ],
)
def test_conditions_of_the_program(expression: str, holds: bool) -> None:
    assert all(condition.holds(OBJECT) for condition in parse_conditions(expression)) is holds


def test_a_condition_waits_for_the_latest_generation() -> None:
    stale = {**OBJECT, "status": {"observedGeneration": 1}}
    assert not parse_conditions("jsonpath={.spec.on}")[0].holds(stale)


@pytest.mark.parametrize(
    "text", ["", "Ready", "jsonpath=.a", "jsonpath={}", 'jsonpath={.a[?(@.b=="c")].d}', "jsonpath={a b}"]
)
def test_a_condition_that_cannot_be_evaluated_is_refused(text: str) -> None:
    with pytest.raises(RefusedError, match="waitFor"):
        parse_conditions(text)


def test_a_wait_ends_by_its_condition_its_time_or_a_stop() -> None:
    stop = threading.Event()
    waiter = Waiter(stop)
    answers = iter([False, False, True])
    assert waiter.until(lambda: next(answers), 60)
    assert not waiter.until(lambda: False, 0.05)
    threading.Timer(0.05, stop.set).start()
    begun = time.monotonic()
    with pytest.raises(CancelledError):
        waiter.until(lambda: False, 60)
    assert time.monotonic() - begun < 30


def test_a_wait_outlasts_an_outage_only_where_it_is_told_to() -> None:
    waiter = Waiter(threading.Event())
    answers: list[Any] = [UnreachableError("restarting"), UnreachableError("restarting"), True]

    def ask() -> bool:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    with pytest.raises(UnreachableError):
        waiter.until(ask, 60)
    assert waiter.until(ask, 60, outlasts_outage=True)
    answers.append(UnreachableError("gone"))
    with pytest.raises(UnreachableError, match="gone"):
        waiter.until(ask, 0, outlasts_outage=True)


@pytest.mark.parametrize(
    "token",
    [
        "kubernetes:apps/v1:DaemonSet",
        "kubernetes:core/v1:PodList",
        "kubernetes:core/v1:ServicePatch",
        "kubernetes:helm.sh/v3:Chart",
        "kubernetes:yaml/v2:ConfigFile",
        "gcp:storage:Bucket",
    ],
)
def test_a_type_that_would_get_less_is_refused_by_name(token: str) -> None:
    with pytest.raises(RefusedError, match=token):
        refuse_unsupported(token, {})


def test_a_wait_that_the_program_chooses_makes_other_kinds_usable() -> None:
    for annotation in ({"pulumi.com/skipAwait": "true"}, {"pulumi.com/waitFor": "condition=Ready"}):
        refuse_unsupported("kubernetes:core/v1:Pod", {"metadata": {"annotations": annotation}})
    refuse_unsupported("kubernetes:networking.istio.io/v1:VirtualService", {})
    assert api_type("kubernetes:core/v1:Service") == ("v1", "Service")
    assert api_type("kubernetes:networking.istio.io/v1:Gateway") == ("networking.istio.io/v1", "Gateway")
