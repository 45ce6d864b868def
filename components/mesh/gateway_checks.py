"""Listeners and ranges of a gateway: what is refused before anything is made."""

import ipaddress
from collections.abc import Sequence

from ..model import GatewayServer, ValidationError
from .gateway_values import STATUS_PORT


def networks(given: Sequence[str]) -> tuple[str, ...]:
    """Ranges of addresses in their normal form.

    Raises:
        ValidationError: One is none.
    """
    ranges: list[str] = []
    for index, text in enumerate(given):
        try:
            ranges.append(str(ipaddress.ip_network(text)))
        except ValueError as error:
            raise ValidationError(
                field=f"source_ranges[{index}]",
                value=text,
                rule=f"must be a network in CIDR form ({error})",
                remedy="Write for example '10.0.0.0/8'",
            ) from None
    return tuple(ranges)


def _who(server: GatewayServer) -> tuple[object, ...]:
    """Who proves their identity, and how."""
    return server.tls, server.credential, tuple(server.client_names)


def check_servers(servers: Sequence[GatewayServer]) -> None:
    """Refuse what a proxy cannot listen to or Istio would resolve by chance.

    Raises:
        ValidationError: There is such a thing.
    """
    kinds: dict[int, tuple[int, bool, str]] = {}
    owners: dict[tuple[int, str], int] = {}
    for index, server in enumerate(servers):
        port = int(server.port)
        if port == STATUS_PORT:
            raise ValidationError(
                field=f"servers[{index}].port",
                value=port,
                rule="must not be the port of the proxy's health check",
                remedy="Choose another port, e.g. 8000",
            )
        other, tls, protocol = kinds.setdefault(port, (index, bool(server.tls), server.protocol.value))
        if (tls, protocol) != (bool(server.tls), server.protocol.value):
            raise ValidationError(
                field=f"servers[{index}]",
                value=f"port {port}",
                rule=f"must have the protocol and use TLS like servers[{other}], which has the same port",
                remedy="Use another port, or the same protocol with or without TLS",
            )
        for host in server.hosts:
            first = owners.setdefault((port, str(host)), index)
            if _who(servers[first]) != _who(server):
                raise ValidationError(
                    field=f"servers[{index}].hosts",
                    value=str(host),
                    rule=f"must have the TLS mode, credential and client names that servers[{first}] gives it on the "
                    f"same port",
                    remedy="Name each host in one server per port",
                )
