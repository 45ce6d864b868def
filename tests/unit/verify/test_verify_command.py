"""What a user of verify is told when a cluster cannot be asked, and what can be seen anyway is used."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml

from pulumi_traffic_mirror.cli.app import main
from pulumi_traffic_mirror.cli.calloptions import receiving_clusters
from pulumi_traffic_mirror.model import IstioBehaviour
from pulumi_traffic_mirror.operations.verify import run


@dataclass
class ApiServer:
    """Lists what it is given, and refuses what it is told to."""

    objects: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict[str, list[dict[str, Any]]])
    """By resource."""

    forbidden: set[str] = field(default_factory=set[str])
    """Resources, or subresources of pods."""

    ahead: timedelta = timedelta()
    """How much its clock is ahead."""

    def answer(self, path: str) -> tuple[int, dict[str, Any]]:
        if path.rstrip("/") == "/version":
            return 200, {"major": "1", "minor": "35"} | dict.fromkeys(
                ("buildDate", "compiler", "gitCommit", "gitTreeState", "gitVersion", "goVersion", "platform"), "x"
            )
        resource = path.rpartition("/")[2]
        if resource in self.forbidden:
            return 403, {"kind": "Status", "status": "Failure", "code": 403, "reason": "Forbidden"}
        items = self.objects.get(resource, [])
        return 200, {"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items}


@pytest.fixture
def server() -> ApiServer:
    return ApiServer()


@pytest.fixture
def kubeconfig(server: ApiServer, tmp_path: Path) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, answer = server.answer(self.path.partition("?")[0])
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def date_time_string(self, timestamp: float | None = None) -> str:
            del timestamp
            return super().date_time_string((datetime.now(UTC) + server.ahead).timestamp())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the name of the base class
            pass

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=listener.serve_forever, args=(0.02,))
    thread.start()
    yield written(tmp_path / "kubeconfig", f"http://127.0.0.1:{listener.server_port}")
    listener.shutdown()
    thread.join()
    listener.server_close()


def written(path: Path, address: str) -> str:
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": address}}],
        "users": [{"name": "c", "user": {}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
    }
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return str(path)


def mirrored_greeter() -> Mapping[str, list[dict[str, Any]]]:
    """A gateway that copies half of a host's calls to v2, without any pod."""
    inside = "svc.cluster.local"
    virtual_service = {
        "metadata": {"namespace": "hello", "name": "greeter"},
        "spec": {
            "hosts": ["hello.example"],
            "gateways": ["istio-system/gate"],
            "http": [
                {
                    "route": [{"destination": {"host": f"v1.hello.{inside}", "port": {"number": 8000}}}],
                    "mirrors": [
                        {
                            "destination": {"host": f"v2.hello.{inside}", "port": {"number": 8000}},
                            "percentage": {"value": 50},
                        }
                    ],
                }
            ],
        },
    }
    gate = {
        "metadata": {"namespace": "istio-system", "name": "gate"},
        "spec": {
            "selector": {"istio": "gateway"},
            "servers": [{"port": {"number": 8000, "name": "grpc", "protocol": "GRPC"}, "hosts": ["hello.example"]}],
        },
    }
    labels = {"istio": "gateway"}
    pods = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "istio-proxy", "image": "x"}]}}
    deployment = {
        "metadata": {"namespace": "istio-system", "name": "gateway"},
        "spec": {"selector": {"matchLabels": labels}, "template": pods},
    }
    service = {
        "metadata": {"namespace": "istio-system", "name": "gateway"},
        "spec": {"selector": labels, "ports": [{"port": 8000}], "type": "LoadBalancer"},
        "status": {"loadBalancer": {"ingress": [{"ip": "127.0.0.1"}]}},
    }
    running = {"metadata": {"namespace": "istio-system", "name": "gateway-0", "labels": labels}}
    return {
        "virtualservices": [virtual_service],
        "gateways": [gate],
        "deployments": [deployment],
        "services": [service],
        "pods": [running],
    }


def test_an_unknown_context_is_named(kubeconfig: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--staging", kubeconfig, "--staging-context", "elsewhere"]) == 2
    said = capsys.readouterr().err
    assert "The kubeconfig of staging" in said
    assert "elsewhere" in said


def test_a_kubeconfig_that_cannot_be_read_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "kubeconfig"
    for text in ("a: !!bool x", "[" * 3_000):
        broken.write_text(text, encoding="utf-8")
        assert main(["verify", "--staging", str(broken)]) == 2
        assert f"The kubeconfig of staging, {broken}, cannot be used" in capsys.readouterr().err


@pytest.mark.parametrize(("resource", "verb"), [("virtualservices", "list"), ("services", "list")])
def test_a_missing_permission_is_named_with_the_role_that_grants_it(
    kubeconfig: str, server: ApiServer, resource: str, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    server.forbidden = {resource}
    assert main(["verify", "--staging", kubeconfig]) == 2
    said = capsys.readouterr().err
    assert f"No permission to {verb} {resource}" in said
    assert f"Grant the verb {verb!r} on {resource!r}" in said
    assert "traffic-mirror verify --role" in said


def test_a_missing_permission_on_pods_is_named_too(
    kubeconfig: str, server: ApiServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.objects, server.forbidden = mirrored_greeter(), {"pods"}
    assert main(["verify", "--staging", kubeconfig]) == 2
    said = capsys.readouterr().err
    assert "No permission to list pods in namespace istio-system of staging" in said
    assert "traffic-mirror verify --role" in said


def test_the_permission_to_forward_a_port_of_a_pod_is_named(
    kubeconfig: str, server: ApiServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.objects, server.forbidden = mirrored_greeter(), {"portforward"}
    assert main(["verify", "--staging", kubeconfig]) == 2
    said = capsys.readouterr().err
    assert "No permission to create pods/portforward in namespace istio-system of staging" in said


def test_the_shipped_role_grants_what_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--role"]) == 0
    roles = {role["metadata"]["name"]: role for role in yaml.safe_load_all(capsys.readouterr().out)}
    granted = {
        name: {(what, verb) for rule in role["rules"] for what in rule["resources"] for verb in rule["verbs"]}
        for name, role in roles.items()
    }
    assert {("virtualservices", "list"), ("services", "list")} <= granted["traffic-mirror-verify"]
    pages = {("pods", "list"), ("pods/log", "get"), ("pods/portforward", "create"), ("pods/portforward", "get")}
    assert granted["traffic-mirror-verify-gateway"] == granted["traffic-mirror-verify-istiod"] == pages
    everywhere = {what for name, role in roles.items() if role["kind"] == "ClusterRole" for what, _ in granted[name]}
    assert not {what for what in everywhere if what.startswith(("pods", "secrets"))}
    every = set[tuple[str, str]]().union(*granted.values())
    assert not {verb for _, verb in every} & {"delete", "patch", "update", "*"}
    assert not {what for what, _ in every} & {"pods/exec", "secrets"}


def test_a_cluster_that_cannot_be_reached_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Port 9 of the loopback is the one of the discard protocol: nobody listens there.
    assert main(["verify", "--staging", written(tmp_path / "kubeconfig", "http://127.0.0.1:9")]) == 2
    assert "The API server of staging cannot be reached" in capsys.readouterr().err


def test_a_cluster_without_mirrors_is_bad_input(kubeconfig: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--staging", kubeconfig]) == 2
    assert "there are: none" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--staging = None: must be given"),
        (["--staging", "absent"], "--staging = 'absent': must be a file that exists"),
        (["--staging", "KUBECONFIG", "--calls", "0"], "--calls = 0: must be from 1 to"),
        (["--staging", "KUBECONFIG", "--rate", "-1"], "--rate = -1.0: must be from 0 to"),
        (["--staging", "KUBECONFIG", "--gateway", "gate.example"], "--gateway = 'gate.example': must be HOST:PORT"),
        (["--staging", "KUBECONFIG", "--watch", "-1"], "--watch = -1.0: must be from 0 to"),
        (["--staging", "KUBECONFIG", "--header", "alice"], "--header = 'alice': must be NAME=VALUE"),
        (["--staging", "KUBECONFIG", "--expect", "v2=half"], "--expect = 'half': must be a number of per cent"),
        (["--staging", "KUBECONFIG", "--expect", "v2=101"], "--expect"),
        (
            ["--staging", "KUBECONFIG", "--expect", "v2"],
            "--expect = 'v2': must be MIRROR=PERCENT. Write for example v2=50",
        ),
        (["--staging", "KUBECONFIG", "--calls", "0"], "--calls = 0: must be from 1 to 1000000"),
        (["--staging", "KUBECONFIG", "--rpc", "SayHello"], "--rpc"),
        (["--staging", "KUBECONFIG", "--header", "x user=alice"], "--header = 'x user': must be a header name"),
        (
            ["--staging", "KUBECONFIG", "--header", "x-user=Jürgen"],
            "--header = 'x-user': must have a value of printable",
        ),
        (["--staging", "KUBECONFIG", "--istio", "9.9"], "--istio = '9.9': must be from 1.26 to 1.31"),
        (["--staging", "KUBECONFIG", "--istio", "eu=1.31"], "--istio = 'eu': must name one of staging"),
        (["--staging", "KUBECONFIG", "--istio", "1.31", "--istio", "1.30"], "--istio = '1.30': must be given once"),
        (["--staging", "KUBECONFIG", "--path", "orders"], "--path = 'orders': must begin with /"),
        (
            ["--staging", "KUBECONFIG", "--watch", "600"],
            "--timeout = 300.0: must be longer than the 600 s that --watch",
        ),
        (["--staging", "KUBECONFIG", "--rate", "0.5"], "--timeout = 300.0: must be longer than the 400 s that --rate"),
        (
            ["--staging", "KUBECONFIG", "--html", "/no/such/folder/report.html"],
            "--html = '/no/such/folder/report.html'",
        ),
    ],
)
def test_bad_input_is_named_before_anything_is_asked(
    kubeconfig: str, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", *(kubeconfig if word == "KUBECONFIG" else word for word in words)]) == 2
    assert said in capsys.readouterr().err


def test_several_clusters_may_get_copies_each_with_its_name_and_context(tmp_path: Path) -> None:
    for name in ("eu", "a=b"):
        (tmp_path / name).touch()
    found = receiving_clusters([f"eu={tmp_path / 'eu'}", str(tmp_path / "a=b")], ["eu=blue", "green"])
    assert [(each.name, Path(each.kubeconfig).name, each.context) for each in found] == [
        ("eu", "eu", "blue"),
        ("testing", "a=b", "green"),
    ]


@pytest.mark.parametrize(("seconds", "noted"), [(0, False), (600, True), (-600, True)])
def test_clocks_that_differ_are_noted(
    kubeconfig: str, server: ApiServer, seconds: int, noted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.objects, server.ahead = mirrored_greeter(), timedelta(seconds=seconds)
    gaps: list[str] = []
    check = run._check_clocks

    def checked(survey: run.Survey) -> None:
        check(survey)
        gaps.extend(survey.gaps)

    monkeypatch.setattr(run, "_check_clocks", checked)
    # Nobody serves the admin pages of its gateway, so it ends without a verdict.
    assert main(["verify", "--staging", kubeconfig]) == 2
    assert bool(gaps) is noted
    sign = "+" if seconds > 0 else "-"
    assert all(gap.startswith(f"the clock of staging differs by {sign}") for gap in gaps)


@pytest.mark.parametrize(
    ("words", "declared"),
    [
        # Without a Deployment of istiod nothing tells.
        ([], ("", None)),
        (["--istio", "1.30"], ("1.30.0", None)),
        (["--istio", "testing=1.29", "--istio", "staging=1.28.3-asm.4"], ("1.28.3", ("HTTP_FILTER",))),
    ],
)
def test_the_control_plane_is_the_one_that_was_declared(
    kubeconfig: str,
    server: ApiServer,
    words: list[str],
    declared: object,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server.objects = mirrored_greeter()
    found: list[IstioBehaviour | None] = []
    monkeypatch.setattr(run, "_check_clocks", lambda survey: found.append(survey.sides["staging"].objects.istio))
    testing = ["--testing", kubeconfig] if words else []
    assert main(["verify", "--staging", kubeconfig, *testing, *words]) == 2
    assert [(str(each.version), each.patches) if each else ("", None) for each in found] == [declared]
