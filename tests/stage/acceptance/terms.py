"""Names, ports and contracts that all cases share."""

from typing import Final

from pulumi_traffic_mirror.model import Destination, GatewayRef, MirrorContract, Protocol, Waiver
from pulumi_traffic_mirror.rehearsal.cluster.addresses import FABRIC_ADDRESS

STAGING: Final = "staging"
TESTING: Final = "testing"
NAMESPACE: Final = "hello"
GATEWAY: Final = GatewayRef(name="internal-gateway", namespace="internal-gateway")

PORTS: Final = {Protocol.GRPC: 8000, Protocol.HTTP: 8080, Protocol.HTTP2: 8081}
"""Port of gateways and of the echo Services by protocol."""

POOL: Final = 8
"""Hosts per protocol. Cases take turns, so that no case meets a connection or a route of the one before it."""

SAY_HELLO: Final = "helloworld.Greeter/SayHello"

CLIENT_CREDENTIAL: Final = "mirror-client"
SERVER_CREDENTIAL: Final = "mirror-server"

OUTSIDE: Final = str(FABRIC_ADDRESS)
"""Address of a server that is in neither cluster."""

PLAIN_TEXT: Final = Waiver(reason="the server outside the clusters is on the same private network")


def hosts(protocol: Protocol) -> list[str]:
    """Return the authorities that staging's gateway serves."""
    return [f"{protocol.port_name}-{number}.staging.example" for number in range(POOL)]


def mirror_host(protocol: Protocol) -> str:
    """Return the name under which staging knows testing's gateway."""
    return f"{protocol.port_name}-mirror.testing.example"


CONTRACTS: Final = {
    protocol: MirrorContract(
        hosts=hosts(protocol),
        port=port,
        protocol=protocol,
        receiver=f"testing-{protocol.port_name}",
        mirror_host=mirror_host(protocol),
    )
    for protocol, port in PORTS.items()
}
"""What testing's gateway accepts, over mutual TLS."""

OUTSIDE_CONTRACTS: Final = {
    protocol: MirrorContract(
        hosts=hosts(protocol),
        port=port,
        protocol=protocol,
        receiver="outside",
        mirror_host=f"{protocol.port_name}.outside.example",
        transport=PLAIN_TEXT,
    )
    for protocol, port in PORTS.items()
}
"""What a server outside the clusters accepts, in plain text."""


def greeter(version: str = "v1") -> Destination:
    """Return one version of the greeter."""
    return service("greeter" if version == "v1" else f"greeter-{version}", Protocol.GRPC)


def echo(version: str, protocol: Protocol) -> Destination:
    """Return one version of the echo server."""
    return service(f"echo-{version}", protocol)


def service(name: str, protocol: Protocol) -> Destination:
    """Return a Service of the cases' namespace."""
    return Destination(f"{name}.{NAMESPACE}.svc.cluster.local", PORTS[protocol])
