"""The order of a rehearsal, and how it ends when a part fails."""

import threading
from collections.abc import Mapping
from typing import Any

import pytest

from components.operations.calls import CallSummary
from components.operations.errors import OperationError
from components.operations.evidence import Arrivals, Evidence
from components.operations.jobs import unwrapped
from components.operations.outcome import Outcome
from components.operations.trial import TrialJob, TrialResult
from components.rehearsal import rehearse as module
from components.rehearsal.progress import SilentProgress
from components.rehearsal.rehearse import Place, Stopwatch, rehearse
from components.rehearsal.scenario import RehearsalOptions, Site

AUTHORITY = "grpc-hello.staging.example:8000"
PLACE = Place(
    staging=Site(role="staging", kubeconfig="a", greeter_image="greeter:1"),
    testing=Site(role="testing", kubeconfig="b", greeter_image="greeter:1"),
    wrap=unwrapped,
    facts={"Istio": "1.31.0"},
    stand_ins=("one",),
)


class Deployer:
    """Remembers what it deployed; both bases must be under way at the same time."""

    def __init__(self) -> None:
        self.deployed: list[tuple[str, bool]] = []
        self.secrets: dict[str, Mapping[str, Any]] = {}
        self.together = threading.Barrier(2)
        self.failing = ""
        self.failing_mirror = False
        self.waiting = threading.Event()
        self.cancelled = False

    def up(self, stack: str, config: Mapping[str, Any], secrets: Mapping[str, Any]) -> Mapping[str, object]:
        mirrors = "absent" not in config.get("mirrors", {}).get("crossCluster", {"absent": True})
        if not mirrors:
            self.together.wait(timeout=10)
        elif self.failing_mirror:
            raise OperationError("Mirror failed", remedy="Look")
        if self.failing == stack:
            raise OperationError("Deployment failed", remedy="Look")
        if self.failing and not self.waiting.wait(10):
            raise AssertionError
        self.deployed.append((stack, mirrors))
        self.secrets[stack] = secrets
        return {"gatewayAddress": f"198.18.0.{110 if stack == 'staging' else 120}"}

    def destroy(self, stack: str) -> None:
        raise NotImplementedError

    def cancel(self) -> None:
        self.cancelled = True
        self.waiting.set()


def copies(count: int) -> Arrivals:
    return Arrivals(calls=count, authorities={AUTHORITY: count}, marks={"mirror": count})


@pytest.fixture
def trials(monkeypatch: pytest.MonkeyPatch) -> list[TrialJob]:
    made: list[TrialJob] = []

    def trial(job: TrialJob, *_: object, **__: object) -> TrialResult:
        made.append(job)
        count = job.calls.count
        seen = {"primary": Arrivals(calls=count, marks={"": count}), "in-cluster": copies(count // 2)}
        return TrialResult(
            calls=CallSummary(
                total=count, answered_by={"v1": count}, failures={}, median_seconds=0.01, p95_seconds=0.02
            ),
            evidence=Evidence(arrivals={**seen, "cross-cluster": copies(count)}),
        )

    monkeypatch.setattr(module, "trial_in_child", trial)
    return made


def run(deployer: Deployer, **options: Any) -> Any:
    return rehearse(RehearsalOptions(**options), PLACE, deployer, Stopwatch(SilentProgress()))


def test_both_bases_come_up_together_and_the_mirror_to_testing_last(trials: list[TrialJob]) -> None:
    deployer = Deployer()
    report = run(deployer)
    assert sorted(deployer.deployed[:2]) == [("staging", False), ("testing", False)]
    assert deployer.deployed[2:] == [("staging", True)]
    assert report.verdict.outcome is Outcome.HOLDS
    assert trials[0].calls.address == "198.18.0.110:8000"
    assert not deployer.cancelled


def test_both_gateways_trust_one_authority_and_have_keys_of_their_own(trials: list[TrialJob]) -> None:
    deployer = Deployer()
    run(deployer)
    staging, testing = (deployer.secrets[role]["mirrorTls"] for role in ("staging", "testing"))
    assert staging["ca"] == testing["ca"]
    assert staging["key"] != testing["key"]
    assert len(trials) == 1


def test_every_run_has_a_tag_of_its_own(trials: list[TrialJob]) -> None:
    run(Deployer())
    run(Deployer())
    assert trials[0].calls.run_id != trials[1].calls.run_id


def test_the_report_has_place_and_steps(trials: list[TrialJob]) -> None:
    report = run(Deployer(), calls=40)
    assert [phase.name for phase in report.phases[-2:]] == ["staging: mirror to testing", "40 calls and their evidence"]
    assert {phase.name for phase in report.phases[:-2]} == {"testing: deploy", "staging: deploy"}
    assert (report.facts, report.stand_ins) == (PLACE.facts, PLACE.stand_ins)
    assert report.gateway == "198.18.0.110:8000"
    assert trials[0].calls.count == 40


def test_a_mirror_that_cannot_be_deployed_ends_the_rehearsal(trials: list[TrialJob]) -> None:
    deployer = Deployer()
    deployer.failing_mirror = True
    with pytest.raises(OperationError, match="Mirror failed"):
        run(deployer)
    assert deployer.cancelled
    assert trials == []


@pytest.mark.parametrize("stack", ["testing", "staging"])
def test_a_failed_deployment_cancels_the_other_and_no_call_is_made(trials: list[TrialJob], stack: str) -> None:
    deployer = Deployer()
    deployer.failing = stack
    with pytest.raises(OperationError, match="Deployment failed"):
        run(deployer)
    assert deployer.cancelled
    assert trials == []


def test_a_deployment_that_takes_too_long_is_cancelled_and_said(trials: list[TrialJob]) -> None:
    deployer = Deployer()
    deployer.failing = "nobody"
    with pytest.raises(OperationError, match=r"did not end within 0\.2 s, it was deploying"):
        run(deployer, timeout_seconds=0.2)
    assert deployer.cancelled
    assert trials == []
