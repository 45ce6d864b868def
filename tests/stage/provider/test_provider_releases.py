"""Helm releases under the stand-in provider, on a real API server with the real Helm."""

import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from components.rehearsal.processes import wait_until
from components.rehearsal.standin_provider.values import UNKNOWN, Secret
from tests.support.apiserver import ApiServer
from tests.support.provider_process import ProviderFailedError, ProviderProcess

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
