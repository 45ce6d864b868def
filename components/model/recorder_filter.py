"""The EnvoyFilter that lets a proxy report its traffic to a collector, without ever waiting for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final

from .checks import member
from .errors import ValidationError
from .jsontypes import JsonObject, JsonValue
from .recording import Side, logged_digest
from .render.objects import compact, duration, istio_object, selecting
from .request_sampling import WHOLE, sample_regex, sample_threshold
from .values import DnsLabel, HeaderName, Hostname, Port

FILTER_NAME: Final = "traffic-recorder"
"""Name of the HTTP filter in the proxy."""

SIDE_KEY: Final = "x-traffic-recorder-side"
"""Stream metadata in which the filter tells the collector which side it sees."""

SOURCE_KEY: Final = "x-traffic-recorder-source"
"""Stream metadata in which the filter names itself."""

BODIES_KEY: Final = "x-traffic-recorder-bodies"
"""Stream metadata in which the filter says that it sends none."""

NO_BODIES: Final = "none"

LOGGED_KEY: Final = "x-traffic-recorder-headers"
"""Stream metadata in which an access log says which headers it tells, by :func:`~.recording.logged_digest`."""

METHOD_HEADER: Final = ":method"
"""Asked of an access log among headers: the log itself knows some methods only, such as no PROPFIND."""

_API: Final = "type.googleapis.com/envoy"
_MANAGER: Final = "envoy.filters.network.http_connection_manager"
_MANAGER_KIND: Final = "network.http_connection_manager.v3.HttpConnectionManager"
_HTTP_OPTIONS: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


@unique
class RecordingPoint(StrEnum):
    """Where in the mesh traffic is recorded; the values are Istio's patch contexts."""

    GATEWAY = "GATEWAY"
    """A gateway: what it sends on, and what comes back."""
    SIDECAR_INBOUND = "SIDECAR_INBOUND"
    """A workload's own sidecar: what reaches the workload."""


@dataclass(frozen=True, kw_only=True)
class RecorderFilter:
    """How a proxy reports to a collector.

    Attributes:
        name: Name of the EnvoyFilter, a DNS label.
        namespace: Its namespace: that of the workload, or Istio's root namespace.
        workload_labels: Labels of the proxies that report; at least one, or the whole mesh would.
        point: Gateway or sidecar.
        collector_host: DNS name of the collector's Service. Its port speaks HTTP/2 without TLS, so its pods are
            outside the mesh or accept plain text on that port.
        collector_port: Port of that Service.
        side: What is seen here; ``None`` leaves it to the mark on the copies.
        source: Name of this place in the recording, visible ASCII; ``name`` by default.
        bodies: Whether bodies and gRPC messages are reported; without them the proxy has less to do.
        logged_headers: Headers and trailers that are reported by an access log in place of the filter, without bodies;
            None for the filter.
        withheld_headers: Headers and trailers of both directions that never leave the proxy.
        sample_percent: Share of requests that are reported, above 0 to 100. The others cost the proxy next to nothing.
        max_streams: Exchanges reported at once, 1 to 65,536; further ones go on unreported.
        max_exchange_seconds: Longest time one exchange is reported, 1 to 86,400 s. Ends streams of a collector that
            hangs.
        keep_request_ids: Whether a gateway keeps the ``x-request-id`` that requests come with. Envoy gives a request
            from outside a new one, and since 1.33 every address counts as outside, so where mirrors of another cluster
            arrive nothing would pair with its primary otherwise. Leave it off where clients enter.

    Raises:
        ValidationError: A value breaks its rule.
    """

    name: str
    namespace: str
    workload_labels: Mapping[str, str]
    collector_host: str
    collector_port: int = 9100
    point: RecordingPoint = RecordingPoint.GATEWAY
    side: Side | None = None
    source: str = ""
    bodies: bool = True
    logged_headers: Sequence[str] | None = None
    withheld_headers: Sequence[str] = ()
    sample_percent: float = 100.0
    max_streams: int = 4_096
    max_exchange_seconds: float = 300.0
    keep_request_ids: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", DnsLabel(self.name, field="name"))
        object.__setattr__(self, "namespace", DnsLabel(self.namespace, field="namespace"))
        object.__setattr__(self, "collector_host", Hostname(self.collector_host, field="collector_host"))
        object.__setattr__(self, "collector_port", Port(self.collector_port, field="collector_port"))
        object.__setattr__(self, "workload_labels", dict(self.workload_labels))
        object.__setattr__(self, "source", self.source or str(self.name))
        withheld = tuple(HeaderName(name, field="withheld_headers") for name in self.withheld_headers)
        object.__setattr__(self, "withheld_headers", withheld)
        if self.logged_headers is not None:
            logged = tuple(HeaderName(name, field="logged_headers") for name in self.logged_headers)
            object.__setattr__(self, "logged_headers", tuple(name for name in logged if name not in withheld))
        if self.side is not None:
            object.__setattr__(self, "side", member(Side, self.side, field="side"))
        sample_threshold(self.sample_percent)
        self._check()

    def _check(self) -> None:
        checks: tuple[tuple[str, object, bool, str], ...] = (
            ("workload_labels", self.workload_labels, bool(self.workload_labels), "must name at least one label"),
            (
                "source",
                self.source,
                self.source.isascii() and self.source.isprintable() and len(self.source) <= 128,  # noqa: PLR2004 -- next line
                "must be at most 128 visible ASCII characters",
            ),
            ("max_streams", self.max_streams, 1 <= self.max_streams <= 65_536, "must be from 1 to 65536"),  # noqa: PLR2004 -- as said
            (
                "max_exchange_seconds",
                self.max_exchange_seconds,
                1 <= self.max_exchange_seconds <= 86_400,  # noqa: PLR2004 -- as said
                "must be from 1 to 86400 seconds",
            ),
        )
        for field, value, holds, rule in checks:
            if not holds:
                raise ValidationError(field=field, value=value, rule=rule, remedy="Correct the value")

    @property
    def cluster_name(self) -> str:
        """Name of the collector's cluster in the proxy; one for each filter, so that two never collide."""
        return f"{FILTER_NAME}.{self.namespace}.{self.name}"


def render_recorder_filter(recorder: RecorderFilter) -> JsonObject:
    """Return the EnvoyFilter: the collector as a bounded cluster, and the filter before the router or an access log."""
    context = recorder.point.value
    router: JsonObject = {"name": _MANAGER, "subFilter": {"name": "envoy.filters.http.router"}}
    patches: list[JsonValue] = [
        {
            "applyTo": "CLUSTER",
            "match": {"context": context},
            "patch": {"operation": "ADD", "value": collector_cluster(recorder)},
        },
    ]
    merged: JsonObject = {}
    if recorder.logged_headers is None:
        patches.append(
            {
                "applyTo": "HTTP_FILTER",
                "match": {"context": context, "listener": {"filterChain": {"filter": router}}},
                "patch": {"operation": "INSERT_BEFORE", "value": recorder_http_filter(recorder)},
            }
        )
    else:
        # A list is added to, so that logs which are there stay.
        merged["access_log"] = [recorder_access_log(recorder, recorder.logged_headers)]
    if recorder.keep_request_ids:
        merged["preserve_external_request_id"] = True
    if merged:
        manager: JsonObject = {"@type": f"{_API}.extensions.filters.{_MANAGER_KIND}", **merged}
        patches.append(
            {
                "applyTo": "NETWORK_FILTER",
                "match": {"context": context, "listener": {"filterChain": {"filter": {"name": _MANAGER}}}},
                "patch": {"operation": "MERGE", "value": {"typed_config": manager}},
            }
        )
    spec: JsonObject = {**selecting(recorder.workload_labels), "configPatches": patches}
    return istio_object("EnvoyFilter", str(recorder.name), str(recorder.namespace), spec)


def collector_cluster(recorder: RecorderFilter) -> JsonObject:
    """Envoy's cluster for the collector: whatever happens to it, what it holds in the proxy is bounded."""
    endpoint: JsonObject = {
        "address": {
            "socket_address": {"address": str(recorder.collector_host), "port_value": int(recorder.collector_port)}
        }
    }
    # A log's stream is one for all exchanges of a thread, and lasts.
    lasting: JsonObject = (
        {"common_http_protocol_options": {"max_stream_duration": duration(recorder.max_exchange_seconds)}}
        if recorder.logged_headers is None
        else {}
    )
    return {
        "name": recorder.cluster_name,
        "type": "STRICT_DNS",
        "dns_lookup_family": "V4_PREFERRED",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": recorder.cluster_name,
            "endpoints": [{"lb_endpoints": [{"endpoint": endpoint}]}],
        },
        "circuit_breakers": {
            "thresholds": [
                {
                    # One HTTP/2 connection carries all streams; a few allow for collectors that come and go.
                    "max_connections": 8,
                    "max_pending_requests": 256,
                    "max_requests": recorder.max_streams,
                    "max_retries": 0,
                }
            ]
        },
        "typed_extension_protocol_options": {
            _HTTP_OPTIONS: {
                "@type": f"type.googleapis.com/{_HTTP_OPTIONS}",
                **lasting,
                "explicit_http_config": {
                    # Finds a collector that hangs with its connection open, and lets go of all that waits for it:
                    # a body of more than 16 MiB waits for such a one, at most these 8 s (measured).
                    "http2_protocol_options": {"connection_keepalive": {"interval": "5s", "timeout": "3s"}}
                },
            }
        },
    }


def recorder_http_filter(recorder: RecorderFilter) -> JsonObject:
    """Envoy's HTTP filter; a sampling one decides by ``x-request-id``, so that every proxy takes the same requests."""
    processor = _processor(recorder)
    threshold = sample_threshold(recorder.sample_percent)
    if threshold >= WHOLE:
        return {"name": FILTER_NAME, "typed_config": processor}
    action: JsonObject = {
        "name": FILTER_NAME,
        "typed_config": {
            "@type": f"{_API}.extensions.filters.http.composite.v3.ExecuteFilterAction",
            "typed_config": {"name": FILTER_NAME, "typed_config": processor},
        },
    }
    predicate: JsonObject = {
        "single_predicate": {
            "input": {
                "name": "request-id",
                "typed_config": {
                    "@type": f"{_API}.type.matcher.v3.HttpRequestHeaderMatchInput",
                    "header_name": "x-request-id",
                },
            },
            # The engine is optional elsewhere in Envoy, and required here.
            "value_match": {"safe_regex": {"google_re2": {}, "regex": sample_regex(threshold)}},
        }
    }
    return {
        "name": FILTER_NAME,
        "typed_config": {
            "@type": f"{_API}.extensions.common.matching.v3.ExtensionWithMatcher",
            "extension_config": {
                "name": FILTER_NAME,
                "typed_config": {"@type": f"{_API}.extensions.filters.http.composite.v3.Composite"},
            },
            "xds_matcher": {"matcher_list": {"matchers": [{"predicate": predicate, "on_match": {"action": action}}]}},
        },
    }


def recorder_access_log(recorder: RecorderFilter, headers: Sequence[str]) -> JsonObject:
    """Envoy's access log to the collector; a sampling one decides by ``x-request-id``, as the filter does.

    Args:
        recorder: How the proxy reports.
        headers: What it tells of headers and trailers.
    """
    names: list[JsonValue] = [str(name) for name in headers]
    threshold = sample_threshold(recorder.sample_percent)
    sampled: JsonObject = {"name": "x-request-id", "string_match": {"safe_regex": {"regex": sample_regex(threshold)}}}
    log: JsonObject = {
        "@type": f"{_API}.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig",
        "common_config": {
            "log_name": recorder.source,
            "transport_api_version": "V3",
            "grpc_service": _grpc_service(recorder),
            # Envoy's defaults, and not left to them: what a proxy that ends takes with it.
            "buffer_flush_interval": "1s",
            "buffer_size_bytes": 16_384,
        },
        "additional_request_headers_to_log": [METHOD_HEADER, *names],
        "additional_response_headers_to_log": names,
        "additional_response_trailers_to_log": names,
    }
    chosen: JsonObject = {} if threshold >= WHOLE else {"filter": {"header_filter": {"header": sampled}}}
    return {"name": FILTER_NAME, **chosen, "typed_config": log}


def _grpc_service(recorder: RecorderFilter) -> JsonObject:
    """The collector, and what it is told once for each stream."""
    entries = {
        SIDE_KEY: recorder.side.value if recorder.side else "",
        SOURCE_KEY: recorder.source,
        BODIES_KEY: "" if recorder.bodies else NO_BODIES,
        LOGGED_KEY: "" if recorder.logged_headers is None else logged_digest(recorder.logged_headers),
    }
    metadata: list[JsonValue] = [{"key": key, "value": value} for key, value in entries.items() if value]
    return compact({"envoy_grpc": {"cluster_name": recorder.cluster_name}, "initial_metadata": metadata})


def _processor(recorder: RecorderFilter) -> JsonObject:
    body_mode = "STREAMED" if recorder.bodies else "NONE"
    withheld: list[JsonValue] = [{"exact": str(name), "ignore_case": True} for name in recorder.withheld_headers]
    rules: JsonObject = {"forward_rules": {"disallowed_headers": {"patterns": withheld}}} if withheld else {}
    return {
        **rules,
        "@type": f"{_API}.extensions.filters.http.ext_proc.v3.ExternalProcessor",
        "grpc_service": _grpc_service(recorder),
        # Send and go on: the proxy never waits for an answer, and a collector that fails changes nothing.
        "observability_mode": True,
        "failure_mode_allow": True,
        # How far the collector may lag: what it has not read by then is lost, and on a busy machine half a second
        # was not enough. It ends each stream itself once it has seen everything, so few streams live that long, and
        # the cluster's max_requests bounds them when it hangs. Envoy's default, and not left to it.
        "deferred_close_timeout": "5s",
        "processing_mode": {
            "request_header_mode": "SEND",
            "response_header_mode": "SEND",
            "request_body_mode": body_mode,
            "response_body_mode": body_mode,
            "request_trailer_mode": "SEND" if recorder.bodies else "SKIP",
            # By them a gRPC call ends, with its status.
            "response_trailer_mode": "SEND",
        },
    }
