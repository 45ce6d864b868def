"""The few things that operations ask a cluster: which pods there are, their logs, and pages that they serve."""

import importlib
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, cast

from ..yamlreading import UNREADABLE
from .errors import OperationError
from .forwarding import get_page

REQUEST_SECONDS = 20.0
"""Bound on one request to an API server."""

FORBIDDEN = 403


@dataclass(frozen=True, kw_only=True)
class ClusterAccess:
    """How to reach a cluster."""

    name: str
    """Role of the cluster in messages, e.g. ``"staging"``."""

    kubeconfig: str
    """Path of the kubeconfig file."""

    context: str = ""
    """Context in it; empty means its current one."""


@dataclass(frozen=True, kw_only=True)
class PodSelection:
    """Pods of one workload, and the container of interest."""

    cluster: str
    """Role of the cluster, see :attr:`ClusterAccess.name`."""

    namespace: str
    """Their namespace."""

    selector: str
    """Label selector, e.g. ``"app=greeter,version=v2"``."""

    container: str
    """Container whose log is read."""


def open_client(access: ClusterAccess) -> Any:  # noqa: ANN401 -- the client is untyped
    """Return the Kubernetes client of a cluster; without a kubeconfig the default one of the machine.

    It is imported here and not before, because that takes half a second.

    Raises:
        OperationError: The kubeconfig is missing or broken, or has no such context.
    """
    config: Any = importlib.import_module("kubernetes.config")
    try:
        return config.new_client_from_config(config_file=access.kubeconfig or None, context=access.context or None)
    except (config.ConfigException, OSError, *UNREADABLE) as error:
        file = access.kubeconfig or "the default one"
        raise OperationError(
            f"The kubeconfig of {access.name}, {file}, cannot be used: {_first_line(error)}",
            remedy="Give the path of a kubeconfig file and the name of a context in it",
        ) from error


class Pods:
    """Pods of one cluster.

    Raises:
        OperationError: The kubeconfig is missing or broken, or has no such context.
    """

    def __init__(self, access: ClusterAccess) -> None:
        self._access = access
        self._configuration: Any = open_client(access).configuration

    def names(self, selection: PodSelection) -> list[str]:
        """Return the names of the selected pods that run, sorted.

        Raises:
            OperationError: The cluster cannot be reached, or listing is not permitted.
        """
        with self._asking("list", "pods", selection.namespace) as api:
            pods = api.list_namespaced_pod(
                selection.namespace,
                label_selector=selection.selector,
                field_selector="status.phase=Running",
                _request_timeout=REQUEST_SECONDS,
            )
        return sorted(str(pod.metadata.name) for pod in pods.items)

    def log_lines(self, selection: PodSelection, *, since_seconds: int) -> Iterator[str]:
        """Yield the lines that the container wrote in all selected pods.

        Args:
            selection: Pods and container.
            since_seconds: How far back, in seconds, >= 1.

        Raises:
            OperationError: A log cannot be read.
        """
        for name in self.names(selection):
            with self._asking("get", "pods/log", selection.namespace) as api:
                answer = api.read_namespaced_pod_log(
                    name,
                    selection.namespace,
                    container=selection.container,
                    since_seconds=since_seconds,
                    _request_timeout=REQUEST_SECONDS,
                    # The client would otherwise read a log of one JSON line as an object.
                    _preload_content=False,
                )
            yield from cast("bytes", answer.data).decode(errors="replace").splitlines()

    def pages(self, selection: PodSelection, port: int, path: str) -> dict[str, str]:
        """Return a page that every selected pod serves, by pod.

        Raises:
            OperationError: One cannot be had.
        """
        return {name: self.page(name, selection.namespace, port, path) for name in self.names(selection)}

    def page(self, name: str, namespace: str, port: int, path: str) -> str:
        """Return a page that a pod serves, to its own loopback interface if to nobody else: the port is forwarded.

        Args:
            name: Name of the pod.
            namespace: Its namespace.
            port: Port in the pod.
            path: Path of the page, which begins with a slash.

        Raises:
            OperationError: It cannot be had.
        """
        stream: Any = importlib.import_module("kubernetes.stream").stream
        with self._asking("create", "pods/portforward", namespace) as api:
            client = stream(
                api.connect_get_namespaced_pod_portforward,
                name,
                namespace,
                ports=str(port),
                binary=True,
                _preload_content=False,
            )
            where = f"Port {port} of pod {name} in namespace {namespace} of {self._access.name}"
            return get_page(client, path, where=where, timeout_seconds=REQUEST_SECONDS)

    def clock(self) -> datetime:
        """Return the time that the API server has, to the second.

        Raises:
            OperationError: The cluster cannot be reached, or does not tell.
        """
        client: Any = importlib.import_module("kubernetes.client")
        with self._asking("get", "/version", "(none)") as api:
            _, _, headers = client.VersionApi(api.api_client).get_code_with_http_info(_request_timeout=REQUEST_SECONDS)
        try:
            return parsedate_to_datetime(str(headers["Date"]))
        except (KeyError, ValueError) as error:
            raise OperationError(
                f"The API server of {self._access.name} does not tell the time", remedy="Go on"
            ) from error

    @contextmanager
    def _asking(self, verb: str, resource: str, namespace: str) -> Generator[Any]:
        """Yield a client, and raise what goes wrong with the permission that is missing, if one is."""
        client: Any = importlib.import_module("kubernetes.client")
        urllib3: Any = importlib.import_module("urllib3.exceptions")
        websocket: Any = importlib.import_module("websocket")
        # A client of its own for each request: `stream` replaces a method of the client while it runs.
        api = client.CoreV1Api(client.ApiClient(self._configuration))
        where = f"in namespace {namespace} of {self._access.name}"
        try:
            yield api
        except client.ApiException as error:
            # A refused upgrade to a websocket has no status of its own, only words.
            if FORBIDDEN in (error.status, _status_in(str(error.reason))):
                raise OperationError(
                    f"No permission to {verb} {resource} {where}",
                    remedy=grant(verb, resource),
                ) from error
            raise OperationError(
                f"Cannot {verb} {resource} {where}: {error.status} {error.reason}", remedy="Look at the cluster"
            ) from error
        except (urllib3.HTTPError, websocket.WebSocketException, OSError) as error:
            raise OperationError(
                f"The API server of {self._access.name} cannot be reached: {_first_line(error)}",
                remedy="Check the kubeconfig, the network and that the cluster runs",
            ) from error


def grant(verb: str, resource: str) -> str:
    """Say what to grant, as a remedy."""
    least = "'traffic-mirror verify --role' prints the least rights"
    return f"Grant the verb {verb!r} on {resource!r} to the user of the kubeconfig; {least}"


def _status_in(reason: str) -> int:
    found = re.search(r"Handshake status (\d{3})", reason)
    return int(found[1]) if found else 0


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
