"""What EnvoyFilters do to mirrors: the bound on a copy's life, and changes to its headers."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from .gateways import labels
from .nodes import Node, NotJudgedError
from .objects import KubeObject

HTTP_OPTIONS: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
"""Key of a cluster's HTTP options."""

GATEWAY: Final = "GATEWAY"
SIDECAR: Final = "SIDECAR_OUTBOUND"


@dataclass(frozen=True, kw_only=True, eq=False)
class Patch:
    """One patch of an EnvoyFilter.

    Attributes:
        source: The EnvoyFilter.
        node: Where the patch is written.
        contexts: Which kinds of proxy it is for.
        name: Name of the cluster or route that it is for; empty for all of them.
        operation: Its operation.
        value: What it says.
    """

    source: KubeObject
    node: Node = field(repr=False)
    contexts: tuple[str, ...]
    name: str
    operation: str
    value: Node = field(repr=False)

    @cached_property
    def policies(self) -> "tuple[MirrorPolicy, ...]":
        """The mirror policies that a patch of a route writes."""
        written = self.value["route"].either("request_mirror_policies", "requestMirrorPolicies").elements()
        return tuple(MirrorPolicy.of(node) for node in written)

    @cached_property
    def selector(self) -> dict[str, str]:
        """Labels of the pods that its EnvoyFilter chooses; empty for all."""
        return labels(self.source.spec["workloadSelector"]["labels"])

    @cached_property
    def targets(self) -> list[tuple[str, str]]:
        """Kind and ``namespace/name`` of what its EnvoyFilter is for by name; none where it is for pods."""
        nodes = self.source.spec.either("targetRefs", "target_refs").elements()
        return [(node["kind"].text(), f"{self.source.namespace}/{node['name'].text()}") for node in nodes]

    def applies(self, context: str, namespace: str, root_namespace: str) -> bool:
        """Whether it reaches proxies of a kind in a namespace."""
        reached = self.source.namespace in (namespace, root_namespace)
        return context in self.contexts and reached


@dataclass(frozen=True, kw_only=True, eq=False)
class MirrorPolicy:
    """One mirror as Envoy has it.

    Attributes:
        node: Where it is written.
        cluster: Envoy's name of the cluster that copies go to.
        percent: Share in per cent; None where it cannot be read.
        removed: Names of the headers that it takes off the copy.
        written: Names of the headers that it sets on the copy.
    """

    node: Node = field(repr=False)
    cluster: str
    percent: float | None
    removed: frozenset[str]
    written: frozenset[str]

    @classmethod
    def of(cls, node: Node) -> "MirrorPolicy":
        """Read Envoy's RequestMirrorPolicy."""
        removed, written = _mutated(node.either("request_headers_mutations", "requestHeadersMutations"))
        return cls(
            node=node,
            cluster=node["cluster"].text(),
            percent=_percent(node),
            removed=frozenset(removed),
            written=frozenset(written),
        )


@dataclass(frozen=True, kw_only=True)
class Patches:
    """The patches of a cluster that can matter to mirrors, by the name that they are for."""

    clusters: dict[str, list[Patch]]
    routes: dict[str, list[Patch]]
    by_source: dict[KubeObject, list[Patch]]

    def of_source(self, source: KubeObject) -> list[Patch]:
        """Patches of one EnvoyFilter."""
        return self.by_source.get(source, [])

    def of_cluster(self, name: str) -> list[Patch]:
        """Patches of Envoy's cluster ``name``."""
        return [*self.clusters.get(name, ()), *self.clusters.get("", ())]

    def of_route(self, name: str) -> list[Patch]:
        """Patches of Envoy's route ``name``; none for a route without a name."""
        return self.routes.get(name, []) if name else []


def read_patches(filters: list[KubeObject]) -> Patches:
    """Read the EnvoyFilters of a cluster."""
    clusters: dict[str, list[Patch]] = defaultdict(list)
    routes: dict[str, list[Patch]] = defaultdict(list)
    by_source: dict[KubeObject, list[Patch]] = defaultdict(list)
    for source in filters:
        try:
            for kind, patch in _patches(source):
                (clusters if kind == "CLUSTER" else routes)[patch.name].append(patch)
                by_source[source].append(patch)
        except NotJudgedError:
            continue
    return Patches(clusters=dict(clusters), routes=dict(routes), by_source=dict(by_source))


def _patches(source: KubeObject) -> Iterator[tuple[str, Patch]]:
    for node in source.spec["configPatches"].elements():
        kind, match = node["applyTo"].text(), node["match"]
        if kind == "CLUSTER":
            name = match["cluster"]["name"].text()
        elif kind == "HTTP_ROUTE":
            name = match.at("routeConfiguration", "vhost", "route", "name").text()
        else:
            continue
        context = match["context"].text("ANY")
        patch = Patch(
            source=source,
            node=node,
            contexts=(GATEWAY, SIDECAR) if context == "ANY" else (context,),
            name=name,
            operation=node["patch"]["operation"].text(),
            value=node["patch"]["value"],
        )
        yield kind, patch


def http_options(patch: Patch) -> Node:
    """The HTTP options that a patch of a cluster sets."""
    return patch.value.either("typed_extension_protocol_options", "typedExtensionProtocolOptions")[HTTP_OPTIONS]


def stream_bound(patch: Patch) -> float | None:
    """Seconds after which a patched cluster ends a request; None when the patch sets no bound."""
    common = http_options(patch).either("common_http_protocol_options", "commonHttpProtocolOptions")
    return common.either("max_stream_duration", "maxStreamDuration").seconds()


def cluster_mutations(patch: Patch) -> tuple[set[str], set[str]]:
    """Names of the headers that a patched cluster removes and sets on all of its requests."""
    removed: set[str] = set()
    written: set[str] = set()
    for filter_ in http_options(patch).either("http_filters", "httpFilters").elements():
        config = filter_.either("typed_config", "typedConfig")
        mutations = config["mutations"].either("request_mutations", "requestMutations")
        off, on = _mutated(mutations)
        removed |= off
        written |= on
    return removed, written


def _mutated(mutations: Node) -> tuple[set[str], set[str]]:
    removed: set[str] = set()
    written: set[str] = set()
    for mutation in mutations.elements():
        name = mutation["remove"].text()
        if name:
            removed.add(name.lower())
        else:
            written.add(mutation["append"]["header"]["key"].text().lower())
    return removed, written - {""}


def _percent(policy: Node) -> float | None:
    """Share in per cent of a mirror policy; 100 where it gives none, None where it cannot be read."""
    share = policy.either("runtime_fraction", "runtimeFraction").either("default_value", "defaultValue")
    if not share.given:
        return 100.0
    numerator = share["numerator"].number() if share["numerator"].given else 0.0
    scale = {"HUNDRED": 1.0, "TEN_THOUSAND": 100.0, "MILLION": 10_000.0}.get(share["denominator"].text("HUNDRED"))
    return None if numerator is None or scale is None else numerator / scale
