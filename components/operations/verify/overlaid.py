"""Mirrors that EnvoyFilters add to routes of others: on which hosts they hang, and on which requests. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from ...model.rules import ClusterObjects, KubeObject, Route
from ...model.rules.additions import AddedMirror, additions
from ...model.rules.aiming import holds, hosts_of
from ...model.rules.envoy import GATEWAY
from ...model.rules.gateways import labels
from ...model.rules.hosts import covers, widening
from ...model.rules.routes import MESH, Target
from .request import Request


@dataclass(frozen=True, kw_only=True)
class HungMirror:
    """One mirror of one EnvoyFilter, on all routes of a host that it hangs on."""

    mirror: AddedMirror
    target: Target
    """Where its copies go."""

    entry: Route
    """The route entry that takes the call."""

    routes: frozenset[str]
    """Names of the routes that it hangs on; empty for all that forward."""

    @property
    def filter(self) -> str:
        """Name of the EnvoyFilter."""
        return self.mirror.addition.source.name


def hung_hosts(cluster: ClusterObjects) -> Iterator[tuple[str, KubeObject]]:
    """Yield the hosts at gateways that EnvoyFilters mirror, each with an object that routes it."""
    for made in additions(cluster).values():
        for addition in made:
            if addition.context not in (GATEWAY, "ANY"):
                continue
            domain = addition.host["domainName"].text()
            named = {host for mirror in addition.mirrors for host in hosts_of(mirror.condition)}
            for host in sorted(named) or [domain]:
                if not host.startswith("*"):
                    for route in routes_of(cluster, host):
                        yield host, route.owner


def routes_of(cluster: ClusterObjects, host: str) -> list[Route]:
    """Route entries at gateways that take a host; of several patterns those of the narrowest."""
    for pattern in widening(host) if host else ():
        found = [each for each in cluster.route_index.exactly(pattern) if set(each.gateways) - {MESH}]
        if found:
            return found
    return []


def hung_mirrors(cluster: ClusterObjects, entry: Route, request: Request, namespace: str) -> list[HungMirror]:
    """The mirrors that EnvoyFilters hang on the host of a request and that take it.

    Args:
        cluster: Objects of the cluster that owns the traffic.
        entry: The route entry that takes the request.
        request: The call. Whether a condition of unknown form takes it cannot be told, so that it counts as taken.
        namespace: Namespace of the gateway's pods.
    """
    found: dict[tuple[KubeObject, str], HungMirror] = {}
    for source, made in additions(cluster).items():
        selector = labels(source.spec["workloadSelector"]["labels"])
        reaches = source.namespace in (namespace, cluster.root_namespace)
        if not reaches or cluster.gateways.chooses(selector, GATEWAY, namespace, entry) is False:
            continue
        for addition in made:
            domain = addition.host["domainName"].text()
            on_host = covers(domain, request.host) if domain else _named(addition.host["name"].text(), request.host)
            if addition.context not in (GATEWAY, "ANY") or not on_host:
                continue
            for mirror in addition.mirrors:
                taken = holds(mirror.condition, request.asked) if mirror.condition else None
                if mirror.target is None or taken is False:
                    continue
                key = (source, mirror.header or mirror.cluster)
                before = found.get(key)
                routes = frozenset({addition.route_name} - {""})
                every = not routes or (before is not None and not before.routes)
                joined = frozenset[str]() if every else routes | (before.routes if before else frozenset[str]())
                found[key] = HungMirror(mirror=mirror, target=mirror.target, entry=entry, routes=joined)
    return list(found.values())


def _named(virtual_host: str, host: str) -> bool:
    """Whether a virtual host's name, where one is matched by it, is that of a host."""
    return virtual_host.rpartition(":")[0] in ("", host)
