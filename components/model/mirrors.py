"""Mirrors and the route that they hang on: what staging is told to do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Final, TypeAlias

from .checks import bounded, instance, listed, member
from .contract import MirrorContract, contract_hosts
from .errors import ValidationError
from .matching import Match
from .routing import Destination, GatewayRef, HeaderRules, pod_labels
from .safety import SAFE_HTTP_METHODS, Brakes, Expiry, Scrub, Waiver
from .values import MAX_NAME_LENGTH, DnsLabel, IstioBehaviour, Percent, Port, Protocol

MAX_DISTINCT_MATCHES: Final = 4
"""Different matches on one route. Every combination needs a route of its own, so four give at most fifteen."""


@dataclass(frozen=True, kw_only=True)
class InClusterMirror:
    """Copies requests to another version in the same cluster.

    Exactly one of ``service`` and ``subset`` is given.

    Attributes:
        service: The mirror's own Service: the safe form, because nobody reaches it by calling the primary's.
        subset: Subset of the primary's Service. Callers that no VirtualService governs then reach the mirror with
            real requests, so ``shared_service`` must say why that cannot happen.
        subset_labels: Pod labels that define ``subset``; default ``{"version": subset}``.
        shared_service: Waiver for ``subset``.
        percent: Share of the primary's requests, 0 to 100; 0 renders no mirror.
        name: Unique among the mirrors of a route; default the subset or the Service's name.
        match: What may be mirrored; None for GET, HEAD and OPTIONS with HTTP. gRPC needs methods or ``side_effects``.
        side_effects: Waiver for mirroring methods that are not named.
        brakes: Bounds, or the waiver for having none.
        scrub: What is taken off, or the waiver for mirroring credentials.
        plain_text: Waiver for a ``service`` outside the mesh, known by a ServiceEntry, that gets copies in plain text.
        expires: End of the mirror; None for no end.

    Raises:
        ValidationError: Both or none of service and subset, a subset without waiver, or with a service what only a
            subset has.
    """

    service: Destination | None = None
    subset: str | None = None
    subset_labels: Mapping[str, str] = field(default_factory=dict[str, str])
    shared_service: Waiver | None = None
    percent: float = 100.0
    name: str = ""
    match: Match | None = None
    side_effects: Waiver | None = None
    brakes: Brakes | Waiver = field(default_factory=Brakes)
    scrub: Scrub | Waiver = field(default_factory=Scrub)
    plain_text: Waiver | None = None
    expires: Expiry | None = None

    def __post_init__(self) -> None:
        if (self.service is None) == (self.subset is None):
            raise ValidationError(
                field="service",
                value=self.service or self.subset,
                rule="must be given instead of subset, not both and not neither",
                remedy="Name the mirror's own Service, or a subset of the primary's",
            )
        instance(self.service, Destination, field="service", optional=True)
        instance(self.shared_service, Waiver, field="shared_service", optional=True)
        instance(self.scrub, Scrub, Waiver, field="scrub")
        instance(self.plain_text, Waiver, field="plain_text", optional=True)
        if self.service is not None:
            self._check_own_service()
        if self.subset is not None:
            object.__setattr__(self, "subset", DnsLabel(self.subset, field="subset"))
            object.__setattr__(
                self, "subset_labels", pod_labels(self.subset_labels or {"version": str(self.subset)}, "subset_labels")
            )
            if self.shared_service is None:
                raise ValidationError(
                    field="subset",
                    value=str(self.subset),
                    rule="needs shared_service: a Service whose selector takes primary and mirror sends real requests"
                    " to the mirror for every caller that no VirtualService governs",
                    remedy="Give the mirror its own Service, or add shared_service=Waiver(reason=…)",
                )
        default = str(self.subset) if self.subset else str(self.service.host).split(".")[0] if self.service else ""
        _mirror_fields(self, default)

    def _check_own_service(self) -> None:
        """Refuse what only a subset has, and what nobody would look at."""
        for name in ("subset_labels", "shared_service"):
            if given := getattr(self, name):
                raise ValidationError(
                    field=name,
                    value=given,
                    rule="belongs to a subset of the primary's Service, and has no effect on a Service of its own",
                    remedy="Leave it out",
                )

    def destination(self, primary: Destination) -> Destination:
        """Where copies go, given the route's primary."""
        if self.service:
            return self.service
        return Destination(primary.host, primary.port, self.subset, self.subset_labels)


@dataclass(frozen=True, kw_only=True)
class CrossClusterMirror:
    """Copies requests that enter staging's gateway to the gateway of another cluster.

    Attributes:
        contract: What that cluster accepts; both stacks build it from the same values.
        percent: Share of the primary's requests, 0 to 100; 0 renders no mirror.
        name: Unique among the mirrors of a route; default the contract's receiver.
        match: As for :class:`InClusterMirror`.
        side_effects: As for :class:`InClusterMirror`.
        brakes: Bounds, or the waiver for having none.
        client_credential: Name of the Secret in the gateway's namespace with the authority that signed testing's
            certificate (``ca.crt``) and, for mutual TLS, staging's own certificate and key (``tls.crt``, ``tls.key``);
            needed unless the contract waives TLS.
        expires: End of the mirror; None for no end.

    Raises:
        ValidationError: Credential missing, or given for a contract without TLS.
    """

    contract: MirrorContract
    percent: float = 100.0
    name: str = ""
    match: Match | None = None
    side_effects: Waiver | None = None
    brakes: Brakes | Waiver = field(default_factory=Brakes)
    client_credential: str = ""
    expires: Expiry | None = None

    def __post_init__(self) -> None:
        instance(self.contract, MirrorContract, field="contract")
        if self.contract.tls and not self.client_credential:
            raise ValidationError(
                field="client_credential",
                value=self.client_credential,
                rule="must name a Secret in the gateway's namespace, because the contract asks for TLS",
                remedy="Create it with ca.crt, for mutual TLS also tls.crt and tls.key, and give its name",
            )
        if self.client_credential and not self.contract.tls:
            raise ValidationError(
                field="client_credential",
                value=self.client_credential,
                rule="belongs to a contract with TLS; this one waives it, so mirrors would go without",
                remedy="Leave it out, or drop the contract's waiver",
            )
        if self.client_credential:
            object.__setattr__(self, "client_credential", DnsLabel(self.client_credential, field="client_credential"))
        _mirror_fields(self, self.contract.receiver)

    @property
    def scrub(self) -> Scrub | Waiver:
        """The contract's scrub."""
        return self.contract.scrub

    def destination(self, primary: Destination) -> Destination:
        """Where copies go: the host that stands for the other cluster's gateway."""
        return self._gateway

    @cached_property
    def _gateway(self) -> Destination:
        return Destination(self.contract.mirror_host, self.contract.port)


Mirror: TypeAlias = InClusterMirror | CrossClusterMirror


def _mirror_fields(mirror: Mirror, default_name: str) -> None:
    object.__setattr__(mirror, "percent", Percent(mirror.percent, field="percent"))
    name = DnsLabel(mirror.name or default_name, field="name")
    if len(name) > MAX_NAME_LENGTH:
        raise ValidationError(
            field="name",
            value=str(name),
            rule=f"must have at most {MAX_NAME_LENGTH} characters, because annotations carry it, has {len(name)}",
            remedy="Give the mirror a shorter name",
        )
    object.__setattr__(mirror, "name", name)
    instance(mirror.match, Match, field="match", optional=True)
    instance(mirror.side_effects, Waiver, field="side_effects", optional=True)
    instance(mirror.brakes, Brakes, Waiver, field="brakes")
    instance(mirror.expires, Expiry, field="expires", optional=True)


@dataclass(frozen=True, kw_only=True)
class MirroredRoute:
    """One service's routing in staging with its mirrors: the whole input of staging's rendering.

    Attributes:
        name: Name of the routing objects, a DNS label.
        namespace: Their namespace.
        hosts: Authorities that clients use at the gateway; empty when no gateway is given.
        port: Port clients use at the gateway.
        protocol: What they speak.
        primary: Who answers.
        mirrors: Who gets copies; any number, none included.
        gateway: Gateway that clients enter by; None for callers inside the mesh only.
        mesh: Whether callers inside the mesh, who use the primary's own name, are governed and mirrored in-cluster.
        istio: Behaviour of staging's control plane.
        headers: Header changes for primary and mirrors alike.
        timeout_seconds: Bound on the primary (and on mirrors of the route), 0.001 to 3,600 s; None for no bound.
        root_namespace: Istio's root namespace, where the EnvoyFilter takes effect for gateways and sidecars alike.

    Raises:
        ValidationError: Any rule of a single route is broken; ``field`` names the mirror by index.
    """

    name: str
    namespace: str
    primary: Destination
    istio: IstioBehaviour
    hosts: Sequence[str] = ()
    port: int = 8000
    protocol: Protocol = Protocol.GRPC
    mirrors: Sequence[Mirror] = ()
    gateway: GatewayRef | None = None
    mesh: bool = True
    headers: HeaderRules = field(default_factory=HeaderRules)
    timeout_seconds: float | None = None
    root_namespace: str = "istio-system"

    def __post_init__(self) -> None:
        for name in ("name", "namespace", "root_namespace"):
            object.__setattr__(self, name, DnsLabel(getattr(self, name), field=name))
        object.__setattr__(self, "port", Port(self.port, field="port"))
        object.__setattr__(self, "protocol", member(Protocol, self.protocol, field="protocol"))
        object.__setattr__(self, "mirrors", tuple(listed(self.mirrors, field="mirrors")))
        instance(self.mesh, bool, field="mesh")
        instance(self.primary, Destination, field="primary")
        instance(self.istio, IstioBehaviour, field="istio")
        instance(self.gateway, GatewayRef, field="gateway", optional=True)
        instance(self.headers, HeaderRules, field="headers")
        for index, mirror in enumerate(self.mirrors):
            instance(mirror, InClusterMirror, CrossClusterMirror, field=f"mirrors[{index}]")
        self._check_reach()
        for index, mirror in enumerate(self.mirrors):
            try:
                self._check_mirror(mirror)
                self._check_beside(mirror, self.mirrors[:index])
            except ValidationError as error:
                raise error.within(f"mirrors[{index}]") from None
        distinct = {matched(mirror, self.protocol) for mirror in self.mirrors} - {None}
        if len(distinct) > MAX_DISTINCT_MATCHES:
            raise ValidationError(
                field="mirrors",
                value=len(distinct),
                rule=f"may use at most {MAX_DISTINCT_MATCHES} different matches, because every combination is a route",
                remedy="Let mirrors share a match, or split the service's hosts",
            )

    def _check_beside(self, mirror: Mirror, earlier: Sequence[Mirror]) -> None:
        """Hold a mirror against those before it."""
        target, match = mirror.destination(self.primary), matched(mirror, self.protocol)
        for other in earlier:
            theirs = other.destination(self.primary)
            if mirror.name == other.name:
                raise ValidationError(
                    field="name",
                    value=str(mirror.name),
                    rule="must be unique on the route",
                    remedy="Give each mirror a name",
                )
            if target.host == theirs.host and (
                target.subset == theirs.subset or None in (target.subset, theirs.subset)
            ):
                raise ValidationError(
                    field="service" if isinstance(mirror, InClusterMirror) else "contract.mirror_host",
                    value=target.cluster_name,
                    rule=f"must be another destination than that of the mirror {other.name!s}: they would share brakes",
                    remedy="Combine the two mirrors, or give one its own Service",
                )
            other_match = matched(other, self.protocol)
            if match and other_match:
                try:
                    match.joined(other_match)
                except ValidationError as error:
                    raise error.within("match") from None

    def _check_reach(self) -> None:
        if self.gateway:
            object.__setattr__(self, "hosts", contract_hosts(self.hosts, field="hosts"))
            if self.primary.host in self.hosts:
                raise ValidationError(
                    field="hosts",
                    value=str(self.primary.host),
                    rule="must not list the primary's own Service name, which callers inside the mesh use",
                    remedy="List the names that clients use at the gateway",
                )
        elif self.hosts:
            raise ValidationError(
                field="gateway",
                value=None,
                rule="must be given when hosts are",
                remedy="Pass the gateway, or drop hosts",
            )
        elif not self.mesh:
            raise ValidationError(
                field="gateway",
                value=None,
                rule="must be given where callers inside the mesh are not governed, or nobody could reach the route",
                remedy="Pass the gateway, or let them be governed",
            )
        if self.timeout_seconds is not None:
            bounded(self.timeout_seconds, "timeout_seconds", 0.001, 3_600, "seconds")

    def _check_mirror(self, mirror: Mirror) -> None:
        target = mirror.destination(self.primary)
        if (target.host, target.subset) == (self.primary.host, self.primary.subset):
            raise ValidationError(
                field="service" if isinstance(mirror, CrossClusterMirror) or mirror.service else "subset",
                value=target.cluster_name,
                rule="must not be the primary itself, which would answer every request twice",
                remedy="Mirror to another Service or subset",
            )
        self._check_mark(mirror)
        if isinstance(mirror, CrossClusterMirror):
            self._check_cross(mirror)
        elif mirror.service and mirror.service.host == self.primary.host:
            raise ValidationError(
                field="service",
                value=mirror.service.cluster_name,
                rule="must not be the primary's Service, whose callers reach the mirror with real requests",
                remedy="Give the mirror its own Service, or use subset with shared_service=Waiver(reason=…)",
            )
        elif mirror.subset and self.primary.subset is None:
            raise ValidationError(
                field="subset",
                value=str(mirror.subset),
                rule="needs a primary with a subset, or the primary takes in the mirror's pods",
                remedy="Give the primary its subset, e.g. subset='v1'",
            )
        if self.protocol is Protocol.GRPC and mirror.side_effects is None and not (mirror.match and mirror.match.paths):
            raise ValidationError(
                field="match",
                value=mirror.match,
                rule="must list the gRPC methods that may run twice",
                remedy="Add match=Match(rpc_methods=[…]), or side_effects=Waiver(reason=…) to mirror every method",
            )

    def _check_mark(self, mirror: Mirror) -> None:
        scrub, rules = mirror.scrub, self.headers
        if isinstance(scrub, Scrub) and scrub.mark_header in (
            *rules.request_set,
            *rules.request_add,
            *rules.request_remove,
        ):
            raise ValidationError(
                field="scrub.mark_header",
                value=str(scrub.mark_header),
                rule="must not be changed by the route's header rules, which primary requests follow as well",
                remedy="Choose another mark, or take it off the rules",
            )

    def _check_cross(self, mirror: CrossClusterMirror) -> None:
        contract = mirror.contract
        if self.gateway is None:
            raise ValidationError(
                field="contract",
                value=contract.receiver,
                rule="needs a gateway",
                remedy="Pass the route's gateway",
            )
        missing = [str(host) for host in self.hosts if host not in contract.hosts]
        if missing:
            raise ValidationError(
                field="contract.hosts",
                value=[str(host) for host in contract.hosts],
                rule=f"must contain every host of the route; {', '.join(missing)} is not accepted by the receiver",
                remedy="Add it to the contract in both stacks",
            )
        for name in ("port", "protocol"):
            if getattr(contract, name) != getattr(self, name):
                raise ValidationError(
                    field=f"contract.{name}",
                    value=str(getattr(contract, name)),
                    rule=f"must equal the route's {name} ({getattr(self, name)!s})",
                    remedy="Use one value for both",
                )


def matched(mirror: Mirror, protocol: Protocol) -> Match | None:
    """The requests that ``mirror`` takes, with the protocol's default filled in; None for every request."""
    match = mirror.match
    if mirror.side_effects is not None or (match and (match.paths or match.http_methods)):
        return match
    if protocol is Protocol.GRPC:
        return match
    return Match(http_methods=SAFE_HTTP_METHODS, headers=match.headers if match else ())


def expired(mirrors: Sequence[Mirror], now: datetime) -> tuple[Mirror, ...]:
    """Those mirrors whose end has passed at ``now`` (with a zone)."""
    return tuple(mirror for mirror in mirrors if mirror.expires and mirror.expires.has_passed(now))
