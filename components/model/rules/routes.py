"""One entry of a route, Istio's or the Gateway API's, and where it sends requests."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from ..istio import AuthorityMode
from ..routing import cluster_name, service_host
from ..values import SHADOW_SUFFIX
from .nodes import UNKNOWN, Node
from .objects import ISTIO_GROUP, KubeObject, full_name

MESH: Final = "mesh"
"""Istio's reserved gateway name for every sidecar."""

ROUTE: Final = "ROUTE"
REDIRECT: Final = "REDIRECT"
DIRECT_RESPONSE: Final = "DIRECT_RESPONSE"


@dataclass(frozen=True, kw_only=True, eq=False)
class Route:
    """One entry of a route object, with what its object says for all entries.

    Attributes:
        source: The object that holds the entry; of a delegate, the delegate.
        entry: The entry, ``spec.http[i]`` or ``spec.rules[i]``.
        hosts: Authorities that it takes, ports off; ``*`` for any.
        admitted_hosts: Those of them that its gateways let in: a listener for one host narrows ``*`` to it.
        gateways: Gateways that it is bound to as ``namespace/name``, and :data:`MESH`.
        native: Whether it is the Gateway API's.
        owner: The object that owns the hosts: the source, or the one that delegates to it.
        bound: Every gateway of the owner.
        outer: Of a delegated entry the entry that delegates to it, whose conditions hold as well.
        called: Of one of the Gateway API, hosts of the Services and ServiceEntries that are its parents, by which
            sidecars and waypoints have it; at gateways it has its other hosts.
    """

    source: KubeObject
    entry: Node = field(repr=False)
    hosts: tuple[str, ...]
    admitted_hosts: tuple[str, ...]
    gateways: tuple[str, ...]
    native: bool
    owner: KubeObject = field(repr=False)
    bound: tuple[str, ...]
    outer: Node = field(default=Node(None), repr=False)
    called: tuple[str, ...] = ()

    def hosts_at(self, gateway: str) -> tuple[str, ...]:
        """Authorities that it takes at a gateway, or with :data:`MESH` in the mesh."""
        if not self.native:
            return self.hosts
        return self.called if gateway == MESH else self.hosts[: len(self.hosts) - len(self.called)]

    @cached_property
    def name(self) -> str:
        """Name of Envoy's route; empty where nobody gave one."""
        names = (self.outer["name"].text(), self.entry["name"].text())
        return "" if self.native else "-".join(name for name in names if name)

    @property
    def native_name(self) -> str:
        """Name of Envoy's route of a rule of the Gateway API: the rule's own, else one of its object and place."""
        return self.entry["name"].text() or f"{self.source.namespace}.{self.source.name}.{self.entry.key}"

    @property
    def envoy_names(self) -> set[str]:
        """Names of Envoy's routes: a match with a name of its own makes one of both names, and leaves none of ours."""
        if self.native:
            return {self.native_name}
        matches = [*self.entry["match"].elements(), *self.outer["match"].elements()]
        own = {match["name"].text() for match in matches}
        found = {f"{self.name}.{each}" for each in own | {f"{one}-{other}" for one in own for other in own} if each}
        return found if own and "" not in own else {self.name, *found}

    def setting(self, *keys: str) -> Node:
        """A setting by the spellings of its name; a delegated entry has those of its outer one that it does not give.

        Source: mergeHTTPRoute of Istio's pilot.
        """
        own = self.entry.either(*keys)
        if not self.outer.given:
            return own
        outer = self.outer.either(*keys)
        return outer if outer.given and not own.given else own

    @cached_property
    def action(self) -> str:
        """What Envoy does with its requests: :data:`ROUTE`, :data:`REDIRECT` or :data:`DIRECT_RESPONSE`."""
        if self.native:
            kinds = {node["type"].text() for node in self.entry["filters"].elements()}
            if "RequestRedirect" in kinds:
                return REDIRECT
            backends = self.entry["backendRefs"].elements()
            return ROUTE if any(node["weight"].value != 0 for node in backends) else DIRECT_RESPONSE
        if self.setting("redirect").given and self.entry["redirect"].given:
            return REDIRECT
        return DIRECT_RESPONSE if self.setting("directResponse").given else ROUTE

    @property
    def aborted(self) -> bool:
        """Whether the proxy answers every request with an error that is injected, before anything is sent."""
        share = None if self.native else self.setting("fault")["abort"]["percentage"]["value"].number()
        return share is not None and share >= 100  # noqa: PLR2004 -- per cent

    @cached_property
    def authority_rewrite(self) -> str:
        """The authority that primary and mirrors carry instead of the client's; empty when it is kept."""
        if not self.native:
            rewritten = self.setting("rewrite")["authority"].text()
            return rewritten or next((found for node in self._headers if (found := _authority(node))), "")
        for filter_ in self.entry["filters"].elements():
            hostname = filter_["urlRewrite"]["hostname"].text()
            if hostname:
                return hostname
        return ""

    @cached_property
    def authorities(self) -> tuple[str, ...]:
        """What mirrors carry as authority before any suffix, ports off."""
        rewrite = self.authority_rewrite
        return (rewrite,) if rewrite else self.admitted_hosts

    @cached_property
    def carried(self) -> tuple[str, ...]:
        """What mirrors may carry as authority, with and without the suffix."""
        return tuple(
            dict.fromkeys(authority_form(authority, mode) for authority in self.authorities for mode in AuthorityMode)
        )

    @cached_property
    def primaries(self) -> "list[Target]":
        """Who answers; of several those that have some weight, which is 0 in Istio where it is left out."""
        nodes = self.entry["backendRefs" if self.native else "route"].elements()
        if len(nodes) > 1:
            nodes = [node for node in nodes if self._weighs(node["weight"])] or nodes
        return [Target.of(self, node if self.native else node["destination"]) for node in nodes]

    @property
    def backends(self) -> "list[Target]":
        """What a rule of the Gateway API leads to with some weight."""
        nodes = self.entry["backendRefs"].elements() if self.native else []
        return [Target.of(self, node) for node in nodes if self._weighs(node["weight"])]

    def _weighs(self, weight: Node) -> bool:
        return weight.value is UNKNOWN or (weight.number() != 0 if weight.given else self.native)

    @property
    def removed_headers(self) -> set[str]:
        """Request headers that the route takes off primary and mirrors alike."""
        return {name.lower() for node in self._headers for name in node["remove"].texts()}

    @property
    def set_headers(self) -> set[str]:
        """Request headers that the route sets or adds."""
        nodes = [node[verb] for node in self._headers for verb in _VERBS]
        if self.native:
            return {entry["name"].text().lower() for node in nodes for entry in node.elements()}
        return {name.lower() for node in nodes for name, _ in node.entries()}

    @cached_property
    def _headers(self) -> list[Node]:
        """Changes to the headers of every request: those of the entry, then those of its only destination."""
        key = "backendRefs" if self.native else "route"
        holders = [self.entry, *(only if len(only := self.entry[key].elements()) == 1 else ())]
        if self.native:
            return [node["requestHeaderModifier"] for holder in holders for node in holder["filters"].elements()]
        return [self.setting("headers")["request"], *(node["headers"]["request"] for node in holders[1:])]


_VERBS: Final = ("set", "add")
_SERVICE: Final = ("", "Service")
_HOSTNAME: Final = (ISTIO_GROUP, "Hostname")
_SERVICES: Final = frozenset({_SERVICE, ("multicluster.x-k8s.io", "ServiceImport")})
"""Backends that are Services; istiod takes a ServiceImport for one, as long as it has no hosts of several clusters."""


def _authority(headers: Node) -> str:
    """What header changes of Istio make of the authority; empty where they leave it alone."""
    changes = [change for verb in _VERBS for change in headers[verb].entries()]
    return next((value.text() for name, value in changes if name.lower() in (":authority", "host")), "")


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where requests are sent.

    Attributes:
        host: Full name.
        written: The name as it is written.
        port: Port number; None when it is left out.
        subset: Subset; empty for none.
        unusable: Why Istio sends nothing to a backend of the Gateway API, whatever is there; empty where it may.
        malformed: Whether such a backend is of a known kind and not as that is written.
        node: Where it is written.
    """

    host: str
    written: str
    port: int | None
    subset: str
    unusable: str = ""
    malformed: bool = False
    node: Node = field(repr=False, compare=False)

    @classmethod
    def of(cls, route: Route, node: Node, source: KubeObject | None = None) -> "Target":
        """Read Istio's Destination or the Gateway API's backend reference, of ``source`` where not of the route's."""
        if not route.native:
            written = node["host"].text()
            host = full_name(written, (source or route.source).namespace)
            subset = node["subset"].text()
            return cls(host=host, written=written, port=node["port"]["number"].integer(), subset=subset, node=node)
        name = node["name"].text()
        host = name
        group, kind = node["group"].text(), node["kind"].text("Service")
        if (group, kind) in _SERVICES and name:
            namespace = node["namespace"].text(route.source.namespace)
            host = service_host(name, namespace)
        unusable, malformed = _unusable(node, (group, kind))
        return cls(
            host=host,
            written=name,
            port=node["port"].integer(),
            subset="",
            unusable=unusable,
            malformed=malformed,
            node=node,
        )

    @cached_property
    def cluster_name(self) -> str:
        """Name of the cluster that Istio makes for it."""
        return cluster_name(self.host, self.port, self.subset)


def _unusable(node: Node, kind: tuple[str, str]) -> tuple[str, bool]:
    """Why Istio sends nothing to a backend, and whether it is malformed. Source: buildDestination of Istio's pilot."""
    group, name = kind
    if kind not in _SERVICES and kind != _HOSTNAME:
        return (f"a {name} of the group {group}" if group else f"a {name}"), False
    if kind == _SERVICE and "." in node["name"].text():
        return "a Service by a name with dots", True
    if kind == _HOSTNAME and node["namespace"].given:
        return "a Hostname with a namespace", True
    return ("", False) if node["port"].given else ("a backend without a port", True)


def gateway_name(written: str, namespace: str) -> str:
    """A gateway as ``namespace/name``, or :data:`MESH`, as an object of ``namespace`` names it.

    Beside both forms Istio takes ``./name`` and, of old, ``name.namespace.svc.cluster.local``. Source:
    resolveGatewayName of its pilot.
    """
    if written == MESH:
        return MESH
    place, separator, name = written.rpartition("/")
    if separator:
        return f"{namespace if place == '.' else place}/{name}"
    name, _, domain = written.partition(".")
    return f"{domain.partition('.')[0] or namespace}/{name}"


def authority_form(authority: str, mode: AuthorityMode) -> str:
    """What an authority (or a pattern of authorities) becomes on a mirror."""
    return authority if mode is AuthorityMode.PRESERVED or authority == "*" else authority + SHADOW_SUFFIX
