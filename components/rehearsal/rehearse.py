"""The rehearsal: deploy both stacks, then verify them. It judges nothing itself."""

import threading
import time
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final, Protocol

from ..model import JsonObject, JsonValue
from ..operations.errors import OperationError
from ..operations.jobs import Wrap
from ..operations.verify.child import verify_in_child
from ..operations.verify.report import Phase, Report
from .mirror_tls import make_mirror_tls
from .progress import Progress
from .scenario import (
    MIRROR_HOST,
    STAGING,
    TESTING,
    RehearsalCluster,
    RehearsalOptions,
    stack_config,
    verify_job,
)

WARM_UP_SECONDS: Final = 30.0
"""Bound on waiting until a deployed mirror works; proxies have new configuration within a second or two."""

SECONDS_PER_CALL: Final = 0.05
"""More than a call ever took here, for the bound on the verification."""

VERIFY_SECONDS: Final = 120.0
"""Bound on the verification, its calls not counted."""


class Deployer(Protocol):
    """Deploys stacks of the program. Every method may be called from several threads, for different stacks."""

    def configure(self, stack: str, config: Mapping[str, JsonValue], secrets: Mapping[str, JsonValue]) -> None:
        """Give a stack exactly this configuration, and make everything ready that needs no cluster yet.

        Raises:
            Exception: It cannot be stored; the error carries ``exit_code``.
        """
        ...

    def up(self, stack: str) -> Mapping[str, object]:
        """Deploy a stack as it is configured and return its outputs.

        Raises:
            Exception: The deployment failed; the error carries ``exit_code``.
        """
        ...

    def destroy(self, stack: str) -> None:
        """Remove everything that the stack deployed."""
        ...

    def cancel(self) -> None:
        """Make deployments that run in other threads end soon."""
        ...


@dataclass(frozen=True, kw_only=True)
class ClusterPair:
    """Where a rehearsal happens: two clusters, and how a client reaches them."""

    staging: RehearsalCluster
    """The cluster that owns the traffic."""

    testing: RehearsalCluster
    """The cluster that gets copies."""

    wrap: Wrap
    """Runs a client where it reaches gateways and API servers."""

    facts: Mapping[str, str] = field(default_factory=dict[str, str])
    """What the two consist of, for the report."""

    stand_ins: tuple[str, ...] = ()
    """What of it stands in for something else, for the report."""


class Stopwatch:
    """Measures steps that may overlap, and shows them while they run."""

    def __init__(self, progress: Progress, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin to measure.

        Args:
            progress: Shown each step.
            clock: Seconds since any fixed moment; must not follow the wall clock, which jumps.
        """
        self.progress = progress
        self._clock = clock
        self._started = clock()
        self._phases: list[Phase] = []
        self._lock = threading.Lock()

    @contextmanager
    def phase(self, name: str) -> Generator[None]:
        """Measure one step."""
        before = self._clock()
        with self.progress.step(name):
            yield
        with self._lock:
            end = self._clock()
            self._phases.append(Phase(name=name, seconds=end - before, start_seconds=before - self._started))

    @property
    def seconds(self) -> float:
        """Time since the beginning."""
        return self._clock() - self._started

    @property
    def phases(self) -> tuple[Phase, ...]:
        """All steps that ended, by their beginning."""
        with self._lock:
            return tuple(sorted(self._phases, key=lambda phase: phase.start_seconds))


class TimeLimit:
    """The bound on a rehearsal. It counts from here on, so not what was prepared before: builds, clusters, a queue."""

    def __init__(self, seconds: float, watch: Stopwatch) -> None:
        self._seconds = seconds
        self._watch = watch
        self._end = watch.seconds + seconds

    @property
    def left(self) -> float:
        """Seconds that are left, >= 0."""
        return max(0.0, self._end - self._watch.seconds)

    def exceeded(self, doing: str) -> OperationError:
        """Return the error for a rehearsal that took too long.

        Args:
            doing: What it was doing, e.g. ``"deploying"``.
        """
        return OperationError(
            f"The rehearsal did not end within {self._seconds:g} s, it was {doing}",
            remedy="Give it more time with --timeout, or look at the logs why it is slow",
        )


class Rehearsal:
    """Deploy both stacks, try the mirrors, and report."""

    def __init__(self, options: RehearsalOptions, pair: ClusterPair, deployer: Deployer, watch: Stopwatch) -> None:
        """Plan it; nothing is done yet.

        Args:
            options: What to rehearse.
            pair: Its clusters.
            deployer: Deploys the stacks.
            watch: Measures. What it has measured before :meth:`run` does not count for the bound of the options.
        """
        self._options = options
        self._pair = pair
        self._deployer = deployer
        self._watch = watch
        self._tls: Mapping[str, JsonObject] = {
            role: {"mirrorTls": dict(pem)} for role, pem in make_mirror_tls(MIRROR_HOST).items()
        }

    def prepare(self) -> None:
        """Configure both stacks, while their clusters may still be starting.

        Raises:
            Exception: It failed; the error carries ``exit_code``.
        """
        with ThreadPoolExecutor(2) as pool:
            clusters = (self._pair.testing, self._pair.staging)
            for done in [pool.submit(self._configure, cluster, mirror_to_testing=False) for cluster in clusters]:
                done.result()

    def run(self) -> Report:
        """Deploy, verify, and report.

        Raises:
            Exception: A deployment failed; the error carries ``exit_code``.
            OperationError: Nothing can be told, e.g. for lack of evidence or of time.
        """
        started = datetime.now(tz=UTC)
        limit = TimeLimit(self._options.timeout_seconds, self._watch)
        outputs = self._deploy(limit)
        report = _verify(self._options, self._pair, str(outputs["gatewayAddress"]), self._watch, limit)
        return replace(
            report,
            title="Rehearsal",
            started=f"{started:%Y-%m-%dT%H:%M:%SZ}",
            phases=self._watch.phases,
            facts=self._pair.facts,
            stand_ins=self._pair.stand_ins,
        )

    def _configure(self, cluster: RehearsalCluster, *, mirror_to_testing: bool) -> None:
        config = stack_config(self._options, cluster, mirror_to_testing=mirror_to_testing)
        self._deployer.configure(cluster.role, config, self._tls[cluster.role])

    def _deploy(self, limit: TimeLimit) -> Mapping[str, object]:
        """Deploy testing, and at the same time staging without its mirror to testing; then add that mirror.

        Both need a control plane, a gateway and workloads, which is most of the time; only the mirror needs testing.
        """
        pair = self._pair

        def up(cluster: RehearsalCluster, name: str, *, mirror_to_testing: bool) -> Mapping[str, object]:
            with self._watch.phase(name):
                self._configure(cluster, mirror_to_testing=mirror_to_testing)
                return self._deployer.up(cluster.role)

        with ThreadPoolExecutor(2) as pool:
            try:
                bases = [
                    pool.submit(up, pair.testing, f"{TESTING}: deploy", mirror_to_testing=False),
                    pool.submit(up, pair.staging, f"{STAGING}: deploy", mirror_to_testing=False),
                ]
                _results(bases, limit)
                name = f"{STAGING}: mirror to {TESTING}"
                (outputs,) = _results([pool.submit(up, pair.staging, name, mirror_to_testing=True)], limit)
            except BaseException:
                self._deployer.cancel()
                raise
        return outputs


def _results(deployments: "list[Future[Mapping[str, object]]]", limit: TimeLimit) -> list[Mapping[str, object]]:
    """Wait until all are deployed and return their outputs; the first failure ends the wait."""
    done, running = wait(deployments, timeout=limit.left, return_when=FIRST_EXCEPTION)
    for deployment in done:
        deployment.result()
    if running:
        raise limit.exceeded("deploying")
    return [deployment.result() for deployment in deployments]


def _verify(
    options: RehearsalOptions, pair: ClusterPair, gateway_address: str, watch: Stopwatch, limit: TimeLimit
) -> Report:
    """Make the calls, and have it told what became of them."""
    left = limit.left
    if not left:
        raise limit.exceeded("deploying")
    job = verify_job(
        options,
        pair.staging,
        pair.testing,
        gateway_address=gateway_address,
        warm_up_seconds=min(WARM_UP_SECONDS, left),
    )
    with watch.phase(f"{options.calls:,} calls and their evidence"):
        bound = min(left, VERIFY_SECONDS + options.calls * SECONDS_PER_CALL)
        try:
            return verify_in_child(job, watch.progress.note, wrap=pair.wrap, timeout_seconds=bound)
        except OperationError as error:
            if limit.left:
                raise
            raise limit.exceeded("making calls and gathering evidence") from error
