"""What Google's provider says of the properties that our components set: required, computed, forcing a replacement."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

_FILE: Final = Path(__file__).parents[1] / "data" / "gke" / "provider_facts.json"
FACTS: Final[Mapping[str, Mapping[str, Mapping[str, Any]]]] = json.loads(_FILE.read_text(encoding="utf-8"))["resources"]
"""Resource type to property path (without indexes) to facts."""

CLUSTER: Final = "gcp:container/cluster:Cluster"
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
