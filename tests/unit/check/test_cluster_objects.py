"""Reading a live cluster, here an API server that knows what it is asked for."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import pytest
import yaml

from pulumi_traffic_mirror.cli.app import main
from pulumi_traffic_mirror.operations.cluster_objects import read_cluster
from pulumi_traffic_mirror.operations.errors import OperationError
from pulumi_traffic_mirror.operations.kube import ClusterAccess
from tests.unit.model.controller_cases import canary
from tests.unit.model.samples import Object, istiod, sending, service

PLURALS = {
    "VirtualService": "virtualservices",
    "DestinationRule": "destinationrules",
    "ServiceEntry": "serviceentries",
    "Gateway": "gateways",
    "EnvoyFilter": "envoyfilters",
    "Service": "services",
    "Deployment": "deployments",
    "Canary": "canaries",
    "AuthorizationPolicy": "authorizationpolicies",
    "ConfigMap": "configmaps",
}


@contextmanager
def api_server(objects: list[Object], folder: Path, forbidden: str = "") -> Iterator[Path]:
    """Serve objects in pages of two; the kubeconfig for it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlparse(self.path)
            prefix, _, plural = url.path.strip("/").rpartition("/")
            version = prefix.removeprefix("apis/").removeprefix("api/")
            if plural == forbidden:
                self.answer(403, {"kind": "Status", "code": 403, "reason": "Forbidden"})
                return
            found = [each for each in objects if PLURALS[each["kind"]] == plural and each["apiVersion"] == version]
            *above, name = url.path.strip("/").split("/")
            if above[-1:] == ["configmaps"]:
                known = {each["metadata"]["namespace"]: each for each in objects if each["metadata"]["name"] == name}
                config = known.get(above[-2], {"kind": "Status", "code": 404})
                self.answer(200 if above[-2] in known else 404, config)
                return
            if not found and plural in ("httproutes", "grpcroutes", "xlistenersets", "referencegrants"):
                self.answer(404, {"kind": "Status", "code": 404})
                return
            start = int(parse_qs(url.query).get("continue", ["0"])[0])
            # Items of a list have neither kind nor version.
            items = [{key: each[key] for key in ("metadata", "spec")} for each in found[start : start + 2]]
            following = {"continue": str(start + 2)} if start + 2 < len(found) else {}
            self.answer(200, {"kind": "List", "metadata": following, "items": items})

        def answer(self, code: int, body: Object) -> None:
            data = json.dumps(body).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *words: Any, **more: Any) -> None:
            del words, more

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    path = folder / "kubeconfig"
    cluster = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}
    context = {"name": "gke-a", "context": {"cluster": "c", "user": "u"}}
    user = {"name": "u", "user": {"token": "none"}}
    config = {"apiVersion": "v1", "kind": "Config", "clusters": [cluster], "contexts": [context], "users": [user]}
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    try:
        yield path
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_every_object_is_read_page_by_page(tmp_path: Path) -> None:
    objects = [*sending(), service("greeter-v2"), service("a"), service("b"), istiod()]
    with api_server(objects, tmp_path) as kubeconfig:
        loaded = read_cluster(ClusterAccess(name="staging", kubeconfig=str(kubeconfig), context="gke-a"))
    assert len(loaded.cluster.objects) == len(objects)
    assert loaded.cluster.complete
    assert len(loaded.cluster.routing.mirror_entries) == 3
    assert loaded.cluster.istio
    assert str(loaded.cluster.istio.version) == "1.31.0"
    assert len(loaded.cluster.of("Service")) == 3


def configured(namespace: str, name: str, **mesh: Any) -> Object:
    """The ConfigMap of a mesh's configuration."""
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"mesh": yaml.safe_dump(mesh)}}


@pytest.mark.parametrize(
    ("namespace", "revision", "name", "root"),
    [
        ("istio-system", "", "istio", "roots"),
        ("mesh", "default", "istio", "roots"),
        ("mesh", "1-31", "istio-1-31", "roots"),
        ("mesh", "1-31", "istio", "istio-system"),
    ],
)
def test_the_configuration_is_that_beside_istiod(
    tmp_path: Path, namespace: str, revision: str, name: str, root: str
) -> None:
    plane = istiod(namespace=namespace, revision=revision)
    with api_server([plane, configured(namespace, name, rootNamespace="roots")], tmp_path) as kubeconfig:
        access = ClusterAccess(name="staging", kubeconfig=str(kubeconfig), context="gke-a")
        assert read_cluster(access).cluster.root_namespace == root
        assert read_cluster(access, root_namespace="given").cluster.root_namespace == "given"


def test_objects_of_controllers_are_read_where_they_are_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with api_server([canary(mirror=True), istiod()], tmp_path) as kubeconfig:
        loaded = read_cluster(ClusterAccess(name="staging", kubeconfig=str(kubeconfig), context="gke-a"))
        assert loaded.cluster.of("Canary") == []
        main(["check", "--context", "gke-a", "--kubeconfig", str(kubeconfig), "--json"])
    assert "Flagger will mirror 100 %" in capsys.readouterr().out


def test_a_permission_that_is_missing_is_named(tmp_path: Path) -> None:
    with (
        api_server(sending(), tmp_path, "envoyfilters") as kubeconfig,
        pytest.raises(OperationError, match=r"No permission to list envoyfilters .* in staging"),
    ):
        read_cluster(ClusterAccess(name="staging", kubeconfig=str(kubeconfig), context="gke-a"))


def test_what_else_decides_is_read_where_asked_for_and_named_where_it_may_not_be(tmp_path: Path) -> None:
    metadata = {"name": "deny", "namespace": "shop"}
    version = "security.istio.io/v1"
    policy = {"apiVersion": version, "kind": "AuthorizationPolicy", "metadata": metadata, "spec": {"action": "DENY"}}
    with api_server([*sending(), policy], tmp_path, "wasmplugins") as kubeconfig:
        access = ClusterAccess(name="staging", kubeconfig=str(kubeconfig), context="gke-a")
        plain, deciding = read_cluster(access), read_cluster(access, deciding=True)
    assert (plain.others, plain.unread) == ({}, [])
    assert list(deciding.others) == ["AuthorizationPolicy shop/deny"]
    assert [each.message for each in deciding.unread] == [
        "No permission to list wasmplugins of all namespaces in staging"
    ]


def test_a_cluster_that_does_not_answer_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with api_server([], tmp_path) as kubeconfig:
        pass
    monkeypatch.setattr("pulumi_traffic_mirror.operations.cluster_objects.REQUEST_SECONDS", 1.0)
    with pytest.raises(OperationError, match="API server of staging cannot be reached"):
        read_cluster(ClusterAccess(name="staging", kubeconfig=str(kubeconfig), context="gke-a"))


def test_a_live_cluster_is_judged_by_its_context(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with api_server([*sending(), istiod()], tmp_path) as kubeconfig:
        code = main(["check", "--context", "staging=gke-a", "--kubeconfig", str(kubeconfig), "--json"])
    result: Any = json.loads(capsys.readouterr().out)
    assert code == 0
    assert [(each["name"], each["istio"], each["mirrors"]) for each in result["clusters"]] == [("staging", "1.31.0", 3)]
