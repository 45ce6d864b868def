"""The engine's own files, environment and words; no engine is started."""

import json
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from pulumi_traffic_mirror.model import ValidationError
from pulumi_traffic_mirror.rehearsal.engine.backend import pending_operations, recorded_outputs, stale_lock
from pulumi_traffic_mirror.rehearsal.engine.errors import plain_message
from pulumi_traffic_mirror.rehearsal.engine.events import EventCollector
from pulumi_traffic_mirror.rehearsal.engine.home import EngineHome
from pulumi_traffic_mirror.rehearsal.engine.installation import Installation, ProgramMode, discover, sdk_version
from pulumi_traffic_mirror.rehearsal.engine.messages import Request, Verb, WorkerPlan
from pulumi_traffic_mirror.rehearsal.engine.packs import runnable_pack
from pulumi_traffic_mirror.rehearsal.engine.project import Project
from pulumi_traffic_mirror.rehearsal.engine.recovery import HELM_RELEASE, adopt_pending
from pulumi_traffic_mirror.rehearsal.engine.results import EventKind, Outcome, Output
from pulumi_traffic_mirror.rehearsal.errors import StageError


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


@pytest.fixture
def built(tmp_path: Path) -> tuple[Path, Path]:
    """CLI and provider as the tool chain builds them: each in a folder of its own, linked into one."""
    programs = []
    for name in ("pulumi", "pulumi-resource-kubernetes"):
        made = program(tmp_path / "cache" / name / "bin" / name)
        (tmp_path / "built").mkdir(exist_ok=True)
        (tmp_path / "built" / name).symlink_to(made)
        programs.append(tmp_path / "built" / name)
    return programs[0], programs[1]


def test_a_complete_installation_is_used(machine: dict[str, str], built: tuple[Path, Path], tmp_path: Path) -> None:
    found = discover(*built, machine)
    assert found.cli == tmp_path / "bin" / "pulumi"
    assert (found.mode, found.built, found.reason) == (ProgramMode.LANGUAGE_HOST, False, "")
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
    machine: dict[str, str], built: tuple[Path, Path], tmp_path: Path, missing: str, words: str
) -> None:
    if missing == "provider":
        machine = {**machine, "PULUMI_HOME": str(tmp_path / "empty")}
    else:
        (tmp_path / missing).unlink()
    found = discover(*built, machine)
    assert (found.cli, found.mode, found.built) == (built[0], ProgramMode.INLINE, True)
    assert (found.provider, found.provider_version) == (built[1].resolve().parent, sdk_version())
    assert words in found.reason
    lines = "\n".join(found.describe())
    assert "code of 2026-01-15" in lines
    assert "3.259.0" in lines


@pytest.mark.parametrize("missing", [0, 1])
def test_half_an_installation_is_none(
    machine: dict[str, str], built: tuple[Path, Path], tmp_path: Path, missing: int
) -> None:
    (tmp_path / "bin" / "pulumi").unlink()
    with pytest.raises(StageError, match="no usable Pulumi"):
        discover(built[0] if missing else None, built[1] if not missing else None, machine)
    built[missing].unlink()
    with pytest.raises(StageError, match="no usable Pulumi"):
        discover(*built, machine)


def test_an_older_provider_does_not_count(machine: dict[str, str], built: tuple[Path, Path], tmp_path: Path) -> None:
    folder = tmp_path / "home" / "plugins" / f"resource-kubernetes-v{sdk_version()}"
    folder.rename(folder.with_name("resource-kubernetes-v4.0.1"))
    assert discover(*built, machine).built


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


def test_a_secret_that_is_stored_already_stays_as_it_is(project: Project) -> None:
    written = "config: {tiny:token: {secure: 'v1:abc'}, 'other:key': {secure: 'v1:def'}, tiny:old: 1}"
    (project.folder / "Pulumi.dev.yaml").write_text(written, encoding="utf-8")
    project.configure("dev", {"a": 2}, {"token", "other:key"})
    config = read(project.folder / "Pulumi.dev.yaml")["config"]
    assert (config["tiny:token"], config["other:key"]) == ({"secure": "v1:abc"}, {"secure": "v1:def"})
    assert (config["tiny:a"], "tiny:old" in config) == (2, False)


def test_the_program_stays_where_it_is(project: Project) -> None:
    project.require()
    project.prepare(ProgramMode.LANGUAGE_HOST)
    assert read(project.folder / "Pulumi.yaml")["main"] == str(project.source)
    project.prepare(ProgramMode.INLINE)
    assert "main" not in read(project.folder / "Pulumi.yaml")
    (project.source / "__main__.py").unlink()
    with pytest.raises(ValidationError, match=r"__main__\.py"):
        project.require()


def installation(tmp_path: Path) -> Installation:
    real = program(tmp_path / "real" / "pulumi-resource-kubernetes", "\x7fELF")
    return Installation(
        cli=tmp_path / "bin" / "pulumi",
        cli_version="3.259.0",
        mode=ProgramMode.INLINE,
        provider=real.parent,
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
    found = home.environment(installation(tmp_path), no_proxy=("198.18.0.0/15",), base=base)
    assert found["PULUMI_BACKEND_URL"] == f"file://{tmp_path}/state/backend"
    assert found["PULUMI_HOME"] == f"{tmp_path}/state/home"
    assert "PULUMI_CONFIG_PASSPHRASE" not in found
    assert "PULUMI_ACCESS_TOKEN" not in found
    assert found["PATH"].split(os.pathsep)[0] == str(tmp_path / "bin")
    assert {"198.18.0.0/15", "127.0.0.1", "mine.example"} <= set(found["NO_PROXY"].split(","))
    assert found["no_proxy"] == found["NO_PROXY"]
    assert found["TMPDIR"] == f"{tmp_path}/state/tmp"
    assert found["PULUMI_IGNORE_AMBIENT_PLUGINS"] == "true"
    hosted = replace(installation(tmp_path), mode=ProgramMode.LANGUAGE_HOST)
    assert "PULUMI_IGNORE_AMBIENT_PLUGINS" not in home.environment(hosted, no_proxy=(), base=base)


def test_the_home_holds_a_private_passphrase_and_one_plugin(tmp_path: Path) -> None:
    home = EngineHome(root=tmp_path / "state")
    home.prepare(installation(tmp_path))
    passphrase = home.passphrase.read_text(encoding="utf-8")
    assert len(passphrase) >= 32
    assert home.passphrase.stat().st_mode & 0o777 == 0o600
    assert home.root.stat().st_mode & 0o777 == 0o700
    plugin = home.pulumi / "plugins" / "resource-kubernetes-v4.34.2" / "pulumi-resource-kubernetes"
    assert os.access(plugin, os.X_OK)

    token = home.temporary / "kubeconfig-1"
    token.write_text("token of a run that was killed")
    assert plugin.read_bytes() == b"\x7fELF"
    home.prepare(installation(tmp_path))
    assert home.passphrase.read_text(encoding="utf-8") == passphrase
    assert list(home.temporary.iterdir()) == []


def test_a_plugin_that_is_a_link_is_brought_in_as_a_file(tmp_path: Path) -> None:
    found = installation(tmp_path)
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "pulumi-resource-kubernetes").symlink_to(found.provider / "pulumi-resource-kubernetes")
    home = EngineHome(root=tmp_path / "state")
    home.prepare(replace(found, provider=tmp_path / "linked"))
    plugin = home.pulumi / "plugins" / "resource-kubernetes-v4.34.2" / "pulumi-resource-kubernetes"
    assert not plugin.is_symlink()
    assert plugin.read_bytes() == b"\x7fELF"


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


def test_outputs_are_read_where_the_engine_records_them_but_secrets_stay_closed(tmp_path: Path) -> None:
    assert recorded_outputs(tmp_path, "tiny", "dev") == {}
    state = tmp_path / ".pulumi" / "stacks" / "tiny" / "dev.json"
    state.parent.mkdir(parents=True)
    closed = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "v1:x"}
    outputs = {"address": "198.18.0.1", "offer": {"port": 8000}, "token": closed, "both": {"a": 1, "b": [closed]}}
    resources = [{"type": "a:b:C"}, {"type": "pulumi:pulumi:Stack", "outputs": outputs}]
    state.write_text(json.dumps({"checkpoint": {"latest": {"resources": resources}}}), encoding="utf-8")
    assert recorded_outputs(tmp_path, "tiny", "dev") == {"address": "198.18.0.1", "offer": {"port": 8000}}


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


def creating(name: str, kind: str, inputs: dict[str, Any], operation: str = "creating") -> dict[str, Any]:
    urn = f"urn:pulumi:dev::tiny::{kind}::{name}"
    return {"type": operation, "resource": {"urn": urn, "type": kind, "custom": True, "inputs": inputs}}


DEPLOYMENT = "kubernetes:apps/v1:Deployment"


def test_what_was_being_created_counts_as_made() -> None:
    known = {"urn": f"urn:pulumi:dev::tiny::{DEPLOYMENT}::replaced", "type": DEPLOYMENT, "id": "hello/replaced-1"}
    before = {
        "manifest": {"version": "v3"},
        "resources": [known],
        "pending_operations": [
            creating("istiod", HELM_RELEASE, {"name": "istiod", "namespace": "istio-system", "chart": "istiod"}),
            creating("role", "kubernetes:rbac.authorization.k8s.io/v1:ClusterRole", {"metadata": {"name": "r"}}),
            creating("greeter", DEPLOYMENT, {"metadata": {"name": "greeter", "namespace": "hello"}}),
            creating("replaced", DEPLOYMENT, {"metadata": {"name": "replaced-2", "namespace": "hello"}}),
            creating("updated", DEPLOYMENT, {"metadata": {"name": "u", "namespace": "hello"}}, "updating"),
        ],
    }
    after, adopted = adopt_pending(before)
    assert after["pending_operations"] == []
    assert after["manifest"] == before["manifest"]
    ids = {resource["id"]: bool(resource.get("delete")) for resource in after["resources"]}
    assert ids == {
        "hello/replaced-1": False,
        "istio-system/istiod": False,
        "r": False,
        "hello/greeter": False,
        "hello/replaced-2": True,
    }
    assert [urn.rpartition("::")[2] for urn in adopted] == ["istiod", "role", "greeter", "replaced"]
    assert after["resources"][1]["outputs"]["chart"] == "istiod"
    assert len(before["pending_operations"]) == 5, "the given state is left as it was"


@pytest.mark.parametrize(
    "operation",
    [
        creating("a", "aws:s3/bucket:Bucket", {"metadata": {"name": "a"}}),
        creating("a", DEPLOYMENT, {}),
        creating("a", DEPLOYMENT, {"metadata": {"generateName": "a-"}}),
        creating("a", DEPLOYMENT, {"metadata": {"name": {"4dabf18193072939515e22adb298388d": "a secret"}}}),
        creating("a", DEPLOYMENT, {"metadata": "unknown"}),
        {"type": "creating", "resource": {"urn": "u", "type": DEPLOYMENT}},
    ],
)
def test_what_has_no_plain_name_is_left_out(operation: dict[str, Any]) -> None:
    after, adopted = adopt_pending({"resources": [], "pending_operations": [operation]})
    assert (after["resources"], adopted) == ([], ())
