"""One JSON object per line and one write per line, so that lines of two threads never mix in a pod's log."""

import json
import os
import threading
from collections.abc import Iterable
from datetime import UTC, datetime

import grpc

STANDARD_OUTPUT = 1
# A write of up to 4096 bytes to a pipe is atomic on Linux (pipe(7)); these limits keep a line below that.
MAX_TEXT = 200
MAX_HEADERS = 40
MAX_HEADER_NAME = 50

_lock = threading.Lock()


def write_line(event: str, **fields: object) -> None:
    """Write one line: the time, the event and the fields.

    Args:
        event: What happened, e.g. ``"call"``.
        fields: JSON values; never a credential.
    """
    time = datetime.now(tz=UTC).isoformat(timespec="microseconds")
    line = json.dumps({"time": time, "event": event, **fields}, separators=(",", ":")).encode() + b"\n"
    with _lock:
        os.write(STANDARD_OUTPUT, line)


def describe_call(context: grpc.ServicerContext, mark_header: str) -> dict[str, object]:
    """Return what a call's log line says about its headers.

    Args:
        context: The call.
        mark_header: Name of the header whose value is logged as ``mark``.

    Returns:
        ``id`` (x-request-id), ``authority``, ``mark``, and ``headers`` (names of all headers that arrived, so that it
        can be told which credentials did; never a value).
    """
    headers: dict[str, str] = {}
    for key, value in context.invocation_metadata():
        headers[key.lower()] = value if isinstance(value, str) else ""
    return {
        "id": _cut(headers.get("x-request-id", "")),
        "authority": _cut(authority_of(context)),
        "mark": _cut(headers[mark_header]) if mark_header in headers else None,
        "headers": _names(headers),
    }


def authority_of(context: grpc.ServicerContext) -> str:
    """Return the ``:authority`` that the client sent, or an empty text where grpc does not tell.

    grpc for Python keeps it in the call's details and has no public way to it, hence the careful reach.
    """
    details = getattr(getattr(context, "_rpc_event", None), "call_details", None)
    host = getattr(details, "host", b"")
    return host.decode(errors="replace") if isinstance(host, bytes) else str(host)


def _names(headers: Iterable[str]) -> list[str]:
    return [name[:MAX_HEADER_NAME] for name in sorted(headers)[:MAX_HEADERS]]


def _cut(text: str) -> str:
    return text[:MAX_TEXT]
