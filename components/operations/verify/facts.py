"""What was wanted of one mirror and what was seen of it, from both clusters: the input of a diagnosis."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum, unique

from ..evidence import Arrivals, ProxyCounters
from .proxy import ClusterView, RouteView


@unique
class Source(StrEnum):
    """Where the number of copies comes from, the best first."""

    APPLICATION = "log of the application"
    """Names each call, so that repeats, marks and credentials are seen too."""
    GATEWAY = "access log of the receiving gateway"
    """Names each call of a run by its user agent."""
    COUNTERS = "counters of the sending proxy"
    """All copies of the time, whoever called."""
    NONE = "nothing"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the routes in the sending cluster say about one mirror."""

    name: str
    """Its name, unique in a report."""

    cluster: str
    """Name that its cluster has in proxies, e.g. ``"outbound|8000||greeter.testing.example"``; empty if not known."""

    percent: float
    """Share of the calls, 0 to 100."""

    across: bool
    """Whether it leads to another cluster."""

    grpc: bool = True
    """Whether calls are gRPC, which needs HTTP/2."""

    mark: tuple[str, str] | None = ("x-traffic-mirror", "mirror")
    """Name and value of the header that copies carry; None where that was waived or is not known."""

    removed: frozenset[str] = frozenset()
    """Headers that copies must not carry."""


@dataclass(frozen=True, kw_only=True)
class Receiver:
    """What is known of the gateway that copies should reach."""

    accepted: tuple[str, ...] = ()
    """Hosts that its routes take where copies come in; they count where :attr:`routes_known`."""

    routes_known: bool = False
    """Whether its routes could be read."""

    answers: Mapping[str, int] | None = None
    """Copies by answer, e.g. ``"200 via_upstream"``; None where it keeps no access log."""

    unrouted: int = 0
    """Copies that no route took."""

    stopped: Mapping[str, int] = field(default_factory=dict[str, int])
    """Copies that a route took and no application answered, by answer, e.g. ``"503 no_healthy_upstream"``."""

    passed_on: int | None = None
    """Requests that it passed on meanwhile, by its counters; None where these are not known."""

    addresses: frozenset[str] = frozenset()
    """Addresses by which it is reached."""


@dataclass(frozen=True, kw_only=True)
class MirrorFacts:
    """Everything that is known of one mirror during one run."""

    wanted: Wanted
    calls: int
    """Requests of which copies were due."""

    copies: int
    """Copies that arrived, by :attr:`source`."""

    source: Source = Source.APPLICATION
    slack: int = 0
    """Copies that may have been under way while they were counted."""

    refused: tuple[str, ...] = ()
    """Kinds of configuration whose last version the sending proxy did not accept, e.g. ``("cluster",)``."""

    refusals: int = 0
    """Configurations that proxies of the sending cluster have refused since istiod started."""

    route_known: bool = False
    """Whether the proxy's routes could be read."""

    route: RouteView | None = None
    """The route that takes the calls; None when none does, or when it is not known."""

    cluster: ClusterView | None = None
    """How the proxy reaches the mirror; None when it has no such cluster, or when it is not known."""

    counters: ProxyCounters | None = None
    """What the proxy counted during the run; None when it could not be asked."""

    earlier: ProxyCounters = field(default_factory=ProxyCounters)
    """What the proxy counted in a warm-up before the run: one that meets errors soon sends nothing more."""

    peak: int = 0
    """Most copies that were seen in flight after the calls."""

    endpoints: tuple[str, ...] = ()
    """Addresses of the mirror in the proxy, with port."""

    obstacles: tuple[str, ...] = ()
    """Why TLS cannot work, if anything speaks against it."""

    authority: str = ""
    """Authority of the calls."""

    receiver: Receiver | None = None
    """The other cluster's gateway; None for a mirror inside the cluster, or when it is not known."""

    arrivals: Arrivals | None = None
    """What the application logged; None when its log names no calls."""
