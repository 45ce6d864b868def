"""The VirtualService of a mirrored route."""

from ..jsontypes import JsonObject, JsonValue
from ..mirrors import CrossClusterMirror, Mirror, MirroredRoute
from ..routing import HeaderRules
from ..safety import Waiver
from .objects import ANNOTATION, compact, destination, duration, istio_object
from .plans import RoutePlan, route_plans


def virtual_service(route: MirroredRoute) -> JsonObject:
    """The route's VirtualService: for gateway and mesh a guard, the mirrored requests, and the rest."""
    hosts: list[JsonValue] = [str(host) for host in route.hosts]
    gateways: list[JsonValue] = [str(route.gateway)] if route.gateway else []
    if route.mesh:
        hosts.append(str(route.primary.host))
        gateways.append("mesh")
    http: list[JsonValue] = [entry for plan in route_plans(route) for entry in [_http_route(route, plan)]]
    spec: JsonObject = {"hosts": hosts, "gateways": gateways, "http": http}
    return istio_object("VirtualService", route.name, route.namespace, spec, _annotations(route))


def _annotations(route: MirroredRoute) -> JsonObject:
    notes: JsonObject = {}
    for mirror in route.mirrors:
        notes[f"{ANNOTATION}/mirror.{mirror.name}"] = mirror.destination(route.primary).cluster_name
        if mirror.expires:
            notes[f"{ANNOTATION}/expires.{mirror.name}"] = str(mirror.expires)
        if isinstance(mirror, CrossClusterMirror):
            notes[f"{ANNOTATION}/contract.{mirror.name}"] = mirror.contract.digest
        for guard, waiver in waivers(mirror).items():
            notes[f"{ANNOTATION}/waiver.{mirror.name}.{guard}"] = waiver.reason
    return notes


def waivers(mirror: Mirror) -> dict[str, Waiver]:
    """Guards that are switched off for ``mirror``, by name."""
    given: dict[str, object] = {
        "brakes": mirror.brakes,
        "scrub": mirror.scrub,
        "side-effects": mirror.side_effects,
        "streaming": mirror.match.streaming_waiver if mirror.match else None,
    }
    if isinstance(mirror, CrossClusterMirror):
        given["plain-text"] = mirror.contract.transport
    else:
        given["plain-text"] = mirror.plain_text
        given["shared-service"] = mirror.shared_service
    return {guard: waiver for guard, waiver in given.items() if isinstance(waiver, Waiver)}


def _http_route(route: MirroredRoute, plan: RoutePlan) -> JsonObject:
    mirrors: list[JsonValue] = [
        {"destination": destination(mirror.destination(route.primary)), "percentage": {"value": float(mirror.percent)}}
        for mirror in plan.mirrors
        if mirror.percent > 0
    ]
    return compact(
        {
            "name": plan.name,
            "match": list(plan.matches),
            "route": [{"destination": destination(route.primary)}],
            "mirrors": mirrors,
            "headers": header_rules(route.headers),
            "timeout": duration(route.timeout_seconds) if route.timeout_seconds else None,
        }
    )


def header_rules(rules: HeaderRules) -> JsonObject:
    """Istio's Headers."""
    return compact(
        {
            "request": compact(
                {
                    "set": dict(rules.request_set),
                    "add": dict(rules.request_add),
                    "remove": [str(name) for name in rules.request_remove],
                }
            ),
            "response": compact(
                {
                    "set": dict(rules.response_set),
                    "add": dict(rules.response_add),
                    "remove": [str(name) for name in rules.response_remove],
                }
            ),
        }
    )
