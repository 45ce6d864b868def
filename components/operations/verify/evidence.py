"""What can be seen of copies: log lines of those who got them, counters of the proxy that sent them.

Everything here is pure: it reads text that others fetched.
"""

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from ...model.credentials import CREDENTIAL_HEADERS
from ...model.safety import SET_BY_PROXIES

PRIMARY = "primary"
"""Name of the one that answers, among the names of mirrors."""


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
    """Lines on which a header arrived that should have been taken off, by its name."""

    marks: Mapping[str, int] = field(default_factory=dict[str, int])
    """Lines by the value of the mark header; the empty text stands for no mark."""

    @classmethod
    def of(
        cls,
        lines: Iterable[str],
        *,
        run_id: str,
        method: str = "SayHello",
        removed: Collection[str] = CREDENTIAL_HEADERS,
    ) -> "Arrivals":
        """Count the run's calls in the log of a greeter.

        Args:
            lines: Lines of the log; those that are no call of the run are skipped.
            run_id: The run's tag.
            method: Method that counts. Reflection and health calls are mirrored too and do not.
            removed: Headers that must not arrive, names in lower case. Those that proxies on the way set themselves
                are not held against anybody: their value is not the client's.
        """
        unwanted = frozenset(removed) - SET_BY_PROXIES
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
            arrived = (str(name) for name in cast("list[object]", entry.get("headers") or []))
            credentials.update(unwanted.intersection(arrived))
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
    """Requests that timed out; :attr:`error` counts them too."""

    unanswered: int = 0
    """Requests that were sent, neither succeeded nor failed, and are not in flight: ended without an answer, as by
    ``max_stream_duration``, which is in none of the counters of errors (measured)."""

    connect_failures: int = 0
    """Connections that could not be made."""

    def since(self, before: "ProxyCounters") -> "ProxyCounters":
        """Return what came since ``before``; gauges (endpoints, ejected, active) are those of now."""
        # What was in flight before is no longer missing once it is answered, so only the difference counts.
        return replace(self, **{name: max(0, getattr(self, name) - getattr(before, name)) for name in COUNTERS})

    def with_earlier(self, earlier: "ProxyCounters") -> "ProxyCounters":
        """Return both times together; gauges are those of now."""
        return replace(self, **{name: getattr(self, name) + getattr(earlier, name) for name in COUNTERS})


COUNTERS = ("total", "success", "error", "timeout", "unanswered", "connect_failures")
"""Fields of :class:`ProxyCounters` whose growth counts."""

_FIELD_OF = {
    "rq_total": "total",
    "rq_success": "success",
    "rq_error": "error",
    "rq_active": "active",
    "rq_timeout": "timeout",
    "cx_connect_fail": "connect_failures",
}


def read_clusters_page(pages: Iterable[str], *clusters: str) -> ProxyCounters:
    """Read the counters of a cluster, or of several together, from Envoy's admin page ``/clusters``.

    Args:
        pages: The page of each proxy.
        clusters: Names of the clusters, e.g. ``"outbound|8000||greeter.testing.example"``.
    """
    known, ejected = False, 0
    endpoints: set[str] = set()
    sums: Counter[str] = Counter()
    for line in "\n".join(pages).splitlines():
        # cluster::endpoint::name::value; an IPv6 endpoint may itself contain "::", so split from both ends.
        name, _, rest = line.partition("::")
        parts = rest.rsplit("::", 2)
        if name not in clusters:
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
    # Not cut off at 0: failures that were never sent, as of connects, would hide what comes later.
    sums["unanswered"] = sums["total"] - sums["success"] - sums["error"] - sums["active"]
    return ProxyCounters(known=known, endpoints=len(endpoints), ejected=ejected, **sums)


_REJECTS = re.compile(r"^pilot_total_xds_rejects(?:\{[^}]*\})? (?P<count>\S+)$", re.MULTILINE)


def read_rejects(metrics: Iterable[str]) -> int:
    """Return how many configurations proxies have refused, from istiod's metrics.

    Args:
        metrics: Prometheus text of each istiod.
    """
    return sum(int(float(found["count"])) for text in metrics for found in _REJECTS.finditer(text))
