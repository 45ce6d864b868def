"""The bound on a rehearsal counts its own work: what is built, installed or waited for beforehand is not part of it."""

import re
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest

from pulumi_traffic_mirror.operations.errors import OperationError
from pulumi_traffic_mirror.operations.jobs import unwrapped
from pulumi_traffic_mirror.operations.verify.report import Report
from pulumi_traffic_mirror.rehearsal import embedded
from pulumi_traffic_mirror.rehearsal import rehearse as rehearsing
from pulumi_traffic_mirror.rehearsal.cluster.pki import Authority
from pulumi_traffic_mirror.rehearsal.errors import StageError
from pulumi_traffic_mirror.rehearsal.progress import SilentProgress
from pulumi_traffic_mirror.rehearsal.queueing import Patience
from pulumi_traffic_mirror.rehearsal.rehearse import ClusterPair, Stopwatch
from pulumi_traffic_mirror.rehearsal.scenario import RehearsalCluster, RehearsalOptions

HALF_AN_HOUR = 1_920.0


class World:
    """A stage whose parts take as long as they are told to, by a clock that nothing else moves."""

    def __init__(self) -> None:
        self.now = 5_000.0
        self.building = self.deploying = self.calling = 0.0
        self.build_error: Exception | None = None
        self.verify_error: Exception | None = None
        self.bounds: list[float] = []
        self.configured: list[str] = []
        self.prepared = 0

    def clock(self) -> float:
        return self.now

    def stage(self, _: object, *, meanwhile: Callable[[Any], None]) -> Any:
        self.now += self.building
        if self.build_error:
            raise self.build_error
        stage = MagicMock(bin=Path("/bin"), root=Path("/stage"))
        stage.__exit__.return_value = False
        meanwhile(stage)
        self.prepared = len(self.configured)
        return stage

    def configure(self, stack: str, config: Mapping[str, Any], secrets: Mapping[str, Any]) -> None:
        del config, secrets
        self.configured.append(stack)

    def up(self, stack: str) -> Mapping[str, object]:
        if stack == "staging":
            self.now += self.deploying / 2  # it is deployed twice
        return {"gatewayAddress": "198.18.0.110"}

    def cancel(self) -> None:
        return

    def verify(self, *_: object, timeout_seconds: float, **__: object) -> Report:
        self.bounds.append(timeout_seconds)
        self.now += min(self.calling, timeout_seconds)
        if self.verify_error:
            raise self.verify_error
        return Report(
            title="Verification",
            started="",
            route="VirtualService hello/greeter",
            sender="staging",
            authority="grpc-hello.staging.example:8000",
            path="/helloworld.Greeter/SayHello",
            gateway="198.18.0.110:8000",
            calls=None,
            subjects=(),
            gaps=("seen",),
        )


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    clusters = [
        RehearsalCluster(role=role, kubeconfig=role, greeter_image="greeter:1") for role in ("staging", "testing")
    ]
    pair = ClusterPair(staging=clusters[0], testing=clusters[1], wrap=unwrapped)
    replaced: dict[str, Any] = {
        "Stopwatch": lambda progress: Stopwatch(progress, clock=made.clock),
        "Stage": SimpleNamespace(up=made.stage),
        "discover": lambda *_: None,
        "stage_engine": lambda *_: nullcontext(),
        "EngineDeployer": lambda *_, **__: made,
        "_embedded_pair": lambda *_: pair,
    }
    for name, item in replaced.items():
        monkeypatch.setattr(embedded, name, item)
    monkeypatch.setattr(rehearsing, "verify_in_child", made.verify)
    return made


def run(timeout_seconds: float = 600.0) -> Any:
    options = RehearsalOptions(calls=40, timeout_seconds=timeout_seconds)
    return embedded.rehearse_on_stage(options, Path("/project"), SilentProgress())


def test_a_preparation_that_takes_longer_than_the_bound_does_not_count(world: World) -> None:
    world.building, world.deploying, world.calling = HALF_AN_HOUR, 400, 100
    report = run(timeout_seconds=600)
    assert report.gaps == ("seen",)
    assert next(phase.seconds for phase in report.phases if phase.name == "two clusters") == HALF_AN_HOUR


def test_both_stacks_are_configured_while_the_clusters_start(world: World) -> None:
    run()
    assert world.prepared == 2
    assert sorted(world.configured) == ["staging"] * 3 + ["testing"] * 2


def test_a_preparation_that_fails_late_says_why_and_nothing_of_the_bound(world: World) -> None:
    world.building, world.build_error = HALF_AN_HOUR, StageError("Cannot build istio", remedy="Read the log")
    with pytest.raises(StageError) as caught:
        run(timeout_seconds=600)
    assert str(caught.value) == "Cannot build istio. Read the log."


@pytest.mark.parametrize("building", [0.0, HALF_AN_HOUR])
def test_a_deployment_that_takes_longer_than_the_bound_is_an_error_with_it(world: World, building: float) -> None:
    world.building, world.deploying = building, 700
    with pytest.raises(OperationError, match="did not end within 600 s, it was deploying"):
        run(timeout_seconds=600)
    assert world.bounds == []


def test_calls_get_what_deploying_left_of_the_bound(world: World) -> None:
    world.building, world.deploying, world.calling = HALF_AN_HOUR, 590, 50
    world.verify_error = OperationError("verify did not end within 10 s", remedy="Allow more time")
    with pytest.raises(OperationError, match="did not end within 600 s, it was making calls"):
        run(timeout_seconds=600)
    assert world.bounds == [pytest.approx(10)]


def test_a_verification_that_fails_by_itself_keeps_its_own_words(world: World) -> None:
    world.calling, world.verify_error = 5, OperationError("The log cannot be read", remedy="Look")
    with pytest.raises(OperationError, match="The log cannot be read"):
        run()


def test_no_bound_follows_the_wall_clock_which_jumps(repository: Path) -> None:
    assert Stopwatch(SilentProgress())._clock is time.monotonic
    assert Patience(progress=SilentProgress()).clock is time.monotonic
    wall = re.compile(r"\btime\.time\(|from time import [^\n]*\btime\b|\.timestamp\(\) *[-+]")
    files = [
        file
        for folder in ("rehearsal", "operations", "cli")
        for file in (repository / "components" / folder).rglob("*.py")
    ]
    assert [file.name for file in files if wall.search(file.read_text(encoding="utf-8"))] == []


def test_a_certificate_outlives_a_clock_that_is_set_back() -> None:
    certificate = Authority("rehearsal").certificate
    assert certificate.not_valid_before_utc < datetime.now(UTC) - timedelta(hours=23)
