"""The receiving side: what testing is told to do."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, cast

from .checks import instance, listed, member, whole
from .contract import MirrorContract, MirrorTls, TlsMode
from .errors import ValidationError
from .routing import Destination, GatewayRef
from .safety import Brakes, Waiver
from .values import DnsLabel, Hostname, Port, Protocol, RouteApi

LOOP_STATUS: Final = 508
"""Answer to a mirror of a mirror. Source: RFC 5842 section 7.2, Loop Detected."""


MAX_PER_SECOND: Final = 1_000
"""Default of copies a second: what the default bound on requests in flight, 256, comes to at a quarter of a second."""

SPIFFE: Final = "spiffe://"
"""Begins the names that an AuthorizationPolicy compares. Source: StringMatcherWithPrefix of Istio's pilot."""


@dataclass(frozen=True, kw_only=True)
class GatewayServer:
    """One listener of a gateway: exact hosts on a port.

    Attributes:
        hosts: Authorities it accepts, and the TLS server name where TLS is on.
        port: Port it listens on.
        protocol: What clients speak inside TLS, if any.
        tls: TLS mode; None for plain text.
        credential: Name of the Secret with the server's certificate in the gateway's namespace; with TLS only, and
            needed then.
        client_names: Names in client certificates that it takes requests from, with mutual TLS; empty for every
            certificate of its authority.

    Raises:
        ValidationError: No hosts, a malformed value, one of TLS and a credential without the other, or names of clients
            without mutual TLS.
    """

    hosts: Sequence[str]
    port: int = 8000
    protocol: Protocol = Protocol.GRPC
    tls: TlsMode | None = None
    credential: str = ""
    client_names: Sequence[str] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "client_names", tuple(listed(self.client_names, field="client_names")))
        if self.client_names and self.tls is not TlsMode.MUTUAL:
            raise ValidationError(
                field="client_names",
                value=list(self.client_names),
                rule="need mutual TLS, or no client shows a certificate",
                remedy="Leave them out, or set tls to MUTUAL",
            )
        given = listed(self.hosts, field="hosts")
        if not given:
            raise ValidationError(field="hosts", value=[], rule="must not be empty", remedy="List the hosts to accept")
        hosts = tuple(Hostname(cast("str", host), field=f"hosts[{index}]") for index, host in enumerate(given))
        object.__setattr__(self, "hosts", hosts)
        object.__setattr__(self, "port", Port(self.port, field="port"))
        object.__setattr__(self, "protocol", member(Protocol, self.protocol, field="protocol"))
        if self.tls is not None:
            object.__setattr__(self, "tls", member(TlsMode, self.tls, field="tls"))
        if self.credential:
            object.__setattr__(self, "credential", DnsLabel(self.credential, field="credential"))
        if self.tls and not self.credential:
            raise ValidationError(
                field="credential",
                value="",
                rule="must name a Secret in the gateway's namespace when TLS is on",
                remedy="Create it with tls.crt and tls.key, and ca.crt for mutual TLS",
            )
        if self.credential and not self.tls:
            raise ValidationError(
                field="credential",
                value=str(self.credential),
                rule="must be left out without TLS, because nothing would use it",
                remedy="Give tls as well, or drop the credential",
            )


def client_server(
    hosts: Sequence[str] | MirrorContract,
    port: int | None = None,
    protocol: Protocol | None = None,
    *,
    tls: TlsMode | None = None,
    credential: str = "",
) -> GatewayServer:
    """The listener for staging's own clients; in plain text unless ``tls`` is chosen.

    Plain text needs no waiver: a public gateway takes none, and the load balancer of an internal one bounds who gets to
    it.

    Args:
        hosts: Authorities that clients use, without port, exact names; or the contract that has them.
        port: Port that they use, 1 to 65535. Default the contract's, or 8000.
        protocol: What they speak. Default the contract's, or gRPC.
        tls: Who proves their identity to whom; None for plain text, which an internal gateway alone takes.
        credential: Name of the Secret with the server's certificate in the gateway's namespace; with ``tls`` only.

    Raises:
        ValidationError: No hosts, a malformed value, or one of TLS and a credential without the other.
    """
    if isinstance(hosts, MirrorContract):
        contract = hosts
        hosts, port, protocol = contract.hosts, port or contract.port, protocol or contract.protocol
    return GatewayServer(
        hosts=hosts,
        port=8000 if port is None else port,
        protocol=Protocol.GRPC if protocol is None else protocol,
        tls=tls,
        credential=credential,
    )


def receiver_server(contract: MirrorContract, server_credential: str = "") -> GatewayServer:
    """The listener that testing needs to accept the contract's mirrors in both authority forms.

    With TLS the mirror host is among the hosts, because it is the server name that picks the listener.

    Args:
        contract: What staging sends.
        server_credential: Name of the Secret with testing's certificate in the gateway's namespace: ``tls.crt`` and
            ``tls.key``, for mutual TLS also ``ca.crt``. Empty when the contract waives TLS.

    Raises:
        ValidationError: The contract asks for TLS and no credential is given, or for none and one is.
    """
    tls: MirrorTls | None = contract.tls
    names = (*contract.accepted_hosts, str(contract.mirror_host)) if tls else contract.accepted_hosts
    return GatewayServer(
        hosts=names,
        port=contract.port,
        protocol=contract.protocol,
        tls=tls.mode if tls else None,
        credential=server_credential,
        client_names=contract.client_names,
    )


@dataclass(frozen=True, kw_only=True)
class MirrorReceiverRoute:
    """How testing treats one contract's mirrors: the whole input of testing's rendering.

    Attributes:
        name: Name of the routing objects, a DNS label.
        namespace: Their namespace.
        contract: What staging sends.
        service: Who gets the mirrors.
        gateway: Gateway that they enter by.
        limits: What mirrors may cost the service, or the waiver for no limit.
        max_per_second: Copies that each pod of the gateway lets through in a second, 1 to 1,000,000, or the waiver for
            any number. Further ones are answered 429, in gRPC RESOURCE_EXHAUSTED.
        api: Whose kinds of objects it is written in.

    Raises:
        ValidationError: A name or number is malformed, a subset is named in the Gateway API, the service is called like
            one of the contract's hosts, or client names cannot be kept.
    """

    name: str
    namespace: str
    contract: MirrorContract
    service: Destination
    gateway: GatewayRef
    limits: Brakes | Waiver = field(default_factory=Brakes)
    max_per_second: int | Waiver = MAX_PER_SECOND
    api: RouteApi = RouteApi.ISTIO

    def __post_init__(self) -> None:
        object.__setattr__(self, "api", member(RouteApi, self.api, field="api"))
        for name in ("name", "namespace"):
            object.__setattr__(self, name, DnsLabel(getattr(self, name), field=name))
        instance(self.contract, MirrorContract, field="contract")
        instance(self.service, Destination, field="service")
        instance(self.gateway, GatewayRef, field="gateway")
        instance(self.limits, Brakes, Waiver, field="limits")
        if not isinstance(self.max_per_second, Waiver):
            whole(self.max_per_second, "max_per_second", 1, 1_000_000)
        if self.service.subset and self.api is RouteApi.GATEWAY:
            raise ValidationError(
                field="service.subset",
                value=str(self.service.subset),
                rule="has no form in the Gateway API, which knows whole Services",
                remedy="Name a Service of its own on the same pods, or use api='istio'",
            )
        if self.service.host in self.contract.accepted_hosts:
            raise ValidationError(
                field="service.host",
                value=str(self.service.host),
                rule="must not be one of the contract's hosts",
                remedy="Give the Service's own name in the cluster",
            )
        self._check_clients()

    def _check_clients(self) -> None:
        """A listener of the Gateway API takes no names of clients: a policy on the gateway's pods alone has them."""
        names = self.contract.client_names
        if self.api is RouteApi.ISTIO or not names:
            return
        if not self.gateway.labels:
            raise ValidationError(
                field="gateway.labels",
                value={},
                rule="must be given where the contract has client names: the Gateway API has no other place for them",
                remedy="Give the GatewayRef the labels of the gateway's pods",
            )
        foreign = [name for name in names if not name.startswith(SPIFFE)]
        if foreign:
            raise ValidationError(
                field="contract.client_names",
                value=foreign[0],
                rule=f"must begin with {SPIFFE} in the Gateway API, where Istio compares no other names",
                remedy="Give the staging gateway a certificate with such a name, or use api='istio'",
            )
