"""DestinationRules and the ServiceEntry: how mirrors are reached, and the brakes that Istio can express."""

from collections.abc import Sequence
from typing import Final

from ..contract import MirrorOffer
from ..jsontypes import JsonObject, JsonValue
from ..mirrored_route import MirroredRoute
from ..mirrors import CrossClusterMirror, InClusterMirror, Mirror
from ..overlay import OverlayRoute
from ..routing import Destination
from ..safety import Brakes, Waiver
from .objects import compact, duration, home, istio_object, mirror_object_name

SWEEP_SECONDS: Final = 1.0
"""Time between two looks at ejected endpoints. They come back at a look and not before, so a long one would double the
ejection: with 5 s copies flowed again 9.5 s after a cut link was restored. Source: Envoy, outlier detection."""


def traffic_policy(brakes: Brakes | Waiver, tls: JsonObject | None = None) -> JsonObject:
    """The brakes that a DestinationRule can express, with TLS settings if given."""
    policy: JsonObject = {}
    if isinstance(brakes, Brakes):
        policy = {
            "connectionPool": {
                "tcp": {
                    "maxConnections": brakes.max_connections,
                    "connectTimeout": duration(brakes.connect_timeout_seconds),
                    "tcpKeepalive": {
                        "time": f"{max(1, round(brakes.keepalive_seconds))}s",
                        "interval": f"{max(1, round(brakes.keepalive_timeout_seconds))}s",
                        "probes": 3,
                    },
                },
                "http": {
                    "http1MaxPendingRequests": brakes.max_pending_requests,
                    "http2MaxRequests": brakes.max_requests,
                },
            },
            "outlierDetection": {
                "consecutive5xxErrors": brakes.consecutive_errors,
                "interval": duration(SWEEP_SECONDS),
                "baseEjectionTime": duration(brakes.ejection_seconds),
                "maxEjectionPercent": 100,
            },
        }
    return compact({**policy, "tls": tls or {}})


def destination_rules(route: MirroredRoute) -> list[JsonObject]:
    """One DestinationRule per host of the route that needs subsets, brakes or TLS; the primary's own has no policy."""
    rules: list[JsonObject] = []
    primary = route.primary
    shared = [m for m in route.mirrors if isinstance(m, InClusterMirror) and m.subset]
    if primary.subset:
        subsets: list[JsonValue] = [subset(primary, {})]
        subsets += [subset(mirror.destination(primary), traffic_policy(mirror.brakes)) for mirror in shared]
        spec: JsonObject = {"host": str(primary.host), "subsets": subsets}
        rules.append(istio_object("DestinationRule", route.name, home(primary, str(route.namespace)), spec))
    for mirror in route.mirrors:
        if mirror not in shared:
            rules += own_rule(mirror, mirror.destination(primary), route.name, str(route.namespace))
    return rules


def overlay_destination_rules(route: OverlayRoute) -> dict[str, JsonObject]:
    """The DestinationRules of an overlay's mirrors, by the mirror's name."""
    found = {
        str(mirror.name): own_rule(mirror, mirror.destination(), str(route.name), str(route.namespace))
        for mirror in route.mirrors
    }
    return {name: rules[0] for name, rules in found.items() if rules}


def own_rule(mirror: Mirror, target: Destination, route: str, route_namespace: str) -> list[JsonObject]:
    """The DestinationRule of a mirror that shares no Service with the primary; none where it needs none."""
    policy = traffic_policy(mirror.brakes, _client_tls(mirror))
    if not policy and not target.subset:
        return []
    namespace = home(target, route_namespace)
    name = mirror_object_name(route, mirror)
    if namespace != route_namespace:
        # Routes of one name in several namespaces may mirror to one.
        name = f"{route_namespace}-{name}"
    subsets: list[JsonValue] = [subset(target, policy)] if target.subset else []
    shared = {} if target.subset else policy
    spec = compact({"host": str(target.host), "subsets": subsets, "trafficPolicy": shared})
    return [istio_object("DestinationRule", name, namespace, spec)]


def subset(target: Destination, policy: JsonObject) -> JsonObject:
    """Istio's Subset with a policy of its own."""
    return compact({"name": str(target.subset), "labels": dict(target.subset_labels), "trafficPolicy": policy})


def _client_tls(mirror: Mirror) -> JsonObject | None:
    if isinstance(mirror, InClusterMirror) or not mirror.contract.tls:
        return None
    name = str(mirror.contract.mirror_host)
    return {
        "mode": mirror.contract.tls.mode.value,
        "credentialName": str(mirror.client_credential),
        "sni": name,
        "subjectAltNames": [name],
    }


def service_entry(route: MirroredRoute, mirror: CrossClusterMirror, offer: MirrorOffer) -> JsonObject:
    """Makes testing's gateway known to staging's mesh under the contract's mirror host."""
    export_to = sorted({".", str(route.gateway.namespace)}) if route.gateway else ["."]
    return external_entry(mirror_object_name(route.name, mirror), str(route.namespace), mirror, offer, export_to)


def overlay_service_entry(route: OverlayRoute, mirror: CrossClusterMirror, offer: MirrorOffer) -> JsonObject:
    """The same for an overlay, whose gateways may be in any namespace."""
    name = mirror_object_name(str(route.name), mirror)
    return external_entry(name, str(route.namespace), mirror, offer, ["*"])


def external_entry(
    name: str, namespace: str, mirror: CrossClusterMirror, offer: MirrorOffer, export_to: Sequence[str]
) -> JsonObject:
    """Makes a mirror's gateway in another cluster known under the contract's mirror host."""
    contract = mirror.contract
    is_name = any(char.isalpha() for char in offer.address) and ":" not in offer.address
    spec: JsonObject = {
        "hosts": [str(contract.mirror_host)],
        "location": "MESH_EXTERNAL",
        "resolution": "DNS" if is_name else "STATIC",
        "ports": [
            {"number": int(contract.port), "name": contract.protocol.port_name, "protocol": contract.protocol.value}
        ],
        "endpoints": [{"address": offer.address}],
        "exportTo": list(export_to),
    }
    return istio_object("ServiceEntry", name, namespace, spec)
