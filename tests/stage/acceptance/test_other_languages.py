"""Programs in other languages deploy our components by the real engine, and copies arrive."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from pulumi_traffic_mirror.rehearsal.toolchain import Toolchain
from tests.support import languages
from tests.support.languages import Polyglot

from .lab import Lab
from .overlays import HOST, HTTP, call, copies, owner, undisturbed
from .terms import NAMESPACE, PORTS, STAGING, echo

pytestmark = pytest.mark.stage

SOURCE = "plugin"
EXAMPLE = Path(__file__).parents[3] / "examples" / "yaml" / "Pulumi.yaml"
CALLS = 100


def program(**changes: Any) -> dict[str, Any]:
    """The example's program, for the stage's shop: every request of its host is copied."""
    found: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    # Its host for Python is not to be had here; the engine finds the plugin on the search path.
    del found["packages"]
    v3 = {"host": str(echo("v3", HTTP).host), "port": PORTS[HTTP]}
    shop = {"gatewayHosts": [HOST], "namespace": NAMESPACE, "mirrors": [{"service": v3, "percent": 100, **changes}]}
    found["resources"]["shop"]["properties"].update(shop)
    return found


class Project:
    """A Pulumi project in YAML on staging."""

    def __init__(self, lab: Lab, pulumi: Polyglot) -> None:
        self._lab, self._pulumi = lab, pulumi
        self._folder = pulumi.folder / "project"
        self._folder.mkdir()

    def write(self, content: Mapping[str, Any]) -> None:
        (self._folder / "Pulumi.yaml").write_text(yaml.safe_dump(dict(content)), encoding="utf-8")

    def run(self, *words: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        return self._lab.stage.run_in_fabric(
            ["pulumi", *words, "--non-interactive"],
            timeout=150,
            env=self._pulumi.environment,
            cwd=self._folder,
            check=check,
        )


@pytest.fixture(scope="session")
def yaml_host() -> Path:
    """Pulumi's host for programs in YAML; built on first use."""
    return languages.yaml_host()


@pytest.fixture(scope="session")
def typescript(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program in TypeScript, as Node.js runs it."""
    return languages.typescript_program(tmp_path_factory.mktemp("typescript") / "program")


@pytest.fixture
def pulumi(tmp_path: Path, toolchain: Toolchain, yaml_host: Path) -> Polyglot:
    """A Pulumi of the test's own."""
    return Polyglot.of(tmp_path, toolchain, yaml_host)


@pytest.mark.timeout(400)
def test_a_program_in_yaml_deploys_an_overlay(lab: Lab, pulumi: Polyglot, case: Any) -> None:
    note = case("Overlay by a Pulumi program in YAML", SOURCE, f"{CALLS} of {CALLS} copies; none after destroy")
    project = Project(lab, pulumi)
    project.write(program())
    with lab.applied(STAGING, [owner()]):
        before = undisturbed(lab)
        project.run("stack", "init", "dev")
        kubeconfig = Path(lab.stage.kubeconfigs[STAGING]).read_text(encoding="utf-8")
        project.run("config", "set", "--secret", "kubeconfig", kubeconfig)
        project.run("up", "--yes", "--skip-preview")
        told = project.run("stack", "output", "mirrors", "--json").stdout
        lab_settled(lab)
        arrived = copies(lab, call(lab, CALLS), CALLS)
        state = project.run("stack", "export").stdout
        unchanged = project.run("up", "--yes", "--skip-preview", "--expect-no-changes")
        project.write(program(percent=101))
        refused = project.run("preview", check=False)
        project.write(program())
        project.run("destroy", "--yes", "--skip-preview")
        after = undisturbed(lab)
    note(f"{arrived} copies", "the mirror's own record")
    assert arrived == CALLS
    assert '"percent": 100' in told
    assert "trafficmirror:index:MirrorOverlay" in state
    assert not any(secret in state for secret in secrets_of(kubeconfig))
    assert unchanged.returncode == 0
    assert refused.returncode != 0
    said = refused.stdout + refused.stderr
    assert "percent" in said
    assert "Traceback" not in said
    assert "facade.py" not in said
    assert after == before


@pytest.mark.timeout(400)
def test_a_program_in_typescript_deploys_an_overlay(
    lab: Lab, pulumi: Polyglot, typescript: Path, tmp_path: Path, case: Any
) -> None:
    note = case("Overlay by a Pulumi program in TypeScript", SOURCE, f"{CALLS} of {CALLS} copies; none after destroy")
    kubeconfig = Path(lab.stage.kubeconfigs[STAGING]).read_text(encoding="utf-8")
    overlay = {"mesh": {"version": "1.31.0"}, **program()["resources"]["shop"]["properties"]}
    job = tmp_path / "job.json"
    job.touch(mode=0o600)
    job.write_text(json.dumps({"kubeconfig": kubeconfig, "overlay": overlay}), encoding="utf-8")

    def run(command: str) -> str:
        argv = ["sh", "-c", f"node {typescript} {command} < {job}"]
        return lab.stage.run_in_fabric(argv, timeout=150, env=pulumi.environment, cwd=tmp_path).stdout

    with lab.applied(STAGING, [owner()]):
        before = undisturbed(lab)
        (told,) = json.loads(run("up"))
        lab_settled(lab)
        arrived = copies(lab, call(lab, CALLS), CALLS)
        run("destroy")
        after = undisturbed(lab)
    note(f"{arrived} copies", "the mirror's own record")
    assert (arrived, told["percent"]) == (CALLS, 100)
    assert after == before


def lab_settled(lab: Lab) -> None:
    """Wait until copies leave: the engine does not wait for proxies."""
    for _ in range(20):
        if copies(lab, call(lab, 5), 5) == 5:
            return
    raise AssertionError("no copies")


def secrets_of(kubeconfig: str) -> list[str]:
    return [user["user"]["token"] for user in yaml.safe_load(kubeconfig)["users"]]
