"""What of an object the API server or Istio's webhook refuses, and why."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from .hosts import covers
from .nodes import Node, NotJudgedError
from .objects import KubeObject
from .refusedentries import refused_entry
from .refusedfilters import refused_envoy_filter
from .refusedgateways import refused_gateway
from .refusedmetadata import refused_metadata
from .refusednames import Refusals, address, is_host, refused_exports, refused_gateways
from .refusednative import refused_kubernetes_gateway
from .refusedpassages import refused_passages
from .refusedroutes import refused_matches, refused_parents, refused_rule
from .refusedsidecars import refused_sidecar
from .refusedtargets import refused_destination_rule, refused_service_entry
from .routes import MESH
from .shapes import malformed, served_instead

_FOR_SNI: Final = "outbound_"
"""Begins hosts that gateways know by the name that a client of TLS asks for."""


def refusals_of(subject: KubeObject, *, plain: bool) -> Sequence[tuple[Node, str]]:
    """Places and reasons for which an object is refused.

    The webhook is asked only about what has the form that the API server wants, as a ``plain`` object surely has.

    Raises:
        NotJudgedError: Nothing that is known is wrong, and a value that decides about it is not known yet.
    """
    if served := served_instead(subject):
        version = subject.root["apiVersion"]
        return [(version, f"no release serves {version.text()}, but {', '.join(served)}")]
    found = [] if plain else list(malformed(subject))
    found += refused_metadata(subject)
    check = _CHECKS.get(subject.kind)
    if found or check is None:
        return found
    try:
        for each in check(subject):
            found.append(each)  # kept where a later one is not known yet
    except NotJudgedError:
        if not found:
            raise
    return found


def _virtual_service(subject: KubeObject) -> Refusals:
    spec = subject.spec
    delegate = not spec["hosts"].elements()
    for key in ("gateways", "tcp", "tls") if delegate else ():
        if spec[key].elements():
            yield spec[key], f"a delegate, which has no hosts, must have no {key}"
    if not any(spec[key].elements() for key in ("http", "tcp", "tls")):
        yield spec["http"], "http, tcp or tls must be given"
    yield from _hosts(spec)
    yield from refused_gateways(spec["gateways"])
    yield from refused_exports(subject)
    in_mesh = _is_in_mesh(spec)
    for entry in spec["http"].elements():
        yield from refused_entry(entry, delegate=delegate, in_mesh=in_mesh)
    yield from refused_passages(spec)


def _is_in_mesh(spec: Node) -> bool:
    gateways = spec["gateways"].elements()
    return not gateways or any(node.text() == MESH for node in gateways)


def _hosts(spec: Node) -> Refusals:
    hosts = spec["hosts"].texts()
    if "*" in hosts and _is_in_mesh(spec):
        yield spec["hosts"], "the host * is for gateways only"
    for node in spec["hosts"].elements():
        host = node.text()
        if not is_host(host) and not address(host) and not host.startswith(_FOR_SNI):
            yield node, f"{host or 'nothing'} is no host"
    for index, host in enumerate(hosts):
        for other in hosts[index + 1 :]:
            if covers(host, other) or covers(other, host):
                yield spec["hosts"], f"the hosts {host} and {other} overlap"


def _native(subject: KubeObject) -> Refusals:
    yield from refused_parents(subject.spec["parentRefs"])
    yield from refused_matches(subject.spec["rules"], default=int(subject.kind == "HTTPRoute"))
    for rule in subject.spec["rules"].elements():
        yield from refused_rule(rule)


_CHECKS: Final[Mapping[str, Callable[[KubeObject], Refusals]]] = {
    "VirtualService": _virtual_service,
    "HTTPRoute": _native,
    "GRPCRoute": _native,
    "DestinationRule": refused_destination_rule,
    "ServiceEntry": refused_service_entry,
    "EnvoyFilter": refused_envoy_filter,
    "Gateway": refused_gateway,
    "KubernetesGateway": refused_kubernetes_gateway,
    "Sidecar": refused_sidecar,
}
