"""Configurations that proxies did not accept: which, and what istiod says about them. Pure."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from ...model.rules import ClusterObjects, KubeObject, Node

KINDS: Final = ("cluster", "listener", "route", "endpoint")

_OF_ROUTES: Final = frozenset({"ROUTE_CONFIGURATION", "VIRTUAL_HOST", "HTTP_ROUTE"})
"""What EnvoyFilters apply to that change routes."""

_OF_LISTENERS: Final = frozenset({"LISTENER", "FILTER_CHAIN", "NETWORK_FILTER", "HTTP_FILTER"})
"""What they apply to that changes listeners."""

REJECTION: Final = "ACK ERROR"
"""Words in istiod's log where a proxy refused what it was sent. Source: pilot/pkg/xds of Istio."""

SHOWN_CHARACTERS: Final = 300


@dataclass(frozen=True, kw_only=True)
class Unacknowledged:
    """A proxy that did not accept the last configuration of some kinds."""

    cluster: str
    """Name of its cluster."""

    proxy: str
    """Its pod, as ``name.namespace``."""

    versions: tuple[tuple[str, str], ...]
    """Kinds, each with the version that was sent last and not accepted."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of configuration."""
        return tuple(kind for kind, _ in self.versions)

    @property
    def namespace(self) -> str:
        """Namespace of the pod."""
        return self.proxy.rpartition(".")[2]

    @property
    def pod(self) -> str:
        """Name of the pod."""
        return self.proxy.rpartition(".")[0]


def read_refused_now(cluster: str, syncz: str) -> Iterator[Unacknowledged]:
    """Yield the proxies whose last configuration was not accepted, from istiod's ``/debug/syncz``.

    Args:
        cluster: Name of the cluster.
        syncz: Text of the page; lines before the first bracket, which agents may print, are skipped.
    """
    try:
        proxies: object = json.loads(syncz[max(syncz.find("["), 0) :])
    except ValueError:
        return
    for proxy in Node(proxies).elements():
        versions = tuple(
            (kind, proxy[f"{kind}_sent"].text())
            for kind in KINDS
            if proxy[f"{kind}_sent"].text() and proxy[f"{kind}_sent"].text() != proxy[f"{kind}_acked"].text()
        )
        if versions:
            yield Unacknowledged(cluster=cluster, proxy=proxy["proxy"].text(), versions=versions)


def read_sidecars(syncz: str) -> tuple[str, ...]:
    """Return the pods with a sidecar, as ``name.namespace``, from istiod's ``/debug/syncz``."""
    try:
        proxies: object = json.loads(syncz[max(syncz.find("["), 0) :])
    except ValueError:
        return ()
    return tuple(proxy["proxy"].text() for proxy in Node(proxies).elements() if proxy["proxy_type"].text() == "sidecar")


def words_about(proxy: str, lines: Iterable[str]) -> str:
    """Return what a proxy said last about a configuration that it refused, from istiod's log.

    Args:
        proxy: Its pod, as ``name.namespace``.
        lines: Lines of the log that have :data:`REJECTION`, the oldest first.
    """
    said = ""
    for line in lines:
        before, _, after = line.partition(REJECTION)
        who, _, words = after.strip().partition(" ")
        if before and (who == proxy or who.startswith(f"{proxy}-")):
            # The code comes first, e.g. "Internal:Error adding/updating cluster(s) ...".
            said = words.partition(":")[2].strip() or words
    return said[:SHOWN_CHARACTERS]


def filters_behind(words: str, cluster: ClusterObjects) -> tuple[str, ...]:
    """Return the EnvoyFilters that change what the words name, as ``namespace/name``.

    Args:
        words: What a proxy said about a configuration that it refused.
        cluster: Objects of its cluster.
    """
    return tuple(
        f"{source.namespace}/{source.name}"
        for source in cluster.of("EnvoyFilter")
        if any(_is_named(name, words) for name in _names(source))
    )


def filters_of_routes(cluster: ClusterObjects, *, in_listeners: bool = False) -> tuple[str, ...]:
    """Return the EnvoyFilters that change routes, as ``namespace/name``: one of them may be to blame.

    Args:
        cluster: Objects of the proxy's cluster.
        in_listeners: Whether they are written in listeners, as at a waypoint.
    """
    kinds = _OF_LISTENERS if in_listeners else _OF_ROUTES
    return tuple(
        f"{source.namespace}/{source.name}"
        for source in cluster.of("EnvoyFilter")
        if any(patch["applyTo"].text() in kinds for patch in source.spec["configPatches"].elements())
    )


def _names(source: KubeObject) -> Iterator[str]:
    """Names that the patches of an EnvoyFilter match."""
    for patch in source.spec["configPatches"].elements():
        match = patch["match"]
        yield match["cluster"]["name"].text()
        yield match["listener"]["name"].text()
        yield match["listener"]["filterChain"]["name"].text()
        routes = match["routeConfiguration"]
        yield routes["name"].text()
        yield routes["vhost"]["name"].text()
        yield routes.at("vhost", "route", "name").text()


def _is_named(name: str, words: str) -> bool:
    return bool(name) and re.search(rf"(?<![\w.|-]){re.escape(name)}(?![\w.|-])", words) is not None
