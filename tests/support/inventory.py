"""What lies in a cluster, so that it can be compared before and after."""

import json
from collections.abc import Mapping
from typing import Any, Final

from pulumi_traffic_mirror.rehearsal.stage import Stage

Key = tuple[str, str, str]
"""Kind with its group, namespace and name of an object."""

PASSING: Final = (
    *("events", "events.events.k8s.io", "endpointslices.discovery.k8s.io", "endpoints"),
    *("leases.coordination.k8s.io", "certificatesigningrequests.certificates.k8s.io"),
)
"""Kinds that come and go by themselves."""


def take_inventory(stage: Stage, role: str) -> dict[Key, Mapping[str, Any]]:
    """Return the metadata of every object of a cluster."""
    listed = stage.kubectl(role, "api-resources", "--verbs=list", "-o", "name").split()
    kinds = ",".join(kind for kind in listed if kind not in PASSING)
    items = json.loads(stage.kubectl(role, "get", kinds, "-A", "-o", "json"))["items"]
    return {_key(item): item["metadata"] for item in items}


def _key(item: Mapping[str, Any]) -> Key:
    group = item["apiVersion"].rpartition("/")[0]
    kind = f"{item['kind']}.{group}" if group else item["kind"]
    return kind, item["metadata"].get("namespace", ""), item["metadata"]["name"]
