"""What keeps a mirror harmless: brakes, scrub, expiry, and the waivers that switch one off."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Final, cast

from .checks import bounded, listed, whole
from .credentials import CREDENTIAL_HEADERS
from .errors import ValidationError
from .values import HeaderName

SAFE_HTTP_METHODS: Final = ("GET", "HEAD", "OPTIONS")
"""Methods without side effects. Source: RFC 9110 section 9.2.1, less TRACE, which proxies do not mirror usefully."""

HTTP_METHODS: Final = frozenset({*SAFE_HTTP_METHODS, "POST", "PUT", "PATCH", "DELETE"})
"""Methods that can be mirrored at all; CONNECT never is. Source: Envoy's router."""

NEEDED_HEADERS: Final = ("x-request-id", "content-type", "content-length", "transfer-encoding", "te", "grpc-timeout")
"""Headers that a mirror cannot do without: they pair it with its primary, or frame it."""

PEER_HEADERS: Final = ("x-envoy-peer-metadata", "x-envoy-peer-metadata-id")
"""Istio's own exchange of pod identities; it must not leave the mesh with a mirror."""

SET_BY_PROXIES: Final = frozenset({"x-forwarded-client-cert", *PEER_HEADERS})
"""Headers that each gateway or sidecar sets anew on what it passes on, so that a client's value never gets through."""


@dataclass(frozen=True, kw_only=True)
class Waiver:
    """A guard switched off on purpose; shown in the stack's outputs and on the rendered objects.

    Attributes:
        reason: Why this is safe here; at least ten characters and two different words, so that a reviewer has something
            to judge.

    Raises:
        ValidationError: No real reason is given.
    """

    reason: str

    def __post_init__(self) -> None:
        words = set(self.reason.lower().split()) if isinstance(self.reason, str) else set[str]()  # pyright: ignore[reportUnnecessaryIsInstance] -- callers may be untyped
        if len(words) < 2 or len(self.reason.strip()) < 10:  # noqa: PLR2004 -- documented above
            raise ValidationError(
                field="reason",
                value=self.reason,
                rule="must be a sentence of at least ten characters and two different words",
                remedy="Say why it is safe to switch this guard off here",
            )


@dataclass(frozen=True, kw_only=True)
class Brakes:
    """Bounds on what a mirror may hold in the proxy that sends it. Istio sets none of them by itself.

    Attributes:
        max_connections: TCP connections to the mirror per proxy, 1 to 65,536.
        max_pending_requests: Requests waiting for a connection per proxy, 1 to 65,536.
        max_requests: Requests in flight per proxy, 1 to 65,536. Each hung one holds about 15 KiB (measured).
        connect_timeout_seconds: Bound on a connect, 0.1 to 60 s.
        max_duration_seconds: Bound on the life of one mirrored request, 0.1 to 3,600 s. The one brake that ends a
            mirror that hangs or stops reading; rendered by EnvoyFilter because no Istio API has it. What hung copies
            hold is free, and copies flow again, this long after the mirror is mended.
        consecutive_errors: 5xx answers or failed connects in a row that eject an endpoint, 1 to 1,000.
        ejection_seconds: Length of an ejection, 1 to 3,600 s.
        keepalive_seconds: Idle time before TCP and HTTP/2 keep-alive probes, 1 to 3,600 s. Without it a cut link
            kept 1,024 streams for more than 23 s (measured).
        keepalive_timeout_seconds: Wait for the answer to an HTTP/2 probe, 0.1 to 60 s, less than keepalive_seconds.

    Raises:
        ValidationError: A value is out of its range.
    """

    max_connections: int = 64
    max_pending_requests: int = 64
    max_requests: int = 256
    connect_timeout_seconds: float = 1.0
    max_duration_seconds: float = 8.0
    consecutive_errors: int = 5
    ejection_seconds: float = 5.0
    keepalive_seconds: float = 5.0
    keepalive_timeout_seconds: float = 2.0

    def __post_init__(self) -> None:
        for name in ("max_connections", "max_pending_requests", "max_requests"):
            whole(getattr(self, name), name, 1, 65_536)
        whole(self.consecutive_errors, "consecutive_errors", 1, 1_000)
        bounded(self.connect_timeout_seconds, "connect_timeout_seconds", 0.1, 60, "seconds")
        bounded(self.max_duration_seconds, "max_duration_seconds", 0.1, 3_600, "seconds")
        bounded(self.ejection_seconds, "ejection_seconds", 1, 3_600, "seconds")
        bounded(self.keepalive_seconds, "keepalive_seconds", 1, 3_600, "seconds")
        bounded(self.keepalive_timeout_seconds, "keepalive_timeout_seconds", 0.1, 60, "seconds")
        if self.keepalive_timeout_seconds >= self.keepalive_seconds:
            raise ValidationError(
                field="keepalive_timeout_seconds",
                value=self.keepalive_timeout_seconds,
                rule=f"must be less than keepalive_seconds ({self.keepalive_seconds:g})",
                remedy="Lower it, or raise keepalive_seconds",
            )


@dataclass(frozen=True, kw_only=True)
class Scrub:
    """What is taken off a mirror, and the mark that is put on it. Part of the contract, so both clusters agree.

    Attributes:
        extra_headers: Headers removed beside :data:`CREDENTIAL_HEADERS` and :data:`PEER_HEADERS`, in lower case.
        mark_header: Header that tells a mirror from a primary request; never mirrored again where it is present.
        mark_value: Its value: visible ASCII, at most 128 characters.

    Raises:
        ValidationError: A name is no header name, the mark is among the removed headers, or a removed header is one
            that pairing or routing needs.
    """

    extra_headers: Sequence[str] = ()
    mark_header: str = "x-traffic-mirror"
    mark_value: str = "mirror"

    def __post_init__(self) -> None:
        extra = tuple(
            HeaderName(cast("str", name), field=f"extra_headers[{index}]")
            for index, name in enumerate(listed(self.extra_headers, field="extra_headers"))
        )
        object.__setattr__(self, "extra_headers", extra)
        object.__setattr__(self, "mark_header", HeaderName(self.mark_header, field="mark_header"))
        if self.mark_header in NEEDED_HEADERS:
            raise ValidationError(
                field="mark_header",
                value=str(self.mark_header),
                rule="must not be a header that requests need",
                remedy="Choose a header of your own, e.g. 'x-traffic-mirror'",
            )
        value = self.mark_value
        if not isinstance(value, str) or not re.fullmatch(r"[!-~]{1,128}", value):  # pyright: ignore[reportUnnecessaryIsInstance] -- callers may be untyped
            raise ValidationError(
                field="mark_value",
                value=value,
                rule="must be 1 to 128 visible ASCII characters without blanks",
                remedy="Use a word such as 'mirror'",
            )
        needed = [name for name in self.headers if name in NEEDED_HEADERS or name == self.mark_header]
        if needed:
            raise ValidationError(
                field="extra_headers",
                value=str(needed[0]),
                rule="must not be removed: a mirror needs it to be read, paired or told apart",
                remedy="Take it off the list, or choose another mark",
            )

    @property
    def headers(self) -> tuple[str, ...]:
        """Every header that is removed, without repeats, in a fixed order."""
        return tuple(dict.fromkeys((*CREDENTIAL_HEADERS, *PEER_HEADERS, *self.extra_headers)))


@dataclass(frozen=True, order=True, init=False)
class Expiry:
    """The moment after which a mirror must be gone.

    Attributes:
        at: Point in time with a time zone; kept in UTC, whole seconds.

    Raises:
        ValidationError: The time has no zone, or the text is neither a day nor a time.
    """

    at: datetime

    def __init__(self, at: datetime | str) -> None:
        """Take a time with a zone, or its text: ``"2027-01-31"`` (its end in UTC) or ISO 8601 with a zone."""
        if isinstance(at, str):
            at = Expiry.parse(at).at
        if not isinstance(at, datetime) or at.tzinfo is None:  # pyright: ignore[reportUnnecessaryIsInstance] -- callers may be untyped
            raise ValidationError(
                field="expires",
                value=at,
                rule="must be a time with a zone",
                remedy="Write for example Expiry('2027-01-31'), or add UTC",
            )
        try:
            at = at.astimezone(UTC).replace(microsecond=0)
        except OverflowError as error:
            raise ValidationError(
                field="expires",
                value=str(at),
                rule="must lie between the years 1 and 9999 in UTC",
                remedy="Give a nearer end",
            ) from error
        object.__setattr__(self, "at", at)

    @classmethod
    def on(cls, day: date) -> "Expiry":
        """The end of ``day`` in UTC.

        Raises:
            ValidationError: It is no date.
        """
        if not isinstance(day, date):  # pyright: ignore[reportUnnecessaryIsInstance] -- callers may be untyped
            raise ValidationError(
                field="expires", value=day, rule="must be a date", remedy="Read a text with Expiry.parse(text)"
            )
        return cls(datetime.combine(day, time(23, 59, 59), UTC))

    @classmethod
    def parse(cls, text: str, *, field: str = "expires") -> "Expiry":
        """Read ``2027-01-31`` (its end in UTC) or an ISO 8601 time with a zone.

        Raises:
            ValidationError: The text is neither.
        """
        try:
            if len(text) == len("2027-01-31"):
                return cls.on(date.fromisoformat(text))
            return cls(datetime.fromisoformat(text))
        except (ValueError, TypeError) as error:
            raise ValidationError(
                field=field,
                value=text,
                rule="must be a date or an ISO 8601 time with a zone",
                remedy="Write for example '2027-01-31' or '2027-01-31T18:00:00Z'",
            ) from error

    def has_passed(self, now: datetime) -> bool:
        """Whether ``now`` (with a zone) is after the end."""
        return now > self.at

    def __str__(self) -> str:
        return self.at.strftime("%Y-%m-%dT%H:%M:%SZ")
