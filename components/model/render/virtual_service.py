"""The VirtualService of a mirrored route."""

from collections.abc import Sequence

from ..annotations import CONTRACT, EXPIRES_OF, MIRROR, WAIVER
from ..jsontypes import JsonObject, JsonValue
from ..mirrored_route import MirroredRoute
from ..mirrors import CrossClusterMirror, Mirror
from ..routing import Destination, HeaderRules
from ..safety import Waiver
from .objects import compact, destination, duration, istio_object
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
    return istio_object("VirtualService", route.name, route.namespace, spec, mirror_notes(route.mirrors, route.primary))


def mirror_notes(mirrors: Sequence[Mirror], primary: Destination | None = None) -> JsonObject:
    """Annotations that tell rules and operations of mirrors: destinations, ends, contracts, waivers."""
    notes: JsonObject = {}
    for mirror in mirrors:
        notes[f"{MIRROR}{mirror.name}"] = mirror.destination(primary).cluster_name
        if mirror.expires:
            notes[f"{EXPIRES_OF}{mirror.name}"] = str(mirror.expires)
        if isinstance(mirror, CrossClusterMirror):
            notes[f"{CONTRACT}{mirror.name}"] = mirror.contract.digest
        for guard, waiver in waivers(mirror).items():
            notes[f"{WAIVER}{mirror.name}.{guard}"] = waiver.reason
    return notes


def waivers(mirror: Mirror) -> dict[str, Waiver]:
    """Guards that are switched off for ``mirror``, by name."""
    given: dict[str, object] = {
        "brakes": mirror.brakes,
        "life": mirror.unbounded_life,
        "scrub": mirror.scrub,
        "side-effects": mirror.side_effects,
        "websockets": mirror.websockets,
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
