"""What can be seen of copies: log lines of those who got them, counters of the proxy that sent them.

Everything here is pure: it reads text that :mod:`.witness` fetched.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, cast

from ..model import JsonObject
from .verify.access_log import of_run, read_access_log

PRIMARY = "primary"
"""Name of the workload that answers in :attr:`Evidence.arrivals`."""


@dataclass(frozen=True, kw_only=True)
class Arrivals:
    """Calls of one run that a workload logged."""

    calls: int = 0
    """Different calls of the run."""

    repeats: int = 0
    """Lines beyond the first of a call: the call arrived more than once."""

    authorities: Mapping[str, int] = field(default_factory=dict[str, int])
    """Lines by the authority that the workload saw."""

    credentials: Mapping[str, int] = field(default_factory=dict[str, int])
    """Lines on which a credential header arrived, by its name."""

    marks: Mapping[str, int] = field(default_factory=dict[str, int])
    """Lines by the value of the mark header; the empty text stands for no mark."""

    @classmethod
    def of(cls, lines: Iterable[str], *, run_id: str, method: str = "SayHello") -> "Arrivals":
        """Count the run's calls in the log of a greeter.

        Args:
            lines: Lines of the log; those that are no call of the run are skipped.
            run_id: The run's tag.
            method: Method that counts. Reflection and health calls are mirrored too and do not.
        """
        calls: Counter[str] = Counter()
        authorities: Counter[str] = Counter()
        credentials: Counter[str] = Counter()
        marks: Counter[str] = Counter()
        for line in lines:
            entry = _json_line(line)
            name = str(entry.get("name", ""))
            if entry.get("event") != "call" or entry.get("method") != method or not name.startswith(f"{run_id}-"):
                continue
            calls[name] += 1
            authorities[str(entry.get("authority") or "")] += 1
            marks[str(entry.get("mark") or "")] += 1
            credentials.update(str(header) for header in cast("list[object]", entry.get("credentials") or []))
        return cls(
            calls=len(calls),
            repeats=calls.total() - len(calls),
            authorities=dict(authorities.most_common()),
            credentials=dict(sorted(credentials.items())),
            marks=dict(marks.most_common()),
        )


def _json_line(line: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return cast("dict[str, Any]", entry) if isinstance(entry, dict) else {}


@dataclass(frozen=True, kw_only=True)
class ProxyCounters:
    """What a proxy says about one of its upstream clusters, summed over endpoints and proxies.

    Source: Envoy's admin page ``/clusters``.
    """

    known: bool = False
    """Whether the proxy has the cluster at all."""

    endpoints: int = 0
    """Endpoints that the cluster has."""

    ejected: int = 0
    """Endpoints that outlier detection has taken out."""

    total: int = 0
    """Requests sent."""

    success: int = 0
    """Requests answered without a server error. gRPC errors are HTTP 200, so they count here."""

    error: int = 0
    """Requests that failed or got a server error."""

    active: int = 0
    """Requests in flight."""

    timeout: int = 0
    """Requests that timed out."""

    connect_failures: int = 0
    """Connections that could not be made."""

    def since(self, before: "ProxyCounters") -> "ProxyCounters":
        """Return what came since ``before``; gauges (endpoints, ejected, active) are those of now."""
        return replace(self, **{name: max(0, getattr(self, name) - getattr(before, name)) for name in COUNTERS})

    def with_earlier(self, earlier: "ProxyCounters") -> "ProxyCounters":
        """Return both times together; gauges are those of now."""
        return replace(self, **{name: getattr(self, name) + getattr(earlier, name) for name in COUNTERS})


COUNTERS = ("total", "success", "error", "timeout", "connect_failures")
"""Fields of :class:`ProxyCounters` that only grow."""

_FIELD_OF = {
    "rq_total": "total",
    "rq_success": "success",
    "rq_error": "error",
    "rq_active": "active",
    "rq_timeout": "timeout",
    "cx_connect_fail": "connect_failures",
}


def read_clusters_page(pages: Iterable[str], cluster: str) -> ProxyCounters:
    """Read one cluster's counters from Envoy's admin page ``/clusters``.

    Args:
        pages: The page of each proxy.
        cluster: Name of the cluster, e.g. ``"outbound|8000||greeter.testing.example"``.
    """
    known, ejected = False, 0
    endpoints: set[str] = set()
    sums: Counter[str] = Counter()
    for line in "\n".join(pages).splitlines():
        # cluster::endpoint::name::value; an IPv6 endpoint may itself contain "::", so split from both ends.
        name, _, rest = line.partition("::")
        parts = rest.rsplit("::", 2)
        if name != cluster:
            continue
        known = True
        if len(parts) < 3:  # noqa: PLR2004 -- lines about the cluster itself have no endpoint
            continue
        endpoint, key, value = parts
        if key in _FIELD_OF and value.isdigit():
            endpoints.add(endpoint)
            sums[_FIELD_OF[key]] += int(value)
        elif key == "health_flags":
            ejected += "failed_outlier_check" in value
    return ProxyCounters(known=known, endpoints=len(endpoints), ejected=ejected, **sums)


_REJECTS = re.compile(r"^pilot_total_xds_rejects(?:\{[^}]*\})? (?P<count>\S+)$", re.MULTILINE)


def read_rejects(metrics: Iterable[str]) -> int:
    """Return how many configurations proxies have refused, from istiod's metrics.

    Args:
        metrics: Prometheus text of each istiod.
    """
    return sum(int(float(found["count"])) for text in metrics for found in _REJECTS.finditer(text))


def read_gateway_log(lines: Iterable[str], run_ids: Sequence[str]) -> dict[str, int]:
    """Count the requests of runs in an Envoy access log of Istio's default format by answer.

    Args:
        lines: Lines of the log.
        run_ids: The runs' tags, which are the user agents of their calls.

    Returns:
        Requests by ``"<code> <response code details>"``, e.g. ``"200 via_upstream"`` or ``"404 route_not_found"``.
        An error that Envoy itself gives to a gRPC call has code 200, so only the details tell.
    """
    requests = list(read_access_log(lines))
    return dict(Counter(line.answer for run_id in run_ids for line in of_run(requests, run_id)).most_common())


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All that was seen of one run."""

    arrivals: Mapping[str, Arrivals]
    """What each workload logged, by the name that the plan gives it; ``"primary"`` is the one that answers."""

    proxies: Mapping[str, ProxyCounters] = field(default_factory=dict[str, ProxyCounters])
    """What the sending proxy counted during the run, by mirror; none where it could not be asked."""

    gateway_answers: Mapping[str, Mapping[str, int]] = field(default_factory=dict[str, Mapping[str, int]])
    """What the receiving gateway answered to copies, by mirror; none where it keeps no access log."""

    warm_up_proxies: Mapping[str, ProxyCounters] = field(default_factory=dict[str, ProxyCounters])
    """Like :attr:`proxies`, of the warm-up before the run: a proxy that meets errors soon sends nothing more."""

    warm_up_answers: Mapping[str, Mapping[str, int]] = field(default_factory=dict[str, Mapping[str, int]])
    """Like :attr:`gateway_answers`, of the warm-up before the run."""

    rejects: Mapping[str, int] = field(default_factory=dict[str, int])
    """Configurations that proxies refused since istiod started, by cluster."""

    gaps: tuple[str, ...] = ()
    """What could not be read, and why; it may have explained a failure."""

    def to_json(self) -> JsonObject:
        """Return the evidence as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "Evidence":
        """Read what :meth:`to_json` wrote."""
        return cls(
            arrivals={name: Arrivals(**value) for name, value in raw["arrivals"].items()},
            proxies={name: ProxyCounters(**value) for name, value in raw["proxies"].items()},
            gateway_answers=raw["gateway_answers"],
            warm_up_proxies={name: ProxyCounters(**value) for name, value in raw["warm_up_proxies"].items()},
            warm_up_answers=raw["warm_up_answers"],
            rejects=raw["rejects"],
            gaps=tuple(raw["gaps"]),
        )
