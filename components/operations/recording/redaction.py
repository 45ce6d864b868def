"""Redaction: what must not be kept is replaced before anything is written.

Whatever a rule cannot look into (a cut body, a broken one, an unknown coding) is dropped as a whole, because
keeping it might keep what the rule forbids.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from ...model import HeaderName, ValidationError
from ...model.credentials import CREDENTIAL_FIELDS
from ...model.recording import DEFAULT_HEADERS, DEFAULT_QUERY, SessionSource
from .codings import decode, encode
from .descriptors import Descriptors
from .exchange import Exchange, Headers, Message, Part, value_of, values_of
from .redaction_content import REDACTED, URL_REDACTED, ContentRedactor, ParameterRedactor, Payload
from .redaction_json import JsonRedactor
from .redaction_protobuf import ProtobufRedactor
from .sessions import Sessions

__all__ = ["REDACTED", "URL_REDACTED", "RedactionRules", "Redactor", "carries_redacted"]

MAX_LOOKED_INTO_BYTES: Final = 4 * 1024 * 1024
"""Bytes of one body once decoded; larger ones are dropped. What is kept of a body has at most as many."""

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

_USER: Final = re.compile(rf"(?<=//)(?!{re.escape(URL_REDACTED)}@)[^/?#@]+@")
"""Name and password, or a token, before a URL's host. Source: RFC 3986 section 3.2.1."""


@dataclass(frozen=True, kw_only=True)
class RedactionRules:
    """What must not be kept.

    Raises:
        ValidationError: A rule is malformed, or a protobuf field comes without a descriptor set.
    """

    headers: Sequence[str] = DEFAULT_HEADERS
    """Names of headers and trailers in lower case, both directions; those of ``json_names`` are meant as well."""
    query: Sequence[str] = DEFAULT_QUERY
    """Names of parameters in paths and the query string, and of fields in forms, URL-encoded or multipart."""
    json_names: Sequence[str] = CREDENTIAL_FIELDS
    """Names of members of JSON objects at any depth. These and those of parameters are compared as
    :class:`~pulumi_traffic_mirror.model.credentials.CredentialNames` does."""
    json_paths: Sequence[str] = ()
    """RFC 9535 expressions such as ``$.user.email`` or ``$..password``, for whatever is JSON in both directions, by
    itself, in lines, in parts of a multipart body, in form fields or in server-sent events. A body that cannot be read
    as JSON and mentions the last name of a path is dropped."""
    protobuf_fields: Sequence[str] = ()
    """Full names such as ``shop.v1.Order.card_number``; needs ``descriptor_set``."""
    descriptor_set: bytes | None = None
    """Serialised ``FileDescriptorSet`` with its imports; ``None`` without protobuf rules."""

    def __post_init__(self) -> None:
        names = tuple(HeaderName(name, field=f"headers[{i}]") for i, name in enumerate(self.headers))
        object.__setattr__(self, "headers", names)
        object.__setattr__(self, "query", tuple(name.lower() for name in self.query))
        object.__setattr__(self, "json_names", tuple(self.json_names))
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

    def __init__(self, rules: RedactionRules, *, session: SessionSource | None = None) -> None:
        """Compile the rules.

        Args:
            rules: What must not be kept.
            session: Which cookie or header tells the session of a request, of which a hash is kept; ``None`` for none.

        Raises:
            ValidationError: A JSON path or protobuf field is wrong.
        """
        self._headers = frozenset(rules.headers)
        # Clients choose the names, so not all can be remembered.
        self._is_looked_at = lru_cache(maxsize=1024)(self._may_carry_secret)
        self._json = JsonRedactor(rules.json_paths, rules.json_names)
        self._parameters = ParameterRedactor(rules.query, self._json)
        self._content = ContentRedactor(self._json, self._parameters)
        self._protobuf: ProtobufRedactor | None = None
        if rules.protobuf_fields and rules.descriptor_set:
            descriptors = Descriptors.parse(rules.descriptor_set)
            self._protobuf = ProtobufRedactor(rules.protobuf_fields, descriptors)
        self._sessions = Sessions(session) if session is not None else None

    def apply(self, exchange: Exchange) -> Exchange:
        """Return the exchange without what must not be kept."""
        kept = self._redact(exchange)
        return kept if self._sessions is None else self._sessions.note(exchange, kept)

    def _redact(self, exchange: Exchange) -> Exchange:
        path, in_path = self._redact_url(exchange.path)
        request, in_request = self._redact_part(exchange.request, exchange, is_request=True)
        response, in_response = self._redact_part(exchange.response, exchange, is_request=False)
        count = in_path + in_request + in_response
        if not count:
            return exchange
        redactions = exchange.redactions + count
        return replace(exchange, path=path, request=request, response=response, redactions=redactions)

    def _redact_url(self, url: str) -> tuple[str, int]:
        """Replace a user, and parameters of path, query and fragment, where OAuth 2.0's implicit grant has tokens."""
        pieces = _DELIMITER.split(url)
        pieces[0], users = _USER.subn(f"{URL_REDACTED}@", pieces[0], count=1)
        pieces[0], count = self._parameters.redact_path(pieces[0])
        count += users
        for index in range(2, len(pieces), 2):
            pieces[index], found = self._parameters.redact(pieces[index])
            count += found
        return "".join(pieces), count

    def _redact_headers(self, headers: Headers) -> tuple[Headers, int]:
        if not any(map(self._is_looked_at, [name for name, _ in headers])):
            return headers, 0
        redacted: list[tuple[str, str]] = []
        count = 0
        for name, value in headers:
            kept, found = value, 0
            if self._is_looked_at(name):
                kept, found = (REDACTED, 1) if self._is_secret(name) else self._redact_url(value)
            redacted.append((name, kept))
            count += found
        return (tuple(redacted), count) if count else (headers, 0)

    def _may_carry_secret(self, name: str) -> bool:
        return name in _URL_HEADERS or self._is_secret(name)

    def _is_secret(self, name: str) -> bool:
        return name in self._headers or self._json.is_secret(name)

    def _redact_part(self, part: Part, exchange: Exchange, *, is_request: bool) -> tuple[Part, int]:
        headers, in_headers = self._redact_headers(part.headers)
        trailers, in_trailers = self._redact_headers(part.trailers)
        count = in_headers + in_trailers
        if count:
            part = replace(part, headers=headers, trailers=trailers)
        # By what was recorded: a gRPC call may be answered by a plain page, and the other way round.
        if part.messages:
            part, in_payload = self._redact_messages(part, exchange, is_request=is_request)
        else:
            part, in_payload = self._redact_body(part)
        return part, count + in_payload

    def _redact_body(self, part: Part) -> tuple[Part, int]:
        if not part.body:
            return part, 0
        media_type = value_of(part.headers, "content-type") or ""
        coding = values_of(part.headers, "content-encoding")
        # Messages in a framing that is not understood here, such as gRPC-Web's, are never looked into.
        is_framed = self._protobuf and ("grpc" in media_type.lower() or "proto" in media_type.lower())
        plain = None if is_framed else decode(part.body, coding, limit=MAX_LOOKED_INTO_BYTES)
        data, count = None, 1
        if plain is not None:
            data, count = self._content.redact(plain, media_type, is_whole=not part.truncated)
        if data is None:
            return replace(part, body=b"", truncated=True), max(count, 1)
        return (replace(part, body=encode(data, coding)), count) if count else (part, 0)

    def _redact_messages(self, part: Part, exchange: Exchange, *, is_request: bool) -> tuple[Part, int]:
        is_json = "json" in (value_of(part.headers, "content-type") or "").lower()
        rule = self._redact_if_json
        if is_json:
            rule = self._json.redact
        elif self._protobuf:
            rule = self._protobuf.rule(exchange.path, is_request=is_request)
        coding, has_rule = value_of(part.headers, "grpc-encoding") or "", is_json or self._protobuf is not None
        results = [_redact_message(message, coding, rule, must_read=has_rule) for message in part.messages]
        count = sum(one for _, one in results)
        if not count:
            return part, 0
        messages = tuple(message for message, _ in results)
        return replace(part, messages=messages, truncated=part.truncated or any(m.truncated for m in messages)), count

    def _redact_if_json(self, data: bytes) -> Payload:
        """Redact a message that is JSON although nothing says so; others have no names to go by."""
        kept, count = self._json.redact(data) if self._json.could_read(data) else (data, 0)
        return (data, 0) if kept is None else (kept, count)


def _redact_message(
    message: Message, coding: str, rule: Callable[[bytes], Payload], *, must_read: bool
) -> tuple[Message, int]:
    if not message.data and not message.truncated:
        return message, 0
    coding = coding if message.compressed else ""
    plain = None if message.truncated else decode(message.data, coding, limit=MAX_LOOKED_INTO_BYTES)
    if plain is None and not must_read:
        return message, 0
    data, count = (None, 1) if plain is None else rule(plain)
    if data is None:
        return replace(message, data=b"", truncated=True), max(count, 1)
    return (replace(message, data=encode(data, coding)), count) if count else (message, 0)


def carries_redacted(exchange: Exchange) -> bool:
    """Tell whether a request carries values that redaction put in the place of others, in whatever part of it.

    Fields of protobuf messages that were cleared leave no trace.
    """
    part = exchange.request
    # Joined by what no mark has: one look at all of them is several times as fast as one at each.
    text = "\0".join([exchange.path, *[value for _, value in part.headers], *[value for _, value in part.trailers]])
    if REDACTED in text or URL_REDACTED in text:
        return True
    if not part.body and not part.messages:
        return False
    contents = [part.body or b"", *(message.data for message in part.messages if not message.compressed)]
    if part.body and (coding := values_of(part.headers, "content-encoding")):
        contents[0] = decode(part.body, coding) or b""
    return any(mark.encode() in content for mark in (REDACTED, URL_REDACTED) for content in contents)
