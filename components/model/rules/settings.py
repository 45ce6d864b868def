"""What an organisation allows beyond what every mirror must keep."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ..checks import instance, listed
from ..credentials import LEAST_CREDENTIAL_HEADERS
from ..errors import ValidationError
from ..safety import HTTP_METHODS
from ..values import HeaderName, Percent, RpcMethod

MOST: Final = 2**31
"""Largest bound that can be set; Istio renders limits that nobody set near there."""


@dataclass(frozen=True, kw_only=True)
class RuleSettings:
    """What an organisation allows beyond what every mirror must keep.

    Attributes:
        max_percent: Largest share of requests that may be mirrored, 0 to 100.
        allowed_targets: Hosts that mirrors may go to, ``*.suffix`` included; empty for any.
        allowed_rpc_methods: gRPC methods that may be mirrored; empty for any that a route names.
        allowed_http_methods: HTTP methods that may be mirrored where no gRPC method is named; empty for any that a
            route names.
        credential_headers: Headers that must not reach a mirror.
        max_lifetime_days: Longest time from now to a mirror's end, above 0; None for no bound. With a bound every
            mirror needs an end. This and the next two are at most 2**31.
        max_requests: Largest bound on requests in flight to a mirror per proxy, from 1.
        max_duration_seconds: Largest bound on the life of one mirrored request, above 0.
        private_plain_text: Whether plain text between clusters is accepted to private addresses.
        object_waivers: Whether objects may carry waivers, in annotations; those of guards that components write among
            them.
        max_waiver_days: Longest time from now to the end of such a waiver, above 0; None for no bound. A guard's ends
            with its mirror.

    Raises:
        ValidationError: A value is out of its range or malformed.
    """

    max_percent: float = 100.0
    allowed_targets: Sequence[str] = ()
    allowed_rpc_methods: Sequence[str] = ()
    allowed_http_methods: Sequence[str] = ()
    credential_headers: Sequence[str] = LEAST_CREDENTIAL_HEADERS
    max_lifetime_days: float | None = None
    max_requests: int = 65_536
    max_duration_seconds: float = 3_600.0
    private_plain_text: bool = False
    object_waivers: bool = True
    max_waiver_days: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "max_percent", Percent(self.max_percent, field="max_percent"))
        for name in ("allowed_targets", "allowed_rpc_methods", "allowed_http_methods", "credential_headers"):
            object.__setattr__(self, name, tuple(listed(getattr(self, name), field=name)))
        for index, target in enumerate(self.allowed_targets):
            instance(target, str, field=f"allowed_targets[{index}]")
        for name in ("private_plain_text", "object_waivers"):
            instance(getattr(self, name), bool, field=name)
        methods = tuple(
            RpcMethod(method, field=f"allowed_rpc_methods[{index}]")
            for index, method in enumerate(self.allowed_rpc_methods)
        )
        object.__setattr__(self, "allowed_rpc_methods", methods)
        headers = tuple(
            HeaderName(name, field=f"credential_headers[{index}]") for index, name in enumerate(self.credential_headers)
        )
        object.__setattr__(self, "credential_headers", headers)
        for index, method in enumerate(self.allowed_http_methods):
            if not isinstance(method, str) or method not in HTTP_METHODS:  # pyright: ignore[reportUnnecessaryIsInstance] -- callers may be untyped
                raise ValidationError(
                    field=f"allowed_http_methods[{index}]",
                    value=method,
                    rule=f"must be one of {', '.join(sorted(HTTP_METHODS))}",
                    remedy="Write the method in upper case",
                )
        for name in ("max_lifetime_days", "max_waiver_days", "max_requests", "max_duration_seconds"):
            value = getattr(self, name)
            if value is None and name in ("max_lifetime_days", "max_waiver_days"):
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= MOST:
                raise ValidationError(
                    field=name,
                    value=value,
                    rule=f"must be a number above 0 and at most {MOST}",
                    remedy="Give the largest value allowed",
                )
