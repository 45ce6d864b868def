"""Rehearsals on clusters that exist, and deployments by an engine; the engine is replaced."""

import fcntl
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest

from pulumi_traffic_mirror.model import ValidationError
from pulumi_traffic_mirror.operations.errors import OperationError
from pulumi_traffic_mirror.operations.kube import ClusterAccess
from pulumi_traffic_mirror.rehearsal import embedded, existing
from pulumi_traffic_mirror.rehearsal.deployer import EngineDeployer
from pulumi_traffic_mirror.rehearsal.engine import DeploymentEvent, EventKind, Installation, Output, ProgramMode
from pulumi_traffic_mirror.rehearsal.errors import StageError
from pulumi_traffic_mirror.rehearsal.rehearse import ClusterPair, Stopwatch
from pulumi_traffic_mirror.rehearsal.scenario import RehearsalCluster, RehearsalOptions

STAGING = RehearsalCluster(role="staging", kubeconfig="/clusters/a", greeter_image="i:1", istio={"hub": "h"})
TESTING = RehearsalCluster(role="testing", kubeconfig="/clusters/b", context="kind-b", greeter_image="i:1")
INSTALLATION = Installation(
    cli=Path("/bin/pulumi"),
    cli_version="3.259.0",
    mode=ProgramMode.INLINE,
    provider=Path("/plugins"),
    provider_version="4.34.2",
)


class Progress:
    """Keeps the notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def step(self, name: str, **_: Any) -> Any:
        self.notes.append(name)
        return threading.Lock()

    def note(self, text: str) -> None:
        self.notes.append(text)


class Engine:
    """Stands for the engine: remembers what it was asked."""

    def __init__(self, project: Path, state: Path, installation: Installation, **arguments: Any) -> None:
        self.project, self.state, self.installation, self.arguments = project, state, installation, arguments
        self.config: dict[str, tuple[Any, Any]] = {}
        self.destroyed: list[str] = []
        self.closed = False
        self.events: list[DeploymentEvent] = []
        state.mkdir(parents=True, exist_ok=True)
        MADE.append(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def set_config(self, stack: str, values: Mapping[str, Any], *, secrets: Mapping[str, str]) -> None:
        self.config[stack] = (values, secrets)

    def up(self, stack: str, *, on_event: Callable[[DeploymentEvent], None]) -> Any:
        del stack
        for event in self.events:
            on_event(event)
        return SimpleNamespace(outputs={"gatewayAddress": Output(value="10.0.0.1")})

    def destroy(self, stack: str, **_: Any) -> None:
        self.destroyed.append(stack)

    def close(self) -> None:
        self.closed = True


class Leftovers:
    """Stands for what Istio leaves in a cluster."""

    there: Mapping[str, tuple[str, ...]]
    removed: list[tuple[str, tuple[str, ...]]]

    def __init__(self, access: ClusterAccess) -> None:
        self._role = access.name

    def found(self) -> tuple[str, ...]:
        return self.there[self._role]

    def remove(self, before: Sequence[str], progress: object) -> None:
        del progress
        self.removed.append((self._role, tuple(before)))


MADE: list[Engine] = []
"""Every engine of the running test."""


@pytest.fixture(autouse=True)
def engines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Engine]:
    MADE.clear()
    monkeypatch.setenv(existing.STATE_VARIABLE, str(tmp_path / "state"))
    monkeypatch.setattr(existing, "Engine", Engine)

    def installed(*_: object) -> Installation:
        return INSTALLATION

    monkeypatch.setattr(existing, "discover", installed)
    monkeypatch.setattr(existing, "IstioLeftovers", Leftovers)
    Leftovers.there, Leftovers.removed = {"staging": (), "testing": ("crd/before",)}, []
    return MADE


@pytest.fixture
def pairs(monkeypatch: pytest.MonkeyPatch) -> list[ClusterPair]:
    seen: list[ClusterPair] = []

    def rehearsal(_: RehearsalOptions, pair: ClusterPair, deployer: EngineDeployer, watch: Stopwatch) -> Any:
        del deployer, watch
        seen.append(pair)
        return SimpleNamespace(run=lambda: "report")

    monkeypatch.setattr(existing, "Rehearsal", rehearsal)
    return seen


def run(progress: Progress | None = None, staging: RehearsalCluster = STAGING, **options: Any) -> Any:
    return existing.rehearse_on_clusters(
        RehearsalOptions(**options), staging, TESTING, Path("/project"), progress or Progress()
    )


def test_both_stacks_are_removed_after_the_rehearsal(
    engines: list[Engine], pairs: list[ClusterPair], tmp_path: Path
) -> None:
    assert run() == "report"
    (engine,) = engines
    assert sorted(engine.destroyed) == ["staging", "testing"]
    assert engine.closed
    assert not (tmp_path / "state").exists()
    assert sorted(Leftovers.removed) == [("staging", ()), ("testing", ("crd/before",))]
    assert (pairs[0].staging, pairs[0].testing) == (STAGING, TESTING)


def test_only_clusters_of_a_current_context_are_asked_whether_they_are_ready(
    engines: list[Engine], pairs: list[ClusterPair]
) -> None:
    run()
    assert engines[0].arguments["kubeconfigs"] == (Path("/clusters/a"),)
    assert len(pairs) == 1


def test_the_report_says_which_provider_took_part(pairs: list[ClusterPair]) -> None:
    run()
    assert "pulumi-resource-kubernetes" in pairs[0].facts["Provider"]
    assert pairs[0].facts["Testing"] == "/clusters/b kind-b"


def test_both_stacks_are_removed_after_a_failure_too(
    engines: list[Engine], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_: object) -> None:
        raise OperationError("Nothing can be told", remedy="Look")

    monkeypatch.setattr(existing, "Rehearsal", fail)
    with pytest.raises(OperationError, match="Nothing can be told"):
        run()
    assert sorted(engines[0].destroyed) == ["staging", "testing"]
    assert not (tmp_path / "state").exists()


def test_what_is_kept_is_described_and_can_be_removed_later(engines: list[Engine], pairs: list[ClusterPair]) -> None:
    progress = Progress()
    run(progress, keep=True)
    assert engines[0].destroyed == []
    assert "traffic-mirror rehearse down" in progress.notes[-1]
    assert "remove them with" in existing.describe_clusters()[0]
    assert existing.describe_clusters()[1:] == ("staging: /clusters/a", "testing: /clusters/b kind-b")
    assert existing.end_on_clusters(progress)
    assert sorted(engines[1].destroyed) == ["staging", "testing"]
    assert engines[1].project == engines[0].project
    assert existing.describe_clusters() == ()
    assert not existing.end_on_clusters(progress)
    assert len(pairs) == 1


def test_a_kept_rehearsal_can_be_repeated_on_the_same_clusters(engines: list[Engine], pairs: list[ClusterPair]) -> None:
    run(keep=True)
    run(keep=True)
    assert [engine.destroyed for engine in engines] == [[], []]
    assert len(pairs) == 2


def test_what_was_there_before_is_remembered_from_the_first_rehearsal(
    engines: list[Engine], pairs: list[ClusterPair]
) -> None:
    run(keep=True)
    Leftovers.there = {role: (*found, "webhook/of the first rehearsal") for role, found in Leftovers.there.items()}
    run(keep=True)
    assert existing.end_on_clusters(Progress())
    assert sorted(Leftovers.removed) == [("staging", ()), ("testing", ("crd/before",))]
    assert len(engines) == len(pairs) + 1 == 3


def test_a_rehearsal_that_runs_just_now_is_not_called_kept(pairs: list[ClusterPair], tmp_path: Path) -> None:
    run(keep=True)
    with (tmp_path / "state" / "engine" / "engine.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert existing.describe_clusters()[0] == "A rehearsal is running on clusters that exist"
    assert len(pairs) == 1


def test_stacks_on_other_clusters_must_be_removed_first(engines: list[Engine], pairs: list[ClusterPair]) -> None:
    run(keep=True)
    with pytest.raises(StageError, match="left its stacks there: /clusters/a and /clusters/b"):
        run(staging=replace(STAGING, kubeconfig="/clusters/c"))
    assert len(engines) == len(pairs) == 1


def test_a_failed_removal_is_shown_and_remembered(
    engines: list[Engine], pairs: list[ClusterPair], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Engine, stack: str, **_: Any) -> None:
        self.destroyed.append(stack)
        if stack == "staging":
            raise StageError("Cannot delete", remedy="Look")

    monkeypatch.setattr(Engine, "destroy", fail)
    progress = Progress()
    with pytest.raises(StageError, match="Cannot delete"):
        run(progress)
    assert "delete that folder if the clusters are gone for good" in progress.notes[-1]
    assert sorted(engines[0].destroyed) == ["staging", "testing"]
    assert existing.describe_clusters() != ()
    assert len(pairs) == 1


def test_without_a_stage_on_this_machine_only_clusters_are_looked_at(
    pairs: list[ClusterPair], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unfit() -> None:
        raise ValidationError(field="system", value="Darwin", rule="must be Linux", remedy="Use clusters that exist")

    monkeypatch.setattr(embedded, "check_machine", unfit)
    assert not embedded.end_kept(Progress())
    run(keep=True)
    assert embedded.end_kept(Progress())
    assert len(pairs) == 1


def test_stacks_on_clusters_are_removed_while_a_stage_runs_beside_them(
    pairs: list[ClusterPair], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "check_machine", lambda: None)
    monkeypatch.setattr(embedded, "lock_holder", lambda: "process 7")
    monkeypatch.setattr(embedded, "Stage", None)
    run(keep=True)
    progress = Progress()
    assert embedded.end_kept(progress)
    assert progress.notes[-1] == "The stage on this machine stays: a rehearsal has it (process 7)"
    assert len(pairs) == 1


def deployer(progress: Progress, tmp_path: Path) -> tuple[EngineDeployer, Engine]:
    engine: Any = Engine(Path("/project"), tmp_path / "engine", INSTALLATION)
    return EngineDeployer(engine, progress), engine


def test_secrets_are_set_apart_from_the_configuration(tmp_path: Path) -> None:
    made, engine = deployer(Progress(), tmp_path)
    made.configure("staging", {"role": "staging"}, {"mirrorTls": {"key": "k"}})
    assert made.up("staging") == {"gatewayAddress": "10.0.0.1"}
    assert engine.config == {"staging": ({"role": "staging"}, {"mirrorTls": '{"key": "k"}'})}


def test_warnings_are_shown_unless_they_are_expected(tmp_path: Path) -> None:
    progress = Progress()
    made, engine = deployer(progress, tmp_path)
    for kind, message in (
        (EventKind.WARNING, "certificate ends soon"),
        (EventKind.WARNING, "Nothing is mirrored to testing: mirrors.crossCluster.absent is true"),
        (EventKind.STARTED, "istio-base"),
    ):
        engine.events.append(DeploymentEvent(stack="staging", kind=kind, name="gateway", message=message))
    made.up("staging")
    assert progress.notes == ["staging gateway: warning: certificate ends soon"]


def test_cancelling_ends_the_engine_unless_there_is_a_shorter_way(tmp_path: Path) -> None:
    made, engine = deployer(Progress(), tmp_path)
    made.cancel()
    assert engine.closed
    cancelled: list[bool] = []
    other: Any = Engine(Path("/project"), tmp_path / "other", INSTALLATION)
    EngineDeployer(other, Progress(), cancel=lambda: cancelled.append(True)).cancel()
    assert cancelled == [True]
    assert not other.closed
