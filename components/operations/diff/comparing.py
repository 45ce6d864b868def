"""Comparing two answers to the same request, field by field."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from google.protobuf import json_format
from google.protobuf.message import DecodeError
from google.protobuf.message import Message as ProtobufMessage

from ..recording.codings import decode
from ..recording.descriptors import Descriptors
from ..recording.exchange import Headers, Message, Part
from .answers import Answer
from .differences import Change, Difference, compare_json
from .wire import compare_wire

DEFAULT_IGNORED_HEADERS: Final = frozenset(
    {
        # Of the moment, the hop or the proxy, never of the answer.
        "age",
        "alt-svc",
        "connection",
        "date",
        "keep-alive",
        "server-timing",
        "transfer-encoding",
        "x-envoy-decorator-operation",
        "x-envoy-upstream-service-time",
        "x-request-id",
        # Trace contexts.
        "b3",
        "traceparent",
        "tracestate",
        "x-b3-parentspanid",
        "x-b3-sampled",
        "x-b3-spanid",
        "x-b3-traceid",
        # Follow from the body, which is compared itself.
        "content-length",
        "content-md5",
        "etag",
    }
)
"""Headers that are not compared unless asked for."""

_GRPC_FRAMING: Final = frozenset({"content-type", "grpc-accept-encoding", "grpc-encoding", "grpc-status"})
"""Headers of gRPC itself: libraries hide them, so a replay does not record them; the status is a field of its own."""


class Comparer:
    """Compares pairs of answers."""

    def __init__(
        self,
        *,
        descriptors: Descriptors | None = None,
        ignored_headers: frozenset[str] = DEFAULT_IGNORED_HEADERS,
    ) -> None:
        """Prepare.

        Args:
            descriptors: Names of protobuf fields; without them fields are told by number.
            ignored_headers: Headers and trailers that are not compared, in lower case.
        """
        self._descriptors = descriptors
        self._ignored = ignored_headers
        self._ignored_grpc = ignored_headers | _GRPC_FRAMING

    def compare(self, primary: Answer, mirror: Answer) -> Iterator[Difference]:
        """Yield every difference; several of one field may come, one for each element of a list."""
        if (primary.status is None) != (mirror.status is None):
            change = Change.MISSING if mirror.status is None else Change.ADDED
            yield Difference("response", change, primary.status, mirror.status)
            return
        if primary.status != mirror.status:
            yield Difference("status", Change.VALUE, primary.status, mirror.status)
        if primary.grpc_status != mirror.grpc_status:
            yield Difference("grpc-status", Change.VALUE, primary.grpc_status, mirror.grpc_status)
        one, other = primary.response, mirror.response
        ignored = self._ignored_grpc if primary.is_grpc else self._ignored
        if one.headers != other.headers:
            yield from _compare_headers(one.headers, other.headers, "header", ignored)
        if one.trailers != other.trailers:
            yield from _compare_headers(one.trailers, other.trailers, "trailer", ignored)
        if not has_payload(primary, mirror):
            return
        if primary.is_grpc:
            yield from self._compare_messages(primary.path, one, other)
        elif one.body != other.body:
            yield from _compare_bodies(one, other)

    def _compare_messages(self, path: str, primary: Part, mirror: Part) -> Iterator[Difference]:
        if len(primary.messages) != len(mirror.messages):
            yield Difference("messages", Change.LENGTH, len(primary.messages), len(mirror.messages))
        kind = self._descriptors.response_type(path) if self._descriptors else None
        for one, other in zip(primary.messages, mirror.messages, strict=False):
            if one.data != other.data or one.compressed != other.compressed:
                yield from _compare_message(_plain(one, primary), _plain(other, mirror), kind)


def has_payload(primary: Answer, mirror: Answer) -> bool:
    """Tell whether both bodies were recorded whole, so that they can be compared."""
    return not (
        primary.response.truncated or mirror.response.truncated or primary.status is None or mirror.status is None
    )


def _compare_headers(primary: Headers, mirror: Headers, where: str, ignored: frozenset[str]) -> Iterator[Difference]:
    one, other = _by_name(primary, ignored), _by_name(mirror, ignored)
    for name, values in one.items():
        if name not in other:
            yield Difference(f"{where} {name}", Change.MISSING, values, None)
        elif values != other[name]:
            yield Difference(f"{where} {name}", Change.VALUE, values, other[name])
    for name, values in other.items():
        if name not in one:
            yield Difference(f"{where} {name}", Change.ADDED, None, values)


def _by_name(headers: Headers, ignored: frozenset[str]) -> Mapping[str, str]:
    """Return all values of each name as one text, as RFC 9110 section 5.3 lets them be joined."""
    joined: dict[str, str] = {}
    for name, value in headers:
        if name not in ignored:
            joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined


def _compare_bodies(primary: Part, mirror: Part) -> Iterator[Difference]:
    one, other = _content(primary), _content(mirror)
    if one == other:
        return
    if "json" in _first(primary.headers, "content-type") or "json" in _first(mirror.headers, "content-type"):
        try:
            documents: tuple[Any, Any] = json.loads(one), json.loads(other)
        except (ValueError, RecursionError):
            pass
        else:
            yield from compare_json(*documents, "body $")
            return
    yield Difference("body", Change.VALUE, one, other)


def _compare_message(primary: bytes, mirror: bytes, kind: type[ProtobufMessage] | None) -> Iterator[Difference]:
    if primary == mirror:
        return
    found: Sequence[Difference] = ()
    if kind is not None:
        with suppress(DecodeError, ValueError):
            found = list(compare_json(_fields_of(kind, primary), _fields_of(kind, mirror), "message $"))
    # Also where descriptors see nothing: a field that they do not know may differ.
    yield from found or compare_wire(primary, mirror, "message $")


def _fields_of(kind: type[ProtobufMessage], data: bytes) -> dict[str, Any]:
    return json_format.MessageToDict(kind.FromString(data), preserving_proto_field_name=True)


def _content(part: Part) -> bytes:
    body = part.body or b""
    plain = decode(body, _first(part.headers, "content-encoding"))
    return body if plain is None else plain


def _plain(message: Message, part: Part) -> bytes:
    plain = decode(message.data, _first(part.headers, "grpc-encoding") if message.compressed else "")
    return message.data if plain is None else plain


def _first(headers: Headers, name: str) -> str:
    return next((value for key, value in headers if key == name), "")
