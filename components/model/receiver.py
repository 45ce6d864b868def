"""The receiving side: what testing is told to do."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, cast

from .checks import instance, listed, member
from .contract import MirrorContract, MirrorTls, TlsMode
from .errors import ValidationError
from .routing import Destination, GatewayRef
from .safety import Brakes, Waiver
from .values import DnsLabel, Hostname, Port, Protocol

LOOP_STATUS: Final = 508
"""Answer to a mirror of a mirror. Source: RFC 5842 section 7.2, Loop Detected."""


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

    Raises:
        ValidationError: No hosts, a malformed value, or one of TLS and a credential without the other.
    """

    hosts: Sequence[str]
    port: int = 8000
    protocol: Protocol = Protocol.GRPC
    tls: TlsMode | None = None
    credential: str = ""

    def __post_init__(self) -> None:
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


def client_server(hosts: Sequence[str], port: int = 8000, protocol: Protocol = Protocol.GRPC) -> GatewayServer:
    """The listener for staging's own clients, in plain text.

    Args:
        hosts: Authorities that clients use, without port; exact names.
        port: Port that they use, 1 to 65535. Default 8000.
        protocol: What they speak. Default gRPC.

    Raises:
        ValidationError: No hosts, or a malformed value.
    """
    return GatewayServer(hosts=hosts, port=port, protocol=protocol)


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

    Raises:
        ValidationError: A name is malformed, or the service is called like one of the contract's hosts.
    """

    name: str
    namespace: str
    contract: MirrorContract
    service: Destination
    gateway: GatewayRef
    limits: Brakes | Waiver = field(default_factory=Brakes)

    def __post_init__(self) -> None:
        for name in ("name", "namespace"):
            object.__setattr__(self, name, DnsLabel(getattr(self, name), field=name))
        instance(self.contract, MirrorContract, field="contract")
        instance(self.service, Destination, field="service")
        instance(self.gateway, GatewayRef, field="gateway")
        instance(self.limits, Brakes, Waiver, field="limits")
        if self.service.host in self.contract.accepted_hosts:
            raise ValidationError(
                field="service.host",
                value=str(self.service.host),
                rule="must not be one of the contract's hosts",
                remedy="Give the Service's own name in the cluster",
            )
