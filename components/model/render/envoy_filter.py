"""The EnvoyFilter of a mirrored route: what no Istio API can say."""

from collections.abc import Iterable, Mapping
from typing import Final

from ..guards import scrubs_by_cluster
from ..istio import AuthorityMode, IstioBehaviour
from ..jsontypes import JsonObject, JsonValue
from ..mirrored_route import MirroredRoute
from ..mirrors import InClusterMirror, Mirror
from ..routing import Destination
from ..safety import Brakes, Scrub, Waiver
from ..values import Percent, Protocol
from .objects import compact, duration, istio_object, selecting
from .plans import route_plans

_HTTP_OPTIONS: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def envoy_filter(route: MirroredRoute) -> JsonObject | None:
    """What no Istio API can say: the bound on a mirror's life, and the scrub on the mirror alone; None if nothing is.

    Where callers inside the mesh mirror as well, it lies in the root namespace without a selector, because every proxy
    that can route to the service does; else it reaches the gateway's proxies alone.
    """
    patches: list[JsonValue] = []
    if route.istio.patches_all("CLUSTER"):
        patches += [patch for mirror in route.mirrors for patch in brake_patches(route, mirror)]
    if route.istio.scrubs_at_source:
        patches += _scrub_patches(route)
    return placed_filter(route, patches) if patches else None


def placed_filter(route: MirroredRoute, patches: list[JsonValue]) -> JsonObject:
    """The EnvoyFilter with these patches, where they reach no more proxies than they are for."""
    name = f"{route.namespace}-{route.name}-mirrors"
    if route.gateway and all(_context_of(patch) == "GATEWAY" for patch in patches):
        spec: JsonObject = {**selecting(route.gateway.labels), "configPatches": patches}
        return istio_object("EnvoyFilter", name, str(route.gateway.namespace), spec)
    return istio_object("EnvoyFilter", name, str(route.root_namespace), {"configPatches": patches})


def _context_of(patch: JsonValue) -> JsonValue:
    match = patch["match"] if isinstance(patch, Mapping) else None
    return match["context"] if isinstance(match, Mapping) else None


def _contexts(route: MirroredRoute, mirror: Mirror) -> list[str]:
    contexts = ["GATEWAY"] if route.gateway else []
    if route.mesh and isinstance(mirror, InClusterMirror):
        contexts.append("SIDECAR_OUTBOUND")
    return contexts


def brake_patches(route: MirroredRoute, mirror: Mirror) -> Iterable[JsonObject]:
    """What bounds one mirror on its cluster, and scrubs it there where nothing else can."""
    scrub = mirror.scrub if scrubs_by_cluster(mirror, route.istio) else None
    if isinstance(mirror.brakes, Waiver) and scrub is None:
        return
    value = cluster_options(mirror.brakes, route.protocol, scrub)
    cluster = mirror.destination(route.primary).cluster_name
    for context in _contexts(route, mirror):
        yield {
            "applyTo": "CLUSTER",
            "match": {"context": context, "cluster": {"name": cluster}},
            "patch": {"operation": "MERGE", "value": value},
        }


def cluster_brakes(brakes: Brakes, protocol: Protocol) -> JsonObject:
    """Envoy's cluster fields for brakes that Istio has no field for."""
    return cluster_options(brakes, protocol, None)


def cluster_options(brakes: Brakes | Waiver, protocol: Protocol, scrub: Scrub | Waiver | None) -> JsonObject:
    """Envoy's cluster fields for brakes and scrub.

    The typed options are replaced as a whole, so they repeat the protocol that Istio had set; without it the proxy
    would reject the cluster and silently keep the old one (measured).
    """
    http: JsonObject = {}
    options: JsonObject = {"@type": f"type.googleapis.com/{_HTTP_OPTIONS}"}
    value: JsonObject = {}
    if isinstance(brakes, Brakes):
        # Both: Envoy refuses a cluster whose longest ejection is shorter than its first, which is 30 s as long as the
        # DestinationRule is not there, or not in the proxy's reach.
        length = duration(brakes.ejection_seconds)
        value["outlier_detection"] = {"base_ejection_time": length, "max_ejection_time": length}
        options["common_http_protocol_options"] = {"max_stream_duration": duration(brakes.max_duration_seconds)}
        http["connection_keepalive"] = {
            "interval": duration(brakes.keepalive_seconds),
            "timeout": duration(brakes.keepalive_timeout_seconds),
        }
    options["explicit_http_config"] = (
        {"http2_protocol_options": http} if protocol.is_http2 else {"http_protocol_options": {}}
    )
    if isinstance(scrub, Scrub):
        options["http_filters"] = _scrub_filters(scrub)
    return {**value, "typed_extension_protocol_options": {_HTTP_OPTIONS: options}}


def _scrub_filters(scrub: Scrub) -> list[JsonValue]:
    """Upstream filters that change a request after the router; the codec's must be the last one.

    Source: envoy.extensions.filters.http.header_mutation, upstream since Envoy 1.27.
    """
    return [
        {
            "name": "envoy.filters.http.header_mutation",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
                "mutations": {"request_mutations": header_mutations(scrub)},
            },
        },
        {
            "name": "envoy.filters.http.upstream_codec",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec"
            },
        },
    ]


def header_mutations(scrub: Scrub) -> list[JsonValue]:
    """Envoy's header mutations: everything that is taken off, then the mark."""
    header: JsonObject = {"key": str(scrub.mark_header), "value": scrub.mark_value}
    mark: JsonObject = {"append": {"header": header, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}}
    return [*({"remove": str(name)} for name in scrub.headers), mark]


def _scrub_patches(route: MirroredRoute) -> list[JsonValue]:
    """Lists of mirrors that replace Istio's, with a share of 0 where a mirror is at rest.

    A mirror at rest stays listed: whichever of VirtualService and EnvoyFilter a proxy learns first, nothing leaves
    unscrubbed.
    """
    patches: list[JsonValue] = []
    for plan in route_plans(route):
        if not any(isinstance(mirror.scrub, Scrub) for mirror in plan.mirrors):
            continue
        policies: list[JsonValue] = [mirror_policy(mirror, route.primary, route.istio) for mirror in plan.mirrors]
        context = "SIDECAR_OUTBOUND" if plan.context == "mesh" else "GATEWAY"
        patches.append(
            {
                "applyTo": "HTTP_ROUTE",
                "match": {"context": context, "routeConfiguration": {"vhost": {"route": {"name": plan.name}}}},
                "patch": {
                    "operation": "MERGE_AND_REPLACE_LIST",
                    "value": {"route": {"request_mirror_policies": policies}},
                },
            }
        )
    return patches


def mirror_policy(mirror: Mirror, primary: Destination, istio: IstioBehaviour) -> JsonObject:
    """Envoy's mirror policy as Istio writes it, with the scrub that Istio cannot express."""
    scrub = mirror.scrub
    mutations = header_mutations(scrub) if isinstance(scrub, Scrub) else []
    return compact(
        {
            "cluster": mirror.destination(primary).cluster_name,
            **policy_options(mirror, istio),
            "request_headers_mutations": mutations,
        }
    )


def policy_options(mirror: Mirror, istio: IstioBehaviour) -> JsonObject:
    """What a mirror policy says beside destination and headers, as Istio writes it."""
    share: JsonObject = {"numerator": Percent(mirror.percent).per_million, "denominator": "MILLION"}
    return compact(
        {
            "runtime_fraction": {"default_value": share},
            "trace_sampled": False,
            "disable_shadow_host_suffix_append": istio.authority_mode is AuthorityMode.PRESERVED or None,
        }
    )
