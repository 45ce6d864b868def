"""Mirrors on routing that somebody else owns: where they hang, and what goes to whom."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypeAlias, cast

from .checks import instance, listed, member
from .contract import contract_hosts
from .errors import ValidationError
from .guards import Guards, check_guards, guards
from .istio import IstioBehaviour, IstioVersion
from .matching import HeaderTest
from .mirror_checks import check_apart, check_contract, check_selection
from .mirrors import CrossClusterMirror, InClusterMirror, Mirror
from .routing import CLUSTER_DOMAIN, Destination, GatewayRef
from .safety import Scrub
from .values import DnsLabel, Hostname, Protocol

FIRST_OVERLAY_ISTIO: Final = IstioVersion(1, 28)
"""First release whose proxies change headers of a copy alone and read CEL in a route's headers (Envoy 1.36). An older
istiod drops such fields in silence, and copies would leave with credentials."""

AIM_PREFIX: Final = "x-traffic-mirror-to-"
"""Beginning of the headers that tell a proxy where a request's copies go. The primary sees them; a client's are taken
off."""


@dataclass(frozen=True, kw_only=True)
class GatewayHosts:
    """Hosts that clients call at gateways, whoever routes them: VirtualService, HTTPRoute or GRPCRoute.

    Attributes:
        hosts: Authorities that clients use, without port; exact names in lower case.
        domain: Host as the owner's route writes it, where that is a wildcard: ``*.example.com`` or ``*``. Then only
            requests for ``hosts`` are mirrored. Default each host itself.

    Raises:
        ValidationError: A host is malformed or repeats, or ``domain`` takes in none of them.
    """

    hosts: Sequence[str]
    domain: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "hosts", contract_hosts(self.hosts))
        instance(self.domain, str, field="domain")
        if not self.domain:
            return
        suffix = self.domain.removeprefix("*.")
        if self.domain != "*":
            if suffix == self.domain:
                raise ValidationError(
                    field="domain",
                    value=self.domain,
                    rule="must be a wildcard such as '*.example.com' or '*'",
                    remedy="Leave it out where the owner's route names the hosts themselves",
                )
            Hostname(suffix, field="domain")
        for index, host in enumerate(self.hosts):
            if self.domain != "*" and not host.endswith(f".{suffix}"):
                raise ValidationError(
                    field=f"hosts[{index}]",
                    value=str(host),
                    rule=f"must lie in the domain {self.domain}",
                    remedy="Give the host a GatewayHosts of its own",
                )


@dataclass(frozen=True)
class MeshService:
    """A Service that callers with sidecars call by its name, whether somebody routes it or nobody does.

    Attributes:
        host: Its full name, e.g. ``orders.shop.svc.cluster.local``.
        port: Its port that they call, 1 to 65535.

    Raises:
        ValidationError: One is malformed.
    """

    host: str
    port: int

    def __post_init__(self) -> None:
        _service(self)


@dataclass(frozen=True)
class WaypointService:
    """A Service in ambient mode whose requests pass a waypoint.

    Attributes:
        host: Its full name, e.g. ``orders.shop.svc.cluster.local``.
        port: Its port that callers call, 1 to 65535.
        waypoint: Name of the waypoint's Gateway.
        waypoint_namespace: The waypoint's namespace; default the Service's.

    Raises:
        ValidationError: One is malformed.
    """

    host: str
    port: int
    waypoint: str = "waypoint"
    waypoint_namespace: str = ""

    def __post_init__(self) -> None:
        _service(self)
        object.__setattr__(self, "waypoint", DnsLabel(self.waypoint, field="waypoint"))
        namespace = self.waypoint_namespace or self.host.partition(".")[2].partition(".")[0]
        object.__setattr__(self, "waypoint_namespace", DnsLabel(namespace, field="waypoint_namespace"))


def _service(place: MeshService | WaypointService) -> None:
    called = Destination(place.host, place.port)
    object.__setattr__(place, "host", called.host)
    object.__setattr__(place, "port", called.port)
    if not place.host.endswith(f".svc.{CLUSTER_DOMAIN}"):
        raise ValidationError(
            field="host",
            value=str(place.host),
            rule="must be the full name of a Service",
            remedy=f"Write 'name.namespace.svc.{CLUSTER_DOMAIN}', or use GatewayHosts for hosts at a gateway",
        )


Place: TypeAlias = GatewayHosts | MeshService | WaypointService
"""Where an overlay hangs."""


@dataclass(frozen=True, kw_only=True)
class OverlayRoute:
    """Mirrors on other people's routes: the whole input of an overlay's rendering.

    Attributes:
        name: Name of the overlay's objects, a DNS label.
        namespace: Namespace of those that lie neither in the root namespace nor beside a mirror or a waypoint.
        on: Where the mirrors hang; cross-cluster mirrors hang on gateway hosts only.
        mirrors: Who gets copies; a Service or another cluster, no subset.
        istio: Behaviour of staging's control plane.
        routes: Names of the owner's routes that are mirrored; empty for all that forward. Envoy's names: an entry of a
            VirtualService with a named match is ``<entry>.<match>``, a rule of an HTTPRoute
            ``<namespace>.<route>.<rule index>`` unless it has a name.
        protocol: What callers speak.
        root_namespace: Istio's root namespace, where an EnvoyFilter takes effect for gateways and sidecars alike.
        gateway: The gateway at which clients call the hosts, whose pods alone then get the patches for them. Without
            it every gateway of the mesh gets them, whichever serves the hosts.

    Raises:
        ValidationError: Any rule of an overlay is broken; ``field`` names the mirror or place by index.
    """

    name: str
    namespace: str
    on: Sequence[Place]
    istio: IstioBehaviour
    mirrors: Sequence[Mirror] = ()
    routes: Sequence[str] = ()
    protocol: Protocol = Protocol.HTTP
    root_namespace: str = "istio-system"
    gateway: GatewayRef | None = None

    def __post_init__(self) -> None:
        for name in ("name", "namespace", "root_namespace"):
            object.__setattr__(self, name, DnsLabel(getattr(self, name), field=name))
        object.__setattr__(self, "protocol", member(Protocol, self.protocol, field="protocol"))
        for name in ("on", "mirrors", "routes"):
            object.__setattr__(self, name, tuple(listed(getattr(self, name), field=name)))
        instance(self.istio, IstioBehaviour, field="istio")
        instance(self.gateway, GatewayRef, field="gateway", optional=True)
        if self.istio.version < FIRST_OVERLAY_ISTIO:
            raise ValidationError(
                field="istio.version",
                value=str(self.istio.version),
                rule=f"must be at least {FIRST_OVERLAY_ISTIO.major}.{FIRST_OVERLAY_ISTIO.minor} for an overlay, because"
                " older proxies cannot take credentials off a copy alone",
                remedy="Upgrade Istio, or use mirrored() or MirroredService where the route is yours",
            )
        self._check_places()
        self._check_patches()
        self._check_routes()
        for index, mirror in enumerate(self.mirrors):
            instance(mirror, InClusterMirror, CrossClusterMirror, field=f"mirrors[{index}]")
        for index, mirror in enumerate(self.mirrors):
            try:
                self._check_mirror(mirror)
                check_apart(mirror, self.mirrors[:index])
            except ValidationError as error:
                raise error.within(f"mirrors[{index}]") from None

    def guards(self, mirror: Mirror) -> Guards:
        """Which guards one of its mirrors keeps, and by what."""
        return guards(mirror, self.istio, self.protocol, timeout=False, added=True)

    @cached_property
    def gateway_hosts(self) -> tuple[str, ...]:
        """Every host at gateways that it hangs on."""
        return tuple(str(host) for place in self.on if isinstance(place, GatewayHosts) for host in place.hosts)

    @cached_property
    def marks(self) -> tuple[str, ...]:
        """Headers whose presence tells a copy, which is never copied again."""
        marks = [str(mirror.scrub.mark_header) for mirror in self.mirrors if isinstance(mirror.scrub, Scrub)]
        return tuple(dict.fromkeys(marks)) or (Scrub().mark_header,)

    def aim_header(self, mirror: Mirror, number: int) -> str:
        """Header that carries the name of a mirror's cluster; one for each host or service that the overlay hangs on.

        Istio may serve several hosts by one list of routes, where one header would make a copy for each of them.
        """
        end = f".{number}" if number else ""
        return f"{AIM_PREFIX}{self.namespace}.{self.name}.{mirror.name}{end}"

    def _check_places(self) -> None:
        if not self.on:
            raise ValidationError(
                field="on",
                value=[],
                rule="must name at least one place",
                remedy="Give GatewayHosts(…), MeshService(…) or WaypointService(…)",
            )
        seen: set[str] = set()
        for index, place in enumerate(self.on):
            instance(place, GatewayHosts, MeshService, WaypointService, field=f"on[{index}]")
            kind = "gateway " if isinstance(place, GatewayHosts) else "service "
            names = place.hosts if isinstance(place, GatewayHosts) else [f"{place.host}:{place.port}"]
            for name in names:
                if kind + name in seen:
                    raise ValidationError(
                        field=f"on[{index}]",
                        value=str(name),
                        rule="must be named once, or each request would be copied twice",
                        remedy="Remove the repeat",
                    )
                seen.add(kind + name)
        if self.gateway and not self.gateway_hosts:
            raise ValidationError(
                field="gateway",
                value=str(self.gateway),
                rule="must be left out where no gateway's hosts are mirrored",
                remedy="Add GatewayHosts(…) to on, or leave gateway out",
            )

    def _check_patches(self) -> None:
        for index, place in enumerate(self.on):
            needed = ("NETWORK_FILTER" if isinstance(place, WaypointService) else "HTTP_ROUTE", "CLUSTER")
            if not self.istio.patches_all(*needed):
                raise ValidationError(
                    field=f"on[{index}]",
                    value=type(place).__name__,
                    rule=f"needs a control plane that applies EnvoyFilters to {' and '.join(needed)}; this one applies"
                    f" {', '.join(self.istio.patches or ()) or 'none'}",
                    remedy="Use mirrored() or MirroredService where the route is yours; no other form works there",
                )

    def _check_routes(self) -> None:
        for index, name in enumerate(self.routes):
            if not isinstance(name, str) or not name or not name.isprintable():  # pyright: ignore[reportUnnecessaryIsInstance] -- callers may be untyped
                raise ValidationError(
                    field=f"routes[{index}]",
                    value=name,
                    rule="must be the name of a route",
                    remedy="Write the name of the owner's entry, or leave routes out",
                )
            if name in self.routes[:index]:
                raise ValidationError(
                    field=f"routes[{index}]", value=name, rule="must not repeat", remedy="Remove the repeat"
                )
        if self.routes and any(isinstance(place, WaypointService) for place in self.on):
            raise ValidationError(
                field="routes",
                value=list(self.routes),
                rule="cannot be chosen at a waypoint, whose routes Istio lets nobody change one by one",
                remedy="Leave routes out and give mirrors a match by path, or the waypoint an overlay of its own",
            )

    def _check_mirror(self, mirror: Mirror) -> None:
        check_selection(mirror, self.protocol)
        check_guards(mirror, self.istio, self.protocol, timeout=False)
        target = mirror.destination()
        for place in self.on:
            if not isinstance(place, GatewayHosts) and place.host == target.host:
                raise ValidationError(
                    field="service",
                    value=target.cluster_name,
                    rule="must not be the service that is mirrored, which would get every request twice",
                    remedy="Mirror to another Service",
                )
        if isinstance(mirror, CrossClusterMirror):
            if not self.gateway_hosts:
                raise ValidationError(
                    field="contract",
                    value=mirror.contract.receiver,
                    rule="needs hosts at a gateway, whose authority the receiver accepts",
                    remedy="Add GatewayHosts(…) to on, or mirror in-cluster",
                )
            check_contract(mirror.contract, hosts=self.gateway_hosts, port=None, protocol=self.protocol)
        for index, header in enumerate(mirror.match.headers if mirror.match else ()):
            if not header.value.isascii():
                raise ValidationError(
                    field=f"match.headers[{index}].value",
                    value=header.value,
                    rule="must be ASCII on an overlay",
                    remedy="Match another header, or a prefix before the first letter beyond ASCII",
                )
            if header.test is HeaderTest.REGEX and header.value.startswith(("^", "(?")):
                raise ValidationError(
                    field=f"match.headers[{index}].value",
                    value=header.value,
                    rule="must be a plain expression, which is held against the whole value by itself",
                    remedy="Leave '^' and flags out",
                )


def places(route: OverlayRoute) -> list[tuple[int, Place, str]]:
    """Every host or service that an overlay hangs on: its number, the place, and its name there."""
    named = [
        (place, str(name))
        for place in route.on
        for name in (place.hosts if isinstance(place, GatewayHosts) else (place.host,))
    ]
    return [(number, place, name) for number, (place, name) in enumerate(named)]


def mirrors_at(route: OverlayRoute, place: Place) -> Sequence[Mirror]:
    """The mirrors that hang at a place: those to another cluster at gateways only."""
    if isinstance(place, GatewayHosts):
        return route.mirrors
    return cast("Sequence[Mirror]", [each for each in route.mirrors if isinstance(each, InClusterMirror)])
