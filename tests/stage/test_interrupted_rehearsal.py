"""A rehearsal on clusters that exist, ended half-way: after ``rehearse down`` both are as they were before.

The stage's clusters are given by their kubeconfigs, as anybody's would be.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from pulumi_traffic_mirror.rehearsal.embedded import embedded_cluster
from pulumi_traffic_mirror.rehearsal.existing import STATE_VARIABLE
from pulumi_traffic_mirror.rehearsal.scenario import STAGING, TESTING
from pulumi_traffic_mirror.rehearsal.stage import Stage

pytestmark = [pytest.mark.stage, pytest.mark.slow_stage, pytest.mark.timeout(600)]

ROLES = (STAGING, TESTING)
PROJECT = Path(__file__).resolve().parents[2]
KINDS = (
    "namespaces,configmaps,secrets,serviceaccounts,deployments,services,"
    "clusterroles,clusterrolebindings,validatingwebhookconfigurations,mutatingwebhookconfigurations,"
    "customresourcedefinitions"
)
INJECTOR = "mutatingwebhookconfiguration/istio-sidecar-injector"
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "own", "labels": {"sidecar.istio.io/inject": "true"}},
    "spec": {"containers": [{"name": "own", "image": "own:1"}]},
}


@dataclass(frozen=True)
class Clusters:
    """Two clusters that exist, and a rehearsal on them as a user starts it."""

    stage: Stage
    folder: Path

    def command(self, *words: str) -> list[str]:
        python = [sys.executable, "-m", "pulumi_traffic_mirror.cli", "rehearse", *words]
        return self.stage.fabric_command(["env", f"{STATE_VARIABLE}={self.folder / 'state'}", *python])

    def rehearse(self, *words: str) -> "subprocess.Popen[str]":
        cluster = embedded_cluster(self.stage, STAGING)
        settings = self.folder / "settings.yaml"
        settings.write_text(json.dumps({"istio": cluster.istio, "gateway": cluster.gateway}))
        kubeconfigs = [f"--{role}={self.stage.kubeconfigs[role]}" for role in ROLES]
        options = [f"--greeter-image={cluster.greeter_image}", f"--settings={settings}", "--calls=50"]
        return subprocess.Popen(
            self.command(*kubeconfigs, *options, *words),
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(self.command(*words), cwd=PROJECT, capture_output=True, text=True, check=False)

    def status(self) -> str:
        """What ``status`` tells, also of the stage that the clusters belong to."""
        return self.run("status").stdout

    def objects(self) -> Mapping[str, frozenset[str]]:
        """Names of what could hurt, by cluster; Kubernetes' own service account secrets are none."""
        template = '{range .items[*]}{.kind}/{.metadata.namespace}/{.metadata.name}{"\\n"}{end}'
        return {
            role: frozenset(self.stage.kubectl(role, "get", KINDS, "-A", f"-o=jsonpath={template}").splitlines())
            for role in ROLES
        }

    def has(self, role: str, name: str) -> bool:
        return name.partition("/")[2] in self.stage.kubectl(role, "get", name.partition("/")[0], "-o=name")

    def refuses_pods(self, role: str) -> str:
        """Why a pod that asks for a sidecar is refused; empty where it is not."""
        pod = self.folder / "pod.json"
        pod.write_text(json.dumps(POD))
        try:
            self.stage.kubectl(role, "create", "--dry-run=server", f"--filename={pod}")
        except subprocess.CalledProcessError as error:
            return str(error.stderr)
        return ""


@pytest.fixture
def clusters(stage: Stage, tmp_path: Path) -> Iterator[Clusters]:
    made = Clusters(stage, tmp_path)
    yield made
    made.run("down")


def wait_for(condition: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    while not condition():
        assert process.poll() is None, process.communicate()[1][-4000:]
        time.sleep(0.1)


def engine_processes(folder: Path) -> list[int]:
    mark = f"PULUMI_HOME={folder}".encode()
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                variables = (entry / "environ").read_bytes()
            except OSError:
                continue
            if mark in variables:
                found.append(int(entry.name))
    return found


def test_killed_while_istio_is_half_installed_and_then_down(clusters: Clusters) -> None:
    before = clusters.objects()
    with clusters.rehearse() as process:
        wait_for(lambda: clusters.has(STAGING, INJECTOR), process)
        # All at once, as when the machine goes down: nothing can end in order.
        for pid in [process.pid, *engine_processes(clusters.folder / "state")]:
            os.kill(pid, signal.SIGKILL)
    assert clusters.objects() != before
    assert "Stacks are on clusters that exist; remove them with" in clusters.status()
    down = clusters.run("down")
    assert down.returncode == 0, down.stderr[-4000:]
    assert clusters.objects() == before
    assert {role: clusters.refuses_pods(role) for role in ROLES} == dict.fromkeys(ROLES, "")
    assert "clusters that exist" not in clusters.status()
    assert not (clusters.folder / "state").exists(), "kubeconfigs with tokens are below it"


def test_interrupted_while_deploying_everything_goes_at_once(clusters: Clusters) -> None:
    before = clusters.objects()
    with clusters.rehearse() as process:
        wait_for(lambda: clusters.has(STAGING, INJECTOR), process)
        assert "A rehearsal is running on clusters that exist" in clusters.status()
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate()
    assert process.returncode in {130, -signal.SIGINT}, said[-4000:]
    assert clusters.objects() == before
    assert {role: clusters.refuses_pods(role) for role in ROLES} == dict.fromkeys(ROLES, "")
    assert "clusters that exist" not in clusters.status()


def test_a_whole_rehearsal_takes_istio_with_it(clusters: Clusters) -> None:
    before = clusters.objects()
    with clusters.rehearse() as process:
        _, said = process.communicate()
    assert process.returncode == 0, said[-4000:]
    assert clusters.objects() == before
