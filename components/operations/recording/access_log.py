"""From an entry of a proxy's access log to an exchange. Pure: no clock, no I/O."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from importlib import import_module
from typing import Any, Final

from ...model.recorder_filter import METHOD_HEADER
from .assembling import LARGEST, Origin, is_grpc, to_int
from .exchange import Ending, Exchange, Headers, Part, moment_at, octets, value_of

SERVICE: Final = "envoy.service.accesslog.v3.AccessLogService"
METHOD: Final = "StreamAccessLogs"

# The package ships no type information.
LogMessage: Any = import_module("envoy.service.accesslog.v3.als_pb2").StreamAccessLogsMessage

_ORIGINAL_HOST: Final = "x-envoy-original-host"
"""Where a route writes another host, Envoy notes here the one that was called."""

_BETWEEN_COOKIES: Final = re.compile(r",(?=[!#$%&'*+.^_`|~0-9A-Za-z-]+=)")
"""What joins answers' cookies: no comma of a date is followed by a name and its value (RFC 6265, section 4.1.1)."""

_LAST_BYTE: Final = "time_to_last_downstream_tx_byte"
"""Only an answer that went out to its end has it, whatever broke another one off (measured, Envoy 1.39)."""


def entries_of(content: bytes) -> Iterator[Any]:
    """Yield the entries of one message of the log's stream."""
    yield from LogMessage.FromString(content).http_logs.log_entry


def exchange_of(entry: Any, origin: Origin) -> Exchange | None:  # noqa: ANN401 -- HTTPAccessLogEntry
    """Return what an entry tells; ``None`` where it tells of no request, as of a connection that spoke no HTTP.

    Nothing of bodies is known but how long they were, and of headers those that the log was asked for.

    Args:
        entry: The entry.
        origin: Where it was seen.

    Raises:
        OverflowError: A time is out of range.
    """
    common, asked, answered = entry.common_properties, entry.request, entry.response
    if not asked.path and not asked.authority:
        return None
    told = dict(asked.request_headers)
    method = told.pop(METHOD_HEADER, "")
    headers, answer_headers = _headers(told), _headers(answered.response_headers)
    status = to_int(str(answered.response_code.value)) or None
    asked_bytes = min(asked.request_body_bytes, LARGEST)
    answered_bytes = min(answered.response_body_bytes, LARGEST)
    grpc = is_grpc(headers)
    # A gRPC answer of a status alone comes in one block, which is its trailers: see trailers_only.
    alone = grpc and not answered_bytes and value_of(answer_headers, "grpc-status") is not None
    trailers = answer_headers if alone else _headers(answered.response_trailers)
    broken = status is None or not common.HasField(_LAST_BYTE)
    answer = Part(
        headers=() if alone else answer_headers,
        body_size=answered_bytes,
        truncated=broken or answered_bytes > 0,
        trailers=trailers,
    )
    return Exchange(
        request_id=octets(asked.request_id),
        side=origin.side_of(headers),
        source=origin.source,
        started_at=_time(common.start_time),
        method=method,
        scheme=asked.scheme,
        authority=value_of(headers, _ORIGINAL_HOST) or octets(asked.authority),
        path=octets(asked.original_path or asked.path),
        status=status,
        grpc_status=to_int(value_of(trailers, "grpc-status")),
        is_grpc=grpc,
        first_byte_us=_microseconds(common, "time_to_first_upstream_rx_byte") if status else None,
        duration_us=_microseconds(common, "duration"),
        ending=Ending.RESET if broken else Ending.COMPLETE,
        request=Part(headers=headers, body_size=asked_bytes, truncated=asked_bytes > 0),
        response=answer,
    )


def _headers(values: Mapping[str, str]) -> Headers:
    """Headers by name; the log joins the values of one that comes several times by commas, cookies as well."""
    return tuple(
        (name, octets(each))
        for name, value in sorted(values.items())
        for each in (_BETWEEN_COOKIES.split(value) if name == "set-cookie" else (value,))
    )


def _time(stamp: Any) -> datetime:  # noqa: ANN401 -- Timestamp
    return moment_at(stamp.seconds * 10**9 + stamp.nanos)


def _microseconds(common: Any, name: str) -> int | None:  # noqa: ANN401 -- AccessLogCommon
    if not common.HasField(name):
        return None
    span = getattr(common, name)
    found = int(span.seconds * 1_000_000 + span.nanos // 1000)
    if abs(found) > LARGEST:
        raise OverflowError
    return found
