"""What may be sent again: calls without side effects, and what somebody has vouched for."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final

from ...model import RpcMethod, Waiver
from ..recording import Exchange, Side

SAFE_METHODS: Final = ("GET", "HEAD", "OPTIONS")
"""HTTP methods that ask for nothing but an answer. Source: RFC 9110 section 9.2.1."""


@unique
class Skip(StrEnum):
    """Why an exchange is not sent."""

    OTHER_SIDE = "other side"
    """It was recorded on the other side: the copy of a request that is sent already."""
    SIDE_EFFECTS = "may have side effects"
    """Its method is neither safe, nor listed, nor waived."""
    TRUNCATED = "not recorded whole"
    """A part of its body or messages is missing, so it would be another request."""
    UNREADABLE = "cannot be sent"
    """It lacks a method or path, or uses a method that is no request (CONNECT, an upgrade)."""


@dataclass(frozen=True, kw_only=True)
class ReplayGuard:
    """The side-effect rules.

    Attributes:
        rpc_methods: gRPC methods that may be called again, as ``package.Service/Method``. None by default, because
            nothing on the wire tells a read from a write.
        waiver: Reason why every method may be sent again here, for example against a system with its own data.
        side: Which side's requests are sent.

    Raises:
        ValidationError: A method is malformed.
    """

    rpc_methods: Sequence[str] = ()
    waiver: Waiver | None = None
    side: Side = Side.PRIMARY

    def __post_init__(self) -> None:
        methods = tuple(RpcMethod(one, field=f"rpc_methods[{i}]") for i, one in enumerate(self.rpc_methods))
        object.__setattr__(self, "rpc_methods", methods)

    def refuse(self, exchange: Exchange) -> Skip | None:
        """Return why this exchange must not be sent, or ``None`` when it may."""
        if exchange.side is not self.side:
            return Skip.OTHER_SIDE
        if not exchange.method or not exchange.path.startswith("/") or exchange.method == "CONNECT":
            return Skip.UNREADABLE
        if any(name == "upgrade" for name, _ in exchange.request.headers):
            return Skip.UNREADABLE
        if not self._is_allowed(exchange):
            return Skip.SIDE_EFFECTS
        if exchange.request.truncated:
            return Skip.TRUNCATED
        return None

    def _is_allowed(self, exchange: Exchange) -> bool:
        if self.waiver is not None:
            return True
        if exchange.is_grpc:
            return exchange.path.partition("?")[0].removeprefix("/") in self.rpc_methods
        return exchange.method in SAFE_METHODS
