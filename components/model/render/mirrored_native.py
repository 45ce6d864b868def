"""Mirrors for the spec of an HTTPRoute or GRPCRoute of one's own, which stays as it is.

Proxies try rules of the Gateway API by path, method and number of headers, and not in the order in which they are
written: a copy of a rule with a mirror's conditions would take requests from other rules. So an overlay's patch makes
the mirrors, on the hosts and Services that the route names.
"""

from collections.abc import Iterator, Mapping, Sequence

from ..contract import MirrorOffer
from ..errors import ValidationError
from ..jsontypes import JsonObject, JsonValue
from ..mirrored_spec import MirroredSpec, SpecOf
from ..mirrors import CrossClusterMirror, Mirror
from ..overlay import GatewayHosts, MeshService, OverlayRoute, Place
from ..routing import service_host
from .destinations import overlay_destination_rules, overlay_service_entry
from .overlay import overlay_filters


def mirrored_native(
    spec: Mapping[str, JsonValue], mirrors: Sequence[Mirror], *, at: SpecOf, offers: Mapping[str, MirrorOffer]
) -> MirroredSpec:
    """What an HTTPRoute or GRPCRoute needs to be mirrored; see ``mirrored``.

    Raises:
        ValidationError: A mirror does not fit, the route names nothing that an overlay can hang on, or a mirror is one
            of its backends.
    """
    rules = _objects(spec, "rules")
    _check_entries(rules, at)
    route = OverlayRoute(
        name=at.name,
        namespace=at.namespace,
        on=_places(spec, at),
        mirrors=mirrors,
        routes=at.entries,
        protocol=at.protocol,
        istio=at.istio,
        root_namespace=at.root_namespace,
    )
    _refuse_backends(rules, mirrors, at)
    objects = [*overlay_destination_rules(route).values(), *_entries(route, offers), *overlay_filters(route).values()]
    return MirroredSpec(
        spec=dict(spec),
        objects=tuple(objects),
        routes=(),
        annotations={},
        guards={str(mirror.name): route.guards(mirror) for mirror in mirrors},
    )


def _objects(within: Mapping[str, JsonValue], key: str) -> list[JsonObject]:
    given = within.get(key)
    return [each for each in given if isinstance(each, dict)] if isinstance(given, list) else []


def _check_entries(rules: Sequence[JsonObject], at: SpecOf) -> None:
    known = [str(rule["name"]) for rule in rules if rule.get("name")]
    for index, name in enumerate(at.entries):
        if name not in known:
            raise ValidationError(
                field=f"at.entries[{index}]",
                value=name,
                rule="must be the name of a rule of the spec",
                remedy=f"Name one of {', '.join(known)}" if known else "Give the rule a name",
            )


def _places(spec: Mapping[str, JsonValue], at: SpecOf) -> list[Place]:
    found: list[Place] = []
    for index, parent in enumerate(_objects(spec, "parentRefs")):
        if parent.get("kind", "Gateway") == "Service":
            found.append(_service(parent, f"spec.parentRefs[{index}]", at))
        elif not any(isinstance(place, GatewayHosts) for place in found):
            found.append(GatewayHosts(hosts=_hosts(spec)))
    if not found:
        raise ValidationError(
            field="spec.parentRefs",
            value=[],
            rule="must name a Gateway or a Service",
            remedy="Pass the whole spec of the route",
        )
    return found


def _hosts(spec: Mapping[str, JsonValue]) -> list[str]:
    given = spec.get("hostnames")
    hosts = [str(each) for each in given] if isinstance(given, list) else []
    if not hosts or any(host.startswith("*") for host in hosts):
        raise ValidationError(
            field="spec.hostnames",
            value=[*hosts],
            rule="must name the hosts that are mirrored, without wildcards",
            remedy="Hang a MirrorOverlay on GatewayHosts(hosts=…, domain=…)",
        )
    return hosts


def _service(parent: JsonObject, field: str, at: SpecOf) -> MeshService:
    port = parent.get("port")
    if not isinstance(port, int):
        raise ValidationError(
            field=f"{field}.port",
            value=str(port) if port is not None else None,
            rule="must be given for a Service, of whose ports one is mirrored",
            remedy="Add the port that callers use",
        )
    return MeshService(service_host(str(parent.get("name", "")), str(parent.get("namespace", at.namespace))), port)


def _refuse_backends(rules: Sequence[JsonObject], mirrors: Sequence[Mirror], at: SpecOf) -> None:
    backends = {
        service_host(str(each.get("name", "")), str(each.get("namespace", at.namespace)))
        for rule in rules
        for each in _objects(rule, "backendRefs")
    }
    for index, mirror in enumerate(mirrors):
        if str(mirror.destination().host) in backends:
            raise ValidationError(
                field=f"mirrors[{index}].service",
                value=mirror.destination().cluster_name,
                rule="must be no backend of the route, whatever its weight: bound and limits of copies would meet the"
                " requests that clients wait for",
                remedy="Give the mirror a Service of its own on the same pods",
            )


def _entries(route: OverlayRoute, offers: Mapping[str, MirrorOffer]) -> Iterator[JsonObject]:
    for index, mirror in enumerate(route.mirrors):
        if not isinstance(mirror, CrossClusterMirror):
            continue
        name = str(mirror.name)
        if name not in offers:
            raise ValidationError(
                field=f"mirrors[{index}].offer",
                value=None,
                rule="must be given for a mirror to another cluster",
                remedy=f"Pass offers={{{name!r}: MirrorOffer.accept(…)}}",
            )
        yield overlay_service_entry(route, mirror, offers[name])
