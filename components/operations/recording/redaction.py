"""Redaction: what must not be kept is replaced before anything is written.

Whatever a rule cannot look into (a cut body, a broken one, an unknown coding) is dropped as a whole, because
keeping it might keep what the rule forbids.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias
from urllib.parse import unquote_plus

from ...model import HeaderName, ValidationError
from ...model.recording import DEFAULT_HEADERS, DEFAULT_QUERY
from .codings import decode, encode
from .descriptors import Descriptors
from .exchange import Exchange, Headers, Message, Part
from .redaction_json import JsonRedactor
from .redaction_protobuf import ProtobufRedactor

REDACTED: Final = "[redacted]"
"""Stands where a value was."""

_URL_HEADERS: Final = frozenset(
    {
        "content-location",
        "location",
        "referer",
        "x-envoy-original-path",
        "x-forwarded-uri",
        "x-original-uri",
        "x-original-url",
        "x-rewrite-url",
    }
)
"""Headers whose value is a URL or path, with parameters like those of the request's own path."""

_DELIMITER: Final = re.compile("([?#])")

Payload: TypeAlias = tuple[bytes | None, int]
"""Bytes that may be kept, or ``None``, and how many values were replaced."""


@dataclass(frozen=True, kw_only=True)
class RedactionRules:
    """What must not be kept.

    Raises:
        ValidationError: A rule is malformed, or a protobuf field comes without a descriptor set.
    """

    headers: Sequence[str] = DEFAULT_HEADERS
    """Names of headers and trailers in lower case, both directions."""
    query: Sequence[str] = DEFAULT_QUERY
    """Names of parameters in the query string and in URL-encoded forms, in lower case."""
    json_paths: Sequence[str] = ()
    """RFC 9535 expressions such as ``$.user.email`` or ``$..password``, for JSON bodies in both directions."""
    protobuf_fields: Sequence[str] = ()
    """Full names such as ``shop.v1.Order.card_number``; needs ``descriptor_set``."""
    descriptor_set: bytes | None = None
    """Serialised ``FileDescriptorSet`` with its imports; ``None`` without protobuf rules."""

    def __post_init__(self) -> None:
        names = tuple(HeaderName(name, field=f"headers[{i}]") for i, name in enumerate(self.headers))
        object.__setattr__(self, "headers", names)
        object.__setattr__(self, "query", tuple(name.lower() for name in self.query))
        object.__setattr__(self, "json_paths", tuple(self.json_paths))
        object.__setattr__(self, "protobuf_fields", tuple(self.protobuf_fields))
        if self.protobuf_fields and not self.descriptor_set:
            raise ValidationError(
                field="protobuf_fields",
                value=list(self.protobuf_fields),
                rule="needs a descriptor set, because field names are not on the wire",
                remedy="Give descriptor_set, built with protoc --include_imports",
            )


class Redactor:
    """Applies rules to exchanges."""

    def __init__(self, rules: RedactionRules) -> None:
        """Compile the rules.

        Raises:
            ValidationError: A JSON path or protobuf field is wrong.
        """
        self._headers = frozenset(rules.headers)
        self._looked_at = self._headers | _URL_HEADERS
        self._query = frozenset(rules.query)
        self._json = JsonRedactor(rules.json_paths) if rules.json_paths else None
        self._protobuf: ProtobufRedactor | None = None
        if rules.protobuf_fields and rules.descriptor_set:
            descriptors = Descriptors.parse(rules.descriptor_set)
            self._protobuf = ProtobufRedactor(rules.protobuf_fields, descriptors)

    def apply(self, exchange: Exchange) -> Exchange:
        """Return the exchange without what must not be kept."""
        path, in_path = self._redact_url(exchange.path)
        request, in_request = self._redact_part(exchange.request, exchange, is_request=True)
        response, in_response = self._redact_part(exchange.response, exchange, is_request=False)
        count = in_path + in_request + in_response
        if not count:
            return exchange
        redactions = exchange.redactions + count
        return replace(exchange, path=path, request=request, response=response, redactions=redactions)

    def _redact_url(self, url: str) -> tuple[str, int]:
        """Replace parameters of the query, and of the fragment, where OAuth 2.0's implicit grant has its token."""
        pieces, count = _DELIMITER.split(url), 0
        for index in range(2, len(pieces), 2):
            pieces[index], found = self._redact_parameters(pieces[index])
            count += found
        return "".join(pieces), count

    def _redact_parameters(self, text: str) -> tuple[str, int]:
        pairs, count = text.split("&"), 0
        for index, pair in enumerate(pairs):
            name, equals, value = pair.partition("=")
            if equals and value and unquote_plus(name).lower() in self._query:
                pairs[index] = f"{name}={REDACTED}"
                count += 1
        return "&".join(pairs), count

    def _redact_headers(self, headers: Headers) -> tuple[Headers, int]:
        if self._looked_at.isdisjoint([name for name, _ in headers]):
            return headers, 0
        redacted: list[tuple[str, str]] = []
        count = 0
        for name, value in headers:
            kept, found = value, 0
            if name in self._headers:
                kept, found = REDACTED, 1
            elif name in _URL_HEADERS:
                kept, found = self._redact_url(value)
            redacted.append((name, kept))
            count += found
        return (tuple(redacted), count) if count else (headers, 0)

    def _redact_part(self, part: Part, exchange: Exchange, *, is_request: bool) -> tuple[Part, int]:
        headers, in_headers = self._redact_headers(part.headers)
        trailers, in_trailers = self._redact_headers(part.trailers)
        count = in_headers + in_trailers
        if count:
            part = replace(part, headers=headers, trailers=trailers)
        rule = self._payload_rule(part, exchange, is_request=is_request)
        if rule is None:
            return part, count
        # By what was recorded: a gRPC call may be answered by a plain page, and the other way round.
        part, in_payload = _redact_messages(part, rule) if part.messages else _redact_body(part, rule)
        return part, count + in_payload

    def _payload_rule(self, part: Part, exchange: Exchange, *, is_request: bool) -> Callable[[bytes], Payload] | None:
        content_type = _value(part.headers, "content-type").partition(";")[0].strip().lower()
        if content_type == "application/x-www-form-urlencoded":
            return self._redact_form
        if "json" in content_type:
            return self._json.redact if self._json else None
        if self._protobuf and part.messages:
            return self._protobuf.rule(exchange.path, is_request=is_request)
        if self._protobuf and ("grpc" in content_type or "proto" in content_type):
            return _drop
        return None

    def _redact_form(self, data: bytes) -> Payload:
        text, count = self._redact_parameters(data.decode("latin-1"))
        return text.encode("latin-1"), count


def _drop(_data: bytes) -> Payload:
    """Keep nothing of what holds messages in a framing that is not understood here, such as gRPC-Web's."""
    return None, 1


def _redact_body(part: Part, rule: Callable[[bytes], Payload]) -> tuple[Part, int]:
    if not part.body:
        return part, 0
    coding = _value(part.headers, "content-encoding")
    plain = None if part.truncated else decode(part.body, coding)
    data, count = (None, 1) if plain is None else rule(plain)
    if data is None:
        return replace(part, body=b"", truncated=True), max(count, 1)
    return (replace(part, body=encode(data, coding)), count) if count else (part, 0)


def _redact_messages(part: Part, rule: Callable[[bytes], Payload]) -> tuple[Part, int]:
    coding = _value(part.headers, "grpc-encoding")
    results = [_redact_message(message, coding, rule) for message in part.messages]
    count = sum(one for _, one in results)
    if not count:
        return part, 0
    messages = tuple(message for message, _ in results)
    return replace(part, messages=messages, truncated=part.truncated or any(m.truncated for m in messages)), count


def _redact_message(message: Message, coding: str, rule: Callable[[bytes], Payload]) -> tuple[Message, int]:
    if not message.data and not message.truncated:
        return message, 0
    plain = None if message.truncated else decode(message.data, coding if message.compressed else "")
    data, count = (None, 1) if plain is None else rule(plain)
    if data is None:
        return replace(message, data=b"", truncated=True), max(count, 1)
    if not count:
        return message, 0
    return replace(message, data=encode(data, coding) if message.compressed else data), count


def _value(headers: Headers, name: str) -> str:
    return next((value for key, value in headers if key == name), "")
