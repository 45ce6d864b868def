"""Asks clusters for the evidence of a run. What cannot be asked is noted, and the rest goes on."""

import math
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Final, TypeVar

from ...model.credentials import CREDENTIAL_HEADERS
from ...model.rules import ClusterObjects
from ..errors import OperationError
from ..kube import ClusterAccess, Pods, PodSelection
from .access_log import AccessLine, read_access_log
from .evidence import PRIMARY, Arrivals, ProxyCounters, read_clusters_page, read_rejects
from .places import Workload, control_planes
from .plan import Plan, Sender
from .proxy import ProxyView
from .rejections import REJECTION, Unacknowledged, read_refused_now, read_sidecars

CLOCK_SKEW_SECONDS: Final = 30
"""How much older than the run a log line may be because clocks differ; the run's tag excludes other lines."""

POLL_SECONDS: Final = 0.25
RESOLUTION: Final = 1e-4
"""Smallest difference of shares in per cent; Envoy's fractions are in millionths."""

STILL_SECONDS: Final = 1.0
"""A log that does not grow for this long, after the counters have come to rest, is whole: kubelets write at once."""

ACKNOWLEDGE_SECONDS: Final = 1.0
"""A proxy that is alive accepts or refuses a configuration well within this time."""

DAY_SECONDS: Final = 86_400
"""How far back logs are read that may have fallen silent."""

MOST_SIDECARS: Final = 10
"""Sidecars whose configuration is read; each takes a fraction of a second, and istiod gives all of them the same."""

ADMIN_PORT: Final = 15000
"""Envoy's admin pages, served to the pod's own loopback interface. Source: Istio, meshConfig.defaultConfig."""

DISCOVERY_PORT: Final = 15014
"""istiod's metrics, and pages that it shows its own loopback interface. Source: Istio, --monitoringAddr."""

Answer = TypeVar("Answer")


@dataclass(frozen=True, kw_only=True)
class Side:
    """One cluster of a run."""

    access: ClusterAccess
    objects: ClusterObjects
    pods: Pods = field(repr=False)

    @classmethod
    def of(cls, access: ClusterAccess, objects: ClusterObjects) -> "Side":
        """Prepare to ask a cluster.

        Raises:
            OperationError: The kubeconfig cannot be used.
        """
        return cls(access=access, objects=objects, pods=Pods(access))

    def select(self, workload: Workload, container: str = "") -> PodSelection:
        """Pods of a workload; the first container of interest when none is named."""
        return PodSelection(
            cluster=self.access.name,
            namespace=workload.namespace,
            selector=workload.selector,
            container=container or workload.containers[0],
        )

    def ask(self, workload: Workload, page: str, *, port: int = ADMIN_PORT) -> list[str]:
        """Return a page of every pod of a workload.

        Raises:
            OperationError: One cannot be had.
        """
        return list(self.pods.pages(self.select(workload), port, page).values())


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Counters of all gateways at one moment."""

    primary: ProxyCounters
    mirrors: Mapping[str, ProxyCounters]
    """By name of the mirror."""

    passed_on: Mapping[str, int]
    """What receiving gateways have passed on, by cluster; without those that cannot be asked."""

    pages: tuple[str, ...]
    """The sender's admin pages that these were read from."""


@dataclass
class Survey:
    """Looks at all clusters for one run."""

    plan: Plan
    sides: Mapping[str, Side]
    """The clusters by name, the one that sends first."""

    gaps: list[str] = field(default_factory=list[str])
    """What could not be read, and why."""

    unasked: set[str] = field(default_factory=set[str])
    """Clusters whose control plane could not be asked, so that who refused a configuration is not known there."""

    _started: float = field(init=False, default_factory=time.monotonic)

    @property
    def sender(self) -> Side:
        """The cluster that owns the traffic."""
        return self.sides[self.plan.sender]

    def ask_senders(self, page: str) -> list[str]:
        """Return an admin page of every sending proxy; of many sidecars those of a sample.

        Raises:
            OperationError: One cannot be asked.
        """
        if self.plan.sent_by is not Sender.SIDECARS:
            return self.sender.ask(self.plan.gateway.pods, page)
        with ThreadPoolExecutor(MOST_SIDECARS) as pool:
            return list(pool.map(partial(self._ask_sidecar, page=page), self._sample))

    def counts(self) -> Counts:
        """Return the counters as they are now.

        Raises:
            OperationError: The sending proxies cannot be asked.
        """
        with ThreadPoolExecutor(2) as pool:
            asked = pool.submit(self.ask_senders, "/clusters")
            passed = pool.submit(self._passed_on)
            pages = asked.result()
            passed_on = passed.result()
        if not pages:
            raise OperationError(
                f"No pod of {self.plan.gateway.name} runs", remedy="Look at the events of its Deployment"
            )
        mirrors = {t.wanted.name: read_clusters_page(pages, t.wanted.cluster) for t in self.plan.targets}
        primary = read_clusters_page(pages, *self.plan.primaries)
        return Counts(primary=primary, mirrors=mirrors, passed_on=passed_on, pages=tuple(pages))

    def _passed_on(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for name, gateway in self.plan.receivers.items():
            pages = self.attempt(lambda name=name, pods=gateway.pods: self.sides[name].ask(pods, "/clusters"))
            if pages:
                found[name] = _sent_in_all("\n".join(pages))
        return found

    def settled(self, before: Counts, *, quiet_seconds: float, timeout_seconds: float) -> Counts:
        """Return the counters when they do not change any more.

        Args:
            before: Counters before the run.
            quiet_seconds: How long they must stay the same, > 0.
            timeout_seconds: They are taken as they are after this long.

        Raises:
            OperationError: The sending proxies cannot be asked.
        """
        deadline = time.monotonic() + timeout_seconds
        seen, changed = self.counts(), time.monotonic()
        while time.monotonic() < deadline:
            idle = not any(counters.active for counters in seen.mirrors.values())
            grown = seen.primary.total > before.primary.total
            if time.monotonic() - changed >= (quiet_seconds if idle and grown else 2 * quiet_seconds):
                break
            time.sleep(POLL_SECONDS)
            latest = self.counts()
            if (latest.mirrors, latest.passed_on) != (seen.mirrors, seen.passed_on):
                changed = time.monotonic()
            seen = latest
        return seen

    def views(self, side: Side, workload: Workload) -> list[ProxyView]:
        """Return what the proxies of a gateway really have; nothing when they cannot be asked."""
        pages = self.attempt(lambda: side.ask(workload, "/config_dump")) or []
        return self.attempt(lambda: [ProxyView(page) for page in pages]) or []

    def senders(self) -> list[ProxyView]:
        """Return what the sending proxies really have; nothing when they cannot be asked.

        Sidecars that do not know the host take no part: who may call it is its owner's choice.
        """
        pages = self.attempt(lambda: self.ask_senders("/config_dump")) or []
        views = self.attempt(lambda: [ProxyView(page) for page in pages]) or []
        if self.plan.sent_by is not Sender.SIDECARS:
            return views
        known = [view for view in views if view.serves(self.plan.request.authority, self.plan.routes)]
        if views and not known:
            self.gaps.append(f"none of {len(views):,} sidecars knows {self.plan.request.authority}")
        return known

    def sidecars(self) -> dict[str, ProxyView]:
        """Return what sidecars of the sending cluster have, by pod, of those that may send copies; a sample of many."""
        found: dict[str, ProxyView] = {}
        for pod in self._sample if self.plan.mesh_calls else ():
            view = self.attempt(lambda pod=pod: ProxyView(self._ask_sidecar(pod, "/config_dump")))
            if view is not None:
                found[pod] = view
        return found

    @cached_property
    def _sample(self) -> list[str]:
        """Pods with a sidecar that are looked at, as ``name.namespace``: the same ones throughout a run."""
        texts = self._control_plane(self.sender, "/debug/syncz")
        pods = sorted({pod for text in texts for pod in read_sidecars(text)})
        return pods[:: max(1, len(pods) // MOST_SIDECARS)][:MOST_SIDECARS]

    def _ask_sidecar(self, pod: str, page: str) -> str:
        name, _, namespace = pod.rpartition(".")
        return self.sender.pods.page(name, namespace, ADMIN_PORT, page)

    def await_shares(self, seconds: float) -> None:
        """Wait until the sending proxies copy what is wanted, because a deployment reaches them a moment later.

        Args:
            seconds: Bound on the wait; then it goes on, and the run shows what is wrong.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not all(map(self._has_shares, self.senders())):
            time.sleep(POLL_SECONDS)

    def _has_shares(self, view: ProxyView) -> bool:
        request = self.plan.request
        route = view.route(
            request.authority, request.path, request.at_proxy, routes=self.plan.routes, method=request.method
        )
        shares = {policy.cluster: policy.percent for policy in route.policies} if route else {}
        wanted = [target.wanted for target in self.plan.targets]
        return all(math.isclose(shares.get(each.cluster, 0.0), each.percent, abs_tol=RESOLUTION) for each in wanted)

    def refused_now(self) -> list[Unacknowledged]:
        """Proxies that did not accept the last configuration that they were sent, in every cluster."""
        found: list[Unacknowledged] = []
        seen = {name: self._unacknowledged(side) for name, side in self.sides.items()}
        if any(seen.values()):
            # What was sent a moment ago is not acknowledged yet, so only what stays so counts.
            time.sleep(ACKNOWLEDGE_SECONDS)
            for name, side in self.sides.items():
                found += [each for each in self._unacknowledged(side) if each in seen[name]]
        return found

    def _unacknowledged(self, side: Side) -> list[Unacknowledged]:
        return [
            each
            for text in self._control_plane(side, "/debug/syncz")
            for each in read_refused_now(side.access.name, text)
        ]

    def refusals(self) -> int:
        """Configurations that proxies of the sending cluster have refused since istiod started."""
        return read_rejects(self._control_plane(self.sender, "/metrics"))

    def rejections(self, cluster: str) -> list[str]:
        """Lines of istiod's log in which it says why a proxy refused a configuration."""
        side = self.sides[cluster]
        return [
            line
            for place in control_planes(side.objects)
            for line in self._log(side, place, since_seconds=DAY_SECONDS)
            if REJECTION in line
        ]

    def _control_plane(self, side: Side, page: str) -> list[str]:
        found: list[str] = []
        for place in control_planes(side.objects):
            about = f"which proxies of {side.access.name} refused a configuration"
            pages = self.attempt(lambda place=place: side.ask(place, page, port=DISCOVERY_PORT), about=about)
            if pages is None:
                self.unasked.add(side.access.name)
            found += pages or []
        return found

    def arrivals(self, run_id: str, due: Mapping[str, int], timeout_seconds: float = 5.0) -> dict[str, Arrivals]:
        """Return what the applications logged, by mirror, for those whose log names calls; the primary's with them.

        Args:
            run_id: The run's tag.
            due: Copies that each application will log if all is well; logs come a moment after the calls.
            timeout_seconds: Bound on waiting for them. Logs that did not grow for :data:`STILL_SECONDS` are taken
                as they are: a share below 100 % or a mirror that is broken gives fewer than are due.
        """
        deadline = time.monotonic() + timeout_seconds
        before: dict[str, Arrivals] | None = None
        changed = time.monotonic()
        while True:
            seen = self.logged(run_id)
            late = [name for name, found in seen.items() if found.calls < due.get(name, 0)]
            now = time.monotonic()
            changed = changed if seen == before else now
            if not late or now > deadline or now - changed >= STILL_SECONDS:
                return seen
            before = seen
            time.sleep(POLL_SECONDS)

    def logged(self, run_id: str) -> dict[str, Arrivals]:
        """What the applications have logged by now, as :meth:`arrivals`."""
        places = [(PRIMARY, self.plan.sender, self.plan.workload, CREDENTIAL_HEADERS)]
        places += [(t.wanted.name, t.wanted.receiver, t.workload, t.wanted.removed) for t in self.plan.targets]
        asked = [each for each in places if each[1] in self.sides and each[2] is not None]
        with ThreadPoolExecutor(max(1, len(asked))) as pool:
            logs = [pool.submit(self._log, self.sides[side], workload) for _, side, workload, _ in asked if workload]
            read = [(name, removed, log.result()) for (name, _, _, removed), log in zip(asked, logs, strict=True)]
        return {
            name: Arrivals.of(lines, run_id=run_id, removed=removed)
            for name, removed, lines in read
            if any('"event":"' in line for line in lines)
        }

    def received(self, cluster: str) -> list[AccessLine] | None:
        """Return what a receiving gateway's access log has since the run began; None when it keeps none."""
        side, place = self.sides[cluster], self.plan.receivers[cluster]
        lines = list(read_access_log(self._log(side, place.pods)))
        if lines:
            return lines
        # No request at all: it may keep no log, or nobody came. An older line tells which.
        older = list(read_access_log(self._log(side, place.pods, since_seconds=DAY_SECONDS)))
        logs = older or any(inlet.logs for view in self.views(side, place.pods) for inlet in view.inlets)
        return [] if logs else None

    def _log(self, side: Side, workload: Workload, *, since_seconds: int = 0) -> list[str]:
        since = since_seconds or math.ceil(time.monotonic() - self._started) + CLOCK_SKEW_SECONDS
        lines: list[str] = []
        for container in workload.containers:
            selection = side.select(workload, container)
            lines += self.attempt(lambda s=selection: list(side.pods.log_lines(s, since_seconds=since))) or []
        return lines

    def attempt(self, ask: Callable[[], Answer], *, about: str = "") -> Answer | None:
        """Return an answer, or None and a gap when it cannot be had.

        Args:
            ask: Asks for it.
            about: What is not known without it; empty where the error says so.
        """
        with _noting(self.gaps, about):
            return ask()
        return None


@contextmanager
def _noting(gaps: list[str], about: str) -> Generator[None]:
    try:
        yield
    except OperationError as error:
        gap = f"{about}: {error.problem}" if about else error.problem
        if gap not in gaps:
            gaps.append(gap)


def _sent_in_all(pages: str) -> int:
    """Requests that a gateway has sent to services, from its admin page ``/clusters``."""
    found = 0
    for line in pages.splitlines():
        name, _, rest = line.partition("::")
        key, _, value = rest.rpartition("::")
        if name.startswith("outbound|") and key.endswith("::rq_total") and value.isdigit():
            found += int(value)
    return found


def endpoints(pages: Iterable[str], cluster: str) -> tuple[str, ...]:
    """Addresses that a cluster has in a proxy, from its admin page ``/clusters``."""
    found: dict[str, None] = {}
    for line in "\n".join(pages).splitlines():
        name, _, rest = line.partition("::")
        parts: Sequence[str] = rest.rsplit("::", 2)
        if name == cluster and len(parts) == 3 and parts[1] == "rq_total":  # noqa: PLR2004 -- endpoint, name, value
            found[parts[0]] = None
    return tuple(found)
