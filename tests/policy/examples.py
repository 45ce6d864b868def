"""The examples of the documentation as resources."""

from collections.abc import Mapping
from typing import Any

import yaml

from tests.policy.driver import UNKNOWN, Given, cluster_object


def resources(clusters: Mapping[str, str]) -> list[Given]:
    """The resources of an example; each cluster has a provider of its own."""
    found: list[Given] = []
    for cluster, text in clusters.items():
        provider = _provider(cluster) if cluster else None
        for index, written in enumerate(yaml.safe_load_all(text)):
            found.append(_resource(_known(written), provider, index))
    return found


def _provider(cluster: str) -> Given:
    return Given("pulumi:providers:kubernetes", f"{cluster}-provider", {"clusterIdentifier": cluster})


def _resource(written: Mapping[str, Any], provider: Given | None, index: int) -> Given:
    if "type" in written and "properties" in written:
        prefix = f"{provider.name}-" if provider else ""
        return Given(written["type"], f"{prefix}resource-{index}", written["properties"], provider)
    made = cluster_object(written, provider=provider)
    return Given(made.type, f"{provider.name}-{made.name}", made.props, provider) if provider else made


def _known(value: Any) -> Any:
    """Pulumi's way to write a reference is a value that a preview does not know."""
    if isinstance(value, dict):
        return {key: _known(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_known(inner) for inner in value]
    return UNKNOWN if isinstance(value, str) and value.startswith("${") else value
