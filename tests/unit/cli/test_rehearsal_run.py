"""The order of a rehearsal, and how it ends when a part fails."""

import threading
from collections.abc import Mapping
from typing import Any

import pytest

from pulumi_traffic_mirror.operations.errors import OperationError
from pulumi_traffic_mirror.operations.jobs import unwrapped
from pulumi_traffic_mirror.operations.verify.job import VerifyJob
from pulumi_traffic_mirror.operations.verify.report import Report
from pulumi_traffic_mirror.rehearsal import rehearse as module
from pulumi_traffic_mirror.rehearsal.progress import SilentProgress
from pulumi_traffic_mirror.rehearsal.rehearse import ClusterPair, Rehearsal, Stopwatch
from pulumi_traffic_mirror.rehearsal.scenario import RehearsalCluster, RehearsalOptions

PLACE = ClusterPair(
    staging=RehearsalCluster(role="staging", kubeconfig="a", greeter_image="greeter:1"),
    testing=RehearsalCluster(role="testing", kubeconfig="b", greeter_image="greeter:1"),
    wrap=unwrapped,
    facts={"Istio": "1.31.0"},
    stand_ins=("one",),
)


class Deployer:
    """Remembers what it deployed; both bases must be under way at the same time."""

    def __init__(self) -> None:
        self.deployed: list[tuple[str, bool]] = []
        self.configs: dict[str, Mapping[str, Any]] = {}
        self.secrets: dict[str, Mapping[str, Any]] = {}
        self.together = threading.Barrier(2)
        self.failing = ""
        self.failing_mirror = False
        self.waiting = threading.Event()
        self.cancelled = False

    def configure(self, stack: str, config: Mapping[str, Any], secrets: Mapping[str, Any]) -> None:
        self.configs[stack] = config
        self.secrets[stack] = secrets

    def up(self, stack: str) -> Mapping[str, object]:
        config = self.configs[stack]
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
        return {"gatewayAddress": f"198.18.0.{110 if stack == 'staging' else 120}"}

    def destroy(self, stack: str) -> None:
        raise NotImplementedError

    def cancel(self) -> None:
        self.cancelled = True
        self.waiting.set()


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[VerifyJob]:
    made: list[VerifyJob] = []

    def verify(job: VerifyJob, *_: object, **__: object) -> Report:
        made.append(job)
        return Report(
            title="Verification",
            started="",
            route="VirtualService hello/greeter",
            sender="staging",
            authority="grpc-hello.staging.example:8000",
            path="/helloworld.Greeter/SayHello",
            gateway=job.address,
            calls=None,
            subjects=(),
            gaps=("seen",),
        )

    monkeypatch.setattr(module, "verify_in_child", verify)
    return made


def run(deployer: Deployer, **options: Any) -> Any:
    return Rehearsal(RehearsalOptions(**options), PLACE, deployer, Stopwatch(SilentProgress())).run()


def test_both_bases_come_up_together_and_the_mirror_to_testing_last(jobs: list[VerifyJob]) -> None:
    deployer = Deployer()
    report = run(deployer)
    assert sorted(deployer.deployed[:2]) == [("staging", False), ("testing", False)]
    assert deployer.deployed[2:] == [("staging", True)]
    assert (report.title, report.gaps) == ("Rehearsal", ("seen",))
    assert jobs[0].address == "198.18.0.110:8000"
    assert not deployer.cancelled


def test_both_gateways_trust_one_authority_and_have_keys_of_their_own(jobs: list[VerifyJob]) -> None:
    deployer = Deployer()
    run(deployer)
    staging, testing = (deployer.secrets[role]["mirrorTls"] for role in ("staging", "testing"))
    assert staging["ca"] == testing["ca"]
    assert staging["key"] != testing["key"]
    assert len(jobs) == 1


def test_the_report_has_place_and_steps(jobs: list[VerifyJob]) -> None:
    report = run(Deployer(), calls=40)
    assert [phase.name for phase in report.phases[-2:]] == ["staging: mirror to testing", "40 calls and their evidence"]
    assert {phase.name for phase in report.phases[:-2]} == {"testing: deploy", "staging: deploy"}
    assert (report.facts, report.stand_ins) == (PLACE.facts, PLACE.stand_ins)
    assert report.gateway == "198.18.0.110:8000"
    assert jobs[0].calls == 40


def test_a_mirror_that_cannot_be_deployed_ends_the_rehearsal(jobs: list[VerifyJob]) -> None:
    deployer = Deployer()
    deployer.failing_mirror = True
    with pytest.raises(OperationError, match="Mirror failed"):
        run(deployer)
    assert deployer.cancelled
    assert jobs == []


@pytest.mark.parametrize("stack", ["testing", "staging"])
def test_a_failed_deployment_cancels_the_other_and_no_call_is_made(jobs: list[VerifyJob], stack: str) -> None:
    deployer = Deployer()
    deployer.failing = stack
    with pytest.raises(OperationError, match="Deployment failed"):
        run(deployer)
    assert deployer.cancelled
    assert jobs == []


def test_a_deployment_that_takes_too_long_is_cancelled_and_said(jobs: list[VerifyJob]) -> None:
    deployer = Deployer()
    deployer.failing = "nobody"
    with pytest.raises(OperationError, match=r"did not end within 0\.2 s, it was deploying"):
        run(deployer, timeout_seconds=0.2)
    assert deployer.cancelled
    assert jobs == []
