"""Both clusters of the stage are real: pods run, names resolve, addresses are given, programs can be restarted."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pulumi_traffic_mirror.rehearsal.embedded import look_around
from pulumi_traffic_mirror.rehearsal.stage import Stage

pytestmark = pytest.mark.stage

POD_SECONDS = 60


def wait_for(condition: Callable[[], bool], what: str, seconds: float = POD_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain until {what}"
        time.sleep(0.1)


@pytest.fixture
def greeters(stage: Stage) -> Iterator[Stage]:
    """One greeter and one Service of type LoadBalancer in each cluster."""
    for role in stage.roles:
        stage.kubectl(role, "run", "probe", f"--image={stage.images['greeter']}", "--port=8000", "--env=VERSION=v1")
        stage.kubectl(role, "expose", "pod", "probe", "--type=LoadBalancer", "--port=8000")
    for role in stage.roles:
        stage.kubectl(role, "wait", "--for=condition=Ready", "pod/probe", f"--timeout={POD_SECONDS}s")
    yield stage
    for role in stage.roles:
        stage.publish_hosts(role, {})
        stage.kubectl(role, "delete", "service,pod", "probe", "--now")


def in_pod(stage: Stage, role: str, code: str) -> str:
    return stage.kubectl(role, "exec", "probe", "--", "/usr/bin/python3", "-c", code).strip()


def tried_in_pod(stage: Stage, role: str, code: str) -> str:
    """What the code prints; empty when it fails, for conditions that are waited for."""
    kubectl = [str(stage.bin / "kubectl"), f"--kubeconfig={stage.kubeconfigs[role]}"]
    command = [*kubectl, "exec", "probe", "--", "/usr/bin/python3", "-c", code]
    return stage.run_in_fabric(command, timeout=30, check=False).stdout.strip()


def load_balancer_address(stage: Stage, role: str) -> str:
    service = json.loads(stage.kubectl(role, "get", "service", "probe", "-o", "json"))
    ingress = service["status"]["loadBalancer"].get("ingress", [{}])
    return str(ingress[0].get("ip", ""))


def test_pods_run_and_are_reached_at_the_gateway_address(greeters: Stage) -> None:
    connect = "import socket,sys; socket.create_connection((sys.argv[1], 8000), timeout=5).close(); print('open')"
    for role in greeters.roles:
        address = greeters.gateway_addresses[role]
        wait_for(lambda role=role, address=address: load_balancer_address(greeters, role) == address, address)

        def reached(address: str = address) -> bool:
            done = greeters.run_in_fabric(["python3", "-c", connect, address], timeout=20, check=False)
            return done.stdout == "open\n"

        wait_for(reached, f"{address}:8000 accepts connections")


def test_a_pod_reaches_the_other_cluster_and_knows_published_names(greeters: Stage) -> None:
    testing = greeters.gateway_addresses["testing"]
    greeters.publish_hosts("staging", {"mirror.testing.example": testing})
    name = "mirror.testing.example"
    resolve = f"import socket; print(socket.gethostbyname({name!r}))"
    connect = f"import socket; socket.create_connection(({name!r}, 8000), timeout=5).close(); print('open')"
    wait_for(lambda: tried_in_pod(greeters, "staging", resolve) == testing, "the published name resolves")
    # The other cluster's packet filter learns of the Service a moment after its pod is ready.
    wait_for(lambda: tried_in_pod(greeters, "staging", connect) == "open", "the other cluster's gateway answers")
    inside = "import socket; print(socket.gethostbyname('kubernetes.default.svc.cluster.local'))"
    assert in_pod(greeters, "testing", inside) == "198.19.16.1"


def test_pods_survive_a_restart_of_the_kubelet(greeters: Stage) -> None:
    before = json.loads(greeters.kubectl("staging", "get", "pod", "probe", "-o", "json"))
    greeters.processes.restart("staging-kubelet")

    def ready() -> bool:
        return "True" in greeters.kubectl(
            "staging", "get", "node", "node-staging", "-o", "jsonpath={.status.conditions[?(@.type=='Ready')].status}"
        )

    wait_for(ready, "the node is ready again")
    after = json.loads(greeters.kubectl("staging", "get", "pod", "probe", "-o", "json"))
    started = [pod["status"]["containerStatuses"][0]["containerID"] for pod in (before, after)]
    assert started[0] == started[1]
    assert after["status"]["containerStatuses"][0]["restartCount"] == 0


def test_an_application_of_ones_own_runs_from_its_source(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "app.py").write_text("import sys; print('own', sys.argv[1:])")
    reference = stage.add_python_app("stage.local/own-app", source=tmp_path, entry="/app/app.py")
    for role in stage.roles:
        run = ["run", "own", f"--image={reference}", "--restart=Never", "--", "argument"]
        stage.kubectl(role, *run)
        done = "--for=jsonpath={.status.phase}=Succeeded"
        stage.kubectl(role, "wait", done, "pod/own", f"--timeout={POD_SECONDS}s")
        assert stage.kubectl(role, "logs", "own") == "own ['argument']\n"
        stage.kubectl(role, "delete", "pod", "own", "--now")


def test_no_secret_is_in_logs_or_command_lines(stage: Stage) -> None:
    tokens = [(stage.folder(role).pki / "tokens.csv").read_text().partition(",")[0].encode() for role in stage.roles]
    assert all(len(token) > 30 for token in tokens)
    exposed = [log for log in stage.logs.iterdir() for token in tokens if token in log.read_bytes()]
    assert exposed == []
    command_lines = [file for file in Path("/proc").glob("[0-9]*/cmdline") if _contains(file, tokens)]
    assert command_lines == []
    for role in stage.roles:
        assert stage.kubeconfigs[role].stat().st_mode & 0o077 == 0
        assert [file for file in stage.folder(role).pki.iterdir() if file.stat().st_mode & 0o077] == []


def _contains(file: Path, tokens: list[bytes]) -> bool:
    try:
        content = file.read_bytes()
    except OSError:
        return False
    return any(token in content for token in tokens)


def test_nobody_without_a_certificate_gets_an_answer_from_a_kubelet(stage: Stage) -> None:
    ask = (
        "import ssl, urllib.request as r;"
        "c = ssl._create_unverified_context();"
        "r.urlopen('https://198.18.0.10:10250/pods', context=c, timeout=5)"
    )
    done = stage.run_in_fabric(["python3", "-c", ask], timeout=20, check=False)
    assert "HTTP Error 401" in done.stderr


def test_the_machine_itself_has_no_route_into_the_stage(stage: Stage) -> None:
    route = subprocess.run(["ip", "route"], check=True, capture_output=True, text=True).stdout
    assert "198.18." not in route
    assert "198.19." not in route


def test_the_hints_for_a_kept_stage_are_working_commands(stage: Stage) -> None:
    lines = [line.partition(": ")[2] for line in look_around(stage) if line.endswith("get pods -A")]
    assert len(lines) == len(stage.roles)
    for line in lines:
        done = subprocess.run(["sh", "-c", line], check=True, capture_output=True, text=True, timeout=30)
        assert "Unable to connect" not in done.stderr
