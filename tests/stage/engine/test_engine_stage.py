"""The engine with the built provider on a real API server: life, failures, interruptions, policies."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from pulumi_traffic_mirror.rehearsal.engine import (
    PROVIDER,
    DeploymentEvent,
    Engine,
    EngineError,
    EventKind,
    Installation,
    discover,
)
from pulumi_traffic_mirror.rehearsal.errors import StageError
from pulumi_traffic_mirror.rehearsal.toolchain import Toolchain
from tests.support.apiserver import ApiServer, free_port

pytestmark = [pytest.mark.stage, pytest.mark.timeout(300)]

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
PROGRAM = HERE / "program"


@pytest.fixture(scope="session")
def installation(toolchain: Toolchain) -> Installation:
    """The CLI and the provider that the tool chain has built."""
    found = discover(toolchain.program("pulumi"), toolchain.program(PROVIDER), {"PATH": "/usr/bin:/bin"})
    assert found.built
    return found


def config(apiserver: ApiServer, namespace: str, **values: str) -> dict[str, str]:
    """Configuration of the test program."""
    plural = namespace.replace("-", "")
    return {
        "kubeconfig": apiserver.content,
        "namespace": f"{namespace}-deployed",
        "plural": plural,
        "kind": plural.title(),
        "chart": str(HERE / "chart"),
        "token": "open sesame",
        **values,
    }


@pytest.fixture
def engine(installation: Installation, apiserver: ApiServer, tmp_path: Path) -> Iterator[Engine]:
    """An engine of the test's own."""
    made = new_engine(installation, apiserver, tmp_path / "state")
    yield made
    made.close()
    assert leftovers(tmp_path / "state") == []


def new_engine(installation: Installation, apiserver: ApiServer, state: Path) -> Engine:
    return Engine(PROGRAM, state, installation, kubeconfigs=[apiserver.kubeconfig])


def leftovers(state: Path) -> list[str]:
    """Command lines of processes that belong to a state directory."""
    found: list[str] = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("PULUMI_HOME", "").startswith(str(state)) and process.status() != "zombie":
                found.append(" ".join(process.cmdline()))
        except (psutil.Error, OSError):
            continue
    return found


def test_a_stack_lives_its_life(engine: Engine, apiserver: ApiServer, namespace: str, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in PROGRAM.iterdir()}
    values = config(apiserver, namespace)
    secret = values.pop("token")
    engine.set_config("dev", values, secrets={"tiny:token": secret})
    events: list[DeploymentEvent] = []
    up = engine.up("dev", on_event=events.append)
    assert up.changes == {"create": 12}
    assert up.outputs["ready"].value == 1
    assert "token" not in up.outputs
    assert engine.outputs("dev")["token"].secret
    assert up.log.read_text(encoding="utf-8")
    created = [event.name for event in events if event.kind is EventKind.DONE and event.operation == "create"]
    assert {"space", "greeter", "route", "release"} <= set(created)
    assert engine.up("dev").unchanged

    values["percent"] = "25"
    engine.set_config("dev", values, secrets={"tiny:token": secret})
    assert engine.preview("dev").changed == (f"update kubernetes:mirror.example/v1:{values['kind']} route",)
    assert engine.up("dev").changes == {"same": 11, "update": 1}
    assert engine.refresh("dev").unchanged
    assert engine.outputs("dev")["namespace"].value == values["namespace"]
    assert "resources" in engine.export("dev")

    assert engine.destroy("dev").changes == {"delete": 12}
    assert apiserver.get("v1", "Namespace", values["namespace"]) is None
    for path in (tmp_path / "state").rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes(), f"{path} holds a secret in clear"
    assert (tmp_path / "state" / "passphrase").stat().st_mode & 0o777 == 0o600
    assert {path: path.stat().st_mtime_ns for path in PROGRAM.iterdir()} == before


def test_objects_of_groups_and_charts_get_the_types_of_their_kinds(
    installation: Installation, apiserver: ApiServer, namespace: str, tmp_path: Path
) -> None:
    """The built provider names these types by a rule, where its release has a case for each kind."""
    values = {"kubeconfig": apiserver.content, "namespace": namespace, "chart": str(HERE / "chart"), "percent": "10"}
    secrets = {"objects:token": "open sesame"}
    with closing(Engine(HERE / "objects", tmp_path, installation, kubeconfigs=[apiserver.kubeconfig])) as engine:
        engine.set_config("dev", values, secrets=secrets)
        engine.up("dev")
        resources: Any = engine.export("dev")["resources"]
        assert sorted(resource["type"] for resource in resources if "kind" in resource.get("inputs", {})) == [
            "kubernetes:core/v1:ConfigMap",
            "kubernetes:core/v1:ConfigMap",
            "kubernetes:core/v1:Secret",
            "kubernetes:rbac.authorization.k8s.io/v1:Role",
            "kubernetes:rbac.authorization.k8s.io/v1:Role",
        ]
        assert "open sesame" not in json.dumps(resources)
        assert engine.up("dev").unchanged
        engine.set_config("dev", values | {"percent": "25"}, secrets=secrets)
        assert engine.up("dev").changes["update"] == 1
        live = apiserver.get("v1", "ConfigMap", "object", namespace)
        assert live is not None
        assert live["data"] == {"percent": "25"}
        engine.destroy("dev")
        assert apiserver.get("v1", "ConfigMap", "object", namespace) is None


def test_two_stacks_go_up_at_the_same_time(engine: Engine, apiserver: ApiServer, namespace: str) -> None:
    stacks = ("one", "two")
    for stack in stacks:
        engine.set_config(stack, config(apiserver, f"{namespace}-{stack}"))
    with ThreadPoolExecutor() as pool:
        assert [outcome.changes for outcome in pool.map(engine.up, stacks)] == [{"create": 12}] * 2
        assert [outcome.changes for outcome in pool.map(engine.destroy, stacks)] == [{"delete": 12}] * 2


def test_a_program_that_raises_is_reported_in_its_own_words(
    engine: Engine, apiserver: ApiServer, namespace: str
) -> None:
    engine.set_config("dev", config(apiserver, namespace, percent="much"))
    with pytest.raises(EngineError) as failed:
        engine.preview("dev")
    assert "could not convert string to float: 'much'" in str(failed.value)
    assert "Traceback" not in str(failed.value)
    assert failed.value.log is not None
    assert failed.value.log.is_file()


def test_a_resource_that_fails_is_named_and_the_next_up_repairs_it(
    engine: Engine, apiserver: ApiServer, namespace: str
) -> None:
    engine.set_config("dev", config(apiserver, namespace, image="broken", timeout="3s"))
    with pytest.raises(EngineError) as failed:
        engine.up("dev")
    assert failed.value.failures[0].resource == "kubernetes:apps/v1:Deployment greeter"
    assert "Minimum number of live Pods was not attained" in failed.value.failures[0].message
    engine.set_config("dev", config(apiserver, namespace))
    assert engine.up("dev").outputs["ready"].value == 1
    engine.destroy("dev")


def test_a_cluster_that_does_not_answer_is_found_out_first(
    installation: Installation, apiserver: ApiServer, namespace: str, tmp_path: Path
) -> None:
    dead = tmp_path / "kubeconfig"
    dead.write_text(apiserver.content.replace(apiserver.host, f"https://127.0.0.1:{free_port()}"), encoding="utf-8")
    with Engine(PROGRAM, tmp_path / "state", installation, kubeconfigs=[dead]) as engine:
        engine.set_config("dev", config(apiserver, namespace))
        begun = time.monotonic()
        with pytest.raises(EngineError, match="cannot be used"):
            engine.up("dev")
        assert time.monotonic() - begun < 60


def test_a_state_directory_serves_one_engine(
    engine: Engine, installation: Installation, apiserver: ApiServer, tmp_path: Path
) -> None:
    del engine
    with pytest.raises(StageError, match="Another engine"):
        new_engine(installation, apiserver, tmp_path / "state")


def test_a_policy_pack_can_forbid_a_deployment(
    engine: Engine, apiserver: ApiServer, namespace: str, tmp_path: Path
) -> None:
    engine.set_config("dev", config(apiserver, namespace, greeting="rude"))
    with pytest.raises(EngineError, match="the greeting is rude"):
        engine.preview("dev", policy_packs=[HERE / "pack"])
    other = tmp_path / "policy.json"
    other.write_text(json.dumps({"no-rudeness": {"word": "hello"}}), encoding="utf-8")
    assert engine.preview("dev", policy_packs=[HERE / "pack"], policy_config=other).changes == {"create": 12}


def deploying(toolchain: Toolchain, state: Path, values: dict[str, str]) -> "subprocess.Popen[str]":
    """Start an `up` in a process of its own and wait until it waits for the Deployment."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.deploying"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stdout
    settings: dict[str, Any] = {
        "cli": str(toolchain.program("pulumi")),
        "provider": str(toolchain.program(PROVIDER)),
        "project": str(PROGRAM),
        "state": str(state),
        "config": json.dumps(values),
    }
    process.stdin.write(json.dumps(settings) + "\n")
    process.stdin.flush()
    for line in process.stdout:
        if "Pods available" in line:
            return process
    end(process)
    process.wait()
    raise AssertionError("the deployment never waited")


def end(process: "subprocess.Popen[str]") -> None:
    for stream in (process.stdin, process.stdout):
        if stream:
            stream.close()


def test_an_interrupted_up_ends_soon_and_can_be_repeated(
    installation: Installation, toolchain: Toolchain, apiserver: ApiServer, namespace: str, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    process = deploying(toolchain, state, config(apiserver, namespace, image="broken", chartImage="broken"))
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=60)[0]
    assert (process.returncode, output.splitlines()[-1]) == (130, "interrupted")
    assert time.monotonic() - begun < 30
    assert leftovers(state) == []
    repair(new_engine(installation, apiserver, state), apiserver, namespace)


def test_what_a_killed_up_leaves_running_is_ended_by_the_next_engine(
    installation: Installation, toolchain: Toolchain, apiserver: ApiServer, namespace: str, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    process = deploying(toolchain, state, config(apiserver, namespace, image="broken", chartImage="broken"))
    victims = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    killed: list[psutil.Process] = []
    for victim in victims:
        with suppress(psutil.Error):
            if PROVIDER not in " ".join(victim.cmdline()):
                victim.kill()
                killed.append(victim)
    process.wait()
    end(process)
    # A killed process that is no child of ours is still listed until the kernel has ended it.
    psutil.wait_procs(killed, timeout=60)
    assert [line for line in leftovers(state) if PROVIDER not in line] == []
    repair(new_engine(installation, apiserver, state), apiserver, namespace)
    assert leftovers(state) == []


def repair(engine: Engine, apiserver: ApiServer, namespace: str) -> None:
    """Deploy what an earlier run left half done, and remove it."""
    with engine:
        engine.set_config("dev", config(apiserver, namespace))
        assert engine.up("dev").outputs["ready"].value == 1
        assert engine.up("dev").unchanged
        engine.destroy("dev")
    assert apiserver.get("v1", "Namespace", f"{namespace}-deployed") is None
