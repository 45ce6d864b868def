"""Everything that was seen of a run, put together into the facts of each mirror."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime

from ..evidence import Arrivals, ProxyCounters
from .access_log import AccessLine
from .diagnosis import policy_of
from .facts import MirrorFacts, Receiver, Source
from .handshake import obstacles
from .proxy import ProxyView, RouteView
from .survey import Counts, Survey, endpoints
from .targets import Plan, Target


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What was seen of one run."""

    plan: Plan
    before: Counts
    after: Counts
    tagged: bool
    """Whether calls were made, so that they can be told from others; False when traffic was watched."""

    calls: int
    """Calls of which copies are due."""

    arrivals: Mapping[str, Arrivals]
    """What applications logged, by mirror."""

    lines: Sequence[AccessLine] | None
    """The receiving gateway's access log; None where it keeps none."""

    views: Sequence[ProxyView]
    """What the sending proxies have; empty when they cannot be asked."""

    theirs: Sequence[ProxyView]
    """What the receiving gateway has; empty when it cannot be asked."""

    refused: tuple[str, ...]
    refusals: int

    def facts(self) -> Iterator[MirrorFacts]:
        """Yield what is known of each mirror."""
        for target in self.plan.targets:
            facts = self._common(target)
            yield self._across(facts) if target.wanted.across else facts

    def counters(self, name: str) -> ProxyCounters:
        """What the sending proxy counted for a mirror during the run."""
        return self.after.mirrors[name].since(self.before.mirrors[name])

    @property
    def passed_on(self) -> int | None:
        """What the receiving gateway passed on meanwhile."""
        if self.after.passed_on is None or self.before.passed_on is None:
            return None
        return max(0, self.after.passed_on - self.before.passed_on)

    def _common(self, target: Target) -> MirrorFacts:
        wanted = target.wanted
        counters = self.counters(wanted.name)
        copies, source = self._copies(target, counters)
        route, view = self._route(target)
        under_way = self.before.primary.active + self.after.primary.active + counters.active
        return MirrorFacts(
            wanted=wanted,
            calls=self.calls,
            copies=copies,
            source=source,
            slack=0 if self.tagged else under_way,
            refused=self.refused,
            refusals=self.refusals,
            route_known=bool(self.views),
            route=route,
            cluster=view.clusters.get(wanted.cluster) if view else None,
            counters=counters,
            peak=counters.active if self.tagged else 0,
            endpoints=endpoints(self.after.pages, wanted.cluster),
            authority=self.plan.request.authority,
            arrivals=self.arrivals.get(wanted.name),
        )

    def _copies(self, target: Target, counters: ProxyCounters) -> tuple[int, Source]:
        """How many copies arrived, by the best source that there is."""
        found = self.arrivals.get(target.wanted.name)
        if found is not None:
            return found.calls, Source.APPLICATION
        across = target.wanted.across
        if across and self.tagged and self.lines is not None:
            return sum(line.passed_on for line in self.lines), Source.GATEWAY
        counted = counters.total
        if across and self.passed_on is not None:
            # What left and did not come through the receiving gateway has not arrived.
            counted = min(counted, self.passed_on)
        return counted, Source.COUNTERS

    def _route(self, target: Target) -> tuple[RouteView | None, ProxyView | None]:
        """The route of the calls as proxies have it; where they differ, that of one that lacks the mirror."""
        request = self.plan.request
        found = [
            (view.route(request.authority, request.path, request.at_proxy, method=request.method), view)
            for view in self.views
        ]
        for route, view in found:
            if route is None or all(policy.cluster != target.wanted.cluster for policy in route.policies):
                return route, view
        return found[0] if found else (None, None)

    def _across(self, facts: MirrorFacts) -> MirrorFacts:
        """Add what the receiving gateway says."""
        place = self.plan.receiver
        if place is None:
            return facts
        inlets = [inlet for view in self.theirs for inlet in view.inlets if inlet.port == place.port]
        hosts = [host for view in self.theirs for inlet in inlets for host in view.domains(inlet.routes)]
        receiver = Receiver(
            accepted=tuple(dict.fromkeys(hosts)),
            routes_known=bool(self.theirs),
            answers=Counter(line.answer for line in self.lines) if self.lines is not None else None,
            unrouted=sum(line.unrouted for line in self.lines or ()),
            stopped=Counter(line.answer for line in self.lines or () if not line.unrouted and not line.passed_on),
            passed_on=self.passed_on,
            addresses=frozenset(place.addresses),
        )
        against: list[str] = []
        mine = self.views[0] if self.views else None
        if facts.cluster is not None and mine is not None and self.theirs and policy_of(facts) is not None:
            against = obstacles(facts.cluster, inlets, mine.secrets, self.theirs[0].secrets, datetime.now(UTC))
        return replace(facts, receiver=receiver, obstacles=tuple(against))


def observe(survey: Survey, before: Counts, after: Counts, *, run_id: str, answered: int | None) -> Observation:
    """Gather the evidence of a run that is over.

    Args:
        survey: Looks at both clusters.
        before: Counters before the run.
        after: Counters after it.
        run_id: The run's tag; empty when traffic was watched.
        answered: Calls that were answered; None to take the primary's counters.
    """
    plan = survey.plan
    primary = after.primary.since(before.primary)
    calls = primary.total if answered is None else answered
    due = {target.wanted.name: int(calls * target.wanted.percent / 100) for target in plan.targets}
    testing, receiver = survey.testing, plan.receiver
    with ThreadPoolExecutor(len(fields(Observation))) as pool:
        arrivals = pool.submit(lambda: survey.arrivals(run_id, due) if run_id else {})
        lines = pool.submit(lambda: survey.received(run_id))
        views = pool.submit(lambda: survey.views(survey.staging, plan.gateway.pods))
        theirs = pool.submit(lambda: survey.views(testing, receiver.pods) if testing and receiver else [])
        refused = pool.submit(survey.refused_now)
        refusals = pool.submit(survey.refusals)
        return Observation(
            plan=plan,
            before=before,
            after=after,
            tagged=bool(run_id),
            calls=calls,
            arrivals=arrivals.result(),
            lines=lines.result(),
            views=views.result(),
            theirs=theirs.result(),
            refused=refused.result(),
            refusals=refusals.result(),
        )
