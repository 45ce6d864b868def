"""Why a mirror did not get its share: the most likely cause that the evidence allows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .evidence import Arrivals, Evidence, ProxyCounters

NO_ROUTE_ANSWERS = ("404", "route_not_found")
"""Parts of an access-log answer that say that a gateway had no route."""


@dataclass(frozen=True, kw_only=True)
class MirrorPlan:
    """What one mirror should get."""

    name: str
    """Name of the mirror, e.g. ``"cross-cluster"``; the key of its evidence."""

    label: str
    """Who gets the copies, e.g. ``"greeter v2"``."""

    percent: float
    """Share of the calls, 0 to 100."""

    authorities: tuple[str, ...]
    """Authorities that copies may carry: the clients' own, and its suffixed form where that is possible."""

    sender_cluster: str
    """Role of the cluster whose proxy sends the copies, e.g. ``"staging"``."""

    receiver_cluster: str
    """Role of the cluster that gets them: the same for a mirror inside a cluster."""

    mark: str = "mirror"
    """Value of the mark header on a copy."""

    is_scrubbed: bool = True
    """Whether copies are free of credentials and marked; False only where that was waived."""

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "MirrorPlan":
        """Read what :func:`dataclasses.asdict` wrote."""
        return replace(cls(**raw), authorities=tuple(raw["authorities"]))


def likely_cause(plan: MirrorPlan, calls: int, arrivals: Arrivals, evidence: Evidence) -> str:
    """Return the most likely cause of a wrong count, as a clause.

    Args:
        plan: What the mirror should get.
        calls: Calls that the client made.
        arrivals: What it got.
        evidence: Everything that was seen.
    """
    return next(_causes(plan, calls, arrivals, evidence))


def _causes(plan: MirrorPlan, calls: int, arrivals: Arrivals, evidence: Evidence) -> Iterator[str]:
    """Yield causes, the surest first; the last one always comes."""
    expected = calls * plan.percent / 100
    if arrivals.calls > expected:
        yield "more than its share is copied: the percentage in the proxy's route is higher than planned"
    rejects = evidence.rejects.get(plan.sender_cluster, 0)
    proxy = evidence.proxies.get(plan.name)
    if proxy is not None and not proxy.known:
        yield _with_rejects("the sending proxy has no cluster for the mirror: host, port or subset is unknown", rejects)
    if proxy is not None:
        yield from _sender_causes(proxy, rejects)
    yield from _receiver_causes(plan, arrivals, evidence)
    if proxy is not None and proxy.total and not arrivals.calls:
        yield (
            "copies leave the sending proxy and nobody logs them: the receiving side answers 404 or grpc-status 12, "
            f"so it has no route for {' or '.join(plan.authorities)}"
        )
    if rejects:
        yield f"proxies refused {rejects:,} configurations, so what they do may be old"
    if not arrivals.calls:
        yield "no copy arrives at all, and there is no more evidence"
    yield "copies are lost on the way, or the percentage in the proxy's route is lower than planned"


def _sender_causes(proxy: ProxyCounters, rejects: int) -> Iterator[str]:
    if proxy.connect_failures:
        yield f"the sending proxy cannot connect to the mirror ({proxy.connect_failures:,} failures)"
    if proxy.known and not proxy.endpoints:
        yield "the mirror has no endpoint: no ready pod, or its name does not resolve"
    if proxy.total == 0:
        yield _with_rejects("the sending proxy sends no copy: its route has no mirror policy, or 0 %", rejects)
    if proxy.ejected:
        yield f"outlier detection has taken out {proxy.ejected:,} of {proxy.endpoints:,} endpoints of the mirror"
    if proxy.timeout or proxy.active:
        yield f"the mirror does not answer in time ({proxy.timeout:,} time-outs, {proxy.active:,} copies in flight)"
    if proxy.error:
        yield f"the mirror answers with server errors or ends the connection ({proxy.error:,} copies)"


def _receiver_causes(plan: MirrorPlan, arrivals: Arrivals, evidence: Evidence) -> Iterator[str]:
    answers = evidence.gateway_answers.get(plan.name, {})
    refused = {what: n for what, n in answers.items() if any(part in what for part in NO_ROUTE_ANSWERS)}
    if refused:
        yield (
            f"the receiving gateway has no route for {sum(refused.values()):,} copies ({next(iter(refused))}): "
            f"it must accept {' and '.join(plan.authorities)}"
        )
    delivered = sum(answers.values()) - sum(refused.values())
    if delivered > arrivals.calls:
        yield (
            f"the receiving gateway passed {delivered:,} copies on and the workload logged {arrivals.calls:,}: "
            f"it answers {', '.join(answers)}"
        )


def _with_rejects(cause: str, rejects: int) -> str:
    return f"{cause} (proxies refused {rejects:,} configurations)" if rejects else cause
