"""Why a mirror did not get its share: the most likely cause that the evidence allows."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .evidence import Arrivals, Evidence, ProxyCounters

DELIVERED = "via_upstream"
"""Details of an answer that came from behind a gateway. Source: Envoy's response code details."""

NO_ROUTE = "route_not_found"
"""Details of a gateway's own answer when it has no route."""


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
    if arrivals.calls > calls * plan.percent / 100:
        return "more than its share is copied: the percentage in the proxy's route is higher than planned"
    return next(_causes(plan, arrivals, evidence))


def _causes(plan: MirrorPlan, arrivals: Arrivals, evidence: Evidence) -> Iterator[str]:
    """Yield causes, the surest first; the last one always comes."""
    rejects = evidence.rejects.get(plan.sender_cluster, 0)
    refused = f" (proxies refused {rejects:,} configurations)" if rejects else ""
    now = evidence.proxies.get(plan.name)
    if now is not None:
        earlier = evidence.warm_up_proxies.get(plan.name, ProxyCounters())
        yield from _way_causes(now.with_earlier(earlier), refused)
        yield from _receiver_causes(plan, arrivals, evidence)
        yield from _sender_causes(now, earlier, refused)
    else:
        yield from _receiver_causes(plan, arrivals, evidence)
    if now is not None and now.total and not arrivals.calls:
        yield (
            "copies leave the sending proxy and nobody logs them: the receiving side answers 404 or grpc-status 12, "
            f"so it has no route for {' or '.join(plan.authorities)}"
        )
    if rejects:
        yield f"proxies refused {rejects:,} configurations, so what they do may be old"
    if not arrivals.calls:
        yield "no copy arrives at all, and there is no more evidence"
    yield "copies are lost on the way, or the percentage in the proxy's route is lower than planned"


def _way_causes(proxy: ProxyCounters, refused: str) -> Iterator[str]:
    """Yield what keeps copies from reaching the receiving side."""
    if not proxy.known:
        yield f"the sending proxy has no cluster for the mirror: host, port or subset is unknown{refused}"
    if proxy.known and not proxy.endpoints:
        yield "the mirror has no endpoint: no ready pod, or its name does not resolve"
    if proxy.connect_failures:
        yield f"the sending proxy cannot connect to the mirror ({proxy.connect_failures:,} failures)"


def _receiver_causes(plan: MirrorPlan, arrivals: Arrivals, evidence: Evidence) -> Iterator[str]:
    """Yield what the receiving gateway says about copies."""
    answers = Counter(evidence.gateway_answers.get(plan.name, {}))
    delivered = sum(count for answer, count in answers.items() if answer.endswith(DELIVERED))
    answers.update(evidence.warm_up_answers.get(plan.name, {}))
    failed = Counter({answer: count for answer, count in answers.items() if not answer.endswith(DELIVERED)})
    if any(NO_ROUTE in answer for answer in failed):
        count = sum(count for answer, count in failed.items() if NO_ROUTE in answer)
        yield (
            f"the receiving gateway has no route for the copies ({count:,} times {NO_ROUTE}): "
            f"it must accept {' and '.join(plan.authorities)}"
        )
    if failed:
        answer, count = failed.most_common(1)[0]
        yield f"the receiving gateway cannot deliver the copies ({count:,} times {answer})"
    if delivered > arrivals.calls:
        yield f"the receiving gateway delivered {delivered:,} copies and the workload logged {arrivals.calls:,}"


def _sender_causes(now: ProxyCounters, earlier: ProxyCounters, refused: str) -> Iterator[str]:
    """Yield what the sending proxy says about copies that it sent, or did not send."""
    both = now.with_earlier(earlier)
    if both.total == 0:
        yield f"the sending proxy sends no copy: its route has no mirror policy, or 0 %{refused}"
    if now.ejected or (now.total == 0 and earlier.total):
        yield (
            "the sending proxy has stopped sending: outlier detection took the mirror out after errors "
            f"({both.error:,} of {both.total:,} copies failed)"
        )
    if both.timeout or now.active:
        yield f"the mirror does not answer in time ({both.timeout:,} time-outs, {now.active:,} copies in flight)"
    if both.error:
        yield f"the mirror answers with server errors or ends the connection ({both.error:,} copies)"
