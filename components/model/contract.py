"""The contract of a cross-cluster mirror: what staging sends and testing must accept."""

import hashlib
import ipaddress
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum, unique
from functools import cached_property
from typing import cast

from .checks import instance, listed, member
from .errors import ValidationError
from .jsontypes import JsonObject, JsonValue
from .routing import CLUSTER_DOMAIN
from .safety import Expiry, Scrub, Waiver
from .values import (
    MAX_HOSTNAME_LENGTH,
    MAX_LABEL_LENGTH,
    MAX_NAME_LENGTH,
    SHADOW_SUFFIX,
    DnsLabel,
    Hostname,
    Port,
    Protocol,
)


@unique
class TlsMode(StrEnum):
    """Who proves their identity between the two gateways; the values are Istio's."""

    SIMPLE = "SIMPLE"
    """Testing's gateway only."""
    MUTUAL = "MUTUAL"
    """Both gateways, so nobody else can send to testing."""


@dataclass(frozen=True, kw_only=True)
class MirrorTls:
    """TLS between the gateways.

    Attributes:
        mode: Default MUTUAL.

    Raises:
        ValidationError: The mode is none of Istio's that end at the gateway.
    """

    mode: TlsMode = TlsMode.MUTUAL

    def __post_init__(self) -> None:
        object.__setattr__(self, "mode", member(TlsMode, self.mode, field="mode"))

    @classmethod
    def parse(cls, text: str) -> "MirrorTls":
        """Read the name of a mode.

        Raises:
            ValidationError: There is no such mode.
        """
        if text not in list(TlsMode):
            raise ValidationError(
                field="transport",
                value=text,
                rule=f"must be one of {', '.join(TlsMode)}, or an object with the reason for plain text",
                remedy="Choose a mode, or write {reason: …}",
            )
        return cls(mode=TlsMode(text))


@dataclass(frozen=True, kw_only=True)
class MirrorContract:
    """What both clusters must agree on. Both stacks build it from the same values; its digest proves it.

    Attributes:
        hosts: Authorities that clients use at staging, without port; exact names.
        port: Port of both gateways, 1 to 65535. Default 8000.
        protocol: What clients speak.
        receiver: Name of the receiving side, a DNS label; names the mirror and its objects. Default ``testing``.
        mirror_host: Name under which staging knows testing's gateway: host of the ServiceEntry and server name of
            TLS. Nobody resolves it. Default ``<receiver>-mirror.<first host>``.
        transport: TLS between the gateways, or a waiver for plain text, which is accepted for private addresses only.
        scrub: What is taken off and marked on mirrors, or a waiver for sending credentials along.
        client_names: Names in client certificates that testing's gateway takes mirrors from: DNS names, or URIs such as
            ``spiffe://…``. With MUTUAL only; empty for every certificate of the authority.

    Raises:
        ValidationError: A value is malformed, a host repeats, the suffixed form of a host would be no DNS name or is
            itself among the hosts, or ``mirror_host`` is one of the hosts.
    """

    hosts: Sequence[str]
    port: int = 8000
    protocol: Protocol = Protocol.GRPC
    receiver: str = "testing"
    mirror_host: str = ""
    transport: MirrorTls | Waiver = field(default_factory=MirrorTls)
    scrub: Scrub | Waiver = field(default_factory=Scrub)
    client_names: Sequence[str] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "hosts", contract_hosts(self.hosts))
        object.__setattr__(self, "port", Port(self.port, field="port"))
        object.__setattr__(self, "protocol", member(Protocol, self.protocol, field="protocol"))
        object.__setattr__(self, "receiver", DnsLabel(self.receiver, field="receiver"))
        instance(self.transport, MirrorTls, Waiver, field="transport")
        instance(self.scrub, Scrub, Waiver, field="scrub")
        names = tuple(
            _client_name(name, f"client_names[{at}]")
            for at, name in enumerate(listed(self.client_names, field="client_names"))
        )
        object.__setattr__(self, "client_names", names)
        if names and (self.tls is None or self.tls.mode is not TlsMode.MUTUAL):
            raise ValidationError(
                field="client_names",
                value=list(names),
                rule="need the transport MUTUAL, or no client shows a certificate",
                remedy="Leave them out, or set the transport to MUTUAL",
            )
        if len(self.receiver) > MAX_NAME_LENGTH:
            raise ValidationError(
                field="receiver",
                value=str(self.receiver),
                rule=f"must have at most {MAX_NAME_LENGTH} characters, because annotations carry it",
                remedy="Give it a shorter name",
            )
        mirror_host = self.mirror_host or f"{self.receiver}-mirror.{self.hosts[0]}"
        object.__setattr__(self, "mirror_host", Hostname(mirror_host, field="mirror_host"))
        if self.mirror_host in self.accepted_hosts:
            raise ValidationError(
                field="mirror_host",
                value=self.mirror_host,
                rule="must not be a host that clients call, or the mirror would be routed like the primary",
                remedy="Leave it out, or choose a name of its own",
            )
        if self.mirror_host.endswith(f".{CLUSTER_DOMAIN}"):
            raise ValidationError(
                field="mirror_host",
                value=self.mirror_host,
                rule="must not be the name of a Service in the cluster",
                remedy="Leave it out, or choose a name outside the cluster's domain",
            )

    @property
    def accepted_hosts(self) -> tuple[str, ...]:
        """Authorities testing must accept: each host as it is and suffixed, so both authority modes arrive."""
        return tuple(form for host in self.hosts for form in (str(host), f"{host}{SHADOW_SUFFIX}"))

    @property
    def tls(self) -> MirrorTls | None:
        """TLS settings, or None for waived plain text."""
        return self.transport if isinstance(self.transport, MirrorTls) else None

    @property
    def terms(self) -> JsonObject:
        """The agreed values as plain JSON, in a fixed order."""
        scrub = self.scrub
        return {
            "hosts": [str(host) for host in self.hosts],
            "port": int(self.port),
            "protocol": self.protocol.value,
            "receiver": str(self.receiver),
            "mirrorHost": str(self.mirror_host),
            "tls": self.tls.mode.value if self.tls else "none",
            "scrubbedHeaders": [] if isinstance(scrub, Waiver) else [str(name) for name in scrub.headers],
            "markHeader": "" if isinstance(scrub, Waiver) else str(scrub.mark_header),
            "markValue": "" if isinstance(scrub, Waiver) else scrub.mark_value,
            # Left out where there are none, as before there were any: the digest stays what it was.
            **({"clientNames": list(self.client_names)} if self.client_names else {}),
        }

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the terms, in hex."""
        canonical = json.dumps(self.terms, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


def _client_name(given: object, field: str) -> str:
    """A name as certificates carry it: a DNS name, or a URI."""
    if isinstance(given, str) and "://" in given:
        scheme, _, rest = given.partition("://")
        if scheme.isalnum() and rest and rest.isascii() and rest.isprintable() and " " not in rest:
            return given
        raise ValidationError(
            field=field, value=given, rule="must be a URI", remedy="Write for example 'spiffe://staging/gateway'"
        )
    return str(Hostname(cast("str", given), field=field))


def contract_hosts(hosts: Sequence[str], *, field: str = "hosts") -> tuple[Hostname, ...]:
    """Validate the authorities that clients use, so that their suffixed forms are names as well.

    Raises:
        ValidationError: None is given, one is malformed or repeats, or a suffixed form clashes or is too long.
    """
    given = listed(hosts, field=field) if hosts and not isinstance(hosts, str) else hosts
    if isinstance(given, str) or not given:
        raise ValidationError(
            field=field,
            value=given,
            rule="must be a non-empty list of hosts",
            remedy="List the hosts that clients call",
        )
    named = tuple(Hostname(cast("str", host), field=f"{field}[{index}]") for index, host in enumerate(given))
    for index, host in enumerate(named):
        where = f"{field}[{index}]"
        if host in named[:index]:
            raise ValidationError(field=where, value=str(host), rule="must not repeat", remedy="Remove the repeat")
        if host.endswith(SHADOW_SUFFIX):
            raise ValidationError(
                field=where,
                value=str(host),
                rule=f"must not end with {SHADOW_SUFFIX!r}, the form that a mirror's authority may take",
                remedy="Give the host that clients call; the suffixed form is accepted by itself",
            )
        last = host.rsplit(".", 1)[1]
        if len(host.suffixed) > MAX_HOSTNAME_LENGTH or len(last) + len(SHADOW_SUFFIX) > MAX_LABEL_LENGTH:
            raise ValidationError(
                field=where,
                value=str(host),
                rule=f"must leave room for {SHADOW_SUFFIX!r} within DNS limits",
                remedy="Use a shorter name",
            )
    return named


@dataclass(frozen=True, kw_only=True)
class MirrorOffer:
    """What testing exports: the terms it accepts and where.

    Attributes:
        terms: Terms of the contract that testing was built with.
        digest: Their digest.
        address: IP address or DNS name of testing's gateway.
        expires: End of the offer; None for no end.
    """

    terms: Mapping[str, JsonValue]
    digest: str
    address: str
    expires: Expiry | None = None

    @classmethod
    def of(cls, contract: MirrorContract, address: str, expires: Expiry | None = None) -> "MirrorOffer":
        """The offer of a receiver that was built with ``contract`` and listens at ``address``.

        Raises:
            ValidationError: The address is neither an IP address nor a DNS name.
        """
        return cls(terms=contract.terms, digest=contract.digest, address=gateway_address(address), expires=expires)

    def to_json(self) -> JsonObject:
        """The stack output."""
        offer: JsonObject = {"terms": dict(self.terms), "digest": self.digest, "address": self.address}
        if self.expires:
            offer["expires"] = str(self.expires)
        return offer

    @classmethod
    def accept(cls, value: object, contract: MirrorContract, *, now: datetime, field: str = "offer") -> "MirrorOffer":
        """Read a stack output and hold it against staging's own contract.

        Args:
            value: The output as it was exported.
            contract: What staging would send.
            now: Current time with a zone.
            field: Path of the offer in an error.

        Raises:
            ValidationError: No offer, an expired one, or one with other terms; names each value that differs.
        """
        given = f"({type(value).__name__})"
        offer = cast("Mapping[str, JsonValue]", value) if isinstance(value, Mapping) else None
        if not offer:
            raise ValidationError(
                field=field,
                value=None if value is None else given if offer is None else {},
                rule="must be the offer that the testing stack exports",
                remedy="Deploy the testing stack first, or leave its mirror out explicitly",
            )
        theirs = offer.get("terms")
        if not isinstance(theirs, Mapping):
            raise ValidationError(
                field=f"{field}.terms",
                value=theirs,
                rule="must be an object",
                remedy="Export MirrorReceiver.offer as it is",
            )
        _same_terms(theirs, contract, field)
        if offer.get("digest") != contract.digest:
            raise ValidationError(
                field=f"{field}.digest",
                value=offer.get("digest"),
                rule=f"must be {contract.digest}, the digest of the terms beside it",
                remedy="Export MirrorReceiver.offer as it is",
            )
        text = offer.get("expires")
        expires = Expiry.parse(str(text), field=f"{field}.expires") if text is not None else None
        if expires and expires.has_passed(now):
            raise ValidationError(
                field=f"{field}.expires",
                value=str(expires),
                rule="must not have passed",
                remedy="Renew the receiver in the testing stack",
            )
        address = gateway_address(offer.get("address"), field=f"{field}.address")
        if contract.tls is None and not is_private(address):
            raise ValidationError(
                field=f"{field}.address",
                value=address,
                rule="must be a private IP address when mirrors travel in plain text",
                remedy="Set the contract's transport to MirrorTls()",
            )
        return cls(terms=theirs, digest=contract.digest, address=address, expires=expires)


def _same_terms(theirs: Mapping[str, JsonValue], contract: MirrorContract, field: str) -> None:
    ours = contract.terms
    for name in sorted({*ours, *theirs}, key=str):
        if ours.get(name) != theirs.get(name):
            raise ValidationError(
                field=f"{field}.terms.{name}",
                value=theirs.get(name),
                rule=f"must be {repr(ours[name]) if name in ours else 'left out'}, as in this stack's contract",
                remedy="Give both stacks the same contract and deploy testing again",
            )


def gateway_address(value: object, *, field: str = "address") -> str:
    """Return an IP address or a DNS name of a gateway, normalised.

    Raises:
        ValidationError: It is neither, or it is an address that no other cluster can reach.
    """
    if not isinstance(value, str) or not value:
        raise ValidationError(
            field=field,
            value=value,
            rule="must be an IP address or a DNS name",
            remedy="Give the gateway's address",
        )
    try:
        ip = ipaddress.ip_address(value)
    except ValueError:
        return str(Hostname(value, field=field))
    if ip.is_unspecified or ip.is_loopback or ip.is_multicast or ip.is_link_local:
        raise ValidationError(
            field=field,
            value=value,
            rule="must be reachable from the other cluster",
            remedy="Give the load balancer's address",
        )
    return str(ip)


def is_private(address: str) -> bool:
    """Whether ``address`` is an IP address that is not routed on the internet; a name never counts as private."""
    try:
        return ipaddress.ip_address(address).is_private
    except ValueError:
        return False
