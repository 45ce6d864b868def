"""Scalar values of the model: each is a plain ``str``, ``int`` or ``float`` that has passed its rule.

They subclass the builtin types, so an argument annotated ``str`` takes a literal, is validated on the way in and
renders as it is.
"""

import ipaddress
import re
from enum import StrEnum, unique
from functools import lru_cache
from typing import Final, Self

from .errors import ValidationError

MAX_HOSTNAME_LENGTH: Final = 253
"""Longest DNS name in its textual form. Source: RFC 1035 section 3.1 and its erratum on the root label."""

MAX_LABEL_LENGTH: Final = 63
"""Longest DNS label and Kubernetes label value. Source: RFC 1035 section 2.3.4."""

MAX_NAME_LENGTH: Final = 40
"""Longest name of a mirror or receiver: the name part of an annotation such as ``waiver.<mirror>.shared-service`` has
at most 63 characters."""

PERCENT_RESOLUTION: Final = 0.0001
"""Smallest share Envoy can express: one in a million. Source: envoy.type.v3.FractionalPercent."""

SHADOW_SUFFIX: Final = "-shadow"
"""What Envoy appends to the authority of a mirror unless told not to. Source: RouteAction.RequestMirrorPolicy."""

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_RPC_METHOD = re.compile(r"[A-Za-z_][\w]*(\.[A-Za-z_][\w]*)*/[A-Za-z_][\w]*", re.ASCII)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")


def text_of(value: object, field: str, what: str, example: str) -> str:
    """A text that is not empty.

    Raises:
        ValidationError: It is none; the words are made of what is wanted and an example of it.
    """
    if not isinstance(value, str) or not value:
        raise ValidationError(
            field=field,
            value=value,
            rule=f"must be a non-empty {what}",
            remedy=f"Write for example {example!r}",
        )
    return value


class Percent(float):
    """Share of the primary's requests that is mirrored, in per cent.

    Range 0 to 100, in steps of 0.0001 (Envoy's resolution). Zero means that no mirror is rendered at all.

    Raises:
        ValidationError: Not a number, not finite, out of range, or finer than Envoy can express.
    """

    __slots__ = ()

    def __new__(cls, value: float, *, field: str = "percent") -> Self:
        """Validate ``value``; ``field`` is its path in an error."""
        remedy = "Give a number of per cent such as 50 or 0.5"
        if isinstance(value, bool) or not isinstance(value, int | float):  # pyright: ignore[reportUnnecessaryIsInstance] -- callers may be untyped
            raise ValidationError(field=field, value=value, rule="must be a number", remedy=remedy)
        if not 0 <= value <= 100:  # noqa: PLR2004 -- the definition of per cent; NaN compares false
            raise ValidationError(field=field, value=value, rule="must be between 0 and 100", remedy=remedy)
        if abs(value - round(value, 4)) > 1e-9:  # noqa: PLR2004 -- far above floating point's error below 100
            raise ValidationError(
                field=field,
                value=value,
                rule="must be a multiple of 0.0001, which is the resolution of the proxy",
                remedy="Round it to four decimals",
            )
        return super().__new__(cls, value + 0.0)  # which makes -0.0 plain zero

    @property
    def per_million(self) -> int:
        """The share as Envoy counts it, 0 to 1,000,000."""
        return round(self * 10_000)


class Port(int):
    """TCP port, 1 to 65535.

    Raises:
        ValidationError: Not an integer (a string or ``True`` is none), or out of range.
    """

    __slots__ = ()

    def __new__(cls, value: int, *, field: str = "port") -> Self:
        """Validate ``value``; ``field`` is its path in an error."""
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 65535:  # pyright: ignore[reportUnnecessaryIsInstance] # noqa: PLR2004 -- 16 bits
            raise ValidationError(
                field=field,
                value=value,
                rule="must be an integer from 1 to 65535",
                remedy="Give the port as a number, e.g. 8000",
            )
        return super().__new__(cls, value)


class Hostname(str):
    """Exact, fully qualified DNS name in lower case, as Istio and Envoy match it.

    At least two labels, no wildcard, no scheme, path or port, no address, no trailing dot; internationalised names in
    their ASCII (punycode) form.

    Raises:
        ValidationError: Any of these does not hold.
    """

    __slots__ = ()

    def __new__(cls, value: str, *, field: str = "host") -> Self:
        """Validate ``value``; ``field`` is its path in an error."""
        if isinstance(value, cls):
            return value
        host = text_of(value, field, "DNS name", "grpc-hello.staging.example")
        rule, remedy = _hostname_fault(host)
        if rule:
            raise ValidationError(field=field, value=value, rule=rule, remedy=remedy)
        return super().__new__(cls, host)

    @property
    def suffixed(self) -> str:
        """The authority that a mirror carries where the proxy appends ``-shadow``."""
        return self + SHADOW_SUFFIX


@lru_cache(maxsize=1024)  # one service names its few hosts many times
def _hostname_fault(host: str) -> tuple[str, str]:  # noqa: C901, PLR0911, PLR0912 -- one line per rule
    if "://" in host:
        return "must be a name without a scheme", "Remove everything up to '://'"
    if "/" in host:
        return "must be a name without a path", "Remove the path"
    if host.startswith("["):
        return "must be a DNS name, not an address", "Use the name that clients send as authority"
    if _is_address(host):
        return "must be a DNS name, not an address", "Use the name that clients send as authority"
    if ":" in host:
        return "must be a name without a port", "Give the port in its own field"
    if "*" in host:
        return (
            "must be an exact name without a wildcard",
            "List each host; a wildcard can match its own mirror",
        )
    if not host.isascii():
        return "must be in its ASCII form", "Encode an internationalised name with punycode ('xn--…')"
    if host != host.lower():
        return (
            "must be in lower case, because proxies compare authorities in lower case",
            "Write it in lower case",
        )
    if host.endswith("."):
        return "must not end with a dot, which clients do not send", "Remove the trailing dot"
    if len(host) > MAX_HOSTNAME_LENGTH:
        return f"must have at most {MAX_HOSTNAME_LENGTH} characters, has {len(host)}", "Shorten it"
    labels = host.split(".")
    if len(labels) < 2:  # noqa: PLR2004 -- one label is a short name
        return (
            "must be fully qualified",
            "Add the namespace and domain, e.g. 'greeter.hello.svc.cluster.local'",
        )
    for label in labels:
        if len(label) > MAX_LABEL_LENGTH:
            return (
                f"has a label of {len(label)} characters; at most {MAX_LABEL_LENGTH} are allowed",
                "Shorten it",
            )
        if not _LABEL.fullmatch(label):
            return f"has an invalid label {label!r}", "Use letters, digits and inner hyphens between the dots"
    if labels[-1].isdigit():
        return "must not end with a number, which makes it read like an address", "Use a DNS name"
    return "", ""


def _is_address(host: str) -> bool:
    if ":" not in host and not host[-1].isdigit():
        return False
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class DnsLabel(str):
    """Name of a namespace, subset, mirror or object part: one lower-case DNS label of at most 63 characters.

    Raises:
        ValidationError: Any of these does not hold.
    """

    __slots__ = ()

    def __new__(cls, value: str, *, field: str = "name") -> Self:
        """Validate ``value``; ``field`` is its path in an error."""
        if isinstance(value, cls):
            return value
        label = text_of(value, field, "DNS label", "greeter")
        if len(label) > MAX_LABEL_LENGTH or not _LABEL.fullmatch(label):
            raise ValidationError(
                field=field,
                value=value,
                rule=f"must be a DNS label of at most {MAX_LABEL_LENGTH} characters",
                remedy="Use lower-case letters, digits and inner hyphens",
            )
        return super().__new__(cls, label)


class RpcMethod(str):
    """Full name of a gRPC method, ``package.Service/Method``, without a leading slash.

    Raises:
        ValidationError: The text has another form; wildcards are refused, because a service may gain methods.
    """

    __slots__ = ()

    def __new__(cls, value: str, *, field: str = "rpc_method") -> Self:
        """Validate ``value``; ``field`` is its path in an error."""
        method = text_of(value, field, "gRPC method", "helloworld.Greeter/SayHello")
        if not _RPC_METHOD.fullmatch(method):
            raise ValidationError(
                field=field,
                value=value,
                rule="must be 'package.Service/Method'",
                remedy="Name one method without leading slash or wildcard, e.g. 'helloworld.Greeter/SayHello'",
            )
        return super().__new__(cls, method)

    @property
    def path(self) -> str:
        """The HTTP/2 ``:path`` of a call of this method."""
        return f"/{self}"


class HeaderName(str):
    """HTTP header name in lower case; no pseudo-header and not ``host``, which proxies refuse to mutate.

    Raises:
        ValidationError: Any of these does not hold.
    """

    __slots__ = ()

    def __new__(cls, value: str, *, field: str = "header") -> Self:
        """Validate ``value``; ``field`` is its path in an error."""
        name = text_of(value, field, "header name", "x-api-key")
        if name != name.lower():
            raise ValidationError(
                field=field, value=value, rule="must be in lower case", remedy=f"Write {name.lower()!r}"
            )
        if name == "host" or not _HEADER_NAME.fullmatch(name):
            raise ValidationError(
                field=field,
                value=value,
                rule="must be a header name, not a pseudo-header and not 'host'",
                remedy="Name an ordinary header such as 'x-api-key'",
            )
        return super().__new__(cls, name)


@unique
class Protocol(StrEnum):
    """What clients speak to the primary, and so what mirrors speak to theirs."""

    GRPC = "GRPC"
    """gRPC over HTTP/2."""
    HTTP2 = "HTTP2"
    """HTTP/2 that is not gRPC."""
    HTTP = "HTTP"
    """HTTP/1.1."""

    @property
    def is_http2(self) -> bool:
        """Whether the upstream connection is HTTP/2."""
        return self is not Protocol.HTTP

    @property
    def port_name(self) -> str:
        """Name that makes Istio choose this protocol for a Service port: its lower-case form."""
        return self.value.lower()


@unique
class RouteApi(StrEnum):
    """Whose kinds of objects routing is written in."""

    ISTIO = "istio"
    """Istio's own: Gateway and VirtualService."""
    GATEWAY = "gateway"
    """The Gateway API's: Gateway, HTTPRoute and GRPCRoute, whose CRDs the cluster must have."""
