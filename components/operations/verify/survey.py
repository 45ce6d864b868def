"""Asks two clusters for the evidence of a run. What cannot be asked is noted, and the rest goes on."""

import math
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, TypeVar

from ...model.rules import ClusterObjects
from ..errors import OperationError
from ..evidence import Arrivals, ProxyCounters, read_clusters_page, read_rejects
from ..kube import ClusterAccess, Pods, PodSelection
from .access_log import AccessLine, of_run, read_access_log
from .proxy import ProxyView, read_refused_now
from .targets import Plan, Workload, control_planes

CLOCK_SKEW_SECONDS: Final = 30
"""How much older than the run a log line may be because clocks differ; the run's tag excludes other lines."""

POLL_SECONDS: Final = 0.25
RESOLUTION: Final = 1e-4
"""Smallest difference of shares in per cent; Envoy's fractions are in millionths."""

STILL_SECONDS: Final = 1.0
"""A log that does not grow for this long, after the counters have come to rest, is whole: kubelets write at once."""

ACKNOWLEDGE_SECONDS: Final = 1.0
"""A proxy that is alive accepts or refuses a configuration well within this time."""

ADMIN: Final = ("pilot-agent", "request", "GET")
DISCOVERY: Final = ("pilot-discovery", "request", "GET")

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

    def ask(self, workload: Workload, *command: str) -> list[str]:
        """Run a command in every pod of a workload and return what it prints.

        Raises:
            OperationError: It cannot be run.
        """
        return list(self.pods.execute(self.select(workload), command).values())


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Counters of both gateways at one moment."""

    primary: ProxyCounters
    mirrors: Mapping[str, ProxyCounters]
    """By name of the mirror."""

    passed_on: int | None
    """What the receiving gateway has passed on; None when it cannot be asked."""

    pages: tuple[str, ...]
    """The sender's admin pages that these were read from."""


@dataclass
class Survey:
    """Looks at both clusters for one run."""

    plan: Plan
    staging: Side
    testing: Side | None
    gaps: list[str] = field(default_factory=list[str])
    """What could not be read, and why."""

    _started: float = field(init=False, default_factory=time.monotonic)

    def counts(self) -> Counts:
        """Return the counters as they are now.

        Raises:
            OperationError: The sending gateway cannot be asked.
        """
        with ThreadPoolExecutor(2) as pool:
            asked = pool.submit(self.staging.ask, self.plan.gateway.pods, *ADMIN, "clusters")
            passed = pool.submit(self._passed_on)
            pages = asked.result()
            passed_on = passed.result()
        if not pages:
            raise OperationError(
                f"No pod of the gateway {self.plan.gateway.name} runs", remedy="Look at its Deployment's events"
            )
        mirrors = {t.wanted.name: read_clusters_page(pages, t.wanted.cluster) for t in self.plan.targets}
        primary = read_clusters_page(pages, self.plan.primary)
        return Counts(primary=primary, mirrors=mirrors, passed_on=passed_on, pages=tuple(pages))

    def _passed_on(self) -> int | None:
        if self.testing is None or self.plan.receiver is None:
            return None
        receiver, testing = self.plan.receiver.pods, self.testing
        pages = self.attempt(lambda: testing.ask(receiver, *ADMIN, "clusters"))
        return _sent_in_all("\n".join(pages)) if pages else None

    def settled(self, before: Counts, *, quiet_seconds: float, timeout_seconds: float) -> Counts:
        """Return the counters when they do not change any more.

        Args:
            before: Counters before the run.
            quiet_seconds: How long they must stay the same, > 0.
            timeout_seconds: They are taken as they are after this long.

        Raises:
            OperationError: The sending gateway cannot be asked.
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
        pages = self.attempt(lambda: side.ask(workload, *ADMIN, "config_dump")) or []
        return self.attempt(lambda: [ProxyView(page) for page in pages]) or []

    def await_shares(self, seconds: float) -> None:
        """Wait until the sending proxies copy what is wanted, because a deployment reaches them a moment later.

        Args:
            seconds: Bound on the wait; then it goes on, and the run shows what is wrong.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not all(map(self._has_shares, self._gateway_views())):
            time.sleep(POLL_SECONDS)

    def _gateway_views(self) -> list[ProxyView]:
        return self.views(self.staging, self.plan.gateway.pods)

    def _has_shares(self, view: ProxyView) -> bool:
        request = self.plan.request
        route = view.route(request.authority, request.path, request.at_proxy, method=request.method)
        shares = {policy.cluster: policy.percent for policy in route.policies} if route else {}
        wanted = [target.wanted for target in self.plan.targets]
        return all(math.isclose(shares.get(each.cluster, 0.0), each.percent, abs_tol=RESOLUTION) for each in wanted)

    def refused_now(self) -> tuple[str, ...]:
        """Kinds of configuration whose last version some pod of the sending gateway did not accept."""
        seen = self._unacknowledged()
        if not seen:
            return ()
        # What was sent a moment ago is not acknowledged yet, so only what stays so counts.
        time.sleep(ACKNOWLEDGE_SECONDS)
        return tuple(kind for kind in self._unacknowledged() if kind in seen)

    def _unacknowledged(self) -> dict[str, None]:
        names = self.attempt(lambda: self.staging.pods.names(self.staging.select(self.plan.gateway.pods))) or []
        kinds: dict[str, None] = {}
        for text in self._control_plane("/debug/syncz"):
            for proxy, refused in read_refused_now(text).items():
                if proxy.rpartition(".")[0] in names:
                    kinds.update(dict.fromkeys(refused))
        return kinds

    def refusals(self) -> int:
        """Configurations that proxies of the sending cluster have refused since istiod started."""
        return read_rejects(self._control_plane("/metrics"))

    def _control_plane(self, page: str) -> list[str]:
        found: list[str] = []
        for place in control_planes(self.staging.objects):
            found += self.attempt(lambda place=place: self.staging.ask(place, *DISCOVERY, page)) or []
        return found

    def arrivals(self, run_id: str, due: Mapping[str, int], timeout_seconds: float = 5.0) -> dict[str, Arrivals]:
        """Return what the applications logged, by mirror, for those whose log names calls.

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
            seen: dict[str, Arrivals] = {}
            for target in self.plan.targets:
                side = self.testing if target.wanted.across else self.staging
                if side is None or target.workload is None:
                    continue
                lines = self._log(side, target.workload)
                if any('"event":"' in line for line in lines):
                    seen[target.wanted.name] = Arrivals.of(lines, run_id=run_id)
            late = [name for name, found in seen.items() if found.calls < due.get(name, 0)]
            now = time.monotonic()
            changed = changed if seen == before else now
            if not late or now > deadline or now - changed >= STILL_SECONDS:
                return seen
            before = seen
            time.sleep(POLL_SECONDS)

    def received(self, run_id: str) -> list[AccessLine] | None:
        """Return the run's lines in the receiving gateway's access log; None when it keeps none.

        Args:
            run_id: The run's tag; empty for every line since the run began.
        """
        if self.testing is None or self.plan.receiver is None:
            return None
        log = self._log(self.testing, self.plan.receiver.pods)
        lines = list(read_access_log(log))
        if lines:
            return of_run(lines, run_id) if run_id else lines
        # No request at all: it may keep no log, or nobody came. An older line tells which.
        older = list(read_access_log(self._log(self.testing, self.plan.receiver.pods, since_seconds=86_400)))
        return [] if older or self._logs_access() else None

    def _logs_access(self) -> bool:
        """Whether the mesh configuration of the receiving cluster asks proxies for an access log."""
        if self.testing is None:
            return False
        views = self.views(self.testing, self.plan.receiver.pods) if self.plan.receiver else []
        return any(inlet.logs for view in views for inlet in view.inlets)

    def _log(self, side: Side, workload: Workload, *, since_seconds: int = 0) -> list[str]:
        since = since_seconds or math.ceil(time.monotonic() - self._started) + CLOCK_SKEW_SECONDS
        lines: list[str] = []
        for container in workload.containers:
            selection = side.select(workload, container)
            lines += self.attempt(lambda s=selection: list(side.pods.log_lines(s, since_seconds=since))) or []
        return lines

    def attempt(self, ask: Callable[[], Answer]) -> Answer | None:
        """Return an answer, or None and a gap when it cannot be had."""
        with _noting(self.gaps):
            return ask()
        return None


@contextmanager
def _noting(gaps: list[str]) -> Generator[None]:
    try:
        yield
    except OperationError as error:
        if error.problem not in gaps:
            gaps.append(error.problem)


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
