"""Which requests a mirror may receive."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import cast

from .checks import instance, listed, member
from .errors import ValidationError
from .paths import HttpPath, PathTest, common_paths
from .safety import HTTP_METHODS, Waiver
from .values import HeaderName, RpcMethod


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
        object.__setattr__(self, "test", member(HeaderTest, self.test, field="test"))
        value = self.value
        if not isinstance(value, str) or not value.isprintable():  # pyright: ignore[reportUnnecessaryIsInstance] -- callers may be untyped
            raise ValidationError(
                field="value", value=value, rule="must be a text without control characters", remedy="Give it as text"
            )
        if (self.test is HeaderTest.PRESENT) == bool(self.value):
            raise ValidationError(
                field="value",
                value=self.value,
                rule="must be empty for 'present' and non-empty for every other test",
                remedy="Give the value to compare with, or use HeaderTest.PRESENT",
            )

    def joined(self, other: "HeaderMatch") -> "HeaderMatch | None":
        """The condition that holds where both do; None where no value satisfies both.

        Raises:
            ValidationError: That cannot be told, because a regular expression is compared with another condition.
        """
        if self == other or other.test is HeaderTest.PRESENT:
            return self
        if self.test is HeaderTest.PRESENT:
            return other
        if HeaderTest.REGEX in (self.test, other.test):
            raise ValidationError(
                field="headers",
                value=f"{self.name}: {self.value!r} and {other.value!r}",
                rule="must not be tested by a regular expression for one mirror of a route and otherwise for another",
                remedy="Use one condition for both mirrors, or exact values",
            )
        longer, shorter = (self, other) if len(self.value) >= len(other.value) else (other, self)
        if shorter.test is HeaderTest.EXACT or not longer.value.startswith(shorter.value):
            return None
        return longer


@dataclass(frozen=True, kw_only=True)
class Match:
    """Which requests a mirror may receive; every given condition must hold.

    Attributes:
        rpc_methods: gRPC methods, unary or server-streaming, as ``package.Service/Method``; any one of them.
        streaming_rpc_methods: gRPC methods with client or bidirectional streams; need ``streaming_waiver``, because
            a mirror that stops reading holds the primary's stream back until the brake ends it.
        streaming_waiver: Reason for mirroring these.
        path_prefixes: HTTP paths with everything below them, by segment: ``/api/orders`` takes ``/api/orders`` and
            ``/api/orders/7``, not ``/api/orders-old``; any one of them or of ``exact_paths``.
        exact_paths: HTTP paths as they are, without a query, which plays no part; any one of them.
        http_methods: HTTP methods, any one of them; empty stands for any where rpc methods are given, and for GET,
            HEAD and OPTIONS otherwise.
        headers: Conditions on headers, all of them.

    Raises:
        ValidationError: Nothing is named, a name is malformed, streaming methods come without a waiver, gRPC methods
            and HTTP paths are mixed, or one header has two conditions.
    """

    rpc_methods: Sequence[str] = ()
    streaming_rpc_methods: Sequence[str] = ()
    streaming_waiver: Waiver | None = None
    path_prefixes: Sequence[str] = ()
    exact_paths: Sequence[str] = ()
    http_methods: Sequence[str] = ()
    headers: Sequence[HeaderMatch] = ()

    def __post_init__(self) -> None:
        for name in ("rpc_methods", "streaming_rpc_methods"):
            given = listed(getattr(self, name), field=name)
            methods = tuple(RpcMethod(cast("str", each), field=f"{name}[{i}]") for i, each in enumerate(given))
            object.__setattr__(self, name, methods)
        for name in ("path_prefixes", "exact_paths"):
            given = listed(getattr(self, name), field=name)
            paths = [HttpPath(cast("str", each), field=f"{name}[{i}]") for i, each in enumerate(given)]
            if name == "path_prefixes":
                paths = [path.without_slash for path in paths]
            object.__setattr__(self, name, tuple(paths))
        object.__setattr__(self, "http_methods", _http_methods(self.http_methods))
        for index, header in enumerate(listed(self.headers, field="headers")):
            instance(header, HeaderMatch, field=f"headers[{index}]")
        object.__setattr__(self, "headers", tuple(sorted(self.headers)))
        instance(self.streaming_waiver, Waiver, field="streaming_waiver", optional=True)
        self._check_distinct()
        if self.rpc_paths and (self.path_prefixes or self.exact_paths):
            raise ValidationError(
                field="path_prefixes" if self.path_prefixes else "exact_paths",
                value=[*self.path_prefixes, *self.exact_paths],
                rule="must not stand beside gRPC methods, which are paths themselves",
                remedy="Give HTTP and gRPC a mirror each",
            )
        if not (self.path_tests or self.http_methods or self.headers):
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

    def _check_distinct(self) -> None:
        for name, given, rule in (
            ("rpc_methods", (*self.rpc_methods, *self.streaming_rpc_methods), "must name each method once"),
            ("path_prefixes", self.path_prefixes, "must name each path once"),
            ("exact_paths", self.exact_paths, "must name each path once"),
            ("headers", [header.name for header in self.headers], "must have one condition for each header"),
        ):
            for index, each in enumerate(given):
                if each in given[:index]:
                    raise ValidationError(field=name, value=str(each), rule=rule, remedy="Remove the repeat")

    def joined(self, other: "Match") -> "Match | None":
        """What satisfies both; None when no request can.

        Raises:
            ValidationError: That cannot be told, see :meth:`HeaderMatch.joined`.
        """
        paths = common_paths(self.path_tests, other.path_tests)
        methods = _common(self.http_methods, other.http_methods)
        if paths is None or methods is None:
            return None
        headers = {header.name: header for header in self.headers}
        for header in other.headers:
            joint = headers.get(header.name, header).joined(header)
            if joint is None:
                return None
            headers[header.name] = joint
        # A path is that of a gRPC method where either of the two calls it so.
        rpcs = {*self.rpc_paths, *other.rpc_paths}
        named = [test.path[1:] for test in paths if test.path in rpcs]
        streaming = {*self.streaming_rpc_methods, *other.streaming_rpc_methods}
        return Match(
            rpc_methods=[name for name in named if name not in streaming],
            streaming_rpc_methods=[name for name in named if name in streaming],
            streaming_waiver=self.streaming_waiver or other.streaming_waiver,
            path_prefixes=[test.path for test in paths if test.below],
            exact_paths=[test.path for test in paths if not test.below and test.path not in rpcs],
            http_methods=methods,
            headers=list(headers.values()),
        )

    @property
    def rpc_paths(self) -> tuple[str, ...]:
        """HTTP/2 paths of all named gRPC methods, sorted."""
        return tuple(sorted(f"/{method}" for method in (*self.rpc_methods, *self.streaming_rpc_methods)))

    @property
    def path_tests(self) -> tuple[PathTest, ...]:
        """Every condition on the path, one of which must hold; empty for any path."""
        exact = sorted({*self.rpc_paths, *self.exact_paths})
        return (
            *(PathTest(path=path) for path in exact),
            *(PathTest(path=path, below=True) for path in sorted(self.path_prefixes)),
        )


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which requests a mirror takes once the protocol's default is filled in.

    Attributes:
        match: What must hold; None for every request.
        upgrades: Whether requests to upgrade the connection, such as a WebSocket's, are taken as well.
    """

    match: Match | None
    upgrades: bool = False

    @property
    def is_everything(self) -> bool:
        """Whether no request is left out."""
        return self.match is None and self.upgrades

    def joined(self, other: "Selection") -> "Selection | None":
        """What satisfies both; None when no request can.

        Raises:
            ValidationError: That cannot be told, see :meth:`HeaderMatch.joined`.
        """
        upgrades = self.upgrades and other.upgrades
        if self.match is None or other.match is None:
            return Selection(match=self.match or other.match, upgrades=upgrades)
        match = self.match.joined(other.match)
        return Selection(match=match, upgrades=upgrades) if match else None


def _common(first: Sequence[str], second: Sequence[str]) -> list[str] | None:
    """What both lists allow, sorted, where an empty list allows anything; None when they share nothing."""
    if not first or not second:
        return sorted(first or second)
    return sorted(set(first) & set(second)) or None


def _http_methods(methods: object) -> tuple[str, ...]:
    named = listed(methods, field="http_methods")
    for method in named:
        if not isinstance(method, str) or method not in HTTP_METHODS:
            raise ValidationError(
                field="http_methods",
                value=method,
                rule=f"must be one of {', '.join(sorted(HTTP_METHODS))}",
                remedy="Write the method in upper case; CONNECT is never mirrored",
            )
    return tuple(dict.fromkeys(cast("list[str]", named)))
