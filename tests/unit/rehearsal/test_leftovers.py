"""What Istio leaves in a cluster goes where a rehearsal brought it, and nothing else; by an API on the loopback."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from pulumi_traffic_mirror.operations.errors import OperationError
from pulumi_traffic_mirror.operations.kube import ClusterAccess
from pulumi_traffic_mirror.rehearsal import leftovers as module
from pulumi_traffic_mirror.rehearsal.errors import StageError
from pulumi_traffic_mirror.rehearsal.leftovers import IstioLeftovers
from pulumi_traffic_mirror.rehearsal.progress import SilentProgress

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
HELM = {"annotations": {"meta.helm.sh/release-name": "istiod", "meta.helm.sh/release-namespace": "istio-system"}}
CERTIFICATE = {"labels": {"istio.io/config": "true"}}
GATEWAYS = f"{CRDS}/gateways.networking.istio.io"
OWN_GATEWAY = "/apis/networking.istio.io/v1/namespaces/shop/gateways/own"

OURS = {
    f"{ADMISSION}/validatingwebhookconfigurations/istiod-default-validator": HELM,
    f"{ADMISSION}/mutatingwebhookconfigurations/istio-sidecar-injector": HELM,
    f"{RBAC}/clusterroles/istiod-clusterrole-istio-system": HELM,
    f"{RBAC}/clusterrolebindings/istiod-clusterrole-istio-system": HELM,
    GATEWAYS: {},
    "/api/v1/namespaces/shop/configmaps/istio-ca-root-cert": CERTIFICATE,
    "/api/v1/namespaces/default/configmaps/istio-ca-root-cert": CERTIFICATE,
}
"""What a half-installed Istio leaves, by its path in the API."""

OTHERS = {
    f"{ADMISSION}/validatingwebhookconfigurations/cert-manager": {
        "annotations": {"meta.helm.sh/release-namespace": "cert-manager"}
    },
    f"{RBAC}/clusterroles/admin": {},
    f"{CRDS}/certificates.cert-manager.io": {},
    "/api/v1/namespaces/shop/configmaps/settings": {},
}


class Api:
    """The objects of an API server, by path."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.deleted: list[str] = []
        self.forbidden = ""
        self.stuck = ""

    def add(self, objects: dict[str, Any]) -> None:
        for path, metadata in objects.items():
            parts = path.split("/")
            place = {"namespace": parts[parts.index("namespaces") + 1]} if "namespaces" in parts else {}
            spec = {}
            if path.startswith(CRDS):
                plural, _, group = parts[-1].partition(".")
                versions = [{"name": "v1alpha3", "served": False}, {"name": "v1", "served": True}]
                spec = {"group": group, "versions": versions, "names": {"plural": plural}}
            self.objects[path] = {"metadata": {"name": parts[-1], **place, **metadata}, "spec": spec}

    def items(self, collection: str, labels: str) -> list[dict[str, Any]]:
        root, _, plural = collection.rpartition("/")
        return [
            item
            for path, item in self.objects.items()
            if path.startswith(f"{root}/")
            and path.split("/")[-2] == plural
            and (not labels or labels.partition("=")[0] in item["metadata"].get("labels", {}))
        ]

    def answer(self, method: str, path: str, query: dict[str, list[str]]) -> tuple[int, dict[str, Any]]:
        if self.forbidden and self.forbidden in path:
            return 403, {}
        if method == "GET":
            return 200, {"items": self.items(path, query.get("labelSelector", [""])[0])}
        if path not in self.objects:
            return 404, {}
        self.deleted.append(path)
        if path == self.stuck:
            self.objects[path]["metadata"]["deletionTimestamp"] = "2026-11-29T12:00:00Z"
        else:
            del self.objects[path]
        return 200, {}


@pytest.fixture
def api() -> Api:
    made = Api()
    made.add(OTHERS)
    return made


@pytest.fixture
def leftovers(api: Api, tmp_path: Path) -> Iterator[IstioLeftovers]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            url = urlsplit(self.path)
            status, body = api.answer(self.command, url.path, parse_qs(url.query))
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_DELETE = _answer  # noqa: N815 -- names that the server looks for

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base's name
            del format, args

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        config = {
            "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "c",
        }
        (tmp_path / "kubeconfig").write_text(json.dumps(config))
        yield IstioLeftovers(ClusterAccess(name="staging", kubeconfig=str(tmp_path / "kubeconfig")))
        server.shutdown()
        thread.join()


class Notes(SilentProgress):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_all_that_a_rehearsal_brought_goes_and_nothing_else(api: Api, leftovers: IstioLeftovers) -> None:
    before = leftovers.found()
    assert before == ()
    api.add(OURS)
    assert len(leftovers.found()) == len(OURS)
    assert leftovers.found()[0] == "validatingwebhookconfigurations/istiod-default-validator"
    assert leftovers.found()[-1] == "configmaps/default/istio-ca-root-cert"
    leftovers.remove(before, Notes())
    assert set(api.objects) == set(OTHERS)
    assert "webhook" in api.deleted[0], "what refuses pods goes first"


def test_an_istio_that_was_there_before_stays(api: Api, leftovers: IstioLeftovers) -> None:
    api.add(OURS)
    before = leftovers.found()
    api.add({"/api/v1/namespaces/new/configmaps/istio-ca-root-cert": CERTIFICATE})
    leftovers.remove(before, Notes())
    assert api.deleted == ["/api/v1/namespaces/new/configmaps/istio-ca-root-cert"]
    leftovers.remove(before, Notes())
    assert len(api.deleted) == 1


def test_a_crd_of_which_somebody_has_objects_stays_and_is_told(api: Api, leftovers: IstioLeftovers) -> None:
    api.add({**OURS, OWN_GATEWAY: {}})
    notes = Notes()
    leftovers.remove((), notes)
    assert set(api.objects) == {*OTHERS, GATEWAYS, OWN_GATEWAY}
    assert notes.notes == [
        "staging: customresourcedefinitions/gateways.networking.istio.io stays, because somebody has objects of it"
    ]


def test_what_does_not_go_away_is_an_error_with_its_name(
    api: Api, leftovers: IstioLeftovers, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.add(OURS)
    api.stuck = GATEWAYS
    monkeypatch.setattr(module, "GONE_SECONDS", 0.1)
    monkeypatch.setattr(module, "POLL_SECONDS", 0.01)
    with pytest.raises(StageError, match=r"staging do not go away: .*gateways\.networking\.istio\.io"):
        leftovers.remove((), Notes())
    assert api.deleted.count(GATEWAYS) == 1


def test_a_missing_permission_is_named(api: Api, leftovers: IstioLeftovers) -> None:
    api.forbidden = "customresourcedefinitions"
    with pytest.raises(OperationError, match="No permission to list customresourcedefinitions of staging"):
        leftovers.found()


def test_a_cluster_that_does_not_answer_is_named(tmp_path: Path) -> None:
    access = ClusterAccess(name="staging", kubeconfig=str(tmp_path / "nothing"))
    with pytest.raises(OperationError, match=r"The kubeconfig of staging, .*nothing, cannot be used"):
        IstioLeftovers(access)
