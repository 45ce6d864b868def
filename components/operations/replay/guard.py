"""What may be sent again: calls without side effects, and what somebody has vouched for."""

from collections import OrderedDict
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
    OTHER_SOURCE = "other source"
    """Another recorder than the chosen one saw it."""
    SEEN_TWICE = "seen by another recorder too"
    """A recorder elsewhere on its way saw the same request, which is sent already."""
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
        source: Which recorder's requests are sent; ``None`` for all, each request once.

    Raises:
        ValidationError: A method is malformed.
    """

    rpc_methods: Sequence[str] = ()
    waiver: Waiver | None = None
    side: Side = Side.PRIMARY
    source: str | None = None

    def __post_init__(self) -> None:
        methods = tuple(RpcMethod(one, field=f"rpc_methods[{i}]") for i, one in enumerate(self.rpc_methods))
        object.__setattr__(self, "rpc_methods", methods)

    def refuse(self, exchange: Exchange) -> Skip | None:
        """Return why this exchange must not be sent, or ``None`` when it may."""
        if exchange.side is not self.side:
            return Skip.OTHER_SIDE
        if self.source is not None and exchange.source != self.source:
            return Skip.OTHER_SOURCE
        if not _is_request(exchange):
            return Skip.UNREADABLE
        if not self._is_allowed(exchange):
            return Skip.SIDE_EFFECTS
        if exchange.request.truncated:
            return Skip.TRUNCATED
        return None

    def _is_allowed(self, exchange: Exchange) -> bool:
        if self.waiver is not None:
            return True
        return self.names(exchange) if exchange.is_grpc else exchange.method in SAFE_METHODS

    def names(self, exchange: Exchange) -> bool:
        """Tell whether it calls one of the gRPC methods that may be called again."""
        return exchange.is_grpc and exchange.path.partition("?")[0].removeprefix("/") in self.rpc_methods


def _is_request(exchange: Exchange) -> bool:
    if not exchange.method or not exchange.path.startswith("/") or exchange.method == "CONNECT":
        return False
    return all(name != "upgrade" for name, _ in exchange.request.headers)


class Sightings:
    """Which recorder saw a request first; others saw the same one on its way, and not another.

    A recorder that sees one identifier twice saw two requests: a retry, or one that fans out.
    """

    def __init__(self, *, limit: int = 65_536) -> None:
        """Prepare.

        Args:
            limit: Requests remembered; the recorders see one within seconds, so older ones are no use.
        """
        self._limit = limit
        self._sources: OrderedDict[str, str] = OrderedDict()

    def is_repeated(self, exchange: Exchange) -> bool:
        """Tell whether another recorder's sighting of this request came before."""
        if not exchange.request_id:
            return False
        first = self._sources.setdefault(exchange.request_id, exchange.source)
        if len(self._sources) > self._limit:
            self._sources.popitem(last=False)
        return first != exchange.source
