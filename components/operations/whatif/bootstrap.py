"""One Envoy's configuration that routes as all proxies of a state do, and sends everything to a sink.

What istiod rendered stays as it is but for this: TLS is off; every cluster leads to the sink, which is told the
cluster's name; what is random is not, so that each choice can be looked at: a request draws its cluster itself by
a number that it brings along, and every mirror gets every copy; what only waits or repeats is off. Filters that need
somebody else to decide are left out and named.
"""

import copy
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

from .chances import by_chance
from .messages import MANAGER, Json
from .routes import KEPT, RouteFacts, facts_of, mirror_policies, plain, share_of
from .state import Door, State
from .unseen import left_out, left_out_beside, reads_bodies, runs

NUMBER: Final = "x-what-if"
"""Header with a request's number in the run."""
DRAW: Final = "x-what-if-draw"
"""Header with what a request draws where clusters have weights."""
CLUSTER: Final = "x-what-if-cluster"
"""Header that tells the sink which cluster a request was sent to."""
ARRIVAL: Final = "x-what-if-arrival"
"""Header of an answer: which arrival at the sink it answers. Without it the proxy has answered itself."""

BY_CHANCE: Final = "by chance: "
"""Begins the keys of doors at which weights and shares are as istiod rendered them."""

TOTAL: Final = 1_000_000
"""What the weights of every route add up to, so that equal draws mean equal shares before and after."""

ROUTE: Final = "x-what-if-route"
"""Header of an answer: index of the route that was taken."""

_METADATA: Final = "what-if"
_TYPE: Final = "type.googleapis.com/"
_HTTP: Final = f"{_TYPE}envoy.extensions.filters.http"
_ROUTER: Final = {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{_HTTP}.router.v3.Router"}}
_OPTIONS: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

_WAITING: Final = (
    *("timeout", "idle_timeout", "max_stream_duration", "max_grpc_timeout", "retry_policy", "hedge_policy"),
    *("rate_limits", "internal_redirect_policy", "metadata_match"),
)
"""Fields of a route's action that wait, repeat, or need somebody else."""


@dataclass(frozen=True, kw_only=True)
class Bootstrap:
    """What an Envoy is started with.

    Attributes:
        config: Its bootstrap.
        listeners: Key of a door by name of its listener; behind :data:`BY_CHANCE` that of a twin that leaves chance in.
        routes: The routes; requests are logged with the index of theirs.
        unseen: What decides about requests and is left out.
        readers: What looks into bodies.
    """

    config: Json = field(repr=False)
    listeners: Mapping[str, str]
    routes: Sequence[RouteFacts] = field(repr=False)
    unseen: frozenset[str]
    readers: frozenset[str] = frozenset()


def bootstrap(state: State, doors: Iterable[str], folder: Path) -> Bootstrap:
    """Make the configuration.

    Args:
        state: The state.
        doors: Keys of the doors that are wanted; those that the state lacks are left out.
        folder: Where the sink's and the admin's sockets are, and the log goes.
    """
    routes: list[RouteFacts] = []
    sorting = _Filters(unseen=set(state.unseen))
    listeners: dict[str, str] = {}
    made: list[Json] = []
    for key in sorted(set(doors) & state.doors.keys()):
        door = state.doors[key]
        name = f"door-{len(made)}"
        filters = sorting.running(door.manager.get("http_filters", []), door.proxy)
        first = len(routes)
        routes += facts_of(state, door)
        sorting.unseen |= _named(left_out_beside(door.beside, MANAGER), door.proxy)
        own = routes[first:]
        made.append(_listener(name, door, _routes(door, filters, first, chance=False), filters, folder))
        listeners[name] = key
        if any(by_chance(each) for each in own):
            twin = f"{name}-by-chance"
            made.append(_listener(twin, door, _routes(door, filters, first, chance=True), filters, folder))
            listeners[twin] = BY_CHANCE + key
    text = json.dumps(made)
    clusters: list[Json] = []
    for name in sorted(each for each in state.clusters if json.dumps(each)[1:-1] in text):
        cluster = state.clusters[name]
        options = cluster.settings.get("typed_extension_protocol_options", {}).get(_OPTIONS, {})
        filters = sorting.running(options.get("http_filters", []), plain(name))
        clusters.append(_cluster(name, filters, folder, reachable=cluster.reachable))
    config = {
        "admin": {"address": {"pipe": {"path": str(folder / "admin.sock")}}},
        "static_resources": {
            "listeners": made,
            "clusters": clusters,
        },
    }
    return Bootstrap(
        config=config,
        listeners=listeners,
        routes=routes,
        unseen=frozenset(sorting.unseen),
        readers=frozenset(sorting.readers),
    )


def _listener(name: str, door: Door, routes: Json, filters: Sequence[Json], folder: Path) -> Json:
    manager = {key: value for key, value in door.manager.items() if key in KEPT}
    manager |= {
        "@type": MANAGER,
        # A caller's own word for its scheme and address is taken, as TLS and the real connection are not there.
        "xff_num_trusted_hops": max(1, int(manager.get("xff_num_trusted_hops", 0))),
        "route_config": routes,
        "http_filters": [*filters, _ROUTER],
        "upgrade_configs": [{"upgrade_type": each["upgrade_type"]} for each in door.manager.get("upgrade_configs", [])],
        "access_log": [_log(folder)],
    }
    return {
        "name": name,
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }


def _log(folder: Path) -> Json:
    line = {
        "number": f"%REQ({NUMBER})%",
        "route": f"%METADATA(ROUTE:{_METADATA}:route)%",
        "details": "%RESPONSE_CODE_DETAILS%",
    }
    config = {
        "@type": f"{_TYPE}envoy.extensions.access_loggers.file.v3.FileAccessLog",
        "path": str(folder / "log"),
        "log_format": {"json_format": line},
    }
    return {"name": "file", "typed_config": config}


@dataclass(kw_only=True)
class _Filters:
    """Sorts filters, and names those that would have to run, or that look into bodies."""

    unseen: set[str] = field(default_factory=set[str])
    readers: set[str] = field(default_factory=set[str])

    def running(self, given: Iterable[Json], at: str) -> list[Json]:
        """Filters that run here."""
        filters = list(given)
        self.unseen |= _named(left_out(filters), at)
        kept = [each for each in filters if runs(each)]
        self.readers |= _named((each for each in kept if reads_bodies(each)), at)
        return kept


def _named(filters: Iterable[Json], at: str) -> set[str]:
    return {f"{at}: filter {each.get('name', '')}" for each in filters}


def _routes(door: Door, running: Sequence[Json], first: int, *, chance: bool) -> Json:
    """A route configuration whose routes know their index, counted from ``first``; ``chance`` is left in or not."""
    filters = {str(each.get("name", "")) for each in running}
    index = first
    hosts: list[Json] = []
    for host in door.routes.get("virtual_hosts", []):
        own: list[Json] = []
        for route in host.get("routes", []):
            changed = _without(route, filters)
            metadata = copy.deepcopy(changed.get("metadata", {}))
            metadata.setdefault("filter_metadata", {})[_METADATA] = {"route": str(index)}
            changed["metadata"] = metadata
            changed["response_headers_to_add"] = [*route.get("response_headers_to_add", []), _header(ROUTE, str(index))]
            if "route" in changed:
                changed["route"] = _action(door, host, route, filters, chance=chance)
            own.append(changed)
            index += 1
        hosts.append({**_without(host, filters), "routes": own})
    made = {key: value for key, value in door.routes.items() if key != "vhds"}
    return _without({**made, "virtual_hosts": hosts, "validate_clusters": False}, filters)  # a missing one is an answer


def _without(message: Json, filters: set[str]) -> Json:
    """A route, host or cluster without what it tells filters that do not run, nor mirrors and retries for all."""
    dropped = ("request_mirror_policies", "retry_policy", "rate_limits", "hedge_policy")
    found = {key: value for key, value in message.items() if key not in dropped}
    if told := found.pop("typed_per_filter_config", None):
        found["typed_per_filter_config"] = {key: value for key, value in told.items() if key in filters}
    return found


def _action(door: Door, host: Json, route: Json, filters: set[str], *, chance: bool) -> Json:
    action = {key: value for key, value in route["route"].items() if key not in _WAITING}
    action["timeout"] = "0s"
    action["request_mirror_policies"] = [
        {key: value for key, value in each.items() if chance or key != "runtime_fraction"}
        for each in mirror_policies(door.routes, host, route)
        if share_of(each) > 0
    ]
    if weighted := action.get("weighted_clusters"):
        action["weighted_clusters"] = _drawn(weighted, filters, chance=chance)
    return action


def _drawn(weighted: Json, filters: set[str], *, chance: bool) -> Json:
    """Weighted clusters among which a request chooses by what it brings along; the weights add up to a fixed sum."""
    if chance:
        return {**weighted, "clusters": [_without(each, filters) for each in weighted.get("clusters", [])]}
    given = cast("Sequence[Json]", weighted.get("clusters", []))
    total = sum(int(each.get("weight", 0)) for each in given) or 1
    made: list[Json] = []
    ends, reached = 0, 0
    for each in given:
        ends += int(each.get("weight", 0))
        upto = ends * TOTAL // total
        made.append({**_without(each, filters), "weight": upto - reached})
        reached = upto
    kept = {key: value for key, value in weighted.items() if key not in ("runtime_key_prefix", "total_weight")}
    return {**kept, "clusters": made, "header_name": DRAW}


def draw(number: int) -> int:
    """What a request draws of :data:`TOTAL`: evenly spread, whichever requests take a route."""
    return number * _GOLDEN % TOTAL


_GOLDEN: Final = 618_033
"""The golden ratio of :data:`TOTAL`, prime to it: multiples of it fill any range as evenly as can be."""


def _cluster(name: str, filters: Sequence[Json], folder: Path, *, reachable: bool) -> Json:
    """A cluster with its own filters whose one endpoint, if there is any, is the sink."""
    mutation = {
        "@type": f"{_HTTP}.header_mutation.v3.HeaderMutation",
        "mutations": {"request_mutations": [{"append": _header(CLUSTER, name)}]},
    }
    options: Json = {
        "@type": f"{_TYPE}{_OPTIONS}",
        "explicit_http_config": {"http_protocol_options": {}},
        "http_filters": [
            *filters,
            {"name": "told", "typed_config": mutation},
            {
                "name": "codec",
                "typed_config": {"@type": f"{_HTTP}.upstream_codec.v3.UpstreamCodec"},
            },
        ],
    }
    sink = {"endpoint": {"address": {"pipe": {"path": str(folder / "sink.sock")}}}}
    limits = {f"max_{each}": 1_000_000 for each in ("connections", "pending_requests", "requests")}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "30s",
        "circuit_breakers": {"thresholds": [{"priority": each, **limits} for each in ("DEFAULT", "HIGH")]},
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [sink]}] if reachable else [],
        },
        "typed_extension_protocol_options": {_OPTIONS: options},
    }


def _header(name: str, value: str) -> Json:
    return {
        "header": {"key": name, "value": value.replace("%", "%%")},
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
    }
