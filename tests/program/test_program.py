"""The program beside the library, run with the real configuration files of both stacks."""

import importlib
import inspect
import pkgutil
import re
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from syrupy.assertion import SnapshotAssertion

import components
from components.model import MirrorContract, MirrorOffer, ValidationError
from components.program import settings
from components.program.branches import BRANCH_KEYS
from components.rehearsal.mirror_tls import make_mirror_tls
from tests.support.recording import Recording, Secret, refused, run_program

ROOT = Path(__file__).resolve().parents[2]
ADDRESS = {"kubernetes:core/v1:Service": {"status": {"loadBalancer": {"ingress": [{"ip": "10.1.2.3"}]}}}}
ISTIO_KINDS = ("kubernetes:networking.istio.io/", "kubernetes:gateway.networking")
STACKS = ("testing", "staging")

TOKENS = {
    "BranchService": "trafficmirror:index:BranchService",
    "ExistingCluster": "trafficmirror:index:ExistingCluster",
    "ExpiryGuard": "trafficmirror:index:ExpiryGuard",
    "GkeCluster": "trafficmirror:index:GkeCluster",
    "Greeter": "trafficmirror:index:Greeter",
    "IstioControlPlane": "trafficmirror:index:IstioControlPlane",
    "MeshGateway": "trafficmirror:index:MeshGateway",
    "MeshNamespace": "trafficmirror:index:MeshNamespace",
    "MirrorReceiver": "trafficmirror:index:MirrorReceiver",
    "MirroredService": "trafficmirror:index:MirroredService",
    "NetworkPeering": "trafficmirror:index:NetworkPeering",
    "TrafficRecorder": "trafficmirror:index:TrafficRecorder",
}
"""Type tokens are part of every user's state: changing one replaces what it names."""


def config(stack: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"]


def offer(stack: str = "testing") -> dict[str, Any]:
    terms = config(stack)["traffic-mirror:contract"]
    contract = MirrorContract(hosts=terms["hosts"], port=terms["port"], mirror_host=terms["mirrorHost"])
    return dict(MirrorOffer.of(contract, "10.1.2.3").to_json())


TESTING = {"organization/traffic-mirror/testing": {"receiver": offer(), "network": "https://example.invalid/testing"}}


def deploy(stack: str, *, preview: bool = False, **changes: Any) -> Recording:
    values = {**config(stack), **{f"traffic-mirror:{key}": value for key, value in changes.items()}}
    return run_program(
        ROOT / "__main__.py",
        config={key: value for key, value in values.items() if value is not None},
        secret_keys=["traffic-mirror:kubeconfig", "traffic-mirror:mirrorTls"],
        stack=stack,
        preview=preview,
        outputs=ADDRESS,
        stack_references=TESTING,
    )


def gke(**changes: Any) -> dict[str, Any]:
    """A cluster's section with changes; None leaves a key out."""
    cluster = {"project": "my-project", "location": "europe-west1", "deletionProtection": True, **changes}
    return {"cluster": {key: value for key, value in cluster.items() if value is not None}}


@pytest.mark.parametrize("stack", STACKS)
def test_each_stack_registers_the_same_resources_as_before(stack: str, snapshot: SnapshotAssertion) -> None:
    assert deploy(stack).snapshot() == snapshot


@pytest.mark.parametrize("preview", [False, True])
@pytest.mark.parametrize("stack", STACKS)
def test_preview_and_update_register_the_same(stack: str, preview: bool) -> None:
    assert deploy(stack, preview=preview).shape == deploy(stack).shape


@pytest.mark.parametrize("stack", STACKS)
def test_no_istio_object_comes_before_its_control_plane(stack: str) -> None:
    recording = deploy(stack)
    istiod = recording.one("kubernetes:helm.sh/v3:Release", "istio-istiod").urn
    objects = [r for r in recording.resources if r.type.startswith(ISTIO_KINDS)]
    assert objects
    for resource in objects:
        assert istiod in _reached(recording, resource.urn), resource.urn


def _reached(recording: Recording, start: str) -> set[str]:
    """Everything that ``start`` waits for: dependencies, and all children of components among them."""
    seen: set[str] = set()
    todo = [start]
    while todo:
        resource = recording.by_urn.get(todo.pop())
        if resource is None or resource.urn in seen:
            continue
        seen.add(resource.urn)
        todo += resource.depends_on
        if not resource.custom:
            todo += [child.urn for child in recording.children_of(resource)]
    return seen


@pytest.mark.parametrize("stack", STACKS)
def test_every_kubernetes_object_goes_to_the_stack_s_own_cluster(stack: str) -> None:
    recording = deploy(stack)
    provider = recording.one("pulumi:providers:kubernetes").urn
    objects = [r for r in recording.resources if r.type.startswith("kubernetes:")]
    assert {r.provider for r in objects} == {provider}


def test_the_two_stacks_fit_each_other() -> None:
    """Staging accepts exactly what testing exports from the files as they are."""
    receiver = deploy("testing").exports["receiver"]
    recording = run_program(
        ROOT / "__main__.py",
        config=config("staging"),
        stack="staging",
        outputs=ADDRESS,
        stack_references={"organization/traffic-mirror/testing": {"receiver": receiver, "network": "testing"}},
    )
    entry = recording.one("kubernetes:networking.istio.io/v1:ServiceEntry")
    assert entry.input("spec.endpoints.0.address") == "10.1.2.3"


def test_an_existing_cluster_takes_the_place_of_gke() -> None:
    kubeconfig = yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": "https://192.0.2.1:6443"}}],
            "users": [{"name": "u", "user": {"token": "not-a-token"}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
    )
    pem = dict(make_mirror_tls("mirror.testing.example")["testing"])
    recording = deploy("testing", clusterKind="existing", cluster={}, kubeconfig=kubeconfig, mirrorTls=pem)
    assert not [r for r in recording.resources if r.type.startswith("gcp:")]
    secret = recording.one("kubernetes:core/v1:Secret")
    assert isinstance(secret.inputs["data"], Secret)
    shown = repr([recording.snapshot(), recording.exports, recording.logs])
    assert "not-a-token" not in shown
    assert not any(str(text) in shown for text in pem.values())
    assert isinstance(recording.one("pulumi:providers:kubernetes").inputs["kubeconfig"], Secret)


@pytest.mark.parametrize(
    "tls", ["PRIVATE", {"certificate": "PRIVATE"}, {"certificate": "", "key": "PRIVATE", "ca": "PRIVATE"}]
)
def test_a_certificate_that_is_not_whole_is_refused_without_showing_it(tls: Any) -> None:
    refusal = refused(
        ROOT / "__main__.py",
        ValidationError,
        config={**config("testing"), "traffic-mirror:mirrorTls": tls},
        secret_keys=["traffic-mirror:mirrorTls"],
        outputs=ADDRESS,
        stack="testing",
    )
    assert "traffic-mirror:mirrorTls in Pulumi.testing.yaml = '(secret)': must be an object" in str(refusal.error)
    assert "PRIVATE" not in str(refusal.error)


@pytest.mark.parametrize("preview", [False, True])
@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("receiver", "mirrors[1].offer = None: must be the offer that the testing stack exports"),
        (
            "network",
            "cluster.peerWithTesting in Pulumi.staging.yaml = True: needs a testing stack that made its network",
        ),
    ],
)
def test_a_testing_stack_that_is_not_there_yet_is_an_error_with_a_way_out(
    missing: str, words: str, preview: bool
) -> None:
    (outputs,) = TESTING.values()
    refusal = refused(
        ROOT / "__main__.py",
        ValidationError,
        config=config("staging"),
        outputs=ADDRESS,
        stack="staging",
        preview=preview,
        stack_references={name: {key: outputs[key] for key in outputs if key != missing} for name in TESTING},
    )
    assert words in str(refusal.error)
    assert isinstance(refusal.error, pulumi.RunError), "the engine would print a traceback"


def test_a_kubernetes_that_istio_does_not_support_is_refused_with_the_table() -> None:
    """GKE tells its version; nobody has to write it down."""
    refusal = refused(
        ROOT / "__main__.py",
        ValidationError,
        config=config("testing"),
        outputs={**ADDRESS, "gcp:container/cluster:Cluster": {"masterVersion": "1.31.9-gke.100"}},
        stack="testing",
    )
    assert "Kubernetes of cluster cluster = '1.31.9-gke.100': must be a version that Istio 1.31" in str(refusal.error)
    assert "Istio 1.31: Kubernetes 1.32 to 1.36" in str(refusal.error)
    assert not refusal.recording.of_type("kubernetes:helm.sh/v3:Release")


def test_a_kubernetes_version_that_is_written_down_wins() -> None:
    recording = run_program(
        ROOT / "__main__.py",
        config={**config("testing"), "traffic-mirror:istio": {"version": "1.31.0", "kubernetesVersion": "1.36"}},
        outputs={**ADDRESS, "gcp:container/cluster:Cluster": {"masterVersion": "1.37.1-gke.100"}},
        stack="testing",
    )
    assert recording.one("kubernetes:helm.sh/v3:Release", "istio-base")


def test_the_networks_of_both_clusters_are_connected_without_overlap() -> None:
    assert deploy("staging").one("trafficmirror:index:NetworkPeering")
    ranges = [deploy(stack).one("gcp:compute/subnetwork:Subnetwork").input("ipCidrRange") for stack in STACKS]
    assert ranges == ["10.66.0.0/20", "10.64.0.0/20"]
    assert deploy("testing").exports["networkRanges"]["node_cidr"] == ranges[0]


def test_networks_of_both_stacks_that_overlap_are_refused() -> None:
    (outputs,) = TESTING.values()
    same = {"node_cidr": "10.64.0.0/20", "pod_cidr": "10.67.0.0/16", "service_cidr": "10.66.16.0/20"}
    refusal = refused(
        ROOT / "__main__.py",
        ValidationError,
        config=config("staging"),
        outputs=ADDRESS,
        stack="staging",
        stack_references={name: {**outputs, "networkRanges": same} for name in TESTING},
    )
    assert "overlaps with first_ranges.node_cidr (10.64.0.0/20)" in str(refusal.error)


def test_a_cluster_s_section_reaches_gke() -> None:
    changes = gke(
        location="europe-west1-b",
        nodes={"machineType": "e2-standard-2", "minNodes": 1, "maxNodes": 2, "diskSizeGib": 30, "spot": True},
        authorizedNetworks={"office": "203.0.113.0/24"},
        controlPlaneCidr="172.16.4.0/28",
        maintenance={"days": ["SA", "SU"], "startHourUtc": 4, "hours": 8},
        releaseChannel="STABLE",
        secretsKey="projects/p/locations/europe-west1/keyRings/r/cryptoKeys/k",
        credentials="access-token",
        labels={"team": "shop"},
    )
    recording = deploy("testing", **changes)
    cluster, pool = recording.one("gcp:container/cluster:Cluster"), recording.one("gcp:container/nodePool:NodePool")
    assert pool.input("nodeConfig.machineType") == "e2-standard-2"
    assert pool.input("nodeConfig.spot") is True
    assert cluster.input("masterAuthorizedNetworksConfig.cidrBlocks.0.cidrBlock") == "203.0.113.0/24"
    assert cluster.input("privateClusterConfig.masterIpv4CidrBlock") == "172.16.4.0/28"
    assert cluster.input("maintenancePolicy.recurringWindow.recurrence") == "FREQ=WEEKLY;BYDAY=SA,SU"
    assert cluster.input("releaseChannel.channel") == "STABLE"
    assert cluster.input("databaseEncryption.keyName").endswith("/cryptoKeys/k")
    assert cluster.input("resourceLabels.team") == "shop"
    assert [call.token for call in recording.calls] == ["gcp:organizations/getClientConfig:getClientConfig"]


def test_the_section_in_the_documentation_makes_a_cluster() -> None:
    text = (ROOT / "docs" / "gke.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    recording = deploy("testing", cluster=yaml.safe_load(block)["traffic-mirror:cluster"])
    assert recording.one("gcp:container/nodePool:NodePool").input("nodeConfig.machineType") == "e2-standard-4"


@pytest.mark.parametrize("autopilot", [False, True])
def test_a_network_that_exists_is_used(autopilot: bool) -> None:
    there = {
        "network": "projects/host/global/networks/shared",
        "subnetwork": "projects/host/regions/europe-west1/subnetworks/shared",
        "podsRange": "pods",
        "servicesRange": "services",
        "nodeCidr": "10.66.0.0/20",
        "podCidr": "10.67.0.0/16",
        "project": "host-project",
    }
    recording = deploy("testing", **gke(existingNetwork=there, mode="autopilot" if autopilot else None))
    assert not recording.of_type("gcp:compute/network:Network")
    assert recording.one("gcp:container/cluster:Cluster").input("network") == there["network"]
    assert len(recording.of_type("gcp:container/nodePool:NodePool")) == (not autopilot)


def test_the_schema_declares_every_key_with_what_it_may_hold() -> None:
    """A declared key without a default is required, so the two optional secrets cannot be declared."""
    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    keys = {key.removeprefix("traffic-mirror:") for key in declared}
    assert keys == set(settings.TOP_KEYS) - {"kubeconfig", "mirrorTls"}
    required = {key.removeprefix("traffic-mirror:") for key, value in declared.items() if "default" not in value}
    assert required == {"role", "clusterKind", "cluster", "contract", "greeter"}
    allowed = {
        "role": list(settings.Role),
        "clusterKind": list(settings.ClusterChoice),
        "cluster": [key for keys in settings.CLUSTER_KEYS.values() for key in keys],
        "contract": settings.CONTRACT_KEYS,
        "istio": settings.ISTIO_KEYS,
        "gateway": settings.GATEWAY_KEYS,
        "greeter": settings.GREETER_KEYS,
        "mirrors": settings.MIRROR_KEYS,
        "branches": BRANCH_KEYS,
        "expiryGuard": settings.GUARD_KEYS,
        "recorder": settings.RECORDER_KEYS,
    }
    for key, words in allowed.items():
        description = re.findall(r"\w+", declared[f"traffic-mirror:{key}"]["description"])
        assert set(words) <= set(description), key


def test_two_hosts_share_one_route() -> None:
    hosts = ["grpc-hello.staging.example", "second.staging.example"]
    contract = {**config("staging")["traffic-mirror:contract"], "hosts": hosts}
    mirrors = {"rpcMethods": ["helloworld.Greeter/SayHello"], "crossCluster": {"absent": True}}
    recording = deploy("staging", contract=contract, mirrors=mirrors)
    route = recording.one("kubernetes:networking.istio.io/v1:VirtualService")
    assert route.input("spec.hosts")[:2] == hosts
    assert [line.severity for line in recording.logs] == ["WARNING"]


def test_without_an_in_cluster_mirror_there_is_no_second_version() -> None:
    mirrors = {"crossCluster": {"percent": 5}}
    assert not [r for r in deploy("staging", mirrors=mirrors).resources if "greeter-v2" in r.name]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"greeter": {"image": "greeter:1"}}, "traffic-mirror:greeter.image in Pulumi.staging.yaml"),
        ({"greeter": {}}, "traffic-mirror:greeter.image in Pulumi.staging.yaml"),
        ({"istio": {"version": "1.25.0"}}, "traffic-mirror:istio.version in Pulumi.staging.yaml"),
        ({"istio": {"version": "1.31.0", "kubernetesVersion": "1.28"}}, "traffic-mirror:istio.kubernetesVersion"),
        ({"cluster": {"project": "p"}}, "traffic-mirror:cluster.location in Pulumi.staging.yaml"),
        (gke(location="mars"), "traffic-mirror:cluster.location in Pulumi.staging.yaml"),
        (gke(deletionProtection=None), "traffic-mirror:cluster.deletionProtection in Pulumi.staging.yaml"),
        (gke(location="europe-west1-b", mode="autopilot"), "traffic-mirror:cluster.location in Pulumi.staging.yaml"),
        (gke(mode="autopilot", nodes={"minNodes": 1}), "traffic-mirror:cluster.nodes in Pulumi.staging.yaml"),
        (gke(nodes={"machineType": "big"}), "traffic-mirror:cluster.nodes.machineType in Pulumi.staging.yaml"),
        (gke(nodes={"minNodes": 3, "maxNodes": 2}), "traffic-mirror:cluster.nodes.maxNodes in Pulumi.staging.yaml"),
        (gke(nodes={"zones": ["us-east4-a"]}), "traffic-mirror:cluster.nodes.zones[0] in Pulumi.staging.yaml"),
        (gke(network={"podCidr": "10.64.0.0/16"}), "traffic-mirror:cluster.network"),
        (gke(existingNetwork={"network": "n"}), "traffic-mirror:cluster.existingNetwork.subnetwork in Pulumi"),
        (gke(existingNetwork={}, network={"podCidr": "10.1.0.0/16"}), "traffic-mirror:cluster.network in Pulumi"),
        (gke(authorizedNetworks={"all": "0.0.0.0/0"}), "traffic-mirror:cluster.authorizedNetworks['all'] in Pulumi"),
        ({**gke(mode="autopilot"), "istio": {"cni": True}}, "traffic-mirror:istio.cni in Pulumi.staging.yaml"),
        (gke(controlPlaneCidr="172.16.0.0/28"), "traffic-mirror:cluster.controlPlaneCidr in Pulumi.staging.yaml"),
        (gke(maintenance={"days": ["monday"]}), "traffic-mirror:cluster.maintenance.days in Pulumi.staging.yaml"),
        (gke(maintenance={"hours": 2}), "traffic-mirror:cluster.maintenance.hours in Pulumi.staging.yaml"),
        (gke(secretsKey="my-key"), "traffic-mirror:cluster.secretsKey in Pulumi.staging.yaml"),
        (gke(credentials="password"), "exec-plugin, access-token"),
        (gke(releaseChannel="UNSPECIFIED"), "RAPID, REGULAR, STABLE, EXTENDED"),
        ({"clusterKind": "existing", "cluster": {}}, "traffic-mirror:cluster.kubeconfig"),
        (gke(network={"podCidr": "x"}), "traffic-mirror:cluster.network.podCidr in Pulumi.staging.yaml"),
        ({"gateway": {"exposure": "public"}}, "traffic-mirror:gateway.servers[0].tls"),
        (
            {"mirrors": {"crossCluster": {"percent": 101}}},
            "mirrors.crossCluster.percent in Pulumi.staging.yaml = 101",
        ),
        (
            {"mirrors": {"inCluster": {"percent": 1, "expires": "2020-01-01"}}},
            "mirrors.inCluster.expires in Pulumi.",
        ),
    ],
)
def test_wrong_configuration_is_refused_by_key_and_file(changes: dict[str, Any], words: str) -> None:
    values = {**config("staging"), **{f"traffic-mirror:{key}": value for key, value in changes.items()}}
    refusal = refused(
        ROOT / "__main__.py",
        ValidationError,
        config=values,
        outputs=ADDRESS,
        stack="staging",
        stack_references=TESTING,
    )
    assert words in str(refusal.error)


def test_type_tokens_never_change() -> None:
    found: dict[str, str] = {}
    for module in pkgutil.walk_packages(components.__path__, "components."):
        part = module.name.split(".")[1]
        if part in ("clusters", "mesh", "workloads", "mirroring") and ".server" not in module.name:
            for name, member in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
                if issubclass(member, pulumi.ComponentResource) and member.__module__.startswith("components"):
                    found[name] = member.TYPE  # pyright: ignore[reportAttributeAccessIssue]
    assert found == TOKENS


def test_every_public_name_is_there() -> None:
    for name in components.__all__:
        assert getattr(components, name) is not None
