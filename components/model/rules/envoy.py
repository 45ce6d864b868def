"""What EnvoyFilters do to mirrors: the bound on a copy's life, and changes to its headers."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from .gateways import labels
from .nodes import Node, NotJudgedError
from .objects import KubeObject

HTTP_OPTIONS: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
"""Key of a cluster's HTTP options."""

_LONGEST_PATTERN: Final = 60
"""Longest expression for releases that is tried: in a longer one somebody could hide hours of trying."""

GATEWAY: Final = "GATEWAY"
SIDECAR: Final = "SIDECAR_OUTBOUND"
INBOUND: Final = "SIDECAR_INBOUND"
"""Context of what sidecars take in for their own pods, and waypoints for their Services. Source: measured."""

MERGE: Final = "MERGE"
REPLACE_LISTS: Final = "MERGE_AND_REPLACE_LIST"
REMOVE: Final = "REMOVE"
ADDING: Final = frozenset({"ADD", "INSERT_FIRST", "INSERT_BEFORE", "INSERT_AFTER"})
"""Operations that make a route of their own."""

VIRTUAL_HOST: Final = "VIRTUAL_HOST"
"""What a patch of virtual hosts is for."""

WAYPOINT: Final = "WAYPOINT"
"""No context of EnvoyFilters: what they say of routes never reaches a waypoint."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Patch:
    """One patch of an EnvoyFilter.

    Attributes:
        source: The EnvoyFilter.
        node: Where the patch is written.
        kind: What it is for: ``CLUSTER``, ``HTTP_ROUTE`` or ``VIRTUAL_HOST``.
        contexts: Which kinds of proxy it is for.
        name: Name of the cluster or route that it is for; empty for all of them.
        operation: Its operation.
        value: What it says.
        rank: Its EnvoyFilter's place among all: filters are applied by priority, then in order of creation.
    """

    source: KubeObject
    node: Node = field(repr=False)
    kind: str
    contexts: tuple[str, ...]
    name: str
    operation: str
    value: Node = field(repr=False)
    rank: tuple[float, int] = (0, 0)

    @cached_property
    def match(self) -> Node:
        """What it is for."""
        return self.node["match"]

    @cached_property
    def virtual_host(self) -> str:
        """Name of the virtual host that a patch of routes is for; empty for any."""
        return self.match.at("routeConfiguration", "vhost", "name").text()

    @property
    def merges(self) -> bool:
        """Whether it changes what is there, rather than taking it away or adding to it."""
        return self.operation in (MERGE, REPLACE_LISTS)

    @cached_property
    def policies(self) -> "tuple[MirrorPolicy, ...]":
        """The mirror policies that a patch of a route or a virtual host writes."""
        holder = self.value if self.kind == VIRTUAL_HOST else self.value["route"]
        written = holder.either("request_mirror_policies", "requestMirrorPolicies").elements()
        return tuple(MirrorPolicy.of(node) for node in written)

    @cached_property
    def stream_bound(self) -> float | None:
        """Seconds after which a patched cluster ends a request; None when it sets no bound."""
        common = http_options(self).either("common_http_protocol_options", "commonHttpProtocolOptions")
        return common.either("max_stream_duration", "maxStreamDuration").seconds()

    @cached_property
    def cluster_mutations(self) -> tuple[frozenset[str], frozenset[str]]:
        """Names of the headers that a patched cluster removes and sets on all of its requests."""
        removed: set[str] = set()
        written: set[str] = set()
        for filter_ in http_options(self).either("http_filters", "httpFilters").elements():
            config = filter_.either("typed_config", "typedConfig")
            off, on = _mutated(config["mutations"].either("request_mutations", "requestMutations"))
            removed |= off
            written |= on
        return frozenset(removed), frozenset(written - {""})

    @cached_property
    def selector(self) -> dict[str, str]:
        """Labels of the pods that its EnvoyFilter chooses; empty for all."""
        return labels(self.source.spec["workloadSelector"]["labels"])

    @cached_property
    def targets(self) -> list[tuple[str, str]]:
        """Kind and ``namespace/name`` of what its EnvoyFilter is for by name; none where it is for pods."""
        return targets_of(self.source)

    def applies(self, context: str, namespace: str, root_namespace: str) -> bool:
        """Whether it reaches proxies of a kind in a namespace."""
        reached = self.source.namespace in (namespace, root_namespace)
        return context in self.contexts and reached

    def fits_cluster(self, name: str) -> bool:
        """Whether a patch of clusters is for Envoy's cluster ``name``. Source: clusterMatch of Istio's pilot."""
        match = self.match["cluster"]
        if self.name:
            return self.name == name
        _, port, subset, host = name.split("|") if name.count("|") == 3 else ("", "", "", "")  # noqa: PLR2004 -- its form
        wanted = match["portNumber"].integer()
        return (
            match["subset"].text(subset) == subset
            and match["service"].text(host) == host
            and (not wanted or str(wanted) == port)
        )

    def fits_release(self, release: str) -> bool:
        """Whether it is for proxies of a release, e.g. ``1.31.0``; what it asks for otherwise counts as met."""
        pattern = self.match["proxy"]["proxyVersion"].text()
        if not pattern or len(pattern) > _LONGEST_PATTERN:
            return True
        try:
            return re.search(pattern, release) is not None
        except re.error:
            return True


@dataclass(frozen=True, kw_only=True, eq=False)
class MirrorPolicy:
    """One mirror as Envoy has it.

    Attributes:
        node: Where it is written.
        cluster: Envoy's name of the cluster that copies go to.
        percent: Share in per cent; None where it cannot be read.
        removed: Names of the headers that it takes off the copy.
        written: Names of the headers that it sets on the copy.
        complete: Whether each of its changes of headers takes one off, or writes one.
    """

    node: Node = field(repr=False)
    cluster: str
    percent: float | None
    removed: frozenset[str]
    written: frozenset[str]
    complete: bool = True

    @classmethod
    def of(cls, node: Node) -> "MirrorPolicy":
        """Read Envoy's RequestMirrorPolicy."""
        removed, written = _mutated(node.either("request_headers_mutations", "requestHeadersMutations"))
        return cls(
            node=node,
            cluster=node["cluster"].text(),
            percent=_percent(node),
            removed=frozenset(removed),
            written=frozenset(written - {""}),
            complete="" not in written,
        )


@dataclass(frozen=True, kw_only=True)
class Patches:
    """The patches of a cluster that can matter to mirrors, by the name that they are for."""

    clusters: dict[str, list[Patch]]
    routes: dict[str, list[Patch]]
    hosts: list[Patch]
    by_source: dict[KubeObject, list[Patch]]
    ignored: dict[KubeObject, list[Patch]] = field(default_factory=dict[KubeObject, list[Patch]])
    """Those of kinds that the control plane does not apply."""
    unknown: Sequence[NotJudgedError] = ()
    """Why some EnvoyFilters cannot be read yet. Any of them may have the patch that is looked for."""

    @cached_property
    def removes_clusters(self) -> bool:
        """Whether any takes a cluster away."""
        return any(patch.operation == REMOVE for found in self.clusters.values() for patch in found)

    @cached_property
    def removes_hosts(self) -> bool:
        """Whether any takes virtual hosts away."""
        return any(patch.operation == REMOVE for patch in self.hosts)

    @cached_property
    def removes_places(self) -> bool:
        """Whether any takes virtual hosts or routes away, beside which others may find no place."""
        return self.removes_hosts or any(each.operation == REMOVE for found in self.routes.values() for each in found)

    @cached_property
    def name_hosts(self) -> bool:
        """Whether any is for one virtual host by its name."""
        matches = (each.match["routeConfiguration"]["vhost"] for found in self.by_source.values() for each in found)
        return any(host["name"].given or host["domainName"].given for host in matches)

    def of_source(self, source: KubeObject) -> list[Patch]:
        """Patches of one EnvoyFilter."""
        for error in self.unknown:
            if error.subject is source:
                raise error
        return self.by_source.get(source, [])

    def of_cluster(self, name: str) -> list[Patch]:
        """Patches of Envoy's cluster ``name``, in the order in which they are applied."""
        general = [each for each in self.clusters.get("", ()) if each.fits_cluster(name)]
        return self._both(self.clusters, name, general) or self._nothing()

    def of_route(self, name: str) -> list[Patch]:
        """Patches for Envoy's routes of a name and for those of any, in the order in which they are applied."""
        return self._both(self.routes, name, self.routes.get("", [])) or self._nothing()

    @staticmethod
    def _both(found: dict[str, list[Patch]], name: str, general: list[Patch]) -> list[Patch]:
        own = found.get(name, []) if name else []
        return sorted([*own, *general], key=lambda each: each.rank) if own and general else own or general

    def _nothing(self) -> list[Patch]:
        if self.unknown:
            raise self.unknown[0]
        return []


def read_patches(
    filters: Sequence[KubeObject],
    root_namespace: str,
    homeless: Sequence[NotJudgedError] = (),
    applied: Callable[[str], bool] = lambda _: True,
) -> Patches:
    """Read the EnvoyFilters of a cluster.

    Args:
        filters: Those whose namespace is known, in the order of their creation.
        root_namespace: Istio's root namespace, whose filters are applied first.
        homeless: Why the others cannot be read.
        applied: Whether the control plane applies patches of a kind.
    """
    unknown = [*homeless]
    ignored: dict[KubeObject, list[Patch]] = defaultdict(list)
    clusters: dict[str, list[Patch]] = defaultdict(list)
    routes: dict[str, list[Patch]] = defaultdict(list)
    hosts: list[Patch] = []
    by_source: dict[KubeObject, list[Patch]] = defaultdict(list)
    for index, source in enumerate(filters):
        try:
            priority = source.spec["priority"].number() or 0
            rank = (priority, index if source.namespace == root_namespace else index + len(filters))
            for patch in _patches(source, rank):
                if not applied(patch.kind):
                    ignored[source].append(patch)
                    continue
                by_source[source].append(patch)
                if patch.kind == VIRTUAL_HOST:
                    hosts.append(patch)
                else:
                    (clusters if patch.kind == "CLUSTER" else routes)[patch.name].append(patch)
        except NotJudgedError as error:
            unknown.append(NotJudgedError(error.path, source))
    for found in (*clusters.values(), *routes.values(), hosts):
        found.sort(key=lambda each: each.rank)
    return Patches(
        clusters=dict(clusters),
        routes=dict(routes),
        hosts=hosts,
        by_source=dict(by_source),
        ignored=dict(ignored),
        unknown=unknown,
    )


def _patches(source: KubeObject, rank: tuple[float, int]) -> Iterator[Patch]:
    for node in source.spec["configPatches"].elements():
        kind, match = node["applyTo"].text(), node["match"]
        if kind == "CLUSTER":
            name = match["cluster"]["name"].text()
        elif kind in ("HTTP_ROUTE", VIRTUAL_HOST):
            name = match.at("routeConfiguration", "vhost", "route", "name").text()
        else:
            continue
        context = match["context"].text("ANY")
        yield Patch(
            source=source,
            node=node,
            kind=kind,
            contexts=(GATEWAY, SIDECAR) if context == "ANY" else (context,),
            name=name,
            operation=node["patch"]["operation"].text(),
            value=node["patch"]["value"],
            rank=rank,
        )


def targets_of(source: KubeObject) -> list[tuple[str, str]]:
    """Kind and ``namespace/name`` of what an EnvoyFilter is for by name; none where it is for pods."""
    nodes = source.spec["targetRefs"].elements()
    return [(node["kind"].text(), f"{source.namespace}/{node['name'].text()}") for node in nodes]


def http_options(patch: Patch) -> Node:
    """The HTTP options that a patch of a cluster sets."""
    return patch.value.either("typed_extension_protocol_options", "typedExtensionProtocolOptions")[HTTP_OPTIONS]


def _mutated(mutations: Node) -> tuple[set[str], set[str]]:
    """Headers that changes take off and write, of one that does neither an empty name."""
    removed: set[str] = set()
    written: set[str] = set()
    for mutation in mutations.elements():
        known = mutation.value
        plain = known.get("remove") if known.__class__ is dict else None  # as nearly all of a scrub are
        name = plain if plain.__class__ is str else mutation["remove"].text()
        if name:
            removed.add(name.lower())
        else:
            written.add(mutation["append"]["header"]["key"].text().lower())
    return removed, written


def _percent(policy: Node) -> float | None:
    """Share in per cent of a mirror policy; 100 where it gives none, None where it cannot be read."""
    share = policy.either("runtime_fraction", "runtimeFraction").either("default_value", "defaultValue")
    if not share.given:
        return 100.0
    if not isinstance(share.known, Mapping):
        return None
    numerator = share["numerator"].number() if share["numerator"].given else 0.0
    scale = {"HUNDRED": 1.0, "TEN_THOUSAND": 100.0, "MILLION": 10_000.0}.get(share["denominator"].text("HUNDRED"))
    return None if numerator is None or scale is None else numerator / scale
