"""A whole verification in one process: real calls to a greeter on loopback, and a simulated cluster that shows them."""

import json
import threading
from collections.abc import Iterator
from concurrent import futures
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue

from pulumi_traffic_mirror.model import (
    Destination,
    GatewayHosts,
    InClusterMirror,
    IstioBehaviour,
    IstioVersion,
    Match,
    OverlayRoute,
    Protocol,
    render,
)
from pulumi_traffic_mirror.model.credentials import CREDENTIAL_HEADERS
from pulumi_traffic_mirror.model.rules import ClusterObjects
from pulumi_traffic_mirror.operations.errors import OperationError
from pulumi_traffic_mirror.operations.kube import ClusterAccess, PodSelection
from pulumi_traffic_mirror.operations.outcome import Outcome
from pulumi_traffic_mirror.operations.verify import calling, observation, run
from pulumi_traffic_mirror.operations.verify.causes import Cause
from pulumi_traffic_mirror.operations.verify.child import verify_in_child
from pulumi_traffic_mirror.operations.verify.job import VerifyJob
from pulumi_traffic_mirror.operations.verify.rejections import Unacknowledged
from pulumi_traffic_mirror.operations.verify.report import Report
from pulumi_traffic_mirror.operations.verify.survey import Side
from tests.unit.model.samples import plain

pytestmark = pytest.mark.slow

HOST = "hello.example"
AUTHORITY = f"{HOST}:8000"
V1, V2 = (f"outbound|8000||{name}.hello.svc.cluster.local" for name in ("v1", "v2"))


def service(name: str) -> list[dict[str, Any]]:
    labels = {"app": "greeter", "version": name}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "greeter", "image": "x"}]}}
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"namespace": "hello", "name": name},
            "spec": {"selector": labels, "ports": [{"port": 8000}]},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"namespace": "hello", "name": name},
            "spec": {"selector": {"matchLabels": labels}, "template": pod},
        },
    ]


def objects() -> list[dict[str, Any]]:
    """A gateway that copies every call for v1 to v2, as this library renders it."""
    istio = "networking.istio.io/v1"
    to = {name: {"host": f"{name}.hello.svc.cluster.local", "port": {"number": 8000}} for name in ("v1", "v2")}
    mirror = {"destination": to["v2"], "percentage": {"value": 100}}
    labels = {"istio": "gateway"}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "istio-proxy", "image": "x"}]}}
    server = {"port": {"number": 8000, "name": "grpc", "protocol": "GRPC"}, "hosts": [HOST]}
    gate = {"namespace": "istio-system", "name": "gate"}
    return [
        *service("v1"),
        *service("v2"),
        {
            "apiVersion": istio,
            "kind": "VirtualService",
            "metadata": {
                "namespace": "hello",
                "name": "greeter",
                "annotations": {"pulumi-traffic-mirror/mirror.v2": V2},
            },
            "spec": {
                "hosts": [HOST],
                "gateways": ["istio-system/gate"],
                "http": [{"route": [{"destination": to["v1"]}], "mirrors": [mirror]}],
            },
        },
        {"apiVersion": istio, "kind": "Gateway", "metadata": gate, "spec": {"selector": labels, "servers": [server]}},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": gate,
            "spec": {"selector": {"matchLabels": labels}, "template": pod},
        },
    ]


@dataclass
class Simulated:
    """Two greeters, a gateway that copies, and the pages and logs that show it."""

    logs: dict[str, list[str]] = field(default_factory=lambda: {"v1": [], "v2": []})
    sent: int = 0
    copies_from_batch: int = 1
    """Which batch of the warm-up is copied first."""

    copies_come_after_seconds: float = 0.0
    unanswered: bool = False
    copies_marked: bool = True
    """Whether calls that carry the mark are copied too."""

    routes: dict[str, Any] = field(default_factory=lambda: ROUTES)
    comes_back: bool = False
    refusing: str = ""
    """Proxy that did not accept its last clusters, as istiod names it."""

    forbidden: frozenset[int] = frozenset()
    """Ports that may not be asked."""

    timers: list[threading.Timer] = field(default_factory=list[threading.Timer])
    lock: threading.Lock = field(default_factory=threading.Lock)

    def say_hello(self, request: StringValue, context: grpc.ServicerContext) -> StringValue:
        headers = [key for key, _ in context.invocation_metadata()]
        with self.lock:
            self.logs["v1"] += [line(request.value, None, headers)] * (2 if self.comes_back else 1)
        unwanted = "x-traffic-mirror" in headers and not self.copies_marked
        if unwanted or any(request.value.startswith(f"warm{batch}-") for batch in range(1, self.copies_from_batch)):
            pass
        elif self.copies_come_after_seconds:
            self.timers.append(threading.Timer(self.copies_come_after_seconds, self.copy, [request.value]))
            self.timers[-1].start()
        elif self.copies_from_batch:
            self.copy(request.value)
        return StringValue(value=f"Hello {request.value} ! from v1 pod greeter-v1-a ip 10.0.0.1")

    def copy(self, name: str) -> None:
        with self.lock:
            self.sent += 1
            self.logs["v2"].append(line(name, "mirror", ["x-request-id"]))

    def names(self, _: PodSelection) -> list[str]:
        return ["a"]

    def clock(self) -> datetime:
        return datetime.now(UTC)

    def log_lines(self, selection: PodSelection, *, since_seconds: int) -> Iterator[str]:
        assert since_seconds > 0
        if "istiod" in selection.selector and self.refusing:
            return iter([f"warn ADS:CDS: ACK ERROR {self.refusing}-4 Internal:cluster(s) {V2}: the option is wrong"])
        with self.lock:
            return iter(list(self.logs.get(selection.selector.rpartition("=")[2], [])))

    def pages(self, selection: PodSelection, port: int, path: str) -> dict[str, str]:
        assert port == (15014 if "istiod" in selection.selector else 15000)
        if port in self.forbidden:
            where = f"in namespace {selection.namespace} of staging"
            raise OperationError(f"No permission to create pods/portforward {where}", remedy="Grant it")
        answered = 0 if self.unanswered else self.sent
        pages = {
            "/clusters": "\n".join(
                f"{name}::10.0.0.9:8000::{key}::{value}"
                for name, total, success in (
                    (V1, len(self.logs["v1"]), len(self.logs["v1"])),
                    (V2, self.sent, answered),
                )
                for key, value in (("rq_total", total), ("rq_success", success), ("rq_error", 0), ("rq_active", 0))
            ),
            "/config_dump": json.dumps(
                {"configs": [{"@type": "x.RoutesConfigDump", "dynamic_route_configs": [self.routes]}]}
            ),
            "/memory": '{"allocated": "5"}',
            "/debug/syncz": json.dumps(
                [{"proxy": self.refusing, "cluster_sent": "2", "cluster_acked": "1"}] if self.refusing else []
            ),
        }
        return {"a": pages.get(path, "[]")}


SCRUB = [{"remove": name} for name in CREDENTIAL_HEADERS]
MARK = {"append": {"header": {"key": "x-traffic-mirror", "value": "mirror"}}}
ROUTE = {
    "match": {"prefix": "/"},
    "route": {"cluster": V1, "request_mirror_policies": [{"cluster": V2, "request_headers_mutations": [*SCRUB, MARK]}]},
}
HOSTS = [{"name": AUTHORITY, "domains": [HOST], "routes": [ROUTE]}]
ROUTES = {"route_config": {"name": "http.8000", "virtual_hosts": HOSTS}}


def line(name: str, mark: str | None, headers: list[str]) -> str:
    fields = {"event": "call", "method": "SayHello", "name": name, "authority": AUTHORITY}
    return json.dumps({**fields, "mark": mark, "headers": headers}, separators=(",", ":"))


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Simulated:
    made = Simulated()
    access = ClusterAccess(name="staging", kubeconfig="a")
    staging = ClusterObjects(name="staging", objects=objects())
    sides = {"staging": Side(access=access, objects=staging, pods=cast("Any", made))}
    monkeypatch.setattr(run, "_sides", lambda _: sides)
    return made


@pytest.fixture
def job(cluster: Simulated) -> Iterator[VerifyJob]:
    handler = grpc.unary_unary_rpc_method_handler(
        cluster.say_hello, StringValue.FromString, StringValue.SerializeToString
    )
    server = grpc.server(futures.ThreadPoolExecutor(16))
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("helloworld.Greeter", {"SayHello": handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield VerifyJob(
        staging=ClusterAccess(name="staging", kubeconfig="a"), address=f"127.0.0.1:{port}", calls=60, warm_up_seconds=5
    )
    server.stop(None).wait()


def verified(job: VerifyJob) -> tuple[Report, list[str]]:
    said: list[str] = []
    return run.verify(job, said.append), said


def causes(report: Report, name: str) -> list[Cause]:
    return [each.cause for each in report.subject(name).causes]


def test_a_healthy_mirror_holds_and_its_warm_up_does_not_count(job: VerifyJob) -> None:
    report, said = verified(job)
    assert report.outcome is Outcome.HOLDS, report
    assert (report.subject("primary").copies, report.subject("v2").copies) == (60, 60)
    assert (report.subject("primary").label, report.subject("v2").label) == ("v1", "greeter v2")
    assert report.memory_bytes == 5
    assert "warm-up, waiting for the route" in said
    assert f"60 calls to {AUTHORITY} at {job.address}" in said


def test_the_warm_up_waits_until_copies_come(cluster: Simulated, job: VerifyJob) -> None:
    cluster.copies_from_batch = 3
    report, said = verified(job)
    assert "warm-up, waiting for copies at v2" in said
    assert report.subject("v2").copies == 60


def test_copies_that_come_late_are_waited_for(cluster: Simulated, job: VerifyJob) -> None:
    cluster.copies_come_after_seconds = 0.7
    report, _ = verified(replace(job, warm_up_seconds=0))
    for timer in cluster.timers:
        timer.join()
    assert report.subject("v2").copies == 60


def test_a_warm_up_that_never_succeeds_ends_and_the_calls_show_why(cluster: Simulated, job: VerifyJob) -> None:
    cluster.copies_from_batch = 0
    report, _ = verified(replace(job, warm_up_seconds=0.5))
    assert report.outcome is Outcome.FAILS
    assert causes(report, "v2") == [Cause.OVERFLOW]


def test_copies_that_nobody_answers_fail_though_all_arrive(cluster: Simulated, job: VerifyJob) -> None:
    cluster.unanswered = True
    report, _ = verified(job)
    assert (report.subject("v2").copies, causes(report, "v2")) == (60, [Cause.UNANSWERED])


@pytest.fixture
def overlaid(cluster: Simulated, monkeypatch: pytest.MonkeyPatch) -> Simulated:
    """The same mirror, hung on the owner's route by an EnvoyFilter."""
    match = Match(rpc_methods=["helloworld.Greeter/SayHello"])
    mirror = InClusterMirror(
        percent=100, service=Destination("v2.hello.svc.cluster.local", 8000), name="next", match=match
    )
    istio, on = IstioBehaviour(version=IstioVersion(1, 31)), [GatewayHosts(hosts=[HOST])]
    route = OverlayRoute(name="a", namespace="hello", on=on, istio=istio, mirrors=[mirror], protocol=Protocol.GRPC)
    found = objects()
    owner = next(each for each in found if each["kind"] == "VirtualService")
    owner["metadata"]["annotations"] = {}
    owner["spec"]["http"][0].pop("mirrors")
    found += plain([*render.overlay_destination_rules(route).values(), *render.overlay_filters(route).values()])
    patches = [each for each in found[-1]["spec"]["configPatches"] if each["applyTo"] == "HTTP_ROUTE"]
    value = patches[0]["patch"]["value"]
    patched = {**ROUTE, **value, "route": {"cluster": V1, **value["route"]}}
    cluster.routes = {"route_config": {"name": "http.8000", "virtual_hosts": [{**HOSTS[0], "routes": [patched]}]}}
    side = run._sides(cast("Any", None))["staging"]
    staging = ClusterObjects(name="staging", objects=found)
    monkeypatch.setattr(run, "_sides", lambda _: {"staging": replace(side, objects=staging)})
    cluster.copies_marked = False
    return cluster


def test_an_overlay_holds_by_calls_and_by_what_it_leaves_alone(overlaid: Simulated, job: VerifyJob) -> None:
    report, said = verified(replace(job, warm_up_seconds=0))
    assert report.subject("next").copies == 60
    assert "requests that must not be copied" in said
    (claim,) = [each for each in report.subject("next").claims if each.title == "leaves other requests alone"]
    assert claim.seen == "marked as copies: 0 of 20, aimed by the client: 0 of 20"
    kinds = {json.loads(each)["name"].partition("-")[0] for each in overlaid.logs["v1"]}
    assert kinds == {"verify", "marked", "forged"}


def test_an_overlay_that_copies_what_is_marked_fails(overlaid: Simulated, job: VerifyJob) -> None:
    overlaid.copies_marked = True
    report, _ = verified(replace(job, warm_up_seconds=0))
    assert causes(report, "next")[0] is Cause.COPIES_OTHERS
    assert "20 of 20" in report.subject("next").causes[0].detail


def test_a_copy_that_comes_back_to_v1_is_a_finding(cluster: Simulated, job: VerifyJob) -> None:
    cluster.comes_back = True
    report, _ = verified(job)
    assert (report.outcome, causes(report, "primary")) == (Outcome.FAILS, [Cause.HANDLED_TWICE])


ISTIOD = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"namespace": "istio-system", "name": "istiod", "labels": {"app": "istiod"}},
    "spec": {
        "selector": {"matchLabels": {"app": "istiod"}},
        "template": {
            "metadata": {"labels": {"app": "istiod"}},
            "spec": {"containers": [{"name": "discovery", "image": "x"}]},
        },
    },
}
BROKEN = {
    "apiVersion": "networking.istio.io/v1alpha3",
    "kind": "EnvoyFilter",
    "metadata": {"namespace": "istio-system", "name": "broken"},
    "spec": {"configPatches": [{"applyTo": "CLUSTER", "match": {"cluster": {"name": V2}}, "patch": {}}]},
}


def holding(monkeypatch: pytest.MonkeyPatch, *more: dict[str, Any]) -> None:
    """Let the cluster have more objects."""
    side = run._sides(cast("Any", None))["staging"]
    staging = ClusterObjects(name="staging", objects=[*objects(), *more])
    monkeypatch.setattr(run, "_sides", lambda _: {"staging": replace(side, objects=staging)})


@pytest.mark.parametrize(
    ("proxy", "named"),
    [("gate-1.istio-system", "the sending proxy gate-1"), ("v2-1.hello", "the sidecar of staging v2-1")],
)
def test_a_proxy_that_refused_a_filter_is_named_with_the_filter_wherever_copies_pass(
    cluster: Simulated, job: VerifyJob, monkeypatch: pytest.MonkeyPatch, proxy: str, named: str
) -> None:
    cluster.refusing = proxy
    holding(monkeypatch, ISTIOD, BROKEN)
    report, _ = verified(job)
    assert report.outcome is Outcome.FAILS
    details = [each.detail for each in report.subject("v2").causes]
    assert any(named in each and "istio-system/broken" in each for each in details), details


def test_who_may_not_ask_istiod_is_told_what_is_not_known_and_the_rest_is_verified(
    cluster: Simulated, job: VerifyJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    holding(monkeypatch, ISTIOD)
    cluster.forbidden = frozenset({15014})
    report, _ = verified(replace(job, warm_up_seconds=0))
    assert (report.outcome, report.subject("v2").copies) == (Outcome.UNKNOWN, 60)
    (gap,) = report.gaps
    right = "No permission to create pods/portforward in namespace istio-system of staging"
    assert gap == f"which proxies of staging refused a configuration: {right}"
    (open_,) = [each for each in report.subject("v2").claims if each.outcome is Outcome.UNKNOWN]
    assert open_.title == "is configured in every proxy"
    assert open_.seen == "so in 1 sending proxy; whether a proxy refused a later one could not be read"


def test_who_may_not_ask_the_sending_proxy_is_told_which_right_is_missing(cluster: Simulated, job: VerifyJob) -> None:
    cluster.forbidden = frozenset({15000})
    with pytest.raises(OperationError, match="No permission to create pods/portforward in namespace istio-system"):
        verified(job)


def test_a_proxy_that_takes_no_part_and_refused_is_told_too(
    cluster: Simulated, job: VerifyJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.refusing = "other-1.elsewhere"
    holding(monkeypatch, ISTIOD)
    report, _ = verified(job)
    assert any("the sidecar of staging other-1" in gap for gap in report.gaps), report.gaps


@pytest.mark.parametrize(
    ("proxy", "takes_part", "named"),
    [
        ("gate-1.gateways", True, "the receiving gateway of testing,"),
        ("v2-1.hello", True, "the sidecar of testing"),
        ("other-1.elsewhere", False, "the sidecar of testing"),
    ],
)
def test_proxies_of_the_receiving_cluster_are_told_apart(proxy: str, takes_part: bool, named: str) -> None:
    place = SimpleNamespace(pods=SimpleNamespace(namespace="gateways"))
    target = SimpleNamespace(wanted=SimpleNamespace(receiver="testing"), workload=SimpleNamespace(namespace="hello"))
    plan = SimpleNamespace(sender="staging", receivers={"testing": place}, targets=[target])
    refused = Unacknowledged(cluster="testing", proxy=proxy, versions=(("cluster", "2"),))
    assert observation._takes_part(cast("Any", plan), refused) is takes_part
    assert observation._name(cast("Any", SimpleNamespace(plan=plan)), refused) == named


def test_another_version_than_wanted_fails(job: VerifyJob) -> None:
    report, _ = verified(replace(job, version="v9", warm_up_seconds=0))
    assert causes(report, "primary") == [Cause.OTHER_VERSION]


def test_watching_makes_no_calls(job: VerifyJob) -> None:
    report, _ = verified(replace(job, watch_seconds=0.1))
    assert (report.outcome, report.calls) == (Outcome.UNKNOWN, None)
    assert causes(report, "v2") == [Cause.NO_CALLS]


def test_progress_of_many_calls_is_told(job: VerifyJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calling, "PROGRESS_SECONDS", 0.0)
    _, said = verified(replace(job, warm_up_seconds=0))
    assert "60 of 60 calls" in said


def test_a_job_survives_its_way_to_a_child(job: VerifyJob) -> None:
    full = replace(job, receiving=(ClusterAccess(name="testing", kubeconfig="b"),), headers=(("x-user", "a"),))
    assert VerifyJob.from_json(json.loads(json.dumps(full.to_json()))) == full


def test_a_child_says_why_nothing_can_be_told() -> None:
    nowhere = VerifyJob(staging=ClusterAccess(name="staging", kubeconfig="/no/such/file"))
    with pytest.raises(OperationError, match="The kubeconfig of staging, /no/such/file"):
        verify_in_child(nowhere, lambda _: None, timeout_seconds=60)
