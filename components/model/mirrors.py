"""Mirrors: who gets copies, of what, and within which bounds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import TypeAlias

from .checks import instance
from .contract import MirrorContract
from .errors import ValidationError
from .matching import Match, Selection
from .routing import Destination, pod_labels
from .safety import SAFE_HTTP_METHODS, Brakes, Expiry, Scrub, Waiver
from .values import MAX_NAME_LENGTH, DnsLabel, Percent, Protocol


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
        percent: Share of the primary's requests, 0 to 100; 0 renders no mirror. Always given: nobody copies everything
            by leaving something out.
        name: Unique among the mirrors of a route; default the subset or the Service's name.
        match: What may be mirrored; None for GET, HEAD and OPTIONS with HTTP. gRPC needs methods or ``side_effects``.
        side_effects: Waiver for mirroring methods that are not named.
        websockets: Waiver for mirroring WebSockets and other upgraded connections: the proxy copies every frame that
            a client sends once the mirror has accepted, whatever its method (measured, Envoy 1.39 and 1.40).
        brakes: Bounds, or the waiver for having none.
        unbounded_life: Waiver for copies that nothing ends, where the control plane applies no EnvoyFilter to clusters:
            those on a route without a timeout, and with one those of requests with a body.
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
    percent: float
    name: str = ""
    match: Match | None = None
    side_effects: Waiver | None = None
    websockets: Waiver | None = None
    brakes: Brakes | Waiver = field(default_factory=Brakes)
    unbounded_life: Waiver | None = None
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

    def destination(self, primary: Destination | None = None) -> Destination:
        """Where copies go, given the route's primary; None where the route is somebody else's.

        Raises:
            ValidationError: A subset is of a primary that is not known.
        """
        if self.service:
            return self.service
        if primary is None:
            raise ValidationError(
                field="subset",
                value=str(self.subset),
                rule="belongs to a primary, and whose Service that is only the owner of the route knows",
                remedy="Give the mirror a Service of its own on the same pods",
            )
        return Destination(primary.host, primary.port, self.subset, self.subset_labels)


@dataclass(frozen=True, kw_only=True)
class CrossClusterMirror:
    """Copies requests that enter staging's gateway to the gateway of another cluster.

    Attributes:
        contract: What that cluster accepts; both stacks build it from the same values.
        percent: Share of the primary's requests, 0 to 100; 0 renders no mirror. Always given: nobody copies everything
            by leaving something out.
        name: Unique among the mirrors of a route; default the contract's receiver.
        match: As for :class:`InClusterMirror`.
        side_effects: As for :class:`InClusterMirror`.
        websockets: As for :class:`InClusterMirror`.
        brakes: Bounds, or the waiver for having none.
        unbounded_life: As for :class:`InClusterMirror`.
        client_credential: Name of the Secret in the gateway's namespace with the authority that signed testing's
            certificate (``ca.crt``) and, for mutual TLS, staging's own certificate and key (``tls.crt``, ``tls.key``);
            needed unless the contract waives TLS.
        expires: End of the mirror; None for no end.

    Raises:
        ValidationError: Credential missing, or given for a contract without TLS.
    """

    contract: MirrorContract
    percent: float
    name: str = ""
    match: Match | None = None
    side_effects: Waiver | None = None
    websockets: Waiver | None = None
    brakes: Brakes | Waiver = field(default_factory=Brakes)
    unbounded_life: Waiver | None = None
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

    def destination(self, primary: Destination | None = None) -> Destination:
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
    instance(mirror.websockets, Waiver, field="websockets", optional=True)
    instance(mirror.brakes, Brakes, Waiver, field="brakes")
    instance(mirror.unbounded_life, Waiver, field="unbounded_life", optional=True)
    instance(mirror.expires, Expiry, field="expires", optional=True)


def matched(mirror: Mirror, protocol: Protocol) -> Selection:
    """The requests that ``mirror`` takes, with the protocol's default filled in."""
    match = mirror.match
    upgrades = mirror.websockets is not None
    if protocol is Protocol.GRPC or mirror.side_effects is not None:
        return Selection(match=match, upgrades=upgrades)
    if match is None:
        match = Match(http_methods=SAFE_HTTP_METHODS)
    elif not (match.rpc_paths or match.http_methods):
        match = replace(match, http_methods=SAFE_HTTP_METHODS)
    return Selection(match=match, upgrades=upgrades)


def expired(mirrors: Sequence[Mirror], now: datetime) -> tuple[Mirror, ...]:
    """Those mirrors whose end has passed at ``now`` (with a zone)."""
    return tuple(mirror for mirror in mirrors if mirror.expires and mirror.expires.has_passed(now))
