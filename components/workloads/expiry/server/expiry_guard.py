"""Ends mirrors whose time is over: sets their share to 0 in the routes of the cluster that it runs in.

It reads and changes one VirtualService and the EnvoyFilter with its mirrors, or the EnvoyFilters of one overlay. They
are named by its environment, and its Roles allow no others. A proxy takes the EnvoyFilter's list of mirrors from Istio
1.31 on, and the VirtualService's before, so both are changed, the stronger one first.
"""

import json
import os
import ssl
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

from expiry_objects import (
    OWN_MANAGER,
    Object,
    applied_by,
    ended_clusters,
    to_apply,
    to_merge,
    without_mirrors,
)

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where Kubernetes puts a pod's token and the authority of its API server."""

REQUEST_SECONDS = 10
ATTEMPTS = 3
"""Tries while somebody else changes the same object."""

GONE, CONFLICT = 404, 409
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"


@dataclass(frozen=True)
class Settings:
    """What it is told by its environment."""

    server: str
    """Address of the API server, ``https://host:port``."""

    token: str
    authority: str
    """File with the API server's authority; empty for plain HTTP."""

    virtual_service: str
    """``namespace/name``; empty for an overlay, whose EnvoyFilters say themselves when mirrors end.
    ``VIRTUAL_SERVICE``."""

    envoy_filters: tuple[str, ...]
    """``namespace/name`` each, with commas between them. ``ENVOY_FILTER``."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """Read the settings.

        ``API_SERVER`` and ``ACCOUNT_FOLDER`` replace what Kubernetes gives to a pod, to run it elsewhere.

        Raises:
            KeyError: A variable is missing.
            OSError: The pod has no token.
        """
        account = Path(environment.get("ACCOUNT_FOLDER", ACCOUNT))
        return cls(
            server=environment.get("API_SERVER") or _in_cluster(environment),
            token=(account / "token").read_text(encoding="utf-8").strip(),
            authority=str(account / "ca.crt"),
            virtual_service=environment["VIRTUAL_SERVICE"],
            envoy_filters=tuple(filter(None, environment.get("ENVOY_FILTER", "").split(","))),
        )


def _in_cluster(environment: Mapping[str, str]) -> str:
    host, port = environment["KUBERNETES_SERVICE_HOST"], environment["KUBERNETES_SERVICE_PORT"]
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


class Api:
    """The objects in the API server."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        secure = settings.server.startswith("https:")
        self._context = ssl.create_default_context(cafile=settings.authority) if secure else None
        self.now = datetime.now(UTC)
        """Time of the last answer by the API server's clock, which decides: nodes may be wrong."""

    def get(self, path: str) -> Object:
        """Return an object."""
        return self._ask("GET", path)

    def write(self, path: str, value: Object) -> None:
        """Give an object its new spec."""
        manager = applied_by(value)
        force = {"force": "true"} if manager else {}
        query = urllib.parse.urlencode({"fieldManager": manager or OWN_MANAGER, **force})
        body = to_apply(value, manager) if manager else to_merge(value)
        self._ask("PATCH", f"{path}?{query}", json.dumps(body).encode(), APPLY if manager else MERGE)

    def _ask(self, method: str, path: str, body: bytes | None = None, kind: str = "application/json") -> Object:
        headers = {"Authorization": f"Bearer {self._settings.token}", "Content-Type": kind}
        url = f"{self._settings.server}{path}"
        request = urllib.request.Request(url, data=body, headers=headers, method=method)  # noqa: S310 -- the API server
        # No proxy: the API server is in the cluster.
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self._context)
        )
        with opener.open(request, timeout=REQUEST_SECONDS) as answer:
            self.now = parsedate_to_datetime(answer.headers["Date"]) if answer.headers["Date"] else datetime.now(UTC)
            return json.load(answer)


def path_of(kind: str, name: str) -> str:
    """Return the path of an object in the API server."""
    namespace, _, own = name.partition("/")
    version = "v1" if kind == "virtualservices" else "v1alpha3"
    return f"/apis/networking.istio.io/{version}/namespaces/{namespace}/{kind}/{own}"


def guard(settings: Settings) -> list[str]:
    """End every mirror whose time is over and return their names.

    Raises:
        urllib.error.URLError: The API server does not answer, or refuses.
        ValueError: An end cannot be read.
    """
    api = Api(settings)
    filters = [path_of("envoyfilters", name) for name in settings.envoy_filters]
    if not settings.virtual_service:
        return sorted({name for path in filters for name in end_by(api, path, [path])})
    routes = path_of("virtualservices", settings.virtual_service)
    return sorted(end_by(api, routes, [*filters, routes]))


def end_by(api: Api, noted: str, paths: list[str]) -> dict[str, str]:
    """End the mirrors whose end one object notes, in all objects that have them; return their clusters by name."""
    try:
        value = api.get(noted)
    except urllib.error.HTTPError as error:
        if error.code == GONE:
            log("gone", path=noted)
            return {}
        raise
    ended = ended_clusters(value, api.now)
    clusters = set(ended.values()) - {""}
    for path in paths if clusters else ():
        end_in(api, path, clusters)
    return ended


def end_in(api: Api, path: str, clusters: set[str]) -> None:
    """Take mirrors out of one object; whoever changes it at the same time is waited for."""
    for attempt in range(ATTEMPTS):
        try:
            changed = without_mirrors(api.get(path), clusters)
            if changed is None:
                return
            api.write(path, changed)
        except urllib.error.HTTPError as error:
            if error.code == GONE:
                return
            if error.code != CONFLICT or attempt == ATTEMPTS - 1:
                raise
        else:
            log("ended", path=path, clusters=sorted(clusters))
            return


def log(event: str, **fields: object) -> None:
    """Write one line of JSON."""
    line = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "event": event, **fields}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run once; the exit code tells Kubernetes whether to try again."""
    try:
        ended = guard(Settings.from_environment())
    except urllib.error.HTTPError as error:
        log("failed", status=error.code, reason=error.reason, url=error.url)
        return 1
    except (urllib.error.URLError, OSError, ValueError, KeyError) as error:
        log("failed", reason=f"{type(error).__name__}: {error}")
        return 1
    log("done", ended=ended)
    return 0


if __name__ == "__main__":
    sys.exit(main())
