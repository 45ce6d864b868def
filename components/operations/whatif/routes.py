"""What Envoy's routes say by themselves: where requests go with which probability, and what is copied."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from ..oracle.rendered import LABEL
from .messages import MANAGER, Json
from .state import Cluster, Door, State
from .unseen import left_out, left_out_beside

_JUDGED: Final = frozenset(
    {
        *("cluster", "cluster_header", "weighted_clusters", "request_mirror_policies"),
        *("prefix_rewrite", "regex_rewrite", "path_rewrite_policy"),
        *("host_rewrite_literal", "auto_host_rewrite", "host_rewrite_header", "host_rewrite_path_regex"),
        *("append_x_forwarded_host", "path_rewrite", "host_rewrite"),
        "max_grpc_timeout",  # Istio writes the timeout twice
    }
)
"""Fields of a route's action whose effect is seen on the requests themselves."""

_SEEN: Final = frozenset(
    {
        *("name", "match", "metadata", "route", "redirect", "direct_response", "decorator", "stat_prefix"),
        *("request_headers_to_add", "request_headers_to_remove", "response_headers_to_add"),
        *("response_headers_to_remove", "tracing", "typed_per_filter_config", "non_forwarding_action"),
    }
)
"""Fields of a route that are seen, or that no request feels."""

_UNFELT: Final = frozenset(
    {"name", "metadata", "alt_stat_name", "filters", "eds_cluster_config", "type", "dns_lookup_family"}
)
"""Fields of a cluster that no request feels."""

KEPT: Final = frozenset(
    {
        *("@type", "stat_prefix", "codec_type", "use_remote_address", "xff_num_trusted_hops", "skip_xff_append"),
        *("normalize_path", "merge_slashes", "path_with_escaped_slashes_action", "strip_any_host_port"),
        *("strip_matching_host_port", "strip_trailing_host_dot", "server_name", "server_header_transformation"),
        *("local_reply_config", "internal_address_config", "forward_client_cert_details", "http_protocol_options"),
        *("common_http_protocol_options", "max_request_headers_kb", "scheme_header_transformation", "via"),
        *("preserve_external_request_id", "early_header_mutation_extensions"),
    }
)
"""Fields of a connection manager that requests feel, and that hold here as well."""

_UNFELT_OF_LISTENERS: Final = frozenset(
    {*("rds", "route_config", "scoped_routes", "http_filters", "access_log", "access_log_options", "upgrade_configs")}
)
"""Fields of a connection manager that are seen by what becomes of requests, or that none feels."""

LISTENER: Final = "listener "
"""Begins the names of settings that hold for all requests of a door."""

_DENOMINATORS: Final = {"HUNDRED": 100.0, "TEN_THOUSAND": 10_000.0, "MILLION": 1_000_000.0}
_API: Final = "/apis/"
_KINDS: Final = {"virtual-service": "VirtualService", "destination-rule": "DestinationRule"}


@dataclass(frozen=True, kw_only=True)
class Mirror:
    """One mirror policy of a route.

    Attributes:
        cluster: Who gets the copies; in angle brackets the header that names it.
        share: Probability of a copy, 0 to 1.
        bounded: Whether a copy ends by itself: its cluster or the route has a longest time.
    """

    cluster: str
    share: float
    bounded: bool


@dataclass(frozen=True, kw_only=True)
class RouteFacts:
    """One route of one door.

    Attributes:
        door: Key of the door.
        proxy: The proxy, for people.
        name: What people call it.
        owner: The object that it is made of as ``Kind namespace/name``; empty where istiod does not tell.
        path: Path of the entry in it; empty where that is not known.
        destinations: Probability by cluster; empty where the proxy answers itself.
        mirrors: Its mirrors with a share above 0.
        settings: Everything else about how a request is treated, by name.
        own: All of it, to tell whether anything differs.
    """

    door: str
    proxy: str
    name: str
    owner: str
    path: str
    destinations: Mapping[str, float]
    mirrors: tuple[Mirror, ...]
    settings: Mapping[str, object] = field(repr=False)
    own: Json = field(repr=False)


def mirror_policies(routes: Json, host: Json, route: Json) -> list[Json]:
    """Mirror policies that hold for a route: its own, else its virtual host's, else those of all."""
    own = cast("Json", route.get("route", {})).get("request_mirror_policies")
    return cast("list[Json]", own or host.get("request_mirror_policies") or routes.get("request_mirror_policies") or [])


def share_of(policy: Json) -> float:
    """The probability of a copy, 0 to 1."""
    fraction = policy.get("runtime_fraction")
    if fraction is None:
        return 1.0
    given = fraction.get("default_value", {})
    return min(1.0, float(given.get("numerator", 0)) / _DENOMINATORS[given.get("denominator", "HUNDRED")])


def destinations_of(action: Json) -> dict[str, float]:
    """Probability by cluster of a route's action."""
    if name := action.get("cluster"):
        return {name: 1.0}
    if header := action.get("cluster_header"):
        return {f"<{header}>": 1.0}
    found: dict[str, float] = {}
    weighted = cast("Sequence[Json]", action.get("weighted_clusters", {}).get("clusters", []))
    total = sum(int(each.get("weight", 0)) for each in weighted)
    for each in weighted:
        name = each.get("name") or f"<{each.get('cluster_header')}>"
        if weight := int(each.get("weight", 0)):
            found[name] = found.get(name, 0.0) + weight / total
    return found


def plain(cluster: str) -> str:
    """What people call a cluster: host and port, with its subset; other names as they are."""
    parts = cluster.split("|")
    if len(parts) != 4:  # noqa: PLR2004 -- direction|port|subset|host
        return cluster
    direction, port, subset, host = parts
    if direction == "inbound-vip":
        subset = subset.partition("/")[2]
    return f"{host}:{port}" + (f" subset {subset}" if subset else "")


def facts_of(state: State, door: Door) -> Iterator[RouteFacts]:
    """What every route of a door says, host by host."""
    of_all = {
        f"{LISTENER}{key}": value for key, value in door.manager.items() if key not in KEPT | _UNFELT_OF_LISTENERS
    }
    of_all |= {
        f"{LISTENER}filter {each.get('name', '')}": each
        for each in (*left_out(door.manager.get("http_filters", [])), *left_out_beside(door.beside, MANAGER))
    }
    for host in door.routes.get("virtual_hosts", []):
        for route in host.get("routes", []):
            yield _facts(state, door, host, route, of_all)


def _facts(state: State, door: Door, host: Json, route: Json, of_all: Mapping[str, object]) -> RouteFacts:
    action: Json = route.get("route", {})
    kept = not _is_zero(action.get("timeout"))
    mirrors = tuple(
        Mirror(
            cluster=name,
            share=share,
            bounded=kept or bool(_longest(state.clusters.get(name))),
        )
        for policy in mirror_policies(door.routes, host, route)
        if (share := share_of(policy)) > 0
        for name in [policy.get("cluster") or f"<{policy.get('cluster_header')}>"]
    )
    destinations = destinations_of(action)
    settings: dict[str, object] = {
        **of_all,
        **{f"route.{key}": value for key, value in action.items() if key not in _JUDGED},
    }
    settings |= {f"route.{key}": value for key, value in route.items() if key not in _SEEN}
    settings |= {f"filter {key}": value for key, value in route.get("typed_per_filter_config", {}).items()}
    for name in [*destinations, *(each.cluster for each in mirrors)]:
        if known := state.clusters.get(name):
            settings |= {f"{plain(name)} {key}": each for key, each in known.settings.items() if key not in _UNFELT}
    name, owner, path = _entry(state, owner_of(route), str(route.get("name", "")))
    return RouteFacts(
        door=door.key,
        proxy=door.proxy,
        name=name or f"{host.get('name', '')} {_match(route)}",
        owner=owner,
        path=path,
        destinations=destinations,
        mirrors=mirrors,
        settings=settings,
        own=route,
    )


def _longest(cluster: Cluster | None) -> float:
    """The longest time of a request in a cluster in seconds; 0 for none."""
    if cluster is None:
        return 0.0
    options = cast("Mapping[str, Json]", cluster.settings.get("typed_extension_protocol_options", {}))
    written = [
        str(each.get("common_http_protocol_options", {}).get("max_stream_duration", "0s"))
        for each in (cluster.settings, *options.values())
    ]
    return max(float(each.removesuffix("s")) for each in written)


def _is_zero(duration: object) -> bool:
    return duration is None or float(str(duration).removesuffix("s") or 0) == 0


def owner_of(message: Json) -> str:
    """The object that istiod made a route or a cluster of, which it writes into the metadata; empty for none."""
    path = str(message.get("metadata", {}).get("filter_metadata", {}).get("istio", {}).get("config", ""))
    parts = path.removeprefix(_API).split("/")
    # /apis/networking.istio.io/v1/namespaces/NAMESPACE/virtual-service/NAME
    if not path.startswith(_API) or len(parts) < 6 or parts[2] != "namespaces":  # noqa: PLR2004 -- the form above
        return ""
    namespace, kind, name = parts[3:6]
    return f"{_KINDS.get(kind, kind)} {namespace}/{name}"


def _entry(state: State, owner: str, name: str) -> tuple[str, str, str]:
    """Name for people, owner and path of the entry that a route is made of.

    istiod makes VirtualServices of the Gateway API's routes, and names their entries ``namespace.name.rule``.
    """
    if name.startswith(f"{LABEL}."):
        index = name.split(".")[3] if name.count(".") >= 3 else ""  # noqa: PLR2004 -- unnamed.namespace.name.index
        return f"{owner} http[{index}]", owner, f"spec.http[{index}]"
    kept = name
    while kept:  # an entry with several matches has a route for each, called entry.match
        if (found := state.entries.get(("", kept))) or (found := state.entries.get((owner, kept))):
            return f"{found[0]} {found[2]}", found[0], found[1]
        kept = kept.rpartition(".")[0]
    return (f"{owner} {name}" if name and name != "default" and owner else ""), owner, ""


def _match(route: Json) -> str:
    match = cast("dict[str, Any]", route.get("match", {}))
    for key in ("path", "prefix", "path_separated_prefix"):
        if key in match:
            return str(match[key]) if key == "path" else f"{match[key]}*"
    return str(match.get("safe_regex", {}).get("regex", ""))
