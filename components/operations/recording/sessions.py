"""Which session a request belongs to, without what tells whose it is.

A cookie or header that names a session is mostly a credential, which is never kept. What is kept of it is a keyed hash:
requests of one session have the same one. The key is made anew for each recorder's run and each import and stored
nowhere, so nobody gets from a hash to the value, or from one recording to another.
"""

import hmac
import secrets
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from ...model.recording import SESSION_HEADER, SessionSource
from .exchange import Exchange, Headers, Part, value_of

_KEY_BYTES: Final = 32
"""As many as the hash has. Source: RFC 2104, section 3."""

_KEPT_DIGITS: Final = 32
"""Hexadecimal: 128 bits, by which no two sessions of a recording are taken for one."""


class Sessions:
    """Notes sessions in exchanges, by a key of its own."""

    def __init__(self, source: SessionSource) -> None:
        """Make a key.

        Args:
            source: Which cookie or header tells the session.
        """
        self._source = source
        self._key = secrets.token_bytes(_KEY_BYTES)

    def note(self, exchange: Exchange, kept: Exchange) -> Exchange:
        """Return what is kept of an exchange, with its session in place of whatever a client calls so.

        Args:
            exchange: As it was, with the cookie or header.
            kept: What redaction left of it.
        """
        value = self._value_in(exchange)
        others = tuple(header for header in kept.request.headers if header[0] != SESSION_HEADER)
        headers = (*others, (SESSION_HEADER, self._hash(value))) if value else others
        return replace(kept, request=replace(kept.request, headers=headers))

    def _hash(self, value: str) -> str:
        return hmac.digest(self._key, value.encode("utf-8", "surrogateescape"), "sha256").hex()[:_KEPT_DIGITS]

    def _value_in(self, exchange: Exchange) -> str:
        name = self._source.name
        if not self._source.is_cookie:
            return value_of(exchange.request.headers, name) or ""
        return _cookie(exchange.request, name) or _set_cookie(exchange.response, name)


def _cookie(part: Part, name: str) -> str:
    """Return a request's cookie; HTTP/2 may send each in a header of its own."""
    return _named((pair for value in _values(part.headers, "cookie") for pair in value.split(";")), name)


def _set_cookie(part: Part, name: str) -> str:
    """Return the cookie that an answer sets: by it a login is the first request of its session."""
    return _named((value.partition(";")[0] for value in _values(part.headers, "set-cookie")), name)


def _values(headers: Headers, name: str) -> list[str]:
    return [value for known, value in headers if known == name]


def _named(pairs: Iterable[str], name: str) -> str:
    for pair in pairs:
        known, _, value = pair.partition("=")
        if known.strip() == name and value.strip():
            return value.strip()
    return ""
