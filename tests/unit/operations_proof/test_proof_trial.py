"""A whole trial in one process: a greeter on loopback whose log a small API server shows."""

import json
import threading
from collections.abc import Iterator
from concurrent import futures
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue

from components.operations.calls import CallJob
from components.operations.errors import OperationError
from components.operations.kube import ClusterAccess, Pods, PodSelection
from components.operations.mirror_plan import MirrorPlan
from components.operations.outcome import Outcome
from components.operations.trial import TrialJob, run_trial, trial_in_child
from components.operations.verdict import judge
from components.operations.witness import MirrorPlace, WitnessJob

pytestmark = pytest.mark.slow

AUTHORITY = "grpc-hello.staging.example:8000"


class Cluster:
    """Two workloads, a greeter that answers and one that gets copies, and an API server that shows their logs."""

    def __init__(self) -> None:
        self.logs: dict[str, list[str]] = {"greeter-v1-a": [], "greeter-v2-a": []}
        self.copies = True
        self.copies_wait_for_warm_up = 0
        self.copies_come_after_seconds = 0.0
        self.timers: list[threading.Timer] = []
        self.status = 200
        self.asked: list[str] = []
        self._lock = threading.Lock()

    def say_hello(self, request: StringValue, _: grpc.ServicerContext) -> StringValue:
        name = request.value
        with self._lock:
            self.logs["greeter-v1-a"].append(line(name, None, ["authorization", "cookie", "x-api-key"]))
            if self.copies_come_after_seconds:
                self.timers.append(threading.Timer(self.copies_come_after_seconds, self._copy, [name]))
                self.timers[-1].start()
            elif self.copies and (self.copies_wait_for_warm_up == 0 or not name.startswith("warm1-run1")):
                self.logs["greeter-v2-a"].append(line(name, "mirror", []))
        return StringValue(value=f"Hello {name} ! from v1 pod greeter-v1-a ip 10.0.0.1")

    def _copy(self, name: str) -> None:
        with self._lock:
            self.logs["greeter-v2-a"].append(line(name, "mirror", []))

    def get(self, path: str) -> tuple[int, bytes]:
        parts = urlsplit(path)
        self.asked.append(parts.path)
        if self.status != 200:
            return self.status, b'{"kind":"Status"}'
        *_, last = parts.path.split("/")
        if last == "pods":
            version = parse_qs(parts.query)["labelSelector"][0].rpartition("=")[2]
            pods = [{"metadata": {"name": f"greeter-{version}-a"}}] if version in {"v1", "v2"} else []
            return 200, json.dumps({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": pods}).encode()
        if last == "log":
            with self._lock:
                return 200, "\n".join(self.logs[parts.path.split("/")[-2]]).encode()
        return 404, b'{"kind":"Status"}'


def line(name: str, mark: str | None, credentials: list[str]) -> str:
    fields = {"event": "call", "method": "SayHello", "name": name, "authority": AUTHORITY}
    return json.dumps({**fields, "mark": mark, "credentials": credentials})


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def kubeconfig(cluster: Cluster, tmp_path: Path) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = cluster.get(self.path)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the name of the base class
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
        "users": [{"name": "c", "user": {}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
    }
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(document), encoding="utf-8")
    yield str(path)
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def address(cluster: Cluster) -> Iterator[str]:
    handler = grpc.unary_unary_rpc_method_handler(
        cluster.say_hello, StringValue.FromString, StringValue.SerializeToString
    )
    server = grpc.server(futures.ThreadPoolExecutor(16))
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("helloworld.Greeter", {"SayHello": handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


def pods(version: str, container: str = "greeter") -> PodSelection:
    return PodSelection(
        cluster="staging", namespace="hello", selector=f"app=greeter,version={version}", container=container
    )


def trial(address: str, kubeconfig: str) -> TrialJob:
    plan = MirrorPlan(
        name="in-cluster",
        label="greeter v2",
        percent=100,
        authorities=(AUTHORITY,),
        sender_cluster="staging",
        receiver_cluster="staging",
    )
    place = MirrorPlace(workload=pods("v2"), sender=pods("gateway", "istio-proxy"), proxy_cluster="outbound|8000||v2")
    return TrialJob(
        calls=CallJob(address=address, authority=AUTHORITY, run_id="run1", count=60),
        witness=WitnessJob(
            clusters=(ClusterAccess(name="staging", kubeconfig=kubeconfig),),
            primary=pods("v1"),
            mirrors={"in-cluster": place},
            quiet_seconds=0.2,
            timeout_seconds=5,
        ),
        version="v1",
        mirrors=(plan,),
        warm_up_seconds=5,
    )


def test_a_trial_counts_its_own_calls_and_not_those_of_its_warm_up(address: str, kubeconfig: str) -> None:
    job = trial(address, kubeconfig)
    said: list[str] = []
    result = run_trial(job, said.append)
    assert result.calls.answered_by == {"v1": 60}
    assert result.evidence.arrivals["primary"].calls == 60
    assert result.evidence.arrivals["in-cluster"].calls == 60
    assert (
        judge(version="v1", mirrors=job.mirrors, calls=result.calls, evidence=result.evidence).outcome is Outcome.HOLDS
    )
    assert any("warm-up" in text for text in said)
    assert "60 calls to grpc-hello.staging.example:8000" in said


def test_the_warm_up_waits_until_copies_come(cluster: Cluster, address: str, kubeconfig: str) -> None:
    cluster.copies_wait_for_warm_up = 1
    said: list[str] = []
    result = run_trial(trial(address, kubeconfig), said.append)
    assert "warm-up, waiting for copies at in-cluster" in said
    assert result.evidence.arrivals["in-cluster"].calls == 60


def test_copies_that_come_late_are_waited_for(cluster: Cluster, address: str, kubeconfig: str) -> None:
    cluster.copies_come_after_seconds = 0.7
    job = trial(address, kubeconfig)
    patient = replace(job, warm_up_seconds=0, witness=replace(job.witness, quiet_seconds=5))
    result = run_trial(patient, lambda _: None)
    for timer in cluster.timers:
        timer.join()
    assert result.evidence.arrivals["in-cluster"].calls == 60


def test_a_warm_up_that_never_succeeds_ends_and_the_trial_shows_why(
    cluster: Cluster, address: str, kubeconfig: str
) -> None:
    cluster.copies = False
    job = replace(trial(address, kubeconfig), warm_up_seconds=0.5)
    result = run_trial(job, lambda _: None)
    verdict = judge(version="v1", mirrors=job.mirrors, calls=result.calls, evidence=result.evidence)
    assert verdict.outcome is Outcome.FAILS
    assert verdict.causes == ("0 of 60 calls were copied, 60 were due, and nothing else could be seen",)


def test_a_child_gives_the_same_result(address: str, kubeconfig: str) -> None:
    job = replace(trial(address, kubeconfig), warm_up_seconds=0)
    said: list[str] = []
    result = trial_in_child(job, said.append, timeout_seconds=60)
    assert result.calls.total == 60
    assert result.evidence.arrivals["in-cluster"].calls == 60
    assert said == ["60 calls to grpc-hello.staging.example:8000", "evidence"]


def test_progress_of_many_calls_is_told(address: str, kubeconfig: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.operations.trial.PROGRESS_SECONDS", 0.0)
    said: list[str] = []
    run_trial(replace(trial(address, kubeconfig), warm_up_seconds=0), said.append)
    assert "60 of 60 calls" in said


def test_logs_that_may_not_be_read_name_the_missing_permission(cluster: Cluster, address: str, kubeconfig: str) -> None:
    cluster.status = 403
    with pytest.raises(OperationError, match="No permission to list pods in namespace hello of staging"):
        run_trial(replace(trial(address, kubeconfig), warm_up_seconds=0), lambda _: None)


def test_other_answers_of_the_api_server_are_shown(cluster: Cluster, kubeconfig: str) -> None:
    cluster.status = 500
    with pytest.raises(OperationError, match="Cannot list pods in namespace hello of staging: 500"):
        Pods(ClusterAccess(name="staging", kubeconfig=kubeconfig)).names(pods("v1"))


def test_no_pod_is_no_line_and_no_error(kubeconfig: str) -> None:
    access = ClusterAccess(name="staging", kubeconfig=kubeconfig)
    assert list(Pods(access).log_lines(pods("v3"), since_seconds=10)) == []


@pytest.mark.parametrize("content", [None, "", "not: [a kubeconfig", "a: 1"])
def test_a_kubeconfig_that_cannot_be_used_is_said(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "broken"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(OperationError, match="The kubeconfig of staging"):
        Pods(ClusterAccess(name="staging", kubeconfig=str(path)))


def test_a_context_that_is_missing_is_said(kubeconfig: str) -> None:
    with pytest.raises(OperationError, match="no-such-context"):
        Pods(ClusterAccess(name="staging", kubeconfig=kubeconfig, context="no-such-context"))


def test_an_api_server_that_does_not_listen_is_said(tmp_path: Path) -> None:
    document = {
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "c", "user": {}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
    }
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(OperationError, match="The API server of staging cannot be reached"):
        Pods(ClusterAccess(name="staging", kubeconfig=str(path))).names(pods("v1"))
