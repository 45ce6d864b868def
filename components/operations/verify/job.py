"""What to verify: the clusters, the calls, and what is expected of the mirrors."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from ...model import HeaderName, IstioBehaviour, JsonObject, ValidationError
from ...model.checks import bounded, whole
from ..calls import MAX_CALLS, CallJob
from ..kube import ClusterAccess
from .http_call import HttpCall
from .request import Request

DAY_SECONDS: Final = 86_400.0
"""Longest time of watching: counters of proxies that restart meanwhile begin anew."""

MAX_RATE: Final = 100_000.0
"""Highest rate; one process makes a few thousand calls a second."""


@dataclass(frozen=True, kw_only=True)
class VerifyJob:
    """What to verify.

    Raises:
        ValidationError: A value is out of its range.
    """

    staging: ClusterAccess
    """The cluster that owns the traffic."""

    receiving: tuple[ClusterAccess, ...] = ()
    """Clusters that get copies, each under a name of its own; none to verify mirrors inside the first one only."""

    host: str = ""
    """Authority to call, without port; empty when one host only is mirrored."""

    address: str = ""
    """``host:port`` of the gateway; empty for its load balancer's."""

    calls: int = 200
    """Calls to make, 1 to 1,000,000; ignored when watching."""

    watch_seconds: float = 0.0
    """How long to watch the traffic that there is instead of making calls, at most a day; 0 to make calls."""

    rpc: str = "helloworld.Greeter/SayHello"
    """gRPC method to call; its request has a text as field 1."""

    http: HttpCall | None = None
    """What to request by plain HTTP instead."""

    headers: tuple[tuple[str, str], ...] = ()
    """Further headers that entries of the route ask for; names in lower case."""

    calls_per_second: float = 0.0
    """Rate at which calls start, 0 to 100,000; 0 means as fast as they are answered."""

    concurrency: int = 8
    """Calls in flight at most."""

    version: str = ""
    """Version that must answer every call, by a log that names each; empty for that of the primary's pods, if any."""

    patience_seconds: float = 0.0
    """How long to wait, before the first call, until the sending proxies copy the shares that are wanted."""

    warm_up_seconds: float = 0.0
    """How long to call, before the calls that count, until primary and mirrors work; 0 for not at all."""

    posts: bool = False
    """Whether plain HTTP requests that must not be copied are also posted, which the primary acts on."""

    expected: Mapping[str, float] = field(default_factory=dict[str, float])
    """Shares that mirrors must have, in per cent by name; others are held against what the routes say."""

    istio: Mapping[str, str] = field(default_factory=dict[str, str])
    """Releases of istiod by cluster, the empty name for all that have no other; without one it is read from istiod's
    Deployment, and a managed mesh has none. ``1.28.3-asm.4`` is managed Cloud Service Mesh."""

    def __post_init__(self) -> None:
        for release in self.istio.values():
            IstioBehaviour.of_release(release, field="istio")
        whole(self.calls, "calls", 1, MAX_CALLS)
        bounded(self.watch_seconds, "watch_seconds", 0, DAY_SECONDS, "seconds")
        bounded(self.calls_per_second, "calls_per_second", 0, MAX_RATE, "calls per second")
        for name, value in self.headers:
            _check_header(name, value)
        if self.posts and self.http is None:
            raise ValidationError(
                field="posts",
                value=True,
                rule="needs a path: gRPC calls are posts anyway",
                remedy="Name a path whose posts do no harm with --path, or leave --posts out",
            )
        host, _, port = self.address.rpartition(":")
        if self.address and not (host and port.isdecimal()):
            raise ValidationError(
                field="address",
                value=self.address,
                rule="must be HOST:PORT",
                remedy="Write for example 127.0.0.1:8000, or [::1]:8000",
            )

    def behaviour(self, cluster: str) -> IstioBehaviour | None:
        """What was declared of a cluster's control plane; None for nothing."""
        release = self.istio.get(cluster) or self.istio.get("")
        return IstioBehaviour.of_release(release, field="istio") if release else None

    @property
    def request(self) -> Request:
        """The call as routes see it."""
        if self.http is not None:
            return Request(authority=self.host, path=self.http.path, method=self.http.method, headers=self.headers)
        return Request(authority=self.host, path=f"/{self.rpc}", headers=self.headers)

    def calls_to(self, address: str, authority: str, run_id: str) -> CallJob:
        """The calls that count.

        Args:
            address: ``host:port`` of the gateway.
            authority: Authority of the calls.
            run_id: Their tag.
        """
        return CallJob(
            address=address,
            authority=authority,
            run_id=run_id,
            count=self.calls,
            rpc=self.rpc,
            concurrency=self.concurrency,
            calls_per_second=self.calls_per_second,
            headers=dict(self.headers),
        )

    def to_json(self) -> JsonObject:
        """The job for a child process."""
        return asdict(self)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "VerifyJob":
        """Read what :meth:`to_json` wrote."""
        read: dict[str, Any] = {
            **raw,
            "staging": ClusterAccess(**raw["staging"]),
            "receiving": tuple(ClusterAccess(**access) for access in raw["receiving"]),
            "http": HttpCall(**raw["http"]) if raw["http"] else None,
            "headers": tuple((name, value) for name, value in raw["headers"]),
        }
        return cls(**read)


def _check_header(name: str, value: str) -> None:
    HeaderName(name, field="headers")
    if name.endswith("-bin") or not (value.isascii() and value.isprintable()):
        raise ValidationError(
            field="headers",
            value=name,
            rule="must have a value of printable ASCII characters, and be no binary one of gRPC (-bin)",
            remedy="Choose another header; its value is not shown here, as it may be a credential",
        )
