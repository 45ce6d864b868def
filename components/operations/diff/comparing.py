"""Comparing two answers to the same request, field by field."""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from ..recording.codings import UnopenedError, opened
from ..recording.descriptors import Descriptors
from ..recording.exchange import Ending, Headers, Message, Part, value_of, values_of
from .answers import Answer
from .bodies import compare_bodies
from .differences import Change, Difference, compare_wire
from .messages import MessageComparer
from .rules import FieldRules

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


class Compared(NamedTuple):
    """What comparing one pair gave."""

    differences: list[Difference]
    """Several of one field may be there, one for each element of a list."""
    uncompared: str
    """Why the bodies or messages were not compared; empty when they were, or when nobody wants it."""


class _UncomparedError(Exception):
    """Bodies or messages of a pair cannot be compared; the text says why."""


class Comparer:
    """Compares pairs of answers."""

    def __init__(
        self,
        *,
        descriptors: Descriptors | None = None,
        ignored_headers: frozenset[str] = DEFAULT_IGNORED_HEADERS,
        ignored: FieldRules | None = None,
        unordered: FieldRules | None = None,
    ) -> None:
        """Prepare.

        Args:
            descriptors: Names of protobuf fields; without them fields are told by number.
            ignored_headers: Headers and trailers that are not compared, in lower case.
            ignored: Fields that nobody looks at. Bodies are not opened where they cover ``body`` or ``message``.
            unordered: Lists that are compared as sets.
        """
        self._messages = MessageComparer(descriptors) if descriptors else None
        self._ignored_headers = ignored_headers
        self._ignored_grpc = ignored_headers | _GRPC_FRAMING
        self._ignored_without_code = ignored_headers | (_GRPC_FRAMING - {"grpc-status"})
        self._ignored = ignored or FieldRules(())
        self._unordered = unordered or FieldRules(())

    def compare(self, primary: Answer, mirror: Answer) -> Compared:
        """Compare two answers to the same request."""
        found: list[Difference] = []
        if primary.status is None and mirror.status is None:
            # Not only a body is missing, so leaving bodies out does not make it up.
            return Compared(found, self._wanted(primary.endpoint, "response", "no answer came on either side"))
        if primary.status is None or mirror.status is None:
            change = Change.MISSING if mirror.status is None else Change.ADDED
            return Compared([Difference("response", change, primary.status, mirror.status)], "")
        if primary.status != mirror.status:
            found.append(Difference("status", Change.VALUE, primary.status, mirror.status))
        if primary.grpc_status != mirror.grpc_status:
            found.append(Difference("grpc-status", Change.VALUE, primary.grpc_status, mirror.grpc_status))
        if primary.ending is not mirror.ending and Ending.CUT not in (primary.ending, mirror.ending):
            found.append(Difference("ending", Change.VALUE, primary.ending.value, mirror.ending.value))
        one, other = primary.response, mirror.response
        ignored = self._ignored_headers
        if primary.is_grpc:
            # A status that is no code is no field, so only its text tells whether both are the same.
            has_code = primary.grpc_status is not None or mirror.grpc_status is not None
            ignored = self._ignored_grpc if has_code else self._ignored_without_code
        if one.headers != other.headers:
            found += _compare_headers(one.headers, other.headers, "header", ignored, is_grpc=primary.is_grpc)
        if one.trailers != other.trailers:
            found += _compare_headers(one.trailers, other.trailers, "trailer", ignored, is_grpc=primary.is_grpc)
        try:
            # All or nothing: rates are of the pairs that were compared as a whole.
            found += list(self._compare_payloads(primary, mirror))
        except _UncomparedError as error:
            return Compared(found, self._wanted(primary.endpoint, _payload(primary), str(error)))
        return Compared(found, "")

    def compare_bodies(self, endpoint: str, headers: Headers, primary: bytes, mirror: bytes) -> Compared:
        """Compare two answers of plain HTTP that were recorded whole and differ in their bodies alone.

        Args:
            endpoint: What was called.
            headers: Of both.
            primary: The one body.
            mirror: The other.
        """
        try:
            return Compared(list(self._compare_bodies(endpoint, (headers, headers), primary, mirror)), "")
        except _UncomparedError as error:
            return Compared([], self._wanted(endpoint, "body", str(error)))

    def _wanted(self, endpoint: str, payload: str, reason: str) -> str:
        """Return the reason if anybody wants what could not be compared."""
        return "" if self._ignored.covers(endpoint, payload) else reason

    def _compare_payloads(self, primary: Answer, mirror: Answer) -> Iterator[Difference]:
        one, other = primary.response, mirror.response
        for answer in (primary, mirror):
            if not _is_whole(answer.response):
                raise _UncomparedError(_why_not_whole(answer))
        if (one.body or b"") != (other.body or b""):
            headers = one.headers, other.headers
            yield from self._compare_bodies(primary.endpoint, headers, one.body or b"", other.body or b"")
        if one.messages != other.messages and not self._ignored.covers(primary.endpoint, "message"):
            yield from self._compare_messages(primary, mirror)

    def _compare_bodies(
        self, endpoint: str, headers: tuple[Headers, Headers], primary: bytes, mirror: bytes
    ) -> Iterable[Difference]:
        if self._ignored.covers(endpoint, "body"):
            return ()
        (media_type, coding), (other_type, other_coding) = map(_type_and_coding, headers)
        return compare_bodies(
            _opened(primary, coding),
            _opened(mirror, other_coding),
            (media_type, other_type),
            unordered=self._unordered.of(endpoint),
        )

    def _compare_messages(self, primary: Answer, mirror: Answer) -> Iterator[Difference]:
        one, other = primary.response, mirror.response
        if len(one.messages) != len(other.messages):
            yield Difference("messages", Change.LENGTH, len(one.messages), len(other.messages))
        codings = [value_of(part.headers, "grpc-encoding") or "" for part in (one, other)]
        unordered = self._unordered.of(primary.endpoint)
        for a, b in zip(one.messages, other.messages, strict=False):
            if a.data == b.data and a.compressed == b.compressed and (not a.compressed or codings[0] == codings[1]):
                continue
            data, other_data = _plain(a, codings[0]), _plain(b, codings[1])
            if data == other_data:
                continue
            if self._messages is None:
                yield from compare_wire(data, other_data, "message $")
            else:
                yield from self._messages.compare(data, other_data, primary.path, "message $", unordered=unordered)


def _payload(answer: Answer) -> str:
    """Return what fields of an answer's payload begin with."""
    return "message" if answer.is_grpc else "body"


def _is_whole(part: Part) -> bool:
    return not part.truncated and not (part.body_size and not part.body and not part.messages)


def _why_not_whole(answer: Answer) -> str:
    match answer.ending:
        case Ending.RESET:
            return "the answer broke off"
        case Ending.CUT:
            return "the recorder stopped before the answer did"
        case Ending.COMPLETE:
            return "not recorded whole"


@lru_cache(maxsize=10_000)
def _type_and_coding(headers: Headers) -> tuple[str, str]:
    return value_of(headers, "content-type") or "", values_of(headers, "content-encoding")


def _opened(data: bytes, coding: str) -> bytes:
    if not coding:
        return data
    try:
        return opened(data, coding)
    except UnopenedError as error:
        raise _UncomparedError(f"its content {error}") from error


def _plain(message: Message, coding: str) -> bytes:
    if not message.compressed:
        return message.data
    if not coding:
        raise _UncomparedError("its content is compressed, and nothing says how")
    return _opened(message.data, coding)


def _compare_headers(
    primary: Headers, mirror: Headers, where: str, ignored: frozenset[str], *, is_grpc: bool
) -> Iterator[Difference]:
    one, other = _by_name(primary, ignored, is_grpc=is_grpc), _by_name(mirror, ignored, is_grpc=is_grpc)
    for name, values in one.items():
        if name not in other:
            yield Difference(f"{where} {name}", Change.MISSING, values, None)
        elif values != other[name]:
            yield Difference(f"{where} {name}", Change.VALUE, values, other[name])
    for name, values in other.items():
        if name not in one:
            yield Difference(f"{where} {name}", Change.ADDED, None, values)


def _by_name(headers: Headers, ignored: frozenset[str], *, is_grpc: bool) -> Mapping[str, str]:
    """Return all values of each name as one text, as RFC 9110 section 5.3 lets them be joined."""
    joined: dict[str, str] = {}
    for name, value in headers:
        if name not in ignored:
            joined[name] = f"{joined[name]}, {value}" if name in joined else value
    if is_grpc:
        joined |= {name: _unpadded(value) for name, value in joined.items() if name.endswith("-bin")}
    return joined


def _unpadded(values: str) -> str:
    """Return base64 as gRPC prefers it: some libraries pad it, and join several values by a comma alone.

    Source: gRPC over HTTP/2, "Custom-Metadata".
    """
    return ", ".join(value.strip().rstrip("=") for value in values.split(","))
