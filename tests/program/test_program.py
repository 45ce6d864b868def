"""The program beside the library, run with the real configuration files of both stacks."""

import importlib
import inspect
import pkgutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from syrupy.assertion import SnapshotAssertion

import pulumi_traffic_mirror as tm
from pulumi_traffic_mirror.customizing import Component
from pulumi_traffic_mirror.model import MirrorContract, MirrorOffer
from pulumi_traffic_mirror.rehearsal.mirror_tls import make_mirror_tls
from tests.support.recording import Recording, Secret, run_program

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
    "MirrorMonitoring": "trafficmirror:index:MirrorMonitoring",
    "MirrorOverlay": "trafficmirror:index:MirrorOverlay",
    "MirrorReceiver": "trafficmirror:index:MirrorReceiver",
    "MirroredService": "trafficmirror:index:MirroredService",
    "NetworkPeering": "trafficmirror:index:NetworkPeering",
    "ReplayJob": "trafficmirror:index:ReplayJob",
    "TrafficRecorder": "trafficmirror:index:TrafficRecorder",
}
"""Type tokens are part of every user's state: changing one replaces what it names."""


def config(stack: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"]


def offer(stack: str = "testing") -> dict[str, Any]:
    terms = config(stack)["traffic-mirror:contract"]
    contract = MirrorContract(hosts=terms["hosts"], port=terms["port"], mirror_host=terms["mirrorHost"])
    return dict(MirrorOffer.of(contract, "10.1.2.3").to_json())


TESTING = {
    "organization/traffic-mirror/testing": {
        "receiver": offer(),
        "network": "projects/my-project/global/networks/testing",
    }
}


def deploy(
    stack: str, *, preview: bool = False, existing: Mapping[str, Mapping[str, Any]] | None = None, **changes: Any
) -> Recording:
    values = {**config(stack), **{f"traffic-mirror:{key}": value for key, value in changes.items()}}
    return run_program(
        ROOT / "__main__.py",
        config={key: value for key, value in values.items() if value is not None},
        secret_keys=["traffic-mirror:kubeconfig", "traffic-mirror:mirrorTls"],
        stack=stack,
        preview=preview,
        outputs=ADDRESS,
        stack_references=TESTING,
        existing=existing,
    )


@pytest.mark.parametrize("stack", STACKS)
def test_each_stack_registers_the_same_resources_as_before(stack: str, snapshot: SnapshotAssertion) -> None:
    assert deploy(stack).snapshot() == snapshot


@pytest.mark.parametrize("preview", [False, True])
@pytest.mark.parametrize("stack", STACKS)
def test_preview_and_update_register_the_same(stack: str, preview: bool) -> None:
    assert deploy(stack, preview=preview).shape == deploy(stack).shape


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"endpoint": "", "masterVersion": "", "masterAuth": {}, "nodePools": []},
        {"controlPlaneEndpointsConfig": {"dnsEndpointConfig": {"endpoint": ""}}, "masterVersion": "1.35.3-gke.1"},
        {"controlPlaneEndpointsConfig": {}, "nodePools": [{"name": "default-pool"}], "clusterIpv4Cidr": ""},
    ],
)
@pytest.mark.parametrize("ranges", [None, {"office": "203.0.113.0/24"}])
def test_after_a_creation_that_failed_the_whole_program_can_be_previewed(
    state: Mapping[str, Any], ranges: Mapping[str, str] | None
) -> None:
    cluster = {**config("staging")["traffic-mirror:cluster"], **({"authorizedNetworks": ranges} if ranges else {})}
    failed = {"cluster-cluster": {"id": "projects/p/locations/europe-west1/clusters/c", **state}}
    recording = deploy("staging", preview=True, existing=failed, cluster=cluster)
    assert recording.shape == deploy("staging", cluster=cluster).shape
    warned = any("creation has failed" in line.message for line in recording.logs)
    assert warned == ("masterVersion" not in state or not state["masterVersion"])


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
        stack_references={
            "organization/traffic-mirror/testing": {
                "receiver": receiver,
                "network": "projects/my-project/global/networks/testing",
            }
        },
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
    given = {"clusterKind": "existing", "cluster": {}, "kubeconfig": kubeconfig, "mirrorTls": pem}
    with pytest.raises(tm.ValidationError, match=r"gateway\.exposure in Pulumi\.testing\.yaml"):
        deploy("testing", **given)
    by_itself = {"internalByItself": {"reason": "this network leads nowhere else"}}
    recording = deploy("testing", **given, gateway=by_itself)
    assert not [r for r in recording.resources if r.type.startswith("gcp:")]
    secret = recording.one("kubernetes:core/v1:Secret")
    assert isinstance(secret.inputs["data"], Secret)
    shown = repr([recording.snapshot(), recording.exports, recording.logs])
    assert "not-a-token" not in shown
    assert not any(str(text) in shown for text in pem.values())
    assert isinstance(recording.one("pulumi:providers:kubernetes").inputs["kubeconfig"], Secret)


def test_the_networks_of_both_clusters_are_connected_without_overlap() -> None:
    assert deploy("staging").one("trafficmirror:index:NetworkPeering")
    ranges = [deploy(stack).one("gcp:compute/subnetwork:Subnetwork").input("ipCidrRange") for stack in STACKS]
    assert ranges == ["10.66.0.0/20", "10.64.0.0/20"]
    assert deploy("testing").exports["networkRanges"]["node_cidr"] == ranges[0]


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


def test_type_tokens_never_change() -> None:
    found: dict[str, str] = {}
    for module in pkgutil.walk_packages(tm.__path__, f"{tm.__name__}."):
        part = module.name.split(".")[1]
        if part in ("clusters", "mesh", "workloads", "mirroring") and ".server" not in module.name:
            for name, member in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
                own = member.__module__.startswith(tm.__name__) and member is not Component
                if own and issubclass(member, pulumi.ComponentResource):
                    found[name] = member.TYPE  # pyright: ignore[reportAttributeAccessIssue]
    assert found == TOKENS


@pytest.mark.parametrize(("before", "shown"), [("pulumi, ", "True"), ("", "False")])
def test_values_are_refused_without_a_traceback_before_any_component_is_loaded(before: str, shown: str) -> None:
    """A program may build its contract in a module of its own, first of all; the command line needs no Pulumi."""
    code = f"""
import sys, {before}pulumi_traffic_mirror as tm
try:
    tm.MirrorContract(hosts=[])
except tm.ValidationError as error:
    print(any(kind.__name__ == "RunError" for kind in type(error).__mro__), "pulumi" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [shown, shown]


def test_every_public_name_is_there() -> None:
    for name in dir(tm):
        assert getattr(tm, name) is not None
