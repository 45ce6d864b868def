"""A small stand-in of Google's API: container, compute, iam and resource manager, as far as our components call them.

It checks requests, and keeps what was made so that later ones may refer to it. It runs no clusters, knows no quotas,
organisation policies or permissions, and takes requests in the process, not over HTTP.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tests.support.gke_requests import Request
from tests.support.google_discovery import APIS, ApiError, Discovery

_RANGES: Final = ("clusterSecondaryRangeName", "servicesSecondaryRangeName")


class GoogleStandIn:
    """Takes requests in the order in which a deployment makes them."""

    def __init__(self, module: Path) -> None:
        self._apis = {api: Discovery.read(module, api) for api in APIS}
        self.made: dict[str, Mapping[str, Any]] = {}
        """Full name, from ``projects/`` on, to the body that made it."""

    def call(self, request: Request) -> None:
        """Take a request.

        Raises:
            ApiError: There is no such method, the body has a field or value that the API does not know, or it refers
                to what does not exist.
        """
        api = self._apis[request.api]
        if faults := api.faults(request.body, api.body_schema(request.verb, request.path)):
            raise ApiError(f"400: {'; '.join(faults)}")
        body: Mapping[str, Any] = next(iter(request.body.values())) if len(request.body) == 1 else request.body
        if request.api in ("compute", "container"):
            self._refer(request, body)
        if request.verb == "POST" and isinstance(body, Mapping) and "name" in body:
            self.made[f"{_path(request.path)}/{body['name']}"] = body

    def _refer(self, request: Request, body: Mapping[str, Any]) -> None:
        parent = _path(request.path).rpartition("/")[0]
        if re.search(r"/(clusters|routers|networks)/[^/]+$", parent) or request.verb == "PATCH":
            self._need(parent if request.verb == "POST" else _path(request.path))
        for key in ("network", "subnetwork"):
            if key in body:
                self._need(_path(body[key]))
        if "subnetwork" in body:
            names = {each["rangeName"] for each in self.made[_path(body["subnetwork"])]["secondaryIpRanges"]}
            for key in _RANGES:
                if body["ipAllocationPolicy"][key] not in names:
                    raise ApiError(f"400: {key}: the subnetwork has no range {body['ipAllocationPolicy'][key]}")

    def _need(self, name: str) -> None:
        if name not in self.made:
            raise ApiError(f"404: there is no {name}")


def _path(name: str) -> str:
    """A full name or self link from ``projects/`` on."""
    return f"projects/{name.partition('projects/')[2]}"
