"""Helm releases under the stand-in provider, on a real API server with the real Helm."""

import http.server
import subprocess
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from components.rehearsal.processes import wait_until
from components.rehearsal.standin_provider.values import UNKNOWN, Secret
from components.rehearsal.toolchain import Toolchain
from tests.support import provider_process
from tests.support.apiserver import ApiServer
from tests.support.provider_process import ProviderFailedError, ProviderProcess, configure

pytestmark = pytest.mark.stage

RELEASE = "kubernetes:helm.sh/v3:Release"

TEMPLATE = """
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}, namespace: {{ .Release.Namespace }}}
data: {greeting: {{ .Values.greeting | quote }}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: {{ .Release.Name }}}
rules: []
{{- if .Values.image }}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}}
spec:
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:
    metadata: {labels: {app: {{ .Release.Name }}}}
    spec: {containers: [{name: c, image: {{ .Values.image }}}]}
{{- end }}
"""


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    """A small chart."""
    folder = tmp_path / "chart"
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text(
        "apiVersion: v2\nname: tiny\nversion: 1.2.3\nappVersion: 9.9\n", encoding="utf-8"
    )
    (folder / "values.yaml").write_text("greeting: hello\nimage: ''\n", encoding="utf-8")
    (folder / "templates" / "all.yaml").write_text(TEMPLATE, encoding="utf-8")
    return folder


def release(chart: Path, namespace: str, **options: Any) -> dict[str, Any]:
    return {"chart": str(chart), "name": "tiny", "namespace": namespace, **options}


def greeting(apiserver: ApiServer, namespace: str) -> str:
    found = apiserver.get("v1", "ConfigMap", "tiny", namespace)
    return found["data"]["greeting"] if found else ""


def test_a_release_goes_through_its_life(
    provider: ProviderProcess, apiserver: ApiServer, namespace: str, chart: Path
) -> None:
    resource = provider.resource(RELEASE)
    state = resource.create(release(chart, namespace, values={"greeting": "hi"}))
    assert resource.id == f"{namespace}/tiny"
    assert state["status"] == {
        "appVersion": "9.9",
        "chart": "tiny",
        "name": "tiny",
        "namespace": namespace,
        "revision": 1,
        "status": "deployed",
        "version": "1.2.3",
    }
    assert state["resourceNames"] == {
        "ConfigMap/v1": [f"{namespace}/tiny"],
        "Role.rbac.authorization.k8s.io/rbac.authorization.k8s.io/v1": ["tiny"],
    }
    assert (state["version"], state["timeout"]) == ("1.2.3", 300)
    assert resource.diff(release(chart, namespace, values={"greeting": "hi"})).changes == 1
    assert greeting(apiserver, namespace) == "hi"

    changed = release(chart, namespace, values={"greeting": "bye"})
    assert list(resource.diff(changed).detailedDiff) == ["values.greeting"]
    assert resource.update(changed, preview=True)["status"] is UNKNOWN
    assert resource.update(changed)["status"]["revision"] == 2
    assert greeting(apiserver, namespace) == "bye"

    resource.refresh()
    assert resource.diff(changed).changes == 1
    assert "name" in resource.diff({**changed, "name": "other"}).replaces
    resource.delete()
    assert greeting(apiserver, namespace) == ""
    assert resource.read()[0] == ""
    resource.delete()


def test_the_version_comes_from_the_chart(provider: ProviderProcess, namespace: str, chart: Path) -> None:
    resource = provider.resource(RELEASE)
    resource.create(release(chart, namespace))
    newer = (chart / "Chart.yaml").read_text(encoding="utf-8").replace("1.2.3", "1.3.0")
    (chart / "Chart.yaml").write_text(newer, encoding="utf-8")
    assert list(resource.diff(release(chart, namespace)).detailedDiff) == ["version"]
    with pytest.raises(ProviderFailedError, match=r"chart: .*nowhere"):
        resource.check(release(chart.parent / "nowhere", namespace))


def test_a_preview_knows_the_inputs_but_not_the_status(provider: ProviderProcess, namespace: str, chart: Path) -> None:
    preview = provider.resource(RELEASE).preview(release(chart, namespace, values={"greeting": UNKNOWN}))
    assert preview["name"] == "tiny"
    assert preview["values"]["greeting"] is UNKNOWN
    assert preview["status"] is UNKNOWN


def test_a_failed_release_is_recorded_and_the_next_update_repairs_it(
    provider: ProviderProcess, namespace: str, chart: Path
) -> None:
    resource = provider.resource(RELEASE)
    with pytest.raises(ProviderFailedError, match="exists but failed") as failed:
        resource.create(release(chart, namespace, values={"image": "broken"}, timeout=3))
    assert failed.value.partial is not None
    assert resource.state["status"]["status"] == "failed"
    state = resource.update(release(chart, namespace, values={"image": "works"}, timeout=60))
    assert (state["status"]["status"], state["status"]["revision"]) == ("deployed", 2)


def test_a_chart_that_is_refused_leaves_nothing(provider: ProviderProcess, namespace: str, chart: Path) -> None:
    broken = TEMPLATE + "---\napiVersion: v1\nkind: Nonsense\nmetadata: {name: x}\n"
    (chart / "templates" / "all.yaml").write_text(broken, encoding="utf-8")
    with pytest.raises(ProviderFailedError, match="Nonsense") as failed:
        provider.resource(RELEASE).create(release(chart, namespace))
    assert failed.value.partial is None


def test_secret_values_reach_helm_by_file_only(
    provider: ProviderProcess, apiserver: ApiServer, namespace: str, chart: Path
) -> None:
    seen: set[str] = set()
    stop = threading.Event()

    def look() -> None:
        while not stop.wait(0.01):
            for child in provider.process.children(recursive=True):
                try:
                    seen.add(" ".join(child.cmdline()))
                except psutil.Error:
                    continue

    watcher = threading.Thread(target=look)
    watcher.start()
    state = provider.resource(RELEASE).create(release(chart, namespace, values={"greeting": Secret("open sesame")}))
    stop.set()
    watcher.join()
    assert isinstance(state["values"]["greeting"], Secret)
    assert isinstance(state["__inputs"], Secret)
    assert greeting(apiserver, namespace) == "open sesame"
    assert any("install" in line for line in seen)
    assert not any("sesame" in line for line in seen)


@pytest.mark.parametrize("option", [{"postrender": "cat"}, {"repositoryOpts": {"repo": "https://x", "password": "y"}}])
def test_an_option_that_would_be_ignored_is_refused(
    provider: ProviderProcess, namespace: str, chart: Path, option: dict[str, Any]
) -> None:
    with pytest.raises(ProviderFailedError, match="not supported by the stand-in"):
        provider.resource(RELEASE).check(release(chart, namespace, **option))


def test_a_chart_comes_from_a_repository(
    provider: ProviderProcess, toolchain: Toolchain, namespace: str, chart: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "repository"
    helm = toolchain.program("helm")
    subprocess.run([helm, "package", chart, "--destination", folder], check=True, capture_output=True)
    subprocess.run([helm, "repo", "index", folder], check=True, capture_output=True)
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        repository = {"repo": f"http://127.0.0.1:{server.server_port}"}
        options = {"chart": "tiny", "name": "tiny", "namespace": namespace, "repositoryOpts": repository}
        resource = provider.resource(RELEASE)
        assert resource.create({**options, "version": ">=1.0.0"})["status"]["version"] == "1.2.3"
        assert resource.diff({**options, "version": ">=1.0.0"}).changes == 1
        with pytest.raises(ProviderFailedError, match="chart: "):
            resource.check({**options, "version": ">=2.0.0"})
        server.shutdown()
    resource.delete()


@pytest.mark.parametrize("installed", [False, True])
def test_a_release_of_a_killed_run_is_taken_up_again(
    apiserver: ApiServer, environment: dict[str, str], namespace: str, chart: Path, *, installed: bool
) -> None:
    broken = release(chart, namespace, values={"image": "broken"}, timeout=120)
    with provider_process.running(chart.parent, environment) as process:
        configure(process, apiserver)
        resource = process.resource(RELEASE)
        if installed:
            resource.create(release(chart, namespace))
        operation = resource.update if installed else resource.create
        waiting = threading.Thread(target=suppressed, args=(operation, broken))
        waiting.start()
        wait_until(lambda: is_pending(environment, apiserver, namespace), what="Helm works", timeout=30)
        for victim in (*process.process.children(recursive=True), process.process):
            victim.kill()
        waiting.join(timeout=30)
    with provider_process.running(chart.parent, environment) as process:
        configure(process, apiserver)
        again = process.resource(RELEASE)
        again.id, again.inputs, again.state = resource.id, resource.inputs, resource.state
        state = (again.update if installed else again.create)(release(chart, namespace, values={"image": "works"}))
        assert state["status"]["status"] == "deployed"


def is_pending(environment: dict[str, str], apiserver: ApiServer, namespace: str) -> bool:
    """Whether Helm has begun to work on the release and has not ended."""
    command = [environment["TRAFFIC_MIRROR_HELM"], "status", "tiny", "--namespace", namespace]
    done = subprocess.run(
        [*command, "--kubeconfig", apiserver.kubeconfig], capture_output=True, text=True, check=False, env=environment
    )
    return "STATUS: pending-" in done.stdout


def suppressed(operation: Any, inputs: dict[str, Any]) -> None:
    """Run an operation that may fail."""
    with suppress(ProviderFailedError):
        operation(inputs)


def test_helm_ends_with_the_provider(own_provider: ProviderProcess, namespace: str, chart: Path) -> None:
    resource = own_provider.resource(RELEASE)
    values = {"image": "broken"}

    def create() -> None:
        with pytest.raises(ProviderFailedError):
            resource.create(release(chart, namespace, values=values, timeout=120))

    waiting = threading.Thread(target=create)
    waiting.start()
    wait_until(lambda: bool(own_provider.process.children()), what="Helm runs", timeout=10)
    helm = own_provider.process.children()[0]
    begun = time.monotonic()
    own_provider.process.terminate()
    wait_until(lambda: not helm.is_running(), what="Helm ends", timeout=10)
    assert time.monotonic() - begun < 5
    waiting.join(timeout=10)
