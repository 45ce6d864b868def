"""A real API server on loopback, with its controllers but without nodes; pods are brought up by a stand-in kubelet."""

import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import yaml

from components.rehearsal.commands import last_lines_of
from components.rehearsal.pki import make_secrets
from components.rehearsal.processes import wait_until
from components.rehearsal.standin_provider.cluster import Cluster, Kind
from components.rehearsal.standin_provider.errors import ProviderError
from components.rehearsal.standin_provider.settings import Settings
from components.rehearsal.toolchain import Toolchain

LOOPBACK = IPv4Address("127.0.0.1")
NODE = "node-1"


class ApiServer:
    """One API server."""

    def __init__(self, kubeconfig: Path, host: str) -> None:
        self.kubeconfig = kubeconfig
        self.host = host
        self.cluster = Cluster(Settings(kubeconfig=str(kubeconfig)))

    @property
    def content(self) -> str:
        """Content of the kubeconfig."""
        return self.kubeconfig.read_text(encoding="utf-8")

    def kind(self, api_version: str, kind: str) -> Kind:
        """A kind that must exist."""
        found = self.cluster.find_kind(api_version, kind)
        assert found is not None
        return found

    def get(self, api_version: str, kind: str, name: str, namespace: str = "") -> dict[str, Any] | None:
        """A live object, or None."""
        known = self.cluster.find_kind(api_version, kind)
        return self.cluster.get(known, name, namespace) if known else None

    def apply(self, obj: dict[str, Any], manager: str = "somebody-else", *, force: bool = True) -> dict[str, Any]:
        """Apply an object as another field manager would."""
        kind = self.kind(obj["apiVersion"], obj["kind"])
        namespace = obj["metadata"].get("namespace", "")
        return self.cluster.apply(kind, obj, namespace=namespace, manager=manager, force=force, dry_run=False)

    def request(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Any request."""
        content_type = "application/merge-patch+json" if method == "PATCH" else "application/json"
        return self.cluster._request(method, path, body=body, content_type=content_type)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@contextmanager
def running(folder: Path, toolchain: Toolchain) -> Iterator[ApiServer]:
    """Start database, API server and controllers; end them with the context."""
    secrets = make_secrets(
        folder / "pki", role="test", node_name=NODE, node=LOOPBACK, api_service=IPv4Address("10.96.0.1")
    )
    database, port = free_port(), free_port()
    host = f"https://127.0.0.1:{port}"
    kubeconfig = folder / "kubeconfig"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "a", "cluster": {"server": host, "certificate-authority": str(secrets.authority)}}],
        "users": [{"name": "admin", "user": {"token": secrets.token}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "admin"}}],
        "current-context": "a",
    }
    kubeconfig.write_text(yaml.safe_dump(document), encoding="utf-8")
    commands = {
        "kine": [
            f"--endpoint=sqlite://{folder / 'kine.db'}?_journal_mode=WAL&_busy_timeout=30000"
            "&_synchronous=OFF&_txlock=immediate&_stmt_cache_size=20",
            f"--listen-address=127.0.0.1:{database}",
            "--metrics-bind-address=0",
        ],
        "kube-apiserver": [
            f"--etcd-servers=http://127.0.0.1:{database}",
            f"--secure-port={port}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--tls-cert-file={secrets.certificate('apiserver')}",
            f"--tls-private-key-file={secrets.key('apiserver')}",
            f"--token-auth-file={secrets.tokens}",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.96.0.0/16",
            f"--service-account-key-file={secrets.service_account_verifier}",
            f"--service-account-signing-key-file={secrets.key('service-accounts')}",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--endpoint-reconciler-type=none",
            "--profiling=false",
        ],
        "kube-controller-manager": [
            f"--kubeconfig={kubeconfig}",
            "--leader-elect=false",
            f"--service-account-private-key-file={secrets.key('service-accounts')}",
            "--controllers=*,-cloud-node-lifecycle-controller,-service-lb-controller,-node-route-controller",
            "--secure-port=0",
        ],
    }
    with ExitStack() as started:
        for name, arguments in commands.items():
            started.enter_context(_program(toolchain.program(name), arguments, folder / f"{name}.log"))
        server = ApiServer(kubeconfig, host)
        log = folder / "kube-apiserver.log"
        try:
            wait_until(lambda: _ready(server), what="the API server is ready", timeout=60)
            account = "/api/v1/namespaces/default/serviceaccounts/default"
            wait_until(lambda: _exists(server, account), what="the controllers work", timeout=60)
        except Exception as error:
            error.add_note("\n".join(last_lines_of(log)))
            raise
        server.request("POST", "/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}})
        started.enter_context(_kubelet(server))
        yield server


@contextmanager
def _program(program: Path, arguments: list[str], log: Path) -> Iterator[None]:
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen([program, *arguments], stdout=output, stderr=subprocess.STDOUT)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _ready(server: ApiServer) -> bool:
    with suppress(ProviderError):
        server.cluster.require_ready()
        return True
    return False


def _exists(server: ApiServer, path: str) -> bool:
    with suppress(ProviderError):
        return bool(server.request("GET", path))
    return False


@contextmanager
def _kubelet(server: ApiServer) -> Iterator[None]:
    """Bring up every pod whose image is not `broken`; let pods of jobs succeed; remove deleted ones."""
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(0.1):
            with suppress(ProviderError, json.JSONDecodeError):
                for pod in server.request("GET", "/api/v1/pods")["items"]:
                    _serve(server, pod)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield
    stop.set()
    thread.join(timeout=30)


def _serve(server: ApiServer, pod: dict[str, Any]) -> None:
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    path = f"/api/v1/namespaces/{namespace}/pods/{name}"
    with suppress(ProviderError):
        if pod["metadata"].get("deletionTimestamp"):
            server.request("DELETE", path, {"gracePeriodSeconds": 0})
        elif not pod["spec"].get("nodeName"):
            target = {"apiVersion": "v1", "kind": "Node", "name": NODE}
            body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": target}
            server.request("POST", f"{path}/binding", body)
        elif pod["status"].get("phase") == "Pending":
            server.request("PATCH", f"{path}/status", {"status": _status(pod)})


def _status(pod: dict[str, Any]) -> dict[str, Any]:
    image = pod["spec"]["containers"][0]["image"]
    if image == "broken":
        waiting = {"reason": "ErrImagePull", "message": "no such image"}
        container = {"name": "c", "ready": False, "restartCount": 0, "image": image, "imageID": ""}
        return {"containerStatuses": [{**container, "state": {"waiting": waiting}}]}
    if pod["spec"].get("restartPolicy") == "Never":
        return {"phase": "Failed" if image == "fails" else "Succeeded"}
    condition = {"type": "Ready", "status": "True"}
    return {"phase": "Running", "podIP": "10.1.0.9", "podIPs": [{"ip": "10.1.0.9"}], "conditions": [condition]}
