"""The API server of one cluster, through the official client."""

import importlib
import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from .connection import connect
from .errors import ProviderError
from .paths import objects_at
from .settings import Settings
from .values import Properties

CONNECT_TIMEOUT_SECONDS: Final = 5.0
"""Longest time to reach the server; tried twice."""

REQUEST_TIMEOUT_SECONDS: Final = 30.0
"""Longest time for an answer; API servers end their own at 60 s, admission webhooks by default at 10 s."""


APPLY_CONTENT_TYPE: Final = "application/apply-patch+yaml"
"""Media type of server-side apply; its bodies are YAML, of which JSON is a part."""


class ApiError(ProviderError):
    """The API server refused a request.

    Attributes:
        status: HTTP status code.
        reason: ``reason`` of the Kubernetes ``Status``, e.g. ``"Invalid"``.
        causes: ``(field path, message)`` of each cause that the server named.
    """

    def __init__(self, message: str, *, status: int, reason: str = "", causes: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.causes = tuple(causes)


class UnreachableError(ProviderError):
    """The API server does not answer, or says that it cannot just now."""


_TIMEOUTS: Final = (CONNECT_TIMEOUT_SECONDS, REQUEST_TIMEOUT_SECONDS)
_NOT_NOW: Final = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT})


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind that the server knows: where its objects live."""

    api_version: str
    plural: str
    namespaced: bool

    def path(self, name: str, namespace: str) -> str:
        """Return the path of one object, or of the collection when ``name`` is empty."""
        root = f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"
        scope = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{root}{scope}/{self.plural}" + (f"/{name}" if name else "")


class Cluster:
    """Requests to one API server. Safe for use by several threads."""

    def __init__(self, settings: Settings, warn: Callable[[str], None] = lambda _: None) -> None:
        """Load the kubeconfig; no request is made yet.

        Args:
            settings: Which cluster, and as whom.
            warn: Called with each warning that the server sends.

        Raises:
            ProviderError: The kubeconfig cannot be used.
        """
        self._warn = warn
        self._lock = threading.Lock()
        self._kinds: dict[tuple[str, str], Kind] = {}
        self._client, self._context_namespace = connect(settings)

    @property
    def context_namespace(self) -> str:
        """Namespace that the kubeconfig's context names, or an empty string."""
        return self._context_namespace

    def require_ready(self) -> None:
        """Ask the server whether it is ready.

        Raises:
            ProviderError: It is not, or does not answer.
        """
        self._call("GET", "/readyz")

    def find_kind(self, api_version: str, kind: str) -> Kind | None:
        """Return where objects of a kind live, or ``None`` when the server does not (yet) know the kind."""
        key = (api_version, kind)
        with self._lock:
            if key in self._kinds:
                return self._kinds[key]
        root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        try:
            resources = objects_at(self._request("GET", root), "resources")
        except ApiError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise
        found = {
            (api_version, item["kind"]): Kind(api_version, item["name"], namespaced=bool(item["namespaced"]))
            for item in resources
            if "/" not in item["name"]
        }
        with self._lock:
            self._kinds.update(found)
        return found.get(key)

    def get(self, kind: Kind, name: str, namespace: str) -> Properties | None:
        """Return the live object, or ``None`` when there is none."""
        try:
            return self._request("GET", kind.path(name, namespace))
        except ApiError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    def select(self, kind: Kind, namespace: str, selector: str) -> list[Properties]:
        """Return the objects of a namespace that carry the labels of ``selector``."""
        found = self._request("GET", kind.path("", namespace), query=[("labelSelector", selector)])
        return objects_at(found, "items")

    def apply(
        self, kind: Kind, body: Properties, *, namespace: str, manager: str, force: bool, dry_run: bool
    ) -> Properties:
        """Apply ``body`` server-side and return the whole object as the server has it (or would have it).

        Raises:
            ApiError: The server refuses the object, or another manager owns a field and ``force`` is false.
        """
        query = [("fieldManager", manager), ("force", str(force).lower()), ("fieldValidation", "Warn")]
        if dry_run:
            query.append(("dryRun", "All"))
        path = kind.path(body["metadata"]["name"], namespace)
        return self._request("PATCH", path, body=body, query=query, content_type=APPLY_CONTENT_TYPE)

    def delete(self, kind: Kind, name: str, namespace: str, propagation: str) -> None:
        """Ask for the deletion of an object; one that is gone already is no error."""
        body = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": propagation}
        try:
            self._request("DELETE", kind.path(name, namespace), body=body)
        except ApiError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise

    def _request(
        self,
        method: str,
        path: str,
        *,
        body: Properties | None = None,
        query: Sequence[tuple[str, str]] = (),
        content_type: str = "application/json",
    ) -> Properties:
        answer = self._call(method, path, body=body, query_params=list(query), content_type=content_type)
        for warning in answer.headers.getlist("Warning"):
            self._warn(_warning_text(warning))
        return json.loads(answer.data)

    def _call(self, method: str, path: str, **details: Any) -> Any:  # noqa: ANN401 - the client is untyped
        urllib3_errors: Any = importlib.import_module("urllib3.exceptions")
        client_errors: Any = importlib.import_module("kubernetes.client.exceptions")
        try:
            return self._client.request(method, path, serialize=False, _request_timeout=_TIMEOUTS, **details)
        except client_errors.ApiException as error:
            found = _api_error(error)
            raise (UnreachableError(str(found)) if found.status in _NOT_NOW else found) from None
        except (urllib3_errors.HTTPError, OSError) as error:
            host = self._client.configuration.host
            raise UnreachableError(f"The API server {host} is unreachable: {error}") from None


def _api_error(error: Any) -> ApiError:  # noqa: ANN401 - the client's exceptions are untyped
    try:
        status: Properties = json.loads(error.body)
    except (TypeError, ValueError):
        return ApiError(f"HTTP {error.status} {error.reason}", status=int(error.status or 0))
    causes = objects_at(status, "details", "causes")
    return ApiError(
        status.get("message") or str(error.reason),
        status=int(error.status),
        reason=status.get("reason") or "",
        causes=[(item.get("field", ""), item.get("message", "")) for item in causes],
    )


def _warning_text(header: str) -> str:
    """Return the text of an HTTP ``Warning`` header: ``299 - "text"`` (RFC 9111, 5.5)."""
    parts = header.split(" ", 2)
    return parts[-1].strip('"').replace('\\"', '"')
