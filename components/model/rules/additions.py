"""Mirrors that only EnvoyFilters make: policies that a patch adds to other people's routes, and what aims them."""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from ..annotations import MIRROR, WAIVER
from ..routing import CLUSTER_DOMAIN
from .aiming import Aim, read_aim
from .clusters import ClusterObjects
from .envoy import GATEWAY, SIDECAR, MirrorPolicy
from .nodes import Node, NotJudgedError
from .objects import KubeObject
from .routes import Target

_CHAIN: Final = re.compile(r"inbound-vip\|(?P<port>\d+)\|http\|(?P<host>[^|]+)")
"""Name of a waypoint's filter chain for one port of a Service."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Addition:
    """A patch that adds mirrors to routes, virtual hosts, route configurations or a connection manager.

    Attributes:
        source: The EnvoyFilter.
        node: Where the patch is written.
        kind: What it is applied to.
        context: Which kind of proxy it is for; ``ANY`` for all.
        match: What it is applied to, as it is written.
        holder: What the list of mirrors is part of.
        scope: What header changes stand beside: the route, virtual host or configuration.
    """

    source: KubeObject
    node: Node = field(repr=False)
    kind: str
    context: str
    match: Node = field(repr=False)
    holder: Node = field(repr=False)
    scope: Node = field(repr=False)

    @cached_property
    def mirrors(self) -> "tuple[AddedMirror, ...]":
        """The mirrors that it adds."""
        written = self.holder.either("request_mirror_policies", "requestMirrorPolicies").elements()
        return tuple(AddedMirror(addition=self, node=node, policy=MirrorPolicy.of(node)) for node in written)

    @cached_property
    def host(self) -> Node:
        """The virtual host that it is for."""
        return self.match.at("routeConfiguration", "vhost")

    @property
    def domain(self) -> str:
        """Domain of that virtual host; empty for all."""
        return domain_of(self.host)

    @property
    def route_name(self) -> str:
        """Name of the one route that it is for; empty for all."""
        return self.host["route"]["name"].text()

    @cached_property
    def chain(self) -> tuple[str, str] | None:
        """Host and port of the Service that a waypoint's filter chain serves; None for another patch."""
        found = _CHAIN.fullmatch(self.match.at("listener", "filterChain", "name").text())
        return (found["host"], found["port"]) if found else None

    @cached_property
    def removed(self) -> frozenset[str]:
        """Request headers that it takes off, in lower case."""
        return frozenset(
            name.lower() for name in self.scope.either("request_headers_to_remove", "requestHeadersToRemove").texts()
        )

    @cached_property
    def written(self) -> dict[str, tuple[str, bool]]:
        """Request headers that it sets, in lower case: the value, and whether it replaces what is there."""
        found: dict[str, tuple[str, bool]] = {}
        for node in self.scope.either("request_headers_to_add", "requestHeadersToAdd").elements():
            action = node.either("append_action", "appendAction").text()
            header = node["header"]
            found[header["key"].text().lower()] = (header["value"].text(), action.startswith("OVERWRITE_IF_EXISTS"))
        return found


@dataclass(frozen=True, kw_only=True, eq=False)
class AddedMirror:
    """One mirror that a patch adds.

    Attributes:
        addition: The patch.
        node: Where it is written.
        policy: What it says.
    """

    addition: Addition
    node: Node = field(repr=False)
    policy: MirrorPolicy = field(repr=False)

    @cached_property
    def header(self) -> str:
        """Header that names its cluster, in lower case; empty where the policy names it."""
        return self.node.either("cluster_header", "clusterHeader").text().lower()

    @cached_property
    def condition(self) -> str:
        """The condition under which that header is set; empty where it cannot be read."""
        return self._aim.condition

    @cached_property
    def cluster(self) -> str:
        """Name of the cluster that copies go to; empty where it cannot be read."""
        return self.policy.cluster or self._aim.cluster

    @cached_property
    def _aim(self) -> Aim:
        return read_aim(self.addition.written.get(self.header, ("", False))[0])

    @property
    def host(self) -> str:
        """Host that copies go to; empty where it cannot be read."""
        return self.cluster.rpartition("|")[2]

    @cached_property
    def target(self) -> Target | None:
        """Where its copies go; None where it cannot be read."""
        return target_of(self.cluster, self.node)

    @cached_property
    def name(self) -> str:
        """Its name where this library rendered it; empty otherwise."""
        return name_noted(self.addition.source, self.cluster)

    def waiver(self, guard: str) -> str:
        """Reason why a guard is off for it, as the rendering notes it; empty when it is on."""
        return waiver_noted(self.addition.source, self.cluster, guard)


def domain_of(host: Node) -> str:
    """Domain of the virtual host that a patch is for, which a proxy names after it; empty for all.

    Args:
        host: Where that is written.
    """
    return host["domainName"].text() or host["name"].text().rpartition(":")[0]


def target_of(cluster_name: str, node: Node) -> Target | None:
    """Where requests to a cluster of Istio's go; None where its name is of another form.

    Args:
        cluster_name: Its name.
        node: Where that is written.
    """
    parts = cluster_name.split("|")
    if len(parts) != 4 or parts[0] != "outbound":  # noqa: PLR2004 -- direction|port|subset|host
        return None
    _, port, subset, host = parts
    number = int(port) if port.isdecimal() else None
    return Target(host=host, written=host, port=number, subset=subset, node=node)


def name_noted(source: KubeObject, cluster_name: str) -> str:
    """Name of the mirror to a cluster where this library rendered the object; empty otherwise."""
    for key, note in source.annotations.entries():
        if key.startswith(MIRROR) and note.text() == cluster_name:
            return key.removeprefix(MIRROR)
    return ""


def waiver_noted(source: KubeObject, cluster_name: str, guard: str) -> str:
    """Reason why a guard of the mirror to a cluster is off, as the rendering notes it; empty when it is on."""
    name = name_noted(source, cluster_name)
    return source.annotation(f"{WAIVER}{name}.{guard}") if name else ""


def additions(cluster: ClusterObjects) -> dict[KubeObject, list[Addition]]:
    """The patches of a cluster that add mirrors, by their object; without those that cannot be read yet."""
    found: dict[KubeObject, list[Addition]] = {}
    for source in cluster.of("EnvoyFilter"):
        with suppress(NotJudgedError):
            if made := added_to(cluster, source):
                found[source] = made
    return found


def added_to(cluster: ClusterObjects, source: KubeObject) -> list[Addition]:
    """Those of one EnvoyFilter.

    Raises:
        NotJudgedError: A value that decides about them is not known yet.
    """
    return [each for each in _adding(cluster, source) if cluster.patches_all(each.kind)]


def mirrors_of(cluster: ClusterObjects, source: KubeObject) -> Iterator["AddedMirror"]:
    """The mirrors that one EnvoyFilter adds.

    Raises:
        NotJudgedError: A value that decides about them is not known yet.
    """
    for addition in added_to(cluster, source):
        yield from addition.mirrors


def ignored_in(cluster: ClusterObjects, source: KubeObject) -> list[Addition]:
    """Those of one EnvoyFilter that the control plane does not apply.

    Raises:
        NotJudgedError: A value that decides about them is not known yet.
    """
    return [each for each in _adding(cluster, source) if not cluster.patches_all(each.kind)]


def _adding(cluster: ClusterObjects, source: KubeObject) -> list[Addition]:
    return cluster.once(("additions", source), lambda: [each for each in _of(source) if each.mirrors])


def _of(source: KubeObject) -> Iterator[Addition]:
    for node in source.spec["configPatches"].elements():
        kind, match, value = node["applyTo"].text(), node["match"], node["patch"]["value"]
        if kind == "HTTP_ROUTE":
            scope, holder = value, value["route"]
        elif kind in ("VIRTUAL_HOST", "ROUTE_CONFIGURATION"):
            scope = holder = value
        elif kind == "NETWORK_FILTER":
            config = value.either("typed_config", "typedConfig")
            scope = holder = config.either("route_config", "routeConfig")
        else:
            continue
        context = match["context"].text("ANY")
        # A list that replaces Istio's own holds its mirrors, which the rules find where they are written.
        if node["patch"]["operation"].text() == "MERGE":
            yield Addition(
                source=source, node=node, kind=kind, context=context, match=match, holder=holder, scope=scope
            )


def sending_context(addition: Addition) -> str:
    """Context of the clusters that an addition's copies leave by."""
    return GATEWAY if addition.context == GATEWAY else SIDECAR


def is_service(host: str) -> bool:
    """Whether a host is a Service of the cluster."""
    return host.endswith(f".svc.{CLUSTER_DOMAIN}")
