"""Fetches the evidence of a run from two clusters."""

import math
import sys
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from .errors import OperationError
from .evidence import PRIMARY, Arrivals, Evidence, ProxyCounters, read_clusters_page, read_gateway_log, read_rejects
from .jobs import Write, serve_job
from .kube import ClusterAccess, Pods, PodSelection

# How much older than the run a log line may be because clocks differ; the run's tag excludes other lines.
CLOCK_SKEW_SECONDS = 30
POLL_SECONDS = 0.25
PROXY_COUNTERS = ("pilot-agent", "request", "GET", "clusters")
CONTROL_PLANE_METRICS = ("pilot-discovery", "request", "GET", "metrics")


@dataclass(frozen=True, kw_only=True)
class MirrorPlace:
    """Where to look for one mirror's copies."""

    workload: PodSelection
    """Pods that get the copies, and the container whose log names them."""

    sender: PodSelection
    """Proxies that send the copies: a gateway, container ``istio-proxy``."""

    proxy_cluster: str
    """Name of the mirror's cluster in those proxies, e.g. ``"outbound|8000|v2|greeter.hello.svc.cluster.local"``."""

    receiving_gateway: PodSelection | None = None
    """Gateway that copies pass on the other side; None for a mirror inside the cluster."""


@dataclass(frozen=True, kw_only=True)
class WitnessJob:
    """Where evidence of a run lies."""

    clusters: tuple[ClusterAccess, ...]
    """The clusters that the selections name."""

    primary: PodSelection
    """Pods that answer."""

    mirrors: Mapping[str, MirrorPlace]
    """Mirrors by name."""

    control_planes: tuple[PodSelection, ...] = ()
    """istiod of each cluster, container ``discovery``."""

    quiet_seconds: float = 1.0
    """Evidence is complete when no further copy has come for this long, > 0."""

    timeout_seconds: float = 20.0
    """Evidence is taken as it is after this long, > 0."""

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "WitnessJob":
        """Read what :func:`dataclasses.asdict` wrote."""

        def place(value: Mapping[str, Any]) -> MirrorPlace:
            gateway = value["receiving_gateway"]
            return MirrorPlace(
                workload=PodSelection(**value["workload"]),
                sender=PodSelection(**value["sender"]),
                proxy_cluster=value["proxy_cluster"],
                receiving_gateway=PodSelection(**gateway) if gateway else None,
            )

        return cls(
            clusters=tuple(ClusterAccess(**value) for value in raw["clusters"]),
            primary=PodSelection(**raw["primary"]),
            mirrors={name: place(value) for name, value in raw["mirrors"].items()},
            control_planes=tuple(PodSelection(**value) for value in raw["control_planes"]),
            quiet_seconds=raw["quiet_seconds"],
            timeout_seconds=raw["timeout_seconds"],
        )


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """Counters before a run."""

    proxies: Mapping[str, ProxyCounters]
    """By mirror."""

    gaps: tuple[str, ...]
    """What could not be read."""


@dataclass
class Witness:
    """Looks at two clusters for one run after the other.

    Raises:
        OperationError: A kubeconfig cannot be used.
    """

    job: WitnessJob
    _pods: dict[str, Pods] = field(init=False)
    _started: float = field(init=False, default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._pods = {access.name: Pods(access) for access in self.job.clusters}

    def baseline(self) -> Baseline:
        """Return the counters as they are before a run."""
        gaps: list[str] = []
        return Baseline(proxies=self._proxies(gaps), gaps=tuple(gaps))

    def arrivals(self, run_id: str) -> dict[str, Arrivals]:
        """Return what the workloads have logged of a run until now.

        Raises:
            OperationError: A log cannot be read.
        """
        places = {PRIMARY: self.job.primary} | {name: place.workload for name, place in self.job.mirrors.items()}
        with ThreadPoolExecutor(len(places)) as pool:
            logs = {name: pool.submit(list, self._log(place)) for name, place in places.items()}
            return {name: Arrivals.of(log.result(), run_id=run_id) for name, log in logs.items()}

    def settled_arrivals(self, run_id: str, complete: Mapping[str, int]) -> dict[str, Arrivals]:
        """Return what the workloads have logged of a run when nothing more comes.

        Args:
            run_id: The run's tag.
            complete: Calls that each workload logs at most; when all have, there is nothing to wait for.

        Raises:
            OperationError: A log cannot be read.
        """
        deadline = time.monotonic() + self.job.timeout_seconds
        seen = self.arrivals(run_id)
        changed = time.monotonic()
        while True:
            now = time.monotonic()
            if all(seen[name].calls >= count for name, count in complete.items()):
                return seen
            if now >= deadline or now - changed >= self.job.quiet_seconds:
                return seen
            time.sleep(POLL_SECONDS)
            latest = self.arrivals(run_id)
            if latest != seen:
                seen, changed = latest, time.monotonic()

    def evidence(
        self,
        run_id: str,
        complete: Mapping[str, int],
        before: Baseline,
        *,
        earliest: Baseline | None = None,
        warm_up_ids: Sequence[str] = (),
    ) -> Evidence:
        """Return everything that was seen of a run.

        Args:
            run_id: The run's tag.
            complete: See :meth:`settled_arrivals`.
            before: Counters before the run.
            earliest: Counters before its warm-up; None without one.
            warm_up_ids: Tags of the warm-up.

        Raises:
            OperationError: A workload's log cannot be read; all other evidence is optional.
        """
        gaps: list[str] = list(before.gaps)
        with ThreadPoolExecutor() as pool:
            # The control planes have nothing more to say about a run that is over.
            rejects = pool.submit(self._rejects, gaps)
            arrivals = self.settled_arrivals(run_id, complete)
            answers = pool.submit(self._gateway_answers, ([run_id], warm_up_ids), gaps)
            of_run, of_warm_up = answers.result()
            return Evidence(
                arrivals=arrivals,
                proxies=_growth(before.proxies, self._proxies(gaps)),
                gateway_answers=of_run,
                warm_up_proxies=_growth(earliest.proxies, before.proxies) if earliest else {},
                warm_up_answers=of_warm_up,
                rejects=rejects.result(),
                gaps=tuple(dict.fromkeys(gaps)),
            )

    def _log(self, place: PodSelection) -> Iterator[str]:
        since = math.ceil(time.monotonic() - self._started) + CLOCK_SKEW_SECONDS
        return self._pods[place.cluster].log_lines(place, since_seconds=since)

    def _execute(self, gaps: list[str], place: PodSelection, *command: str) -> list[str]:
        """Return what the command says in each pod; nothing, and a gap, when it cannot be run."""
        with _gap_in(gaps):
            return list(self._pods[place.cluster].execute(place, command).values())
        return []

    def _proxies(self, gaps: list[str]) -> dict[str, ProxyCounters]:
        """Ask each sending proxy once, even when several mirrors share it."""
        pages: dict[PodSelection, list[str]] = {}
        counters: dict[str, ProxyCounters] = {}
        for name, place in self.job.mirrors.items():
            if place.sender not in pages:
                pages[place.sender] = self._execute(gaps, place.sender, *PROXY_COUNTERS)
            if pages[place.sender]:
                counters[name] = read_clusters_page(pages[place.sender], place.proxy_cluster)
        return counters

    def _gateway_answers(self, runs: Sequence[Sequence[str]], gaps: list[str]) -> list[dict[str, Mapping[str, int]]]:
        """Return for each group of runs what the gateways answered, by mirror; the logs are read once."""
        logs: dict[str, list[str]] = {}
        for name, place in self.job.mirrors.items():
            if place.receiving_gateway is not None:
                with _gap_in(gaps):
                    logs[name] = list(self._log(place.receiving_gateway))
        answers = [{name: read_gateway_log(lines, run_ids) for name, lines in logs.items()} for run_ids in runs]
        # No line at all mostly means that the gateway keeps no access log, so it tells nothing.
        return [{name: seen for name, seen in found.items() if seen} for found in answers]

    def _rejects(self, gaps: list[str]) -> dict[str, int]:
        rejects: dict[str, int] = {}
        for place in self.job.control_planes:
            texts = self._execute(gaps, place, *CONTROL_PLANE_METRICS)
            if texts:
                rejects[place.cluster] = read_rejects(texts)
        return rejects


def _growth(before: Mapping[str, ProxyCounters], now: Mapping[str, ProxyCounters]) -> dict[str, ProxyCounters]:
    return {name: now[name].since(before[name]) for name in now if name in before}


@contextmanager
def _gap_in(gaps: list[str]) -> Generator[None]:
    """Note why evidence that could be done without cannot be read, and go on."""
    try:
        yield
    except OperationError as error:
        gaps.append(error.problem)


def _work(raw: dict[str, Any], write: Write) -> None:
    """Serve ``{"witness": …, "run_id": …, "complete": {…}}``; counters are those since the proxies started."""
    witness = Witness(WitnessJob.from_json(raw["witness"]))
    nothing = Baseline(proxies={name: ProxyCounters() for name in witness.job.mirrors}, gaps=())
    write(witness.evidence(raw["run_id"], raw["complete"], nothing).to_json())


if __name__ == "__main__":
    sys.exit(serve_job(_work))
