"""What decides about requests and cannot be shown, so that a verdict is no better than what it rests on."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final, cast

from ..cluster_objects import DECIDING
from ..manifests import Loaded
from .messages import Json

_KINDS: Final = frozenset((version.rpartition("/")[0], kind) for version, _, kind in DECIDING)

_FILTERS: Final = "type.googleapis.com/envoy.extensions.filters"
_HTTP: Final = f"{_FILTERS}.http"
_STRUCT: Final = "TypedStruct"

RUN: Final = frozenset(
    f"{_HTTP}.{each}"
    for each in (
        *("cors.v3.Cors", "grpc_web.v3.GrpcWeb", "header_mutation.v3.HeaderMutation", "lua.v3.Lua"),
        *("header_to_metadata.v3.Config", "set_metadata.v3.Config", "buffer.v3.Buffer"),
    )
)
"""Filters that decide by the request alone, and run here."""

_FAULT: Final = f"{_HTTP}.fault.v3.HTTPFault"
_CALLS: Final = "httpCall"
"""How a program in Lua asks somebody else."""

_NEUTRAL: Final = frozenset(
    (
        *(f"{_HTTP}.router.v3.Router", f"{_HTTP}.upstream_codec.v3.UpstreamCodec", f"{_HTTP}.tap.v3.Tap"),
        *(f"{_HTTP}.grpc_stats.v3.FilterConfig", f"{_HTTP}.compressor.v3.Compressor", _FAULT),
        "type.googleapis.com/istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig",
        "type.googleapis.com/io.istio.http.peer_metadata.Config",
        "type.googleapis.com/stats.PluginConfig",
    )
)
"""Filters that change nothing here: telemetry, peers' identities, compression, and faults, which only routes turn on
and which are compared as settings."""

_NEUTRAL_BESIDE: Final = frozenset(
    (
        "type.googleapis.com/envoy.tcp.metadataexchange.config.MetadataExchange",
        "type.googleapis.com/stats.PluginConfig",
    )
)
"""The same of filters for connections."""


_HEADER_KEYS: Final = ("header_name", "cluster_header", "header")
"""Fields of Envoy's routes and filters that name a header by which something is decided."""

_ORIGINS: Final = "allow_origin_string_match"
"""What a route that has CORS asks of the header ``origin``."""


def type_of(filter_: Json) -> str:
    """Type of a filter's configuration; empty where it is fetched from elsewhere."""
    config = cast("Json", filter_.get("typed_config") or {})
    kind = str(config.get("@type", ""))
    return str(config.get("type_url", "")) if kind.endswith(_STRUCT) else kind


def runs(filter_: Json) -> bool:
    """Whether a filter runs here as it is."""
    return type_of(filter_) in RUN and _CALLS not in str(filter_)


def reads_bodies(filter_: Json) -> bool:
    """Whether a filter that runs here may decide by what is in a body, not by its length alone."""
    kind = type_of(filter_)
    return kind.endswith(".GrpcWeb") or (kind.endswith(".Lua") and "body" in str(filter_))


def undecided(configs: Iterable[Json], recorded: Collection[str]) -> Iterator[str]:
    """What is decided by headers that were not recorded.

    Args:
        configs: Configurations of connection managers and of routes.
        recorded: The only headers that are known where requests had them.
    """
    names, programs = set[str](), False
    for config in configs:
        names.update(_headers_read(config))
        programs = programs or any(type_of(each).endswith(".Lua") for each in config.get("http_filters", []))
    for name in sorted(names - {*recorded}):
        yield f"what the header {name} decides, which was not recorded"
    if programs:
        yield "what programs in Lua decide by headers that were not recorded"


def _headers_read(value: object) -> Iterator[str]:
    """Names of headers that a configuration reads, pseudo headers left out."""
    if isinstance(value, list):
        for inner in cast("list[object]", value):
            yield from _headers_read(inner)
    elif isinstance(value, dict):
        for key, inner in cast("Json", value).items():
            matchers = cast("list[object]", inner) if key == "headers" and isinstance(inner, list) else []
            names: list[object] = [cast("Json", each).get("name") for each in matchers if isinstance(each, dict)]
            names += [inner] if key in _HEADER_KEYS else ["origin"] if key == _ORIGINS else []
            yield from (name.lower() for name in names if isinstance(name, str) and not name.startswith(":"))
            yield from _headers_read(cast("object", inner))


def left_out(filters: Iterable[Json]) -> Iterator[Json]:
    """Filters of a connection manager or a cluster that would decide about requests, and do not run here."""
    for each in filters:
        config = cast("Json", each.get("typed_config") or {})
        faulty = type_of(each) == _FAULT and ("abort" in config or "delay" in config)
        silent = each.get("disabled") or config.get("observability_mode")
        if not runs(each) and not silent and (faulty or type_of(each) not in _NEUTRAL):
            yield each


def left_out_beside(filters: Iterable[Json], manager: str) -> Iterator[Json]:
    """Filters of a chain beside its connection manager, which has the type ``manager``."""
    return (each for each in filters if type_of(each) not in (*_NEUTRAL_BESIDE, manager))


def deciding(loaded: Loaded) -> Mapping[str, Mapping[str, object]]:
    """Objects that decide about requests and that istiod in memory is not given, by name."""
    return {name: each for name, each in loaded.others.items() if _decides(each)}


def _decides(value: Mapping[str, object]) -> bool:
    kind = (str(value.get("apiVersion", "")).rpartition("/")[0], str(value.get("kind", "")))
    if kind[1] == "Telemetry":  # of all that it turns on only tracing adds to requests
        spec = value.get("spec")
        return isinstance(spec, Mapping) and bool(cast("Mapping[str, object]", spec).get("tracing"))
    return kind in _KINDS


def unread(loaded: Loaded, other: Loaded | None = None) -> list[str]:
    """What is named of the objects of a state.

    Args:
        loaded: The state.
        other: The state that it is compared with: what the two do not have alike is named as such.
    """
    others = deciding(other) if other else None
    found: list[str] = []
    for name, each in deciding(loaded).items():
        changes = others is not None and not _alike(each, others.get(name))
        found.append(f"{name} {'changes, and ' if changes else ''}is not read")
    return sorted([*found, *(f"{each.file}: {each.message}" for each in loaded.unread)])


def _alike(one: Mapping[str, object], other: Mapping[str, object] | None) -> bool:
    """Whether two objects say the same; what the API server writes into one aside."""
    return other is not None and all(one.get(key) == other.get(key) for key in ("spec", "apiVersion"))
