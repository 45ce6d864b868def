"""The rehearsal: deploy both stacks, send real requests through them, judge what both clusters saw."""

import threading
import time
import uuid
from collections.abc import Generator, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Protocol

from ..model import JsonObject, JsonValue
from ..operations.errors import OperationError
from ..operations.jobs import Wrap
from ..operations.report import Phase, Report
from ..operations.trial import TrialResult, trial_in_child
from ..operations.verdict import judge
from .mirror_tls import make_mirror_tls
from .progress import Progress
from .scenario import (
    HOST,
    MIRROR_HOST,
    PORT,
    STAGING,
    TESTING,
    RehearsalOptions,
    Site,
    mirror_plans,
    stack_config,
    trial_job,
)

WARM_UP_SECONDS: Final = 30.0
"""Bound on waiting until a deployed mirror works; proxies have new configuration within a second or two."""

SECONDS_PER_CALL: Final = 0.05
"""More than a call ever took here, for the bound on a trial."""

TRIAL_SECONDS: Final = 120.0
"""Bound on a trial, its calls not counted."""


class Deployer(Protocol):
    """Deploys stacks of the program. Every method may be called from several threads, for different stacks."""

    def up(self, stack: str, config: Mapping[str, JsonValue], secrets: Mapping[str, JsonValue]) -> Mapping[str, object]:
        """Deploy a stack with exactly this configuration and return its outputs.

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
class Place:
    """Where a rehearsal happens: two clusters, and how a client reaches them."""

    staging: Site
    """The cluster that owns the traffic."""

    testing: Site
    """The cluster that gets copies."""

    wrap: Wrap
    """Runs a client where it reaches gateways and API servers."""

    facts: Mapping[str, str] = field(default_factory=dict[str, str])
    """What the place consists of, for the report."""

    stand_ins: tuple[str, ...] = ()
    """What of it stands in for something else, for the report."""


class Stopwatch:
    """Measures steps that may overlap, and shows them while they run."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self._started = time.monotonic()
        self._phases: list[Phase] = []
        self._lock = threading.Lock()

    @contextmanager
    def phase(self, name: str) -> Generator[None]:
        """Measure one step."""
        before = time.monotonic()
        with self.progress.step(name):
            yield
        with self._lock:
            end = time.monotonic()
            self._phases.append(Phase(name=name, seconds=end - before, start_seconds=before - self._started))

    @property
    def seconds(self) -> float:
        """Time since the beginning."""
        return time.monotonic() - self._started

    @property
    def phases(self) -> tuple[Phase, ...]:
        """All steps that ended, by their beginning."""
        with self._lock:
            return tuple(sorted(self._phases, key=lambda phase: phase.start_seconds))


def rehearse(options: RehearsalOptions, place: Place, deployer: Deployer, watch: Stopwatch) -> Report:
    """Deploy both stacks to a place, try the mirrors, and report.

    Args:
        options: What to rehearse.
        place: Where.
        deployer: Deploys the stacks.
        watch: Measures; its clock runs already.

    Raises:
        Exception: A deployment failed; the error carries ``exit_code``.
        OperationError: Nothing can be told, e.g. for lack of evidence or of time.
    """
    started = datetime.now(tz=UTC)
    outputs = _deploy(options, place, deployer, watch)
    result = _try(options, place, str(outputs["gatewayAddress"]), watch)
    mirrors = mirror_plans(options)
    return Report(
        title="Rehearsal",
        started=f"{started:%Y-%m-%dT%H:%M:%SZ}",
        version="v1",
        authority=f"{HOST}:{PORT}",
        gateway=f"{outputs['gatewayAddress']}:{PORT}",
        mirrors=mirrors,
        calls=result.calls,
        evidence=result.evidence,
        verdict=judge(version="v1", mirrors=mirrors, calls=result.calls, evidence=result.evidence),
        phases=watch.phases,
        facts=place.facts,
        stand_ins=place.stand_ins,
    )


def _deploy(options: RehearsalOptions, place: Place, deployer: Deployer, watch: Stopwatch) -> Mapping[str, object]:
    """Deploy testing, and at the same time staging without its mirror to testing; then add that mirror.

    Both need a control plane, a gateway and workloads, which is most of the time; only the mirror needs testing.
    """
    tls: Mapping[str, JsonObject] = {
        role: {"mirrorTls": dict(pem)} for role, pem in make_mirror_tls(MIRROR_HOST).items()
    }

    def up(site: Site, name: str, *, mirror_to_testing: bool) -> Mapping[str, object]:
        config = stack_config(options, site, mirror_to_testing=mirror_to_testing)
        with watch.phase(name):
            return deployer.up(site.role, config, tls[site.role])

    with ThreadPoolExecutor(2) as pool:
        try:
            bases = [
                pool.submit(up, place.testing, f"{TESTING}: deploy", mirror_to_testing=False),
                pool.submit(up, place.staging, f"{STAGING}: deploy", mirror_to_testing=False),
            ]
            _results(bases, options, watch)
            name = f"{STAGING}: mirror to {TESTING}"
            (outputs,) = _results([pool.submit(up, place.staging, name, mirror_to_testing=True)], options, watch)
        except BaseException:
            deployer.cancel()
            raise
    return outputs


def _results(
    deployments: "list[Future[Mapping[str, object]]]", options: RehearsalOptions, watch: Stopwatch
) -> list[Mapping[str, object]]:
    """Wait until all are deployed and return their outputs; the first failure ends the wait."""
    left = max(0.0, options.timeout_seconds - watch.seconds)
    done, running = wait(deployments, timeout=left, return_when=FIRST_EXCEPTION)
    for deployment in done:
        deployment.result()
    if running:
        raise _too_late(options, "deploying")
    return [deployment.result() for deployment in deployments]


def _try(options: RehearsalOptions, place: Place, gateway_address: str, watch: Stopwatch) -> TrialResult:
    """Make the calls and gather the evidence."""
    left = options.timeout_seconds - watch.seconds
    if left <= 0:
        raise _too_late(options, "deploying")
    job = trial_job(
        options,
        place.staging,
        place.testing,
        gateway_address=gateway_address,
        run_id=f"run-{uuid.uuid4().hex[:12]}",
        timeout_seconds=min(WARM_UP_SECONDS, left),
    )
    with watch.phase(f"{options.calls:,} calls and their evidence"):
        bound = min(left, TRIAL_SECONDS + options.calls * SECONDS_PER_CALL)
        return trial_in_child(job, watch.progress.note, wrap=place.wrap, timeout_seconds=bound)


def _too_late(options: RehearsalOptions, doing: str) -> OperationError:
    return OperationError(
        f"The rehearsal did not end within {options.timeout_seconds:g} s, it was {doing}",
        remedy="Give it more time with --timeout, or look at the logs why it is slow",
    )
