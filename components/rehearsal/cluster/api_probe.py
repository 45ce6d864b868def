"""Small questions to one API server from this process, across the namespace border and without any proxy."""

import http.client
import json
import socket
import ssl
from typing import cast

from ...model import JsonObject
from ..machine.namespaces import call_inside
from .addresses import ClusterAddresses
from .files import API_PORT, PROXY_HEALTH_PORT
from .pki import ClusterSecrets

_TIMEOUT = 3.0
"""Seconds for one question; a server that is not up yet refuses at once."""


class ApiProbe:
    """Asks one cluster whether its parts are ready."""

    def __init__(self, addresses: ClusterAddresses, secrets: ClusterSecrets) -> None:
        self._addresses = addresses
        self._token = secrets.token
        self._tls = ssl.create_default_context(cafile=str(secrets.authority))

    def ready(self) -> bool:
        """Tell whether the API server says that it is ready."""
        return self._get("/readyz")[0] == http.client.OK

    def node_ready(self) -> bool:
        """Tell whether the node is registered and ready for pods."""
        status, body = self._get(f"/api/v1/nodes/{self._addresses.node_name}")
        return status == http.client.OK and condition_holds(json.loads(body), "Ready")

    def has_default_account(self) -> bool:
        """Tell whether pods can be made in the namespace `default`: its service account exists."""
        return self._get("/api/v1/namespaces/default/serviceaccounts/default")[0] == http.client.OK

    def proxy_ready(self) -> bool:
        """Tell whether kube-proxy has written its rules once."""

        def ask() -> bool:
            connection = http.client.HTTPConnection("127.0.0.1", PROXY_HEALTH_PORT, timeout=_TIMEOUT)
            try:
                connection.request("GET", "/healthz")
                return connection.getresponse().status == http.client.OK
            except OSError:
                return False
            finally:
                connection.close()

        return call_inside(self._addresses.namespace, ask)

    def accepts(self, address: str, port: int) -> bool:
        """Tell whether somebody accepts TCP connections at an address of the node's namespace."""

        def ask() -> bool:
            try:
                socket.create_connection((address, port), timeout=_TIMEOUT).close()
            except OSError:
                return False
            return True

        return call_inside(self._addresses.namespace, ask)

    def _get(self, path: str) -> tuple[int, bytes]:
        def ask() -> tuple[int, bytes]:
            connection = http.client.HTTPSConnection(
                str(self._addresses.node), API_PORT, timeout=_TIMEOUT, context=self._tls
            )
            try:
                connection.request("GET", path, headers={"Authorization": f"Bearer {self._token}"})
                answer = connection.getresponse()
                return answer.status, answer.read()
            except OSError:
                return 0, b""
            finally:
                connection.close()

        return call_inside(self._addresses.namespace, ask)


def condition_holds(item: object, kind: str) -> bool:
    """Tell whether the condition `kind` in the status of a Kubernetes object is True."""
    status = cast("JsonObject", item).get("status") or {}
    conditions = cast("dict[str, list[dict[str, str]]]", status).get("conditions", [])
    return any(entry.get("type") == kind and entry.get("status") == "True" for entry in conditions)
