"""A real API server on loopback, with its controllers but without nodes; pods are brought up by a stand-in kubelet."""

import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from http import HTTPStatus
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import httpx
import yaml

from pulumi_traffic_mirror.rehearsal.cluster.pki import make_secrets
from pulumi_traffic_mirror.rehearsal.machine.commands import last_lines_of
from pulumi_traffic_mirror.rehearsal.machine.processes import wait_until
from pulumi_traffic_mirror.rehearsal.toolchain import Toolchain

LOOPBACK = IPv4Address("127.0.0.1")
NODE = "node-1"


class ApiServer:
    """One API server."""

    def __init__(self, kubeconfig: Path, host: str) -> None:
        self.kubeconfig = kubeconfig
        self.host = host
        document = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
        self._client = httpx.Client(
            base_url=host,
            verify=ssl.create_default_context(cafile=document["clusters"][0]["cluster"]["certificate-authority"]),
            headers={"Authorization": f"Bearer {document['users'][0]['user']['token']}"},
            trust_env=False,
        )

    def close(self) -> None:
        """Give up the connections."""
        self._client.close()

    @property
    def content(self) -> str:
        """Content of the kubeconfig."""
        return self.kubeconfig.read_text(encoding="utf-8")

    def get(self, api_version: str, kind: str, name: str, namespace: str = "") -> dict[str, Any] | None:
        """A live object, or None."""
        root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        scope = f"/namespaces/{namespace}" if namespace else ""
        try:
            known = {item["kind"]: item["name"] for item in self.request("GET", root)["resources"]}
            return self.request("GET", f"{root}{scope}/{known[kind]}/{name}")
        except httpx.HTTPStatusError as error:
            if error.response.status_code == HTTPStatus.NOT_FOUND:
                return None
            raise

    def request(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Any request."""
        content_type = "application/merge-patch+json" if method == "PATCH" else "application/json"
        answer = self._client.request(
            method,
            path,
            content=json.dumps(body) if body is not None else None,
            headers={"Content-Type": content_type},
        )
        answer.raise_for_status()
        return answer.json()


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
    database, peer, port = free_port(), free_port(), free_port()
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
        "etcd": [
            f"--data-dir={folder / 'etcd'}",
            f"--listen-client-urls=http://127.0.0.1:{database}",
            f"--advertise-client-urls=http://127.0.0.1:{database}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-cluster=default=http://127.0.0.1:{peer}",
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
        started.callback(server.close)
        log = folder / "kube-apiserver.log"
        try:
            wait_until(lambda: _exists(server, "/api/v1"), what="the API server is ready", timeout=60)
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


def _exists(server: ApiServer, path: str) -> bool:
    with suppress(httpx.HTTPError):
        return bool(server.request("GET", path))
    return False


@contextmanager
def _kubelet(server: ApiServer) -> Iterator[None]:
    """Bring up every pod whose image is not `broken`; let pods of jobs succeed; remove deleted ones."""
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(0.1):
            with suppress(httpx.HTTPError, json.JSONDecodeError):
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
    with suppress(httpx.HTTPError):
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
