"""Everything that was seen of a run, put together into the facts of the primary and of each mirror."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime

from .access_log import AccessLine, of_run
from .diagnosis import policy_of
from .evidence import PRIMARY, Arrivals, ProxyCounters
from .facts import MirrorFacts, Receiver, Refusal, Source, Witness
from .handshake import obstacles
from .plan import Plan, Sender, Target
from .proxy import ClusterView, ProxyView, RouteView
from .rejections import Unacknowledged, filters_behind, filters_of_routes, words_about
from .survey import Counts, Survey, endpoints
from .witnesses import POSTED, Witnessed, copied_by, kinds


@dataclass(frozen=True, kw_only=True)
class Run:
    """What was done, so that it can be told from other traffic."""

    before: Counts
    """Counters before the calls that count."""

    after: Counts
    """Counters when nothing more came."""

    tag: str = ""
    """Tag of the calls; empty when traffic was watched."""

    warm_up: tuple[str, ...] = ()
    """Tags of the calls before those that count."""

    earliest: Counts | None = None
    """Counters before the first of those; None without any."""

    answered: int | None = None
    """Calls that were answered; None to take the primary's counters."""

    failed: int = 0
    """Calls that were not answered; copies of them may have been sent all the same."""

    witnessed: tuple[Witnessed, ...] = ()
    """Requests that overlays must not copy, made after the calls."""


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What was seen of one run."""

    plan: Plan
    run: Run
    arrivals: Mapping[str, Arrivals]
    """What applications logged, by mirror, and the primary."""

    lines: Mapping[str, Sequence[AccessLine] | None]
    """The access log of each receiving gateway; None where it keeps none."""

    views: Sequence[ProxyView]
    """What the sending proxies have; empty when they cannot be asked."""

    sidecars: Mapping[str, ProxyView]
    """What sidecars have that may send copies, by pod."""

    theirs: Mapping[str, Sequence[ProxyView]]
    """What the receiving gateways have; empty when they cannot be asked."""

    refused: Sequence[tuple[Unacknowledged, Refusal]]
    refusals: int
    witness_arrivals: Mapping[str, Mapping[str, Arrivals]] = field(default_factory=dict[str, Mapping[str, Arrivals]])
    """What applications logged of requests that must not be copied, by their tag."""

    unasked: frozenset[str] = frozenset()
    """Clusters in which nobody could say which proxies refused a configuration."""

    strangers: tuple[str, ...] = field(default=())
    """Words on proxies that refused a configuration and take no part."""

    def facts(self) -> Iterator[MirrorFacts]:
        """Yield what is known of each mirror."""
        for target in self.plan.targets:
            facts = self._common(target)
            yield self._across(facts) if target.wanted.across else facts

    @property
    def calls(self) -> int:
        """Calls of which copies are due."""
        if self.run.answered is not None:
            return self.run.answered
        return self.run.after.primary.since(self.run.before.primary).total

    def _common(self, target: Target) -> MirrorFacts:
        wanted, run = target.wanted, self.run
        counters = run.after.mirrors[wanted.name].since(run.before.mirrors[wanted.name])
        earlier = run.earliest and run.before.mirrors[wanted.name].since(run.earliest.mirrors[wanted.name])
        copies, source = self._copies(target, counters)
        under_way = run.before.primary.active + run.after.primary.active + counters.active
        senders = (self.plan.sender, wanted.receiver)
        return MirrorFacts(
            wanted=wanted,
            calls=self.calls,
            copies=copies,
            source=source,
            slack=run.failed if run.tag else under_way,
            refused=tuple(refusal for who, refusal in self.refused if who.cluster in senders),
            refusals=self.refusals,
            refusals_known=self.unasked.isdisjoint(senders),
            route_known=bool(self.views),
            route=self._route(target),
            owner=self.plan.owner,
            proxies=len(self.views),
            sidecars_without=tuple(self._sidecars_without(target)),
            sidecars_unbraked=tuple(self._sidecars_unbraked(target)),
            cluster=self._cluster(target),
            counters=counters,
            earlier=earlier or ProxyCounters(),
            peak=counters.active if run.tag else 0,
            endpoints=endpoints(run.after.pages, wanted.cluster),
            authority=self.plan.request.authority,
            coverage=self._coverage(target),
            witnesses=tuple(self._witnesses(target)),
            # Whose condition takes how many of other people's calls cannot be told.
            at_most=not run.tag and wanted.hung is not None,
            arrivals=self.arrivals.get(wanted.name),
        )

    def _copies(self, target: Target, counters: ProxyCounters) -> tuple[int, Source]:
        """How many copies arrived, by the best source that there is."""
        found = self.arrivals.get(target.wanted.name)
        if found is not None:
            return found.calls, Source.APPLICATION
        # A gateway that takes the copies of several mirrors does not tell whose they are.
        where = target.wanted.receiver if target.wanted.across and self._is_alone(target) else ""
        lines = self._received(where)
        if lines is not None:
            return sum(line.passed_on for line in lines), Source.GATEWAY
        passed = self._passed_on(where)
        # What left and did not come through the receiving gateway has not arrived.
        return counters.total if passed is None else min(counters.total, passed), Source.COUNTERS

    def _is_alone(self, target: Target) -> bool:
        here = [each for each in self.plan.targets if each.wanted.receiver == target.wanted.receiver]
        return sum(each.wanted.percent > 0 for each in here) <= 1

    def _received(self, cluster: str) -> list[AccessLine] | None:
        """The run's lines of a receiving gateway; None when there are none to be had."""
        lines = self.lines.get(cluster)
        return of_run(lines, self.run.tag) if self.run.tag and lines is not None else None

    def _passed_on(self, cluster: str) -> int | None:
        before, after = self.run.before.passed_on.get(cluster), self.run.after.passed_on.get(cluster)
        return None if before is None or after is None else max(0, after - before)

    def _route(self, target: Target) -> RouteView | None:
        """The route of the calls as proxies have it; where they differ, that of one that lacks the mirror."""
        plan, request = self.plan, self.plan.request
        found = [
            view.route(request.authority, request.path, request.at_proxy, routes=plan.routes, method=request.method)
            for view in self.views
        ]
        for route in found:
            if route is None or all(policy.cluster != target.wanted.cluster for policy in route.policies):
                return route
        return found[0] if found else None

    def _coverage(self, target: Target) -> tuple[int, int] | None:
        """Of the host's routes that an overlay hangs on, how many carry its mirror; in the proxy with the fewest."""
        hung = target.wanted.hung
        if hung is None or not self.views:
            return None
        found: list[tuple[int, int]] = []
        for view in self.views:
            routes = view.forwarding(self.plan.request.authority, routes=self.plan.routes)
            due = [each for each in routes if not hung.routes or each.name in hung.routes]
            carried = (target.wanted.cluster, hung.header)
            having = [each for each in due if carried in {(one.cluster, one.header) for one in each.policies}]
            found.append((len(having), len(due)))
        return min(found, key=lambda each: each[0] - each[1])

    def _witnesses(self, target: Target) -> Iterator[Witness]:
        """What came of requests that must not be copied; of those that nobody made, what the proxy's route says."""
        if target.wanted.hung is None:
            return
        route = self._route(target)
        policies = route.policies if route else ()
        policy = next((each for each in policies if each.cluster == target.wanted.cluster), None)
        made = {each.name: each for each in self.run.witnessed}
        for kind in kinds(self.plan, posts=True):
            copied = policy and copied_by(policy, kind, self.plan.request)
            if kind.name in made and not (kind.name == POSTED and copied):
                done = made[kind.name]
                yield Witness(kind=kind.name, calls=done.calls, copies=self._witness_copies(target, done))
            elif copied is not True:
                yield Witness(kind=kind.name, calls=0, copies=None if copied is None else 0)

    def _witness_copies(self, target: Target, made: Witnessed) -> int | None:
        name = target.wanted.name
        logged = self.witness_arrivals.get(made.tag, {}).get(name)
        if logged is not None:
            return logged.calls
        lines = self.lines.get(target.wanted.receiver) if target.wanted.across and self._is_alone(target) else None
        if lines is not None:
            return len(of_run(lines, made.tag))
        grown = made.after.mirrors[name].since(made.before.mirrors[name]).total
        # Who else calls the primary has copies made too.
        alone = made.after.primary.since(made.before.primary).total <= made.calls
        return grown if alone or not grown else None

    def _sidecars_without(self, target: Target) -> Iterator[str]:
        for pod, route in self._mesh_routes(target):
            if all(policy.cluster != target.wanted.cluster for policy in route.policies):
                yield pod

    def _sidecars_unbraked(self, target: Target) -> Iterator[str]:
        if not target.wanted.max_duration_seconds:
            return
        for pod in dict.fromkeys(pod for pod, _ in self._mesh_routes(target)):
            cluster = self.sidecars[pod].clusters.get(target.wanted.cluster)
            if cluster is not None and not cluster.max_duration_seconds:
                yield pod

    def _mesh_routes(self, target: Target) -> Iterator[tuple[str, RouteView]]:
        """Routes of sidecars that should have the mirror; who has no route of its object sends none."""
        request = self.plan.request
        for pod, view in self.sidecars.items():
            for call in self.plan.mesh_calls:
                if target.wanted.cluster in call.clusters:
                    route = view.route(
                        call.authority, request.path, request.at_proxy, routes=call.routes, method=request.method
                    )
                    if route is not None and route.owner == self.plan.owner:
                        yield pod, route

    def _cluster(self, target: Target) -> ClusterView | None:
        """How proxies reach the mirror; where they differ, the one with the least bounds."""
        found = [view.clusters.get(target.wanted.cluster) for view in self.views]
        if not found or None in found:
            return None
        known = [each for each in found if each is not None]
        return min(known, key=lambda each: (each.max_duration_seconds > 0, -each.max_requests))

    def _across(self, facts: MirrorFacts) -> MirrorFacts:
        """Add what the receiving gateway says."""
        name = facts.wanted.receiver
        place = self.plan.receivers.get(name)
        if place is None:
            return facts
        theirs = self.theirs.get(name, ())
        inlets = [inlet for view in theirs for inlet in view.inlets if inlet.port == place.port]
        hosts = [host for view in theirs for inlet in inlets for host in view.domains(inlet.routes)]
        lines = self.lines.get(name)
        # Untagged traffic cannot be told apart, so all of it is what arrived.
        own = of_run(lines or (), self.run.tag) if self.run.tag else list(lines or ())
        earlier = [line for tag in self.run.warm_up for line in of_run(lines or (), tag)]
        receiver = Receiver(
            accepted=tuple(dict.fromkeys(hosts)),
            routes_known=bool(theirs),
            answers=Counter(line.answer for line in own) if lines is not None else None,
            unrouted=sum(line.unrouted for line in own),
            stopped=_stopped(own),
            earlier_unrouted=sum(line.unrouted for line in earlier),
            earlier_stopped=_stopped(earlier),
            passed_on=self._passed_on(name),
            addresses=frozenset(place.addresses),
        )
        against: list[str] = []
        mine = self.views[0] if self.views else None
        if facts.cluster is not None and mine is not None and theirs and policy_of(facts) is not None:
            against = obstacles(facts.cluster, inlets, mine.secrets, theirs[0].secrets, datetime.now(UTC))
        return replace(facts, receiver=receiver, obstacles=tuple(against))


def _stopped(lines: Sequence[AccessLine]) -> dict[str, int]:
    """Copies that a route took and no application answered, by answer."""
    return dict(Counter(line.answer for line in lines if not line.unrouted and not line.passed_on))


def observe(survey: Survey, run: Run) -> Observation:
    """Gather the evidence of a run that is over.

    Args:
        survey: Looks at the clusters.
        run: What was done.
    """
    plan = survey.plan
    answered = run.answered or 0
    due = {target.wanted.name: int(answered * target.wanted.percent / 100) for target in plan.targets}
    with ThreadPoolExecutor(len(fields(Observation)) + 2 * len(plan.receivers) + len(run.witnessed)) as pool:
        arrivals = pool.submit(lambda: survey.arrivals(run.tag, {**due, PRIMARY: answered}) if run.tag else {})
        views = pool.submit(survey.senders)
        sidecars = pool.submit(survey.sidecars)
        lines = {name: pool.submit(survey.received, name) for name in plan.receivers}
        theirs = {
            name: pool.submit(survey.views, survey.sides[name], place.pods) for name, place in plan.receivers.items()
        }
        witnesses = {each.tag: pool.submit(survey.logged, each.tag) for each in run.witnessed}
        unacknowledged = pool.submit(survey.refused_now)
        refusals = pool.submit(survey.refusals)
        refused = [(each, _refusal(survey, each)) for each in unacknowledged.result()]
        return Observation(
            plan=plan,
            run=run,
            arrivals=arrivals.result(),
            lines={name: found.result() for name, found in lines.items()},
            views=views.result(),
            sidecars=sidecars.result(),
            theirs={name: found.result() for name, found in theirs.items()},
            refused=[(each, refusal) for each, refusal in refused if _takes_part(plan, each)],
            refusals=refusals.result(),
            unasked=frozenset(survey.unasked),
            witness_arrivals={tag: found.result() for tag, found in witnesses.items()},
            strangers=tuple(
                f"{refusal.proxy}, which takes no part, refused its last {', '.join(refusal.kinds)} configuration"
                for each, refusal in refused
                if not _takes_part(plan, each)
            ),
        )


def _takes_part(plan: Plan, refused: Unacknowledged) -> bool:
    """Whether copies pass a proxy, by the namespace of its pod; every sidecar may send those of a route of the mesh."""
    if refused.cluster == plan.sender:
        return plan.in_mesh or refused.namespace in plan.namespaces
    gateway = plan.receivers.get(refused.cluster)
    workloads = [each.workload for each in plan.targets if each.wanted.receiver == refused.cluster]
    places = [gateway.pods if gateway else None, *workloads]
    return refused.namespace in {place.namespace for place in places if place is not None}


def _refusal(survey: Survey, found: Unacknowledged) -> Refusal:
    """A refusal with what istiod says about it."""
    words = words_about(found.proxy, survey.rejections(found.cluster))
    objects = survey.sides[found.cluster].objects
    waypoint = survey.plan.sent_by is Sender.WAYPOINT and found.namespace == survey.plan.gateway.pods.namespace
    refusal = Refusal(
        proxy=f"{_name(survey, found)} {found.pod}",
        kinds=found.kinds,
        filters=filters_behind(words, objects),
        words=words,
        in_listeners=waypoint,
    )
    # What it says of routes may name nothing that a patch matches by.
    guessed = refusal.frozen and not refusal.filters
    return replace(refusal, filters=filters_of_routes(objects, in_listeners=waypoint)) if guessed else refusal


def _name(survey: Survey, found: Unacknowledged) -> str:
    """What a proxy is to the copies."""
    plan = survey.plan
    if found.cluster == plan.sender and found.namespace == plan.gateway.pods.namespace:
        return "the sending proxy"
    receiver = plan.receivers.get(found.cluster)
    if receiver is not None and found.namespace == receiver.pods.namespace:
        return f"the receiving gateway of {found.cluster},"
    return f"the sidecar of {found.cluster}"
