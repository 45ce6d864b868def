"""What Google's provider says of the properties that our components set: required, computed, forcing a replacement."""

import json
import re
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, Final

_FILE: Final = Path(__file__).parents[1] / "data" / "gke" / "provider_facts.json"
FACTS: Final[Mapping[str, Mapping[str, Mapping[str, Any]]]] = json.loads(_FILE.read_text(encoding="utf-8"))["resources"]
"""Resource type to property path (without indexes) to facts."""

CLUSTER: Final = "gcp:container/cluster:Cluster"
SUBNETWORK: Final = "gcp:compute/subnetwork:Subnetwork"
NODE_POOL: Final = "gcp:container/nodePool:NodePool"

FREE_KEYS: Final = ("resourceLabels", "metadata")
"""Properties with keys of the user's own."""


def facts_of(resource: str, path: str) -> Mapping[str, Any] | None:
    """Facts of a property; None where there are none.

    The nodes of a cluster have one schema, whether they stand in the cluster or in a pool.
    """
    known = FACTS[resource].get(path)
    if known is None and resource == CLUSTER and path.startswith("nodeConfig."):
        return FACTS[NODE_POOL].get(path)
    return known


def property_paths(value: Mapping[str, Any], below: str = "") -> Iterator[tuple[str, Any]]:
    """Each property of inputs and its value, the inner ones of a property after it; elements of a list share a path."""
    for key, inner in value.items():
        path = f"{below}.{key}" if below else key
        yield path, inner
        if key in FREE_KEYS:
            continue
        for part in inner if isinstance(inner, list) else [inner]:
            if isinstance(part, Mapping):
                yield from property_paths(part, path)


def in_snake_case(path: str) -> str:
    """A path as the provider's own names have it, e.g. ``enable_shielded_nodes``."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda capital: f"_{capital[0].lower()}", path)


def differences(resource: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Mapping[str, bool]:
    """Properties that an update changes, each with whether it forces a replacement.

    Args:
        resource: Type of the resource.
        old: Inputs before.
        new: Inputs after.
    """
    one, other = _flat(old), _flat(new)
    found: dict[str, bool] = {}
    for path in sorted(other.keys() | one.keys()):
        if one.get(path) == other.get(path) or _has_inner(path, one, other):
            continue
        facts = facts_of(resource, path) or {}
        if path not in other and facts.get("computed"):
            continue  # the provider keeps what it is no longer told
        found[path] = bool(facts.get("forceNew")) or _shrinks(resource, path, one, other)
    return found


def _flat(inputs: Mapping[str, Any]) -> dict[str, str]:
    """Properties as texts."""
    return {path: json.dumps(value, sort_keys=True, default=repr) for path, value in property_paths(inputs)}


def _has_inner(path: str, one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Whether the change lies in an inner property, which is judged by its own facts."""
    return path in one and path in other and any(each.startswith(f"{path}.") for each in one.keys() | other.keys())


def _shrinks(resource: str, path: str, one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """A subnet's own range may grow in place. Source: terraform-provider-google, ``IsShrinkageIpCidr``."""
    if (resource, path) != (SUBNETWORK, "ipCidrRange"):
        return False
    old, new = (IPv4Network(json.loads(each[path])) for each in (one, other))
    return not old.subnet_of(new)
