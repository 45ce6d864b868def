"""The built wheel, alone with the dependencies that it declares, in somebody else's program."""

import json
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from pulumi_traffic_mirror.model.rules import RULES
from tests.policy.driver import pack_process

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
ADDRESS = {"kubernetes:core/v1:Service": {"status": {"loadBalancer": {"ingress": [{"ip": "10.1.2.3"}]}}}}

RUN = """
import json, sys
from tests.support.recording import run_program
recording = run_program(sys.argv[1], project="shop", outputs=json.loads(sys.argv[2]))
print(json.dumps({
    "exports": recording.exports,
    "resources": [
        {"urn": r.urn, "type": r.type, "name": r.name, "parent": r.parent, "provider": r.provider,
         "object": r.inputs.get("metadata", {})}
        for r in recording.resources
    ],
    "shop": {k: v for k, v in vars(recording.one("shop:index:Shop")).items() if k in ("protect", "aliases")},
    "transforms": {r.urn: len(r.transforms) for r in recording.resources if r.transforms},
}))
"""


def declared(distribution: str) -> set[str]:
    """Names of everything that a distribution needs without extras, itself included."""
    found: set[str] = set()
    todo = [distribution]
    while todo:
        name = re.sub(r"[-_.]+", "-", todo.pop()).lower()
        if name in found:
            continue
        try:
            requirements = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue  # for another platform or Python
        found.add(name)
        todo += [re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0] for line in requirements if "extra ==" not in line]
    return found


def install(distribution: str, target: Path) -> None:
    """Link the files of an installed distribution into another environment; nothing is downloaded."""
    for name in {Path(str(file)).parts[0] for file in metadata.files(distribution) or ()} - {"..", "__pycache__"}:
        source = Path(str(metadata.distribution(distribution).locate_file(name)))
        if source.exists() and not (target / name).exists():
            (target / name).symlink_to(source)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


def make_environment(wheel: Path, folder: Path, *extras: str) -> Path:
    """Make an environment with the wheel and what it declares; its interpreter."""
    venv.create(folder / "env", with_pip=False)
    (target,) = (folder / "env").glob("lib/python*/site-packages")
    zipfile.ZipFile(wheel).extractall(target)
    own = metadata.PathDistribution(next(target.glob("*.dist-info")))
    wanted = {*extras, *(["check"] if "cli" in extras else [])}  # pip follows the package's reference to itself
    for line in own.requires or []:
        extra = re.search(r"extra == '([^']+)'", line.replace('"', "'"))
        if extra is None or extra[1] in wanted:
            for name in declared(re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0]):
                install(name, target)
    return folder / "env" / "bin" / "python"


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and what it declares, and the recorder that stands in for the engine."""
    folder = tmp_path_factory.mktemp("wheel")
    make_environment(wheel, folder)
    shutil.copytree(ROOT / "tests" / "support", folder / "tests" / "support")
    return folder


def test_the_policy_pack_of_the_wheel_serves_its_policies(wheel: Path, tmp_path: Path) -> None:
    python = make_environment(wheel, tmp_path, "cli", "policy")
    asked = [python, "-m", "pulumi_traffic_mirror.cli", "policies", "--path"]
    folder = subprocess.run(asked, cwd=tmp_path, env={}, capture_output=True, text=True, check=True).stdout.strip()
    assert folder.startswith(str(tmp_path))
    with pack_process(Path(folder), str(python)) as pack:
        assert {policy.name for policy in pack.info().policies} > {rule.id for rule in RULES}


@pytest.mark.parametrize(
    ("extras", "words", "expected"),
    [
        ((), ["check", "."], (2, "[check]")),
        (("check",), ["check", "."], (0, "0 mirrors")),
        (("check",), ["check", "--context", "staging"], (2, "[cli]")),
        (("check",), ["verify"], (2, "[cli]")),
        (("check",), ["policies"], (2, "[policy]")),
        (("cli",), ["verify"], (2, "--staging")),
        (("cli",), ["mcp"], (2, "[mcp]")),
        (("check",), ["mcp", "--skill"], (0, "name: traffic-mirror")),
    ],
)
def test_a_command_says_which_extra_it_needs(
    wheel: Path, tmp_path: Path, extras: tuple[str, ...], words: list[str], expected: tuple[int, str]
) -> None:
    python = make_environment(wheel, tmp_path, *extras)
    (tmp_path / "service.yaml").write_text("{apiVersion: v1, kind: Service, metadata: {name: a, namespace: b}}")
    called = [python, "-m", "pulumi_traffic_mirror.cli", *words]
    done = subprocess.run(called, cwd=tmp_path, env={}, capture_output=True, text=True, check=False)
    assert done.returncode == expected[0], done.stderr
    assert expected[1] in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_only_clusters_on_gke_need_googles_provider(environment: Path) -> None:
    ask = "import sys, pulumi_traffic_mirror as m; m.ExistingCluster, m.GkeClusterArgs; m.GkeCluster"
    done = subprocess.run(
        [environment / "env" / "bin" / "python", "-c", ask], capture_output=True, text=True, check=False
    )
    assert "GkeCluster needs Google's provider: pip install 'pulumi-traffic-mirror[gke]'" in done.stderr


@pytest.fixture(scope="module")
def recording(environment: Path) -> dict[str, Any]:
    python = environment / "env" / "bin" / "python"
    program = ROOT / "tests" / "program" / "foreign" / "__main__.py"
    done = subprocess.run(
        [python, "-c", RUN, str(program), json.dumps(ADDRESS)],
        cwd=environment,
        env={"PYTHONPATH": str(environment), "PULUMI_ERROR_OUTPUT_STRING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_pulumi_is_told_that_the_package_is_no_provider(wheel: Path) -> None:
    """Without it `pulumi install` takes a package that needs Pulumi for a provider, and tries to download one."""
    told = json.loads(zipfile.ZipFile(wheel).read("pulumi_traffic_mirror/pulumi-plugin.json"))
    assert told == {"resource": False, "name": "traffic-mirror"}


def test_the_package_needs_nothing_but_what_it_declares(recording: dict[str, Any], environment: Path) -> None:
    assert recording["exports"]["package"].startswith(str(environment))
    assert recording["exports"]["leaked"] == []


def test_options_of_the_outer_component_stay_its_own(recording: dict[str, Any]) -> None:
    assert recording["shop"]["protect"] is True
    assert "name=old-shop" in recording["shop"]["aliases"][0]


def test_every_object_descends_from_the_outer_component_whose_transforms_reach_it(recording: dict[str, Any]) -> None:
    """The engine applies a component's transforms to all that descends from it."""
    parents = {r["urn"]: r["parent"] for r in recording["resources"]}
    (shop,) = [r["urn"] for r in recording["resources"] if r["type"] == "shop:index:Shop"]
    assert recording["transforms"] == {shop: 1}
    objects = [r["urn"] for r in recording["resources"] if r["type"].startswith("kubernetes:")]
    assert objects
    for first in objects:
        urn = first
        while urn in parents and urn != shop:
            urn = parents[urn]
        assert urn == shop, first


def test_two_instances_side_by_side_do_not_collide(recording: dict[str, Any]) -> None:
    """URNs are unique by the recorder; objects in one cluster must be as well."""
    objects = [
        (r["provider"], r["type"], r["object"].get("namespace"), r["object"].get("name"))
        for r in recording["resources"]
        if r["type"].startswith("kubernetes:networking.istio.io")
    ]
    assert len(objects) == len(set(objects)) == 18


def test_children_go_to_the_provider_of_their_cluster(recording: dict[str, Any]) -> None:
    by_urn = {r["urn"]: r for r in recording["resources"]}
    for resource in recording["resources"]:
        parent = by_urn.get(resource["parent"])
        if parent and parent["type"] == "trafficmirror:index:MirrorReceiver":
            assert resource["provider"].endswith("::testing")
        if parent and parent["type"] == "trafficmirror:index:MirroredService":
            assert resource["provider"].endswith("::staging")
