"""The engine's own files, environment and words; no engine is started."""

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from components.model import ValidationError
from components.rehearsal.engine.errors import plain_message
from components.rehearsal.engine.events import EventCollector
from components.rehearsal.engine.home import EngineHome
from components.rehearsal.engine.installation import Installation, ProgramMode, discover, sdk_version
from components.rehearsal.engine.messages import Request, Verb, WorkerPlan
from components.rehearsal.engine.packs import runnable_pack
from components.rehearsal.engine.project import Project
from components.rehearsal.engine.recovery import pending_operations, stale_lock
from components.rehearsal.engine.results import EventKind, Outcome, Output
from components.rehearsal.errors import StageError


def program(path: Path, text: str = "#!/bin/sh\necho v3.259.0\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    path.chmod(0o755)
    return path


@pytest.fixture
def machine(tmp_path: Path) -> dict[str, str]:
    """A machine with a complete installation."""
    for name in ("pulumi", "pulumi-language-python"):
        program(tmp_path / "bin" / name)
    home = tmp_path / "home"
    program(home / "plugins" / f"resource-kubernetes-v{sdk_version()}" / "pulumi-resource-kubernetes", "\x7fELF")
    return {"PATH": str(tmp_path / "bin"), "PULUMI_HOME": str(home)}


def test_a_complete_installation_is_used(machine: dict[str, str], tmp_path: Path) -> None:
    found = discover(program(tmp_path / "built" / "pulumi"), machine)
    assert found.cli == tmp_path / "bin" / "pulumi"
    assert (found.mode, found.standin, found.reason) == (ProgramMode.LANGUAGE_HOST, False, "")
    assert any("pulumi-resource-kubernetes" in line and sdk_version() in line for line in found.describe())


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("bin/pulumi", "not on the search path"),
        ("bin/pulumi-language-python", "lacks pulumi-language-python"),
        ("provider", "lacks a pulumi-resource-kubernetes"),
    ],
)
def test_an_incomplete_one_is_not_used_and_the_reason_is_told(
    machine: dict[str, str], tmp_path: Path, missing: str, words: str
) -> None:
    if missing == "provider":
        machine = {**machine, "PULUMI_HOME": str(tmp_path / "empty")}
    else:
        (tmp_path / missing).unlink()
    built = program(tmp_path / "built" / "pulumi")
    found = discover(built, machine)
    assert (found.cli, found.mode, found.standin) == (built, ProgramMode.INLINE, True)
    assert words in found.reason
    lines = "\n".join(found.describe())
    assert "stand-in" in lines
    assert "3.259.0" in lines
    with pytest.raises(StageError, match="no usable Pulumi"):
        discover(None, machine)


def test_an_older_provider_and_our_own_launcher_do_not_count_as_the_real_one(
    machine: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "home" / "plugins" / f"resource-kubernetes-v{sdk_version()}"
    built = program(tmp_path / "built" / "pulumi")
    folder.rename(folder.with_name("resource-kubernetes-v4.0.1"))
    assert discover(built, machine).standin
    folder.with_name("resource-kubernetes-v4.0.1").rename(folder)
    program(folder / "pulumi-resource-kubernetes", "#!/bin/sh\n")
    assert discover(built, machine).standin


@pytest.fixture
def project(tmp_path: Path) -> Project:
    source, folder = tmp_path / "source", tmp_path / "copy"
    source.mkdir()
    folder.mkdir()
    content = {"name": "tiny", "runtime": {"name": "python", "options": {"virtualenv": ".venv"}}, "description": "x"}
    (source / "Pulumi.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    (source / "__main__.py").write_text("", encoding="utf-8")
    (source / "Pulumi.dev.yaml").write_text("config: {tiny:a: 1, tiny:deep: {x: y}}", encoding="utf-8")
    return Project(source=source, folder=folder)


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_configuration_is_laid_over_the_projects_own(project: Project) -> None:
    project.configure("dev", {"a": 2, "other:b": [1], "deep": {"z": True}})
    assert read(project.folder / "Pulumi.dev.yaml") == {
        "config": {"tiny:a": 2, "tiny:deep": {"z": True}, "other:b": [1]}
    }
    assert read(project.source / "Pulumi.dev.yaml")["config"]["tiny:a"] == 1
    project.configure("new", {"a": 1})
    assert read(project.folder / "Pulumi.new.yaml") == {"config": {"tiny:a": 1}}


def test_what_the_engine_wrote_into_a_stacks_file_is_kept(project: Project) -> None:
    (project.folder / "Pulumi.dev.yaml").write_text("encryptionsalt: v1:x\nconfig: {tiny:old: 1}", encoding="utf-8")
    project.configure("dev", {})
    assert read(project.folder / "Pulumi.dev.yaml")["encryptionsalt"] == "v1:x"
    assert "tiny:old" not in read(project.folder / "Pulumi.dev.yaml")["config"]


def test_the_program_stays_where_it_is(project: Project) -> None:
    project.require()
    project.prepare(ProgramMode.LANGUAGE_HOST)
    assert read(project.folder / "Pulumi.yaml")["main"] == str(project.source)
    project.prepare(ProgramMode.INLINE)
    assert "main" not in read(project.folder / "Pulumi.yaml")
    (project.source / "__main__.py").unlink()
    with pytest.raises(ValidationError, match=r"__main__\.py"):
        project.require()


def installation(tmp_path: Path, provider: Path | None = None) -> Installation:
    return Installation(
        cli=tmp_path / "bin" / "pulumi",
        cli_version="3.259.0",
        mode=ProgramMode.INLINE,
        provider=provider,
        provider_version="4.34.2",
    )


def test_the_environment_leads_nowhere_else(tmp_path: Path) -> None:
    home = EngineHome(root=tmp_path / "state")
    base = {
        "PATH": "/usr/bin",
        "PULUMI_BACKEND_URL": "https://elsewhere.example",
        "PULUMI_CONFIG_PASSPHRASE": "x",
        "PULUMI_ACCESS_TOKEN": "x",
        "NO_PROXY": "mine.example",
        "HTTPS_PROXY": "http://proxy.example",
    }
    found = home.environment(installation(tmp_path), helm=Path("/opt/helm"), no_proxy=("198.18.0.0/15",), base=base)
    assert found["PULUMI_BACKEND_URL"] == f"file://{tmp_path}/state/backend"
    assert found["PULUMI_HOME"] == f"{tmp_path}/state/home"
    assert "PULUMI_CONFIG_PASSPHRASE" not in found
    assert "PULUMI_ACCESS_TOKEN" not in found
    assert found["PATH"].split(os.pathsep)[0] == str(tmp_path / "bin")
    assert {"198.18.0.0/15", "127.0.0.1", "mine.example"} <= set(found["NO_PROXY"].split(","))
    assert found["no_proxy"] == found["NO_PROXY"]
    assert found["TRAFFIC_MIRROR_HELM"] == "/opt/helm"


def test_the_home_holds_a_private_passphrase_and_one_plugin(tmp_path: Path) -> None:
    home = EngineHome(root=tmp_path / "state")
    home.prepare(installation(tmp_path))
    passphrase = home.passphrase.read_text(encoding="utf-8")
    assert len(passphrase) >= 32
    assert home.passphrase.stat().st_mode & 0o777 == 0o600
    assert home.root.stat().st_mode & 0o777 == 0o700
    plugin = home.pulumi / "plugins" / "resource-kubernetes-v4.34.2" / "pulumi-resource-kubernetes"
    assert os.access(plugin, os.X_OK)

    real = program(tmp_path / "real" / "pulumi-resource-kubernetes", "\x7fELF")
    home.prepare(installation(tmp_path, real.parent))
    assert plugin.read_bytes() == real.read_bytes()
    assert home.passphrase.read_text(encoding="utf-8") == passphrase


def test_messages_survive_the_pipe(tmp_path: Path) -> None:
    request = Request(id=1, verb=Verb.UP, stack="dev", policy_packs=("a",), secrets={"k": "open sesame"})
    assert Request.parse(request.line()) == request
    assert "sesame" not in repr(request)
    plan = WorkerPlan(
        project_source="a", project_folder="b", project_name="c", backend="d", logs="e", mode=ProgramMode.INLINE
    )
    plan.write(tmp_path / "plan")
    assert WorkerPlan.read(tmp_path / "plan") == plan


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("simple", "simple"),
        ("1 error occurred:\n\t* Deployment d is not up", "Deployment d is not up"),
        (
            "python inline source runtime error: no\nTraceback (most recent call last):\n  File x\nValueError: no\n",
            "no",
        ),
        (
            "Program failed with an unhandled exception:\nTraceback (most recent call last):\n  F\nValueError: a: b\n",
            "a: b",
        ),
    ],
)
def test_errors_are_reduced_to_their_own_words(message: str, words: str) -> None:
    assert plain_message(message) == words


def event(**fields: Any) -> SimpleNamespace:
    names = ("resource_pre_event", "res_outputs_event", "res_op_failed_event", "diagnostic_event", "policy_event")
    return SimpleNamespace(**{**dict.fromkeys((*names, "summary_event")), **fields})


URN = "urn:pulumi:dev::tiny::parent$kubernetes:apps/v1:Deployment::greeter"


def step(name: str, op: str) -> SimpleNamespace:
    metadata = SimpleNamespace(op=op, type="kubernetes:apps/v1:Deployment", urn=URN)
    return event(**{name: SimpleNamespace(metadata=metadata)})


def diagnostic(severity: str, message: str, *, ephemeral: bool = False, urn: str = URN) -> SimpleNamespace:
    found = SimpleNamespace(severity=severity, message=message, ephemeral=ephemeral, urn=urn)
    return event(diagnostic_event=found)


def test_events_of_the_engine_become_ours() -> None:
    collector = EventCollector("dev")
    started = collector.take(step("resource_pre_event", "update"))
    done = collector.take(step("res_outputs_event", "update"))
    collector.take(step("res_outputs_event", "same"))
    assert started
    assert done
    assert (started.kind, done.kind, done.name) == (EventKind.STARTED, EventKind.DONE, "greeter")
    assert collector.changed == {"update kubernetes:apps/v1:Deployment greeter"}
    waiting = collector.take(diagnostic("info", "<{%fg 1%}>0 of 2 pods<{%reset%}>", ephemeral=True))
    assert waiting
    assert (waiting.kind, waiting.message) == (EventKind.WAITING, "0 of 2 pods")
    assert collector.take(diagnostic("debug", "x")) is None
    assert collector.take(diagnostic("info", "x")) is None
    collector.take(diagnostic("error", "it broke"))
    collector.take(diagnostic("error", "the program broke", urn=""))
    assert [(item.resource, item.message) for item in collector.failures] == [
        ("kubernetes:apps/v1:Deployment greeter", "it broke"),
        ("", "the program broke"),
    ]
    collector.take(event(summary_event=SimpleNamespace(resource_changes={"update": 1})))
    assert collector.changes == {"update": 1}


def test_a_mandatory_policy_is_the_first_cause() -> None:
    collector = EventCollector("dev")
    collector.take(diagnostic("error", "preview failed", urn=""))
    violation = SimpleNamespace(
        policy_name="no-x", message="x is used", resource_urn=URN, enforcement_level="mandatory"
    )
    found = collector.take(event(policy_event=violation))
    assert found
    assert found.kind is EventKind.POLICY
    assert "no-x" in collector.failures[0].message


def test_leftovers_of_a_killed_run_are_found(tmp_path: Path) -> None:
    assert not stale_lock(tmp_path, "dev")
    lock = tmp_path / ".pulumi" / "locks" / "organization" / "tiny" / "dev" / "1.json"
    lock.parent.mkdir(parents=True)
    lock.write_text("{}", encoding="utf-8")
    assert stale_lock(tmp_path, "dev")
    assert not stale_lock(tmp_path, "other")
    assert pending_operations(tmp_path, "tiny", "dev") == 0
    state = tmp_path / ".pulumi" / "stacks" / "tiny" / "dev.json"
    state.parent.mkdir(parents=True)
    content = {"checkpoint": {"latest": {"pending_operations": [{}, {}]}}}
    state.write_text(json.dumps(content), encoding="utf-8")
    assert pending_operations(tmp_path, "tiny", "dev") == 2


def test_a_pack_becomes_a_program(tmp_path: Path) -> None:
    pack = tmp_path / "my pack"
    pack.mkdir()
    with pytest.raises(ValidationError, match=r"PulumiPolicy\.yaml"):
        runnable_pack(pack, tmp_path)
    (pack / "PulumiPolicy.yaml").write_text("runtime: python", encoding="utf-8")
    made = runnable_pack(pack, tmp_path / "state")
    assert os.access(made, os.X_OK)
    assert f"'{pack}'" in made.read_text(encoding="utf-8")


def test_a_secret_output_hides_itself() -> None:
    assert "sesame" not in repr(Output(value="sesame", secret=True))
    outcome = Outcome(stack="dev", changes={"same": 1}, changed=(), outputs={}, seconds=1.0, log=Path("log"))
    assert outcome.unchanged
