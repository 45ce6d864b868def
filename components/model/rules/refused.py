"""What of an object the API server or Istio's webhook refuses, and why."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from .filter_shapes import refused_value
from .hosts import covers
from .nodes import Node, NotJudgedError
from .objects import KubeObject
from .refusedentries import refused_entry
from .refusedgateways import refused_gateway
from .refusednames import Refusals, address, is_host, refused_exports
from .refusednative import refused_kubernetes_gateway
from .refusedpassages import refused_gateways, refused_passages
from .refusedroutes import refused_parents, refused_rule
from .refusedsidecars import refused_sidecar
from .refusedtargets import refused_destination_rule, refused_service_entry
from .routes import MESH
from .shapes import malformed

_FOR_SNI: Final = "outbound_"
"""Begins hosts that gateways know by the name that a client of TLS asks for."""


def refusals_of(subject: KubeObject, *, plain: bool) -> Sequence[tuple[Node, str]]:
    """Places and reasons for which an object is refused.

    The webhook is asked only about what has the form that the API server wants, as a ``plain`` object surely has.

    Raises:
        NotJudgedError: Nothing that is known is wrong, and a value that decides about it is not known yet.
    """
    found = [] if plain else list(malformed(subject))
    if found:
        return found
    try:
        for each in _CHECKS.get(subject.kind, _native)(subject):
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
    for entry in spec["http"].elements():
        yield from refused_entry(entry, delegate=delegate)
    yield from refused_passages(spec)


def _hosts(spec: Node) -> Refusals:
    hosts, gateways = spec["hosts"].texts(), spec["gateways"].texts()
    if "*" in hosts and (not gateways or gateways == [MESH]):
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
    for rule in subject.spec["rules"].elements():
        yield from refused_rule(rule)


def _envoy_filter(subject: KubeObject) -> Refusals:
    for node in subject.spec["configPatches"].elements():
        kind, patch, match = node["applyTo"].text(), node["patch"], node["match"]
        if not kind or not patch.given:
            yield node, f"{'applyTo' if not kind else 'patch'} is missing"
        elif not patch["operation"].text():
            yield patch, "operation is missing"
        elif patch["operation"].text() != "REMOVE" and not patch["value"].given:
            yield patch, "only REMOVE goes without a value"
        elif kind == "CLUSTER" and (match["routeConfiguration"].given or match["listener"].given):
            yield match, "a patch of clusters matches clusters only"
        elif kind in ("HTTP_ROUTE", "VIRTUAL_HOST", "ROUTE_CONFIGURATION") and (
            match["cluster"].given or match["listener"].given
        ):
            yield match, "a patch of routes matches route configurations only"
        elif patch["value"].given:
            yield from refused_value(kind, patch["value"])


_CHECKS: Final[Mapping[str, Callable[[KubeObject], Refusals]]] = {
    "VirtualService": _virtual_service,
    "DestinationRule": refused_destination_rule,
    "ServiceEntry": refused_service_entry,
    "EnvoyFilter": _envoy_filter,
    "Gateway": refused_gateway,
    "KubernetesGateway": refused_kubernetes_gateway,
    "Sidecar": refused_sidecar,
}
