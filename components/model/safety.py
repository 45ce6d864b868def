"""What keeps a mirror harmless: brakes, scrub, side-effect match, expiry, and the waivers that switch one off."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from enum import StrEnum, unique
from typing import Final

from .errors import ValidationError
from .values import HeaderName, RpcMethod

SAFE_HTTP_METHODS: Final = ("GET", "HEAD", "OPTIONS")
"""Methods without side effects. Source: RFC 9110 section 9.2.1, less TRACE, which proxies do not mirror usefully."""

HTTP_METHODS: Final = frozenset({*SAFE_HTTP_METHODS, "POST", "PUT", "PATCH", "DELETE"})
"""Methods that can be mirrored at all; CONNECT and upgrades never are. Source: Envoy's router."""

CREDENTIAL_HEADERS: Final = (
    "authorization",
    "proxy-authorization",
    "cookie",
    "x-api-key",
    "x-forwarded-client-cert",
)
"""Headers that never reach a mirror unless the scrub is waived."""

PEER_HEADERS: Final = ("x-envoy-peer-metadata", "x-envoy-peer-metadata-id")
"""Istio's own exchange of pod identities; it must not leave the mesh with a mirror."""


def _bounded(value: float, name: str, low: float, high: float, unit: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:  # pyright: ignore[reportUnnecessaryIsInstance] -- callers may be untyped
        raise ValidationError(
            field=name,
            value=value,
            rule=f"must be from {low:g} to {high:g} {unit}".rstrip(),
            remedy="Choose a value in that range",
        )


def _whole(value: int, name: str, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):  # pyright: ignore[reportUnnecessaryIsInstance] -- callers may be untyped
        raise ValidationError(
            field=name,
            value=value,
            rule="must be a whole number",
            remedy=f"Give a number from {low} to {high}",
        )
    _bounded(value, name, low, high, "")


@dataclass(frozen=True, kw_only=True)
class Waiver:
    """A guard switched off on purpose; shown in the stack's outputs and on the rendered objects.

    Attributes:
        reason: Why this is safe here; at least ten characters, so that a reviewer has something to judge.

    Raises:
        ValidationError: No real reason is given.
    """

    reason: str

    def __post_init__(self) -> None:
        if not isinstance(self.reason, str) or len(self.reason.strip()) < 10:  # pyright: ignore[reportUnnecessaryIsInstance] # noqa: PLR2004 -- documented above
            raise ValidationError(
                field="reason",
                value=self.reason,
                rule="must be a sentence of at least ten characters",
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
            mirror that hangs or stops reading; rendered by EnvoyFilter because no Istio API has it.
        consecutive_errors: 5xx answers or failed connects in a row that eject an endpoint, 1 to 1,000.
        ejection_seconds: First ejection's length and the interval between analyses, 1 to 3,600 s.
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
    max_duration_seconds: float = 15.0
    consecutive_errors: int = 5
    ejection_seconds: float = 5.0
    keepalive_seconds: float = 5.0
    keepalive_timeout_seconds: float = 2.0

    def __post_init__(self) -> None:
        for name in ("max_connections", "max_pending_requests", "max_requests"):
            _whole(getattr(self, name), name, 1, 65_536)
        _whole(self.consecutive_errors, "consecutive_errors", 1, 1_000)
        _bounded(self.connect_timeout_seconds, "connect_timeout_seconds", 0.1, 60, "seconds")
        _bounded(self.max_duration_seconds, "max_duration_seconds", 0.1, 3_600, "seconds")
        _bounded(self.ejection_seconds, "ejection_seconds", 1, 3_600, "seconds")
        _bounded(self.keepalive_seconds, "keepalive_seconds", 1, 3_600, "seconds")
        _bounded(self.keepalive_timeout_seconds, "keepalive_timeout_seconds", 0.1, 60, "seconds")
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
            HeaderName(name, field=f"extra_headers[{index}]") for index, name in enumerate(self.extra_headers)
        )
        object.__setattr__(self, "extra_headers", extra)
        object.__setattr__(self, "mark_header", HeaderName(self.mark_header, field="mark_header"))
        value = self.mark_value
        if not value or len(value) > 128 or not value.isascii() or not value.isprintable() or " " in value:  # noqa: PLR2004 -- documented above
            raise ValidationError(
                field="mark_value",
                value=value,
                rule="must be 1 to 128 visible ASCII characters without blanks",
                remedy="Use a word such as 'mirror'",
            )
        for name, why in (
            ("x-request-id", "pairs a mirror with its primary"),
            (self.mark_header, "is the mark"),
        ):
            if name in self.headers:
                raise ValidationError(
                    field="extra_headers",
                    value=name,
                    rule=f"must not be removed: it {why}",
                    remedy="Take it off the list, or choose another mark",
                )

    @property
    def headers(self) -> tuple[str, ...]:
        """Every header that is removed, without repeats, in a fixed order."""
        return tuple(dict.fromkeys((*CREDENTIAL_HEADERS, *PEER_HEADERS, *self.extra_headers)))


@unique
class HeaderTest(StrEnum):
    """How a header is compared; the values are the keys of Istio's StringMatch, but for ``present``."""

    EXACT = "exact"
    PREFIX = "prefix"
    REGEX = "regex"
    PRESENT = "present"


@dataclass(frozen=True, kw_only=True, order=True)
class HeaderMatch:
    """A condition on one request header.

    Attributes:
        name: Header name in lower case.
        test: How it is compared.
        value: What with; empty for ``present``. A regular expression is RE2 and must match the whole value.

    Raises:
        ValidationError: Bad name, or a value where none belongs or none where one is needed.
    """

    name: str
    test: HeaderTest = HeaderTest.EXACT
    value: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", HeaderName(self.name, field="name"))
        if (self.test is HeaderTest.PRESENT) == bool(self.value):
            raise ValidationError(
                field="value",
                value=self.value,
                rule="must be empty for 'present' and non-empty for every other test",
                remedy="Give the value to compare with, or use HeaderTest.PRESENT",
            )


@dataclass(frozen=True, kw_only=True)
class Match:
    """Which requests a mirror may receive; every given condition must hold.

    Attributes:
        rpc_methods: gRPC methods, unary or server-streaming, as ``package.Service/Method``; any one of them.
        streaming_rpc_methods: gRPC methods with client or bidirectional streams; need ``streaming_waiver``, because
            a mirror that stops reading holds the primary's stream back until the brake ends it.
        streaming_waiver: Reason for mirroring these.
        http_methods: HTTP methods, any one of them; empty stands for any where rpc methods are given, and for GET,
            HEAD and OPTIONS otherwise.
        headers: Conditions on headers, all of them.

    Raises:
        ValidationError: Nothing is named, a name is malformed, streaming methods come without a waiver, or one header
            has two conditions.
    """

    rpc_methods: Sequence[str] = ()
    streaming_rpc_methods: Sequence[str] = ()
    streaming_waiver: Waiver | None = None
    http_methods: Sequence[str] = ()
    headers: Sequence[HeaderMatch] = ()

    def __post_init__(self) -> None:
        for name in ("rpc_methods", "streaming_rpc_methods"):
            methods = tuple(RpcMethod(m, field=f"{name}[{i}]") for i, m in enumerate(getattr(self, name)))
            object.__setattr__(self, name, methods)
        object.__setattr__(self, "http_methods", _http_methods(self.http_methods))
        object.__setattr__(self, "headers", tuple(sorted(self.headers)))
        if not (self.rpc_methods or self.streaming_rpc_methods or self.http_methods or self.headers):
            raise ValidationError(
                field="match",
                value=self,
                rule="must name at least one condition",
                remedy="List the methods to mirror",
            )
        if self.streaming_rpc_methods and not self.streaming_waiver:
            raise ValidationError(
                field="streaming_rpc_methods",
                value=list(self.streaming_rpc_methods),
                rule="needs streaming_waiver: a mirror that stops reading can hold the primary's stream back",
                remedy="Add streaming_waiver=Waiver(reason=…), or leave these methods out",
            )
        names = [header.name for header in self.headers]
        for name in names:
            if names.count(name) > 1:
                raise ValidationError(
                    field="headers",
                    value=name,
                    rule="must have one condition for each header",
                    remedy="Combine them",
                )

    @property
    def paths(self) -> tuple[str, ...]:
        """HTTP/2 paths of all named gRPC methods, sorted."""
        return tuple(sorted(f"/{method}" for method in (*self.rpc_methods, *self.streaming_rpc_methods)))


def _http_methods(methods: Iterable[str]) -> tuple[str, ...]:
    named = tuple(dict.fromkeys(methods))
    for method in named:
        if method not in HTTP_METHODS:
            raise ValidationError(
                field="http_methods",
                value=method,
                rule=f"must be one of {', '.join(sorted(HTTP_METHODS))}",
                remedy="Write the method in upper case; CONNECT and upgrades are never mirrored",
            )
    return named


@dataclass(frozen=True, order=True)
class Expiry:
    """The moment after which a mirror must be gone.

    Attributes:
        at: Point in time with a time zone; kept in UTC, whole seconds.

    Raises:
        ValidationError: The time has no zone.
    """

    at: datetime = field()

    def __post_init__(self) -> None:
        if not isinstance(self.at, datetime) or self.at.tzinfo is None:  # pyright: ignore[reportUnnecessaryIsInstance] -- callers may be untyped
            raise ValidationError(
                field="expires",
                value=self.at,
                rule="must be a time with a zone",
                remedy="Use Expiry.on(date) or add UTC",
            )
        object.__setattr__(self, "at", self.at.astimezone(UTC).replace(microsecond=0))

    @classmethod
    def on(cls, day: date) -> "Expiry":
        """The end of ``day`` in UTC."""
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
