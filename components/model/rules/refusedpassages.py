"""What of entries of a VirtualService that pass TLS and TCP on is refused, and why; with it goes the whole object.

Written after validateTLSRoute and validateTCPRoute of Istio's validation, and held against it.
"""

from .hosts import covers
from .nodes import Node
from .refusedentries import refused_destinations
from .refusednames import PORTS, Refusals, address, faulty, is_host, is_subnet, refused_gateways, refused_labels


def refused_passages(spec: Node) -> Refusals:
    """What is refused of the lists ``tls`` and ``tcp``."""
    hosts = spec["hosts"].texts()
    for entry in spec["tls"].elements():
        matches = entry["match"].elements()
        if not matches:
            yield entry, "an entry for TLS needs a match"
        for match in matches:
            yield from _names(match["sniHosts"], hosts)
            yield from _sender(match)
        yield from _led(entry)
    for entry in spec["tcp"].elements():
        for match in entry["match"].elements():
            yield from _sender(match)
        yield from _led(entry)


def _names(written: Node, hosts: list[str]) -> Refusals:
    """What is refused of the names that clients of TLS ask for."""
    names = written.elements()
    if not names:
        yield written, "a match for TLS needs sniHosts"
    for name in names:
        text = name.text()
        if address(text):
            continue
        if not is_host(text):
            yield name, f"{text or 'nothing'} is no host"
        elif not any(covers(host, text) for host in hosts):
            yield name, f"{text} is none of the hosts"


def _sender(match: Node) -> Refusals:
    """What is refused of what is asked of connections."""
    for subnet in match["destinationSubnets"].elements():
        yield from faulty(subnet, is_subnet, "range of addresses")
    if (port := match["port"].integer() or 0) and port not in PORTS:
        yield match["port"], "a port must be from 1 to 65535"
    yield from refused_labels(match["sourceLabels"])
    yield from refused_gateways(match["gateways"])


def _led(entry: Node) -> Refusals:
    if not entry["route"].elements():
        yield entry, "an entry for connections needs a route"
    yield from refused_destinations(entry["route"])
