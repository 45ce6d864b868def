"""What of an object the API server or Istio's webhook refuses, and why."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from .hosts import covers
from .nodes import Node, NotJudgedError
from .objects import KubeObject
from .refusedgateways import refused_gateway
from .refusednative import refused_kubernetes_gateway
from .refusedroutes import Refusals, refused_entry, refused_parents, refused_rule
from .refusedsidecars import refused_sidecar
from .refusedtargets import refused_destination_rule, refused_service_entry
from .shapes import malformed


def refusals_of(subject: KubeObject) -> Sequence[tuple[Node, str]]:
    """Places and reasons for which an object is refused.

    The webhook is asked only about what has the form that the API server wants.

    Raises:
        NotJudgedError: Nothing that is known is wrong, and a value that decides about it is not known yet.
    """
    found = list(malformed(subject))
    if found:
        return found
    try:
        for each in _CHECKS.get(subject.kind, _native)(subject):
            found.append(each)  # noqa: PERF402 -- kept where a later one is not known yet
    except NotJudgedError:
        if not found:
            raise
    return found


def _virtual_service(subject: KubeObject) -> Refusals:
    spec = subject.spec
    hosts = spec["hosts"].texts()
    delegate = not hosts
    gateways = spec["gateways"].texts()
    if delegate and gateways:
        yield spec["gateways"], "a delegate, which has no hosts, must have no gateways"
    if not any(spec[key].elements() for key in ("http", "tcp", "tls")):
        yield spec["http"], "http, tcp or tls must be given"
    if "*" in hosts and (not gateways or gateways == ["mesh"]):
        yield spec["hosts"], "the host * is for gateways only"
    for index, host in enumerate(hosts):
        for other in hosts[index + 1 :]:
            if covers(host, other) or covers(other, host):
                yield spec["hosts"], f"the hosts {host} and {other} overlap"
    yield from _exports(subject)
    for entry in spec["http"].elements():
        yield from refused_entry(entry, delegate=delegate)


def _exports(subject: KubeObject) -> Refusals:
    written = subject.spec["exportTo"]
    names = [subject.namespace if name == "." else name for name in written.texts()]
    if len(set(names)) < len(names):
        yield written, "a namespace is named twice"
    elif len(names) > 1 and "*" in names:
        yield written, "* must stand alone"


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


_CHECKS: Final[Mapping[str, Callable[[KubeObject], Refusals]]] = {
    "VirtualService": _virtual_service,
    "DestinationRule": refused_destination_rule,
    "ServiceEntry": refused_service_entry,
    "EnvoyFilter": _envoy_filter,
    "Gateway": refused_gateway,
    "KubernetesGateway": refused_kubernetes_gateway,
    "Sidecar": refused_sidecar,
}
