"""Which mirrors have ended, and the objects without them. Pure: plain JSON in, plain JSON out."""

import copy
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

ANNOTATION = "pulumi-traffic-mirror"
"""Prefix of the annotations that a VirtualService or an overlay's EnvoyFilter carries: ``mirror.<name>`` and
``expires.<name>``."""

AIMED = re.compile(r" \? '([^']*)' : ''\)%")
"""End of a header's value that names the cluster of an overlay's mirror where a condition holds."""

OWN_MANAGER = "traffic-mirror-expiry"
"""Field manager where nobody else has applied the object."""

Object = dict[str, Any]


def ended_clusters(value: Object, now: datetime) -> dict[str, str]:
    """Return the mirrors whose end has passed: names of their clusters in proxies, by name of the mirror.

    Args:
        value: The object with the annotations.
        now: Current time with a zone.

    Raises:
        ValueError: An end is no time with a zone.
    """
    notes: dict[str, str] = value["metadata"].get("annotations") or {}
    prefix = f"{ANNOTATION}/expires."
    found: dict[str, str] = {}
    for key, text in notes.items():
        if not key.startswith(prefix):
            continue
        name = key.removeprefix(prefix)
        end = datetime.fromisoformat(text)
        if end.tzinfo is None:
            raise ValueError(f"the end of {name} has no time zone: {text!r}")
        if now > end.astimezone(UTC):
            found[name] = notes.get(f"{ANNOTATION}/mirror.{name}", "")
    return found


def without_mirrors(value: Object, clusters: set[str]) -> Object | None:
    """Return a VirtualService or EnvoyFilter that copies nothing to these clusters; None when it does so already.

    Args:
        value: The object as the cluster has it.
        clusters: Names of clusters in proxies, ``outbound|<port>|<subset>|<host>``.
    """
    changed = copy.deepcopy(value)
    if changed["kind"] == "VirtualService":
        entries: list[Object] = changed["spec"].get("http", [])
        for entry in entries:
            mirrors: list[Object] = entry.get("mirrors", [])
            for mirror in mirrors:
                if _cluster_name(mirror["destination"]) in clusters:
                    mirror["percentage"] = {"value": 0}
    else:
        for policy, cluster in _policies(changed):
            if cluster in clusters:
                policy["runtime_fraction"]["default_value"]["numerator"] = 0
    return None if changed == value else changed


def _policies(envoy_filter: Object) -> Iterator[tuple[Object, str]]:
    """The mirrors of an EnvoyFilter, each with the cluster that it or the header that aims it names."""
    patches: list[Object] = envoy_filter["spec"].get("configPatches", [])
    for patch in patches:
        value: Object = patch.get("patch", {}).get("value", {})
        # A waypoint's mirrors hang on its whole route configuration.
        scope: Object = value.get("typed_config", {}).get("route_config", value)
        headers: list[Object] = [added["header"] for added in scope.get("request_headers_to_add", [])]
        aims = {header["key"]: found[1] for header in headers if (found := AIMED.search(header["value"]))}
        policies: list[Object] = scope.get("route", scope).get("request_mirror_policies", [])
        for policy in policies:
            yield policy, policy.get("cluster") or aims.get(policy.get("cluster_header", ""), "")


def _cluster_name(destination: Object) -> str:
    port: Object = destination.get("port", {})
    return f"outbound|{port.get('number', '')}|{destination.get('subset', '')}|{destination['host']}"


def applied_by(value: Object) -> str | None:
    """Return the field manager that applied the object's spec; None when nobody did.

    What is then applied in its name leaves the object as that manager's own, so that its next apply meets no conflict.
    """
    entries: list[Object] = value["metadata"].get("managedFields") or []
    for entry in entries:
        owned: Object = entry.get("fieldsV1") or {}
        if entry.get("operation") == "Apply" and "f:spec" in owned and not entry.get("subresource"):
            return str(entry["manager"])
    return None


def to_apply(value: Object, manager: str) -> Object:
    """Return what ``manager`` owns of the object, to be applied by it again.

    Args:
        value: The object with its new spec.
        manager: The field manager.
    """
    metadata: Object = value["metadata"]
    # The version makes the server refuse when somebody has changed the object meanwhile.
    kept: Object = {key: metadata[key] for key in ("name", "namespace", "resourceVersion")}
    entries: list[Object] = metadata.get("managedFields") or []
    for entry in entries:
        if entry.get("manager") != manager or entry.get("operation") != "Apply":
            continue
        fields: Object = entry.get("fieldsV1") or {}
        owned: dict[str, Object] = fields.get("f:metadata", {})
        for kind in ("annotations", "labels"):
            names = [key.removeprefix("f:") for key in owned.get(f"f:{kind}", {}) if key.startswith("f:")]
            values: dict[str, str] = metadata.get(kind) or {}
            chosen = {name: values[name] for name in names if name in values}
            if chosen:
                kept[kind] = chosen
    return {"apiVersion": value["apiVersion"], "kind": value["kind"], "metadata": kept, "spec": value["spec"]}


def to_merge(value: Object) -> Object:
    """Return a merge patch that gives the object its new spec, if nobody has changed it meanwhile."""
    return {"metadata": {"resourceVersion": value["metadata"]["resourceVersion"]}, "spec": value["spec"]}
