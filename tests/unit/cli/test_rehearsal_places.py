"""Rehearsals on clusters that exist, and deployments by an engine; the engine is replaced."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest

from components.model import ValidationError
from components.operations.errors import OperationError
from components.rehearsal import existing, venues
from components.rehearsal.deployer import EngineDeployer
from components.rehearsal.engine import DeploymentEvent, EventKind, Installation, Output, ProgramMode
from components.rehearsal.errors import StageError
from components.rehearsal.rehearse import Place, Stopwatch
from components.rehearsal.scenario import RehearsalOptions, Site

STAGING = Site(role="staging", kubeconfig="/clusters/a", greeter_image="i:1", istio={"hub": "h"})
TESTING = Site(role="testing", kubeconfig="/clusters/b", context="kind-b", greeter_image="i:1")
INSTALLATION = Installation(
    cli=Path("/bin/pulumi"),
    cli_version="3.259.0",
    mode=ProgramMode.INLINE,
    provider=None,
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


MADE: list[Engine] = []
"""Every engine of the running test."""


@pytest.fixture(autouse=True)
def engines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Engine]:
    MADE.clear()
    monkeypatch.setenv(existing.STATE_VARIABLE, str(tmp_path / "state"))
    monkeypatch.setattr(existing, "Engine", Engine)

    def installed(_: object) -> Installation:
        return INSTALLATION

    monkeypatch.setattr(existing, "discover", installed)
    return MADE


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> list[Place]:
    seen: list[Place] = []

    def rehearsed(_: RehearsalOptions, place: Place, deployer: EngineDeployer, watch: Stopwatch) -> str:
        del deployer, watch
        seen.append(place)
        return "report"

    monkeypatch.setattr(existing, "rehearse", rehearsed)
    return seen


def run(progress: Progress | None = None, staging: Site = STAGING, **options: Any) -> Any:
    return existing.rehearse_on_clusters(
        RehearsalOptions(**options), staging, TESTING, Path("/project"), progress or Progress()
    )


def test_both_stacks_are_removed_after_the_rehearsal(
    engines: list[Engine], places: list[Place], tmp_path: Path
) -> None:
    assert run() == "report"
    (engine,) = engines
    assert sorted(engine.destroyed) == ["staging", "testing"]
    assert engine.closed
    assert not (tmp_path / "state").exists()
    assert (places[0].staging, places[0].testing) == (STAGING, TESTING)


def test_only_clusters_of_a_current_context_are_asked_whether_they_are_ready(
    engines: list[Engine], places: list[Place]
) -> None:
    run()
    assert engines[0].arguments["kubeconfigs"] == (Path("/clusters/a"),)
    assert len(places) == 1


def test_the_report_says_which_provider_took_part(places: list[Place]) -> None:
    run()
    assert "stand-in" in places[0].stand_ins[0]
    assert places[0].facts["Testing"] == "/clusters/b kind-b"


def test_both_stacks_are_removed_after_a_failure_too(
    engines: list[Engine], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_: object) -> None:
        raise OperationError("Nothing can be told", remedy="Look")

    monkeypatch.setattr(existing, "rehearse", fail)
    with pytest.raises(OperationError, match="Nothing can be told"):
        run()
    assert sorted(engines[0].destroyed) == ["staging", "testing"]
    assert not (tmp_path / "state").exists()


def test_what_is_kept_is_described_and_can_be_removed_later(engines: list[Engine], places: list[Place]) -> None:
    progress = Progress()
    run(progress, keep=True)
    assert engines[0].destroyed == []
    assert "traffic-mirror rehearse down" in progress.notes[-1]
    assert existing.describe_clusters()[1:] == ("staging: /clusters/a", "testing: /clusters/b kind-b")
    assert existing.end_on_clusters(progress)
    assert sorted(engines[1].destroyed) == ["staging", "testing"]
    assert engines[1].project == engines[0].project
    assert existing.describe_clusters() == ()
    assert not existing.end_on_clusters(progress)
    assert len(places) == 1


def test_a_kept_rehearsal_can_be_repeated_on_the_same_clusters(engines: list[Engine], places: list[Place]) -> None:
    run(keep=True)
    run(keep=True)
    assert [engine.destroyed for engine in engines] == [[], []]
    assert len(places) == 2


def test_stacks_on_other_clusters_must_be_removed_first(engines: list[Engine], places: list[Place]) -> None:
    run(keep=True)
    with pytest.raises(StageError, match="left its stacks there: /clusters/a and /clusters/b"):
        run(staging=replace(STAGING, kubeconfig="/clusters/c"))
    assert len(engines) == len(places) == 1


def test_a_failed_removal_is_shown_and_remembered(
    engines: list[Engine], places: list[Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Engine, stack: str, **_: Any) -> None:
        self.destroyed.append(stack)
        if stack == "staging":
            raise StageError("Cannot delete", remedy="Look")

    monkeypatch.setattr(Engine, "destroy", fail)
    with pytest.raises(StageError, match="Cannot delete"):
        run()
    assert sorted(engines[0].destroyed) == ["staging", "testing"]
    assert existing.describe_clusters() != ()
    assert len(places) == 1


def test_without_a_stage_on_this_machine_only_clusters_are_looked_at(
    places: list[Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unfit() -> None:
        raise ValidationError(field="system", value="Darwin", rule="must be Linux", remedy="Use clusters that exist")

    monkeypatch.setattr(venues, "check_machine", unfit)
    assert not venues.end_kept(Progress())
    run(keep=True)
    assert venues.end_kept(Progress())
    assert len(places) == 1


def deployer(progress: Progress, tmp_path: Path) -> tuple[EngineDeployer, Engine]:
    engine: Any = Engine(Path("/project"), tmp_path / "engine", INSTALLATION)
    return EngineDeployer(engine, progress), engine


def test_secrets_are_set_apart_from_the_configuration(tmp_path: Path) -> None:
    made, engine = deployer(Progress(), tmp_path)
    outputs = made.up("staging", {"role": "staging"}, {"mirrorTls": {"key": "k"}})
    assert outputs == {"gatewayAddress": "10.0.0.1"}
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
    made.up("staging", {}, {})
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
