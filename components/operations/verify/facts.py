"""What was wanted of one mirror and what was seen of it, from both clusters: the input of a diagnosis."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum, unique

from ..calls import CallSummary
from .evidence import Arrivals, ProxyCounters
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
class Refusal:
    """A proxy that did not accept the last configuration that it was sent, and keeps the one before."""

    proxy: str
    """Whose it is, as a noun, e.g. ``"the sending proxy"`` or ``"the sidecar greeter-v1-x.hello of staging"``."""

    kinds: tuple[str, ...]
    """Kinds of configuration, e.g. ``("cluster",)``."""

    filters: tuple[str, ...] = ()
    """EnvoyFilters that istiod's words lead to, as ``namespace/name``; none where they name nothing of theirs."""

    words: str = ""
    """What the proxy said about it, by istiod's log; empty where that is not known."""

    in_listeners: bool = False
    """Whether its routes are written in its listeners, as those of a waypoint are."""

    @property
    def frozen(self) -> bool:
        """Whether it keeps its routes as they were, so that nobody's changes of them arrive."""
        return "route" in self.kinds or (self.in_listeners and "listener" in self.kinds)


@dataclass(frozen=True, kw_only=True)
class Hung:
    """How an EnvoyFilter hangs a mirror on routes of others."""

    source: str
    """The EnvoyFilter, for people."""

    header: str = ""
    """Header that names its cluster; empty where the policy names it."""

    routes: frozenset[str] = frozenset()
    """Names of the proxy's routes that it hangs on; empty for all that forward."""


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

    rewrite: str = ""
    """Authority that its route gives to primary and copies instead of the client's; empty where it is kept."""

    max_duration_seconds: float = 0.0
    """Bound on a copy's life that the sending proxy must have; 0 where none is promised or it is not known."""

    max_requests: int = 0
    """Bound on copies in flight that it must have; 0 like :attr:`max_duration_seconds`."""

    receiver: str = ""
    """Name of the cluster that gets the copies; empty where that is not known."""

    hung: Hung | None = None
    """How it hangs on the routes; None where they have it themselves."""


@dataclass(frozen=True, kw_only=True)
class Witness:
    """Requests of one kind that must not be copied, and what came of them."""

    kind: str
    """What they are, e.g. ``"marked"``."""

    calls: int
    """How many were made; 0 where only the proxy's route was asked."""

    copies: int | None
    """How many arrived at the mirror; None where it cannot be told, because others called it meanwhile."""


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

    earlier_unrouted: int = 0
    """Like :attr:`unrouted`, in a warm-up before the run: refused copies make a proxy stop sending."""

    earlier_stopped: Mapping[str, int] = field(default_factory=dict[str, int])
    """Like :attr:`stopped`, in a warm-up before the run."""

    passed_on: int | None = None
    """Requests that it passed on meanwhile, by its counters; None where these are not known."""

    addresses: frozenset[str] = frozenset()
    """Addresses by which it is reached."""


@dataclass(frozen=True, kw_only=True)
class PrimaryFacts:
    """What is known of the primary during one run."""

    calls: CallSummary
    """What the client saw."""

    version: str = ""
    """Version that must answer every call; empty where that is not known, or several may."""

    arrivals: Arrivals | None = None
    """What it logged; None when its log names no calls."""

    logs_calls: bool = False
    """Whether its log must name them."""

    unreached: str = ""
    """The gateway's address where no connection to it can be made; empty otherwise."""


@dataclass(frozen=True, kw_only=True)
class MirrorFacts:
    """Everything that is known of one mirror during one run."""

    wanted: Wanted
    calls: int
    """Requests of which copies were due."""

    copies: int
    """Copies that arrived, by :attr:`source`."""

    at_most: bool = False
    """Whether copies were due of an unknown part of :attr:`calls` only, so that too few cannot be told."""

    source: Source = Source.APPLICATION
    slack: int = 0
    """Copies that may have been under way while they were counted."""

    refused: tuple[Refusal, ...] = ()
    """Proxies on the way of the copies that did not accept their last configuration."""

    refusals: int = 0
    """Configurations that proxies of the sending cluster have refused since istiod started."""

    refusals_known: bool = True
    """Whether the control planes on the way could be asked for them."""

    route_known: bool = False
    """Whether the proxy's routes could be read."""

    route: RouteView | None = None
    """The route that takes the calls; None when none does, or when it is not known."""

    owner: str = ""
    """Object whose route should take them, as in :attr:`RouteView.owner`; empty where that is not known."""

    proxies: int = 0
    """Sending proxies whose configuration was read."""

    sidecars_without: tuple[str, ...] = ()
    """Sidecars that take calls of the mesh for the mirror's route and have no mirror there, as ``pod.namespace``."""

    sidecars_unbraked: tuple[str, ...] = ()
    """Sidecars that copy to the mirror without a bound on a copy's life, though one is promised."""

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

    coverage: tuple[int, int] | None = None
    """Of an overlay: how many routes of the calls' host carry the mirror, and how many should; of several proxies the
    worst. None where it is not known."""

    witnesses: tuple[Witness, ...] = ()
    """Requests of which it must get no copy, made beside the calls."""

    receiver: Receiver | None = None
    """The other cluster's gateway; None for a mirror inside the cluster, or when it is not known."""

    arrivals: Arrivals | None = None
    """What the application logged; None when its log names no calls."""
