"""Every example runs as it stands, as a foreign program that imports the package by its published name."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.recording import Recording, run_program

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
ADDRESS = {"kubernetes:core/v1:Service": {"status": {"loadBalancer": {"ingress": [{"ip": "10.1.2.3"}]}}}}
DIGEST = "sha256:" + "0" * 64


def kubeconfig(server: str) -> str:
    return yaml.safe_dump(
        {
            "clusters": [{"name": "c", "cluster": {"server": f"https://{server}:6443"}}],
            "users": [{"name": "u", "user": {"token": "not-a-token"}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
    )


CONFIG: dict[str, dict[str, Any]] = {
    "existing-cluster": {"kubeconfig": kubeconfig("192.0.2.1")},
    "in-cluster": {
        "kubeconfig": kubeconfig("192.0.2.1"),
        "image": f"registry.example/greeter@{DIGEST}",
        "until": "2999-01-31",
    },
    "replay": {
        "kubeconfig": kubeconfig("192.0.2.1"),
        "image": f"registry.example/jobs@{DIGEST}",
        "recording": "gs://lake/monday",
        "target": "http://v2.example:8000",
        "begin": "2999-01-31T12:00:00Z",
    },
    "overlay": {"kubeconfig": kubeconfig("192.0.2.1"), "host": "shop.example.com", "until": "2999-01-31"},
    "both-clusters": {
        "stagingKubeconfig": kubeconfig("192.0.2.1"),
        "testingKubeconfig": kubeconfig("192.0.2.2"),
    },
    "other-cloud": {"kubeconfig": kubeconfig("192.0.2.1"), "clusterId": "/subscriptions/s/managedClusters/staging"},
    "three-clusters": {
        "stagingKubeconfig": kubeconfig("192.0.2.1"),
        "testingKubeconfig": kubeconfig("192.0.2.2"),
        "performanceKubeconfig": kubeconfig("192.0.2.3"),
    },
}


def run(example: str, *, preview: bool = False) -> Recording:
    return run_program(
        EXAMPLES / example / "__main__.py",
        config=CONFIG[example],
        secret_keys=[key for key in CONFIG[example] if key.lower().endswith("kubeconfig")],
        project=example,
        preview=preview,
        outputs=ADDRESS,
    )


MESH = """
from pulumi_traffic_mirror import *
kubeconfig = pulumi.Config().require_secret("kubeconfig")
cluster = ExistingCluster("cluster", ExistingClusterArgs(kubeconfig=kubeconfig, platform=GKE))
mesh = ExistingIstio(cluster=cluster.handle, version="1.31.0").handle
"""
"""What the README's program takes for granted."""


@pytest.mark.parametrize("preview", [False, True])
def test_the_readme_s_program_deploys_both_stacks(preview: bool, tmp_path: Path) -> None:
    readme = (EXAMPLES.parent / "README.md").read_text(encoding="utf-8")
    _, block = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    # Its date will have passed one day.
    common, testing, staging = re.split(r"# stack \w+\n", block.replace("2027-01-31", "2999-01-31"))

    def deploy(stack: str, references: dict[str, Any], *, preview: bool = False) -> Recording:
        program = tmp_path / "__main__.py"
        program.write_text(f"import pulumi{MESH}{common}{stack}", encoding="utf-8")
        return run_program(
            program,
            config={"kubeconfig": kubeconfig("192.0.2.1")},
            secret_keys=["kubeconfig"],
            preview=preview,
            outputs=ADDRESS,
            stack_references=references,
        )

    receiver = deploy(testing, {}).exports["receiver"]
    recording = deploy(staging, {"organization/traffic-mirror/testing": {"receiver": receiver}}, preview=preview)
    assert recording.one("trafficmirror:index:MirroredService")


@pytest.mark.parametrize("preview", [False, True])
def test_the_readme_s_first_program_is_whole(preview: bool, tmp_path: Path) -> None:
    readme = (EXAMPLES.parent / "README.md").read_text(encoding="utf-8")
    program = tmp_path / "__main__.py"
    program.write_text(re.findall(r"```python\n(.*?)```", readme, re.DOTALL)[0], encoding="utf-8")
    config = {"kubeconfig": kubeconfig("192.0.2.1")}
    recording = run_program(program, config=config, secret_keys=["kubeconfig"], preview=preview)
    assert recording.one("trafficmirror:index:MirrorOverlay")


DOCS = EXAMPLES.parent / "docs"
BLOCKS = [
    pytest.param(block, id=f"{page.stem}-{number}")
    for page in sorted(DOCS.rglob("*.md"))
    for number, block in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL))
]
GIVEN = f"""{MESH}
HOSTS = ["grpc-hello.staging.example"]
gateway = MeshGateway("gateway", MeshGatewayArgs(mesh=mesh, servers=[client_server(HOSTS)]))
primary = Destination("greeter.hello.svc.cluster.local", 8000)
image = "registry.example/recorder@{DIGEST}"
"""
"""What the documentation's programs take for granted."""


def test_there_are_programs_in_the_documentation() -> None:
    assert len(BLOCKS) > 3


@pytest.mark.parametrize("block", BLOCKS)
def test_a_program_of_the_documentation_runs(block: str, tmp_path: Path) -> None:
    program = tmp_path / "__main__.py"
    # Its date will have passed, and a digest is abbreviated.
    block = block.replace("2026-11-23T10:00Z", f"{datetime.now(UTC):%Y-%m-%dT%H:%MZ}").replace("sha256:…", DIGEST)
    program.write_text(f"import pulumi{GIVEN}{block}", encoding="utf-8")
    config = {"kubeconfig": kubeconfig("192.0.2.1")}
    run_program(program, config=config, secret_keys=["kubeconfig"], outputs=ADDRESS)


@pytest.mark.parametrize("example", sorted(CONFIG))
def test_an_example_says_what_it_is_told(example: str) -> None:
    text = (EXAMPLES / example / "__main__.py").read_text(encoding="utf-8")
    told = text.split("Configuration:")[1].split('"""')[0]
    assert all(f" {key} " in told or f"``{key}``" in told for key in CONFIG[example])


def test_every_example_is_run() -> None:
    assert {path.parent.name for path in EXAMPLES.glob("*/__main__.py")} == set(CONFIG)


@pytest.mark.parametrize("preview", [False, True])
@pytest.mark.parametrize("example", sorted(CONFIG))
def test_an_example_registers_its_component(example: str, preview: bool) -> None:
    recording = run(example, preview=preview)
    kind = {"overlay": "MirrorOverlay", "replay": "ReplayJob"}.get(example, "MirroredService")
    assert len(recording.of_type(f"trafficmirror:index:{kind}")) == 1
    assert "not-a-token" not in repr([recording.snapshot(), recording.exports, recording.logs])


def test_objects_of_three_clusters_keep_apart() -> None:
    recording = run("three-clusters")
    receivers = recording.of_type("trafficmirror:index:MirrorReceiver")
    providers = [{child.provider for child in recording.children_of(receiver)} for receiver in receivers]
    assert len(providers) == 2
    assert all(len(of_one) == 1 for of_one in providers)
    assert providers[0] != providers[1]
    entries = recording.of_type("kubernetes:networking.istio.io/v1:ServiceEntry")
    assert len({entry.input("spec.hosts.0") for entry in entries}) == 2


def test_what_routes_waits_for_the_namespace_that_it_is_put_into() -> None:
    recording = run("in-cluster")
    kinds = [f"kubernetes:networking.istio.io/v1:{kind}" for kind in ("VirtualService", "DestinationRule")]
    for each in [each for kind in kinds for each in recording.of_type(kind)]:
        assert "hello-namespace" in recording.names(each.depends_on), each.name


def test_a_cluster_of_another_cloud_needs_nothing_but_its_own_folder() -> None:
    recording = run("other-cloud")
    release = recording.one("kubernetes:helm.sh/v3:Release", "gateway-release")
    annotations = release.input("values.service.annotations")
    assert annotations == {"service.beta.kubernetes.io/azure-load-balancer-internal": "true"}
    provider = recording.one("pulumi:providers:kubernetes", "staging-provider")
    assert {each.provider for each in recording.resources if each.type.startswith("kubernetes:")} == {provider.urn}
