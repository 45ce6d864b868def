"""From a provider's settings to a client of the cluster's API server."""

import importlib
from pathlib import Path
from typing import Any

from .errors import ProviderError
from .settings import Settings, kubeconfig_document
from .values import Properties

CONNECTIONS = 64
"""Connections that are kept open: one for each operation that the engine runs at the same time."""


CONNECTION_RETRIES = 1
"""Second tries of a request that did not reach the server; longer waits are those of the operations."""


class _NoDiscovery:
    """Keeps the dynamic client from its own discovery, whose cache file outlives a cluster."""

    def __init__(self, client: object, cache_file: object) -> None:
        del client, cache_file


def connect(settings: Settings) -> tuple[Any, str]:
    """Return a dynamic client and the namespace that the kubeconfig's context names (may be empty).

    The client is imported here, not at the top: it takes half of the provider's starting time.

    Raises:
        ProviderError: The kubeconfig cannot be used.
    """
    kube_config: Any = importlib.import_module("kubernetes.config.kube_config")
    api: Any = importlib.import_module("kubernetes.client")
    dynamic: Any = importlib.import_module("kubernetes.dynamic")
    configuration = api.Configuration()
    configuration.connection_pool_maxsize = CONNECTIONS
    configuration.retries = CONNECTION_RETRIES
    errors = (kube_config.ConfigException, OSError, ValueError, TypeError, KeyError, AttributeError)
    try:
        document = kubeconfig(settings)
        loader = kube_config.KubeConfigLoader(config_dict=document, active_context=settings.context or None)
        loader.load_and_set(configuration)
        namespace = loader.current_context["context"].get("namespace") or ""
    except errors as error:
        raise ProviderError(
            f"The kubeconfig cannot be used: {error}. Check the provider's kubeconfig and context"
        ) from None
    return dynamic.DynamicClient(api.ApiClient(configuration), discoverer=_NoDiscovery), namespace


def kubeconfig(settings: Settings) -> Properties:
    """Return the kubeconfig of the settings, read from a file where they name one."""
    document = kubeconfig_document(settings.kubeconfig)
    if document is None:
        kube_config: Any = importlib.import_module("kubernetes.config.kube_config")
        paths: str = kube_config.KUBE_CONFIG_DEFAULT_LOCATION
        if settings.kubeconfig:
            paths = str(Path(settings.kubeconfig).expanduser())
        merged: Any = kube_config.KubeConfigMerger(paths).config
        if merged is None:
            raise ProviderError(f"There is no kubeconfig at {paths}. Set the provider's kubeconfig")
        document = merged.value
    return _choose_cluster(document, settings) if settings.cluster else document


def _choose_cluster(document: Properties, settings: Settings) -> Properties:
    active = settings.context or document.get("current-context")
    contexts: list[Properties] = [
        {**entry, "context": {**entry["context"], "cluster": settings.cluster}} if entry["name"] == active else entry
        for entry in document["contexts"]
    ]
    return {**document, "contexts": contexts}
