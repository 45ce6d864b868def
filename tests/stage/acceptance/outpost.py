"""One process inside the stage's network that asks the clusters what tests want to know. Run as a module.

Tests themselves run outside and reach nothing of the stage; starting a process there for every question would cost
most of the suite's time. Requests and answers are JSON objects, one per line, and may overtake each other.
"""

import http.client
import json
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from kubernetes import config, dynamic
from kubernetes.client import ApiClient, ApiException, CoreV1Api
from kubernetes.stream import portforward

from pulumi_traffic_mirror.operations.kube import ClusterAccess, Pods, PodSelection
from pulumi_traffic_mirror.operations.verify.evidence import read_rejects

FIELD_MANAGER = "acceptance"
THREADS = 16

ADMIN_PORT = 15000
"""Of every proxy, on its loopback interface. Source: https://istio.io/latest/docs/ops/deployment/application-requirements/"""
ADMIN_SECONDS = 10.0
"""Until an admin page that does not come counts as refused."""


class Outpost:
    """The tests' side: starts the process and puts questions to it.

    Args:
        wrap: Makes a command into one that runs in the stage's network.
        kubeconfigs: Kubeconfig of each cluster by role.
    """

    def __init__(self, wrap: Callable[[Sequence[str]], Sequence[str]], kubeconfigs: Mapping[str, Path]) -> None:
        access = [f"{role}={path}" for role, path in kubeconfigs.items()]
        self._process = subprocess.Popen(
            wrap([sys.executable, "-m", __spec__.name, *access]),
            cwd=Path(__file__).parents[3],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for the tests, which still need it to clean up
        )
        self._waiting: dict[int, Future[Any]] = {}
        self._lock = threading.Lock()
        self._count = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def ask(self, question: str, *arguments: Any, timeout: float = 60) -> Any:
        """Return the answer of one of the functions in :class:`Clerk`."""
        return self.start(question, *arguments).result(timeout=timeout)

    def start(self, question: str, *arguments: Any) -> "Future[Any]":
        """Ask without waiting."""
        future: Future[Any] = Future()
        with self._lock:
            self._count += 1
            self._waiting[self._count] = future
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps([self._count, question, arguments]) + "\n")
            self._process.stdin.flush()
        return future

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=20)
        self._reader.join()
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            number, result, problem = json.loads(line)
            future = self._waiting.pop(number)
            if problem:
                future.set_exception(RuntimeError(problem))
            else:
                future.set_result(result)
        for future in self._waiting.values():
            future.set_exception(RuntimeError("the outpost has ended"))


class Clerk:
    """Answers inside the stage's network; every public method is a question."""

    def __init__(self, kubeconfigs: Mapping[str, str]) -> None:
        self._pods = {
            role: Pods(ClusterAccess(name=role, kubeconfig=kubeconfig)) for role, kubeconfig in kubeconfigs.items()
        }
        self._clients = {
            role: dynamic.DynamicClient(config.new_client_from_config(config_file=kubeconfig))
            for role, kubeconfig in kubeconfigs.items()
        }

    def apply(self, role: str, obj: dict[str, Any]) -> None:
        """Put an object into a cluster by server-side apply."""
        client = self._clients[role]
        resource = client.resources.get(api_version=obj["apiVersion"], kind=obj["kind"])
        metadata = obj["metadata"]
        client.server_side_apply(
            resource,
            body=obj,
            name=metadata["name"],
            namespace=metadata.get("namespace"),
            field_manager=FIELD_MANAGER,
            force_conflicts=True,
        )

    def delete(self, role: str, api_version: str, kind: str, namespace: str, name: str) -> None:
        """Delete an object; no error when there is none."""
        resource = self._clients[role].resources.get(api_version=api_version, kind=kind)
        try:
            resource.delete(name=name, namespace=namespace or None)
        except ApiException as error:
            if error.status != 404:
                raise

    def find(self, role: str, api_version: str, kind: str, namespace: str, selector: str) -> list[dict[str, Any]]:
        """Return objects by label; without a selector, all of the namespace."""
        resource = self._clients[role].resources.get(api_version=api_version, kind=kind)
        found = resource.get(namespace=namespace or None, label_selector=selector or None)
        return [item.to_dict() for item in found.items]

    def admin(self, role: str, namespace: str, selector: str, path: str) -> list[str]:
        """Return an admin page of the proxy in every selected pod."""
        pages: dict[str, str] = {}
        for name in self._running(role, namespace, selector):
            try:
                pages[name] = self._admin_page(role, namespace, name, path)
            except (OSError, http.client.HTTPException, ApiException):
                # A pod that ends meanwhile has no page any more.
                if name in self._running(role, namespace, selector):
                    raise
        return list(pages.values())

    def _running(self, role: str, namespace: str, selector: str) -> list[str]:
        pods = self.find(role, "v1", "Pod", namespace, selector)
        return [pod["metadata"]["name"] for pod in pods if pod["status"].get("phase") == "Running"]

    def _admin_page(self, role: str, namespace: str, name: str, path: str) -> str:
        # A client of its own: forwarding replaces a method of the client while it begins.
        api = CoreV1Api(ApiClient(self._clients[role].configuration))
        forwarded = portforward(api.connect_get_namespaced_pod_portforward, name, namespace, ports=str(ADMIN_PORT))
        connection = http.client.HTTPConnection("localhost")
        connection.sock = forwarded.socket(ADMIN_PORT)
        connection.sock.settimeout(ADMIN_SECONDS)
        try:
            connection.request("GET", f"/{path}")
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def log(self, role: str, namespace: str, selector: str, container: str, since: int) -> list[str]:
        """Return log lines of every selected pod."""
        selection = PodSelection(cluster=role, namespace=namespace, selector=selector, container=container)
        return list(self._pods[role].log_lines(selection, since_seconds=since))

    def ask_pod(self, role: str, namespace: str, selector: str, page: str, content: Any) -> str:
        """Get a page of the only selected pod, or post JSON to it when there is content; by way of the API server.

        Pods have addresses that only their own node knows. ``page`` is ``<port>/<path>``.
        """
        found = self.find(role, "v1", "Pod", namespace, selector)
        names = [pod["metadata"]["name"] for pod in found if _runs(pod)]
        if len(names) != 1:
            raise LookupError(f"{len(names)} pods {selector} in {role}")
        port, _, path = page.partition("/")
        proxied = f"/api/v1/namespaces/{namespace}/pods/{names[0]}:{port}/proxy/{path}"
        verb = "get" if content is None else "post"
        answer: Any = self._clients[role].request(verb, proxied, body=content, serialize=False)
        return answer.data.decode()

    def rejects(self, role: str) -> int:
        """Return how many configurations proxies have refused since istiod started; its pages are long."""
        return read_rejects([self.ask_pod(role, "istio-system", "app=istiod", "15014/metrics", None)])

    def http(self, url: str, content: Any, timeout: float) -> str:
        """Get a URL, or post JSON to it when there is content."""
        data = None if content is None else json.dumps(content).encode()
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(urllib.request.Request(url, data=data), timeout=timeout) as answer:  # noqa: S310 - http only
            return answer.read().decode()


def _runs(pod: Mapping[str, Any]) -> bool:
    return pod["status"].get("phase") == "Running" and not pod["metadata"].get("deletionTimestamp")


def main(arguments: Sequence[str]) -> None:
    """Answer until standard input ends."""
    clerk = Clerk(dict(argument.split("=", 1) for argument in arguments))
    lock = threading.Lock()

    def answer(number: int, question: str, given: list[Any]) -> None:
        result, problem = None, ""
        try:
            result = getattr(clerk, question)(*given)
        except Exception as error:
            problem = f"{question}: {type(error).__name__}: {str(error)[:2000]}"
        with lock:
            sys.stdout.write(json.dumps([number, result, problem]) + "\n")
            sys.stdout.flush()

    with ThreadPoolExecutor(THREADS) as pool:
        for line in sys.stdin:
            pool.submit(answer, *json.loads(line))


if __name__ == "__main__":
    main(sys.argv[1:])
