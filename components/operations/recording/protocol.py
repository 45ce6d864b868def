"""Reading what Envoy's external processing filter reports, without generated service code."""

from importlib import import_module
from typing import Any, Final

from .assembling import Assembler

SERVICE: Final = "envoy.service.ext_proc.v3.ExternalProcessor"
METHOD: Final = "Process"

SIDE_KEY: Final = "x-traffic-recorder-side"
"""Stream metadata in which the proxy's filter names the side."""

SOURCE_KEY: Final = "x-traffic-recorder-source"
"""Stream metadata in which the proxy's filter names itself."""

BODIES_KEY: Final = "x-traffic-recorder-bodies"
"""Stream metadata in which the proxy's filter says :data:`NO_BODIES` where it sends none."""

NO_BODIES: Final = "none"

# The package ships no type information.
ProcessingRequest: Any = import_module("envoy.service.ext_proc.v3.external_processor_pb2").ProcessingRequest


def headers_of(message: Any) -> list[tuple[str, str]]:  # noqa: ANN401 -- HttpHeaders or HttpTrailers
    """Return names and values; Envoy fills ``raw_value``, older ones ``value``."""
    return [(h.key, h.raw_value.decode("latin-1") if h.raw_value else h.value) for h in message.headers]


def take(assembler: Assembler, message: Any, kind: str, at_ns: int) -> bool:  # noqa: ANN401 -- ProcessingRequest
    """Give one report to the assembler; False when there is no memory for the exchange.

    Args:
        assembler: The exchange so far.
        message: The report.
        kind: Which field of the report is set.
        at_ns: Monotonic clock now, in nanoseconds.
    """
    part: Any = getattr(message, kind)
    match kind:
        case "request_headers":
            return assembler.request_headers(headers_of(part.headers), end=part.end_of_stream, at_ns=at_ns)
        case "response_headers":
            return assembler.response_headers(headers_of(part.headers), end=part.end_of_stream, at_ns=at_ns)
        case "request_body":
            assembler.request_body(part.body, end=part.end_of_stream, at_ns=at_ns)
        case "response_body":
            assembler.response_body(part.body, end=part.end_of_stream, at_ns=at_ns)
        case "request_trailers":
            assembler.request_trailers(headers_of(part.trailers), at_ns=at_ns)
        case "response_trailers":
            assembler.response_trailers(headers_of(part.trailers), at_ns=at_ns)
        case _:  # a later Envoy may report more; nothing to keep
            pass
    return True
