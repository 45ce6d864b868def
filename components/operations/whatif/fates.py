"""What became of a request in one state."""

from dataclasses import dataclass

from ..recording.exchange import Headers, value_of
from .routes import RouteFacts


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrival:
    """A request as a cluster gets it, by the primary's way or as a copy.

    Attributes:
        cluster: Name of the cluster.
        method: Its method.
        path: Its path with its query.
        headers: Its headers, the host among them.
        size: Bytes of its body.
    """

    cluster: str
    method: str
    path: str
    headers: Headers
    size: int = 0

    @property
    def host(self) -> str:
        """Its host."""
        return value_of(self.headers, "host") or ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of a request at one door in one state.

    Attributes:
        route: Index of the route that it took; None where it took none.
        details: Envoy's own word for how the answer came about, e.g. ``via_upstream`` or ``route_not_found``.
        status: Status of the answer.
        headers: Headers of the answer.
        body: First bytes of what the proxy itself answered.
        primary: How it arrived; None where the proxy answered itself.
        copies: The copies of it.
    """

    route: int | None
    details: str
    status: int
    headers: Headers = ()
    body: bytes = b""
    primary: Arrival | None = None
    copies: tuple[Arrival, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Fate:
    """What became of a request in one state, with the route that it took.

    Attributes:
        outcome: What became of it; None where no proxy listens at its door.
        route: The route; None where it took none.
        beside: Whether its door is a sidecar's, which lets by, or stops, what it has no listener for.
    """

    outcome: Outcome | None
    route: RouteFacts | None
    beside: bool = False
