"""The components as programs in every language see them."""

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import grpc
import pulumi
import pytest
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from pulumi_traffic_mirror.model import MirrorContract, MirrorOffer
from tests.support.plugin import FOLDER, SCHEMA, provider, schema
from tests.support.recording import run_program

KUBECONFIG = json.dumps(
    {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "a", "cluster": {"server": "https://192.0.2.1"}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "users": [{"name": "a", "user": {"token": "secret"}}],
        "current-context": "a",
    }
)
CLUSTER = {"kubeconfig": KUBECONFIG}
MESH = {**CLUSTER, "mesh": {"version": "1.31.0"}}
# As they arrive: numbers are floats.
NEXT = {"service": {"host": "next.shop.svc.cluster.local", "port": 80.0}, "percent": 10.0, "pathPrefixes": ["/api"]}
ORDERS = {"host": "orders.shop.svc.cluster.local", "port": 80.0}
CONTRACT = {"hosts": ["shop.example.com"], "protocol": "HTTP", "port": 8443.0}
OFFER = dict(
    MirrorOffer.of(MirrorContract(hosts=["shop.example.com"], protocol="HTTP", port=8443), "10.1.2.3").to_json()  # type: ignore[arg-type]
)
ACROSS = {"contract": CONTRACT, "percent": 5.0, "clientCredential": "mirror-client"}

CASES: Mapping[str, tuple[dict[str, Any], set[str]]] = {
    "ExistingCluster": (CLUSTER, {"kubernetes"}),
    "GkeCluster": (
        {"project": "shop-1234", "location": "europe-west1", "deletionProtection": False, "maxNodes": 4.0},
        {"Cluster", "NodePool", "Network", "kubernetes"},
    ),
    "IstioControlPlane": ({**CLUSTER, "values": {"telemetry": {"enabled": False}}}, {"Release", "Namespace"}),
    "MeshGateway": (
        {
            **MESH,
            "servers": [{"hosts": ["shop.example.com"], "port": 8000.0, "protocol": "HTTP"}],
            "contracts": [CONTRACT],
            "serverCredential": "mirror-server",
            "serviceAnnotations": {"cloud.example/internal": "true"},
        },
        {"Release", "Gateway", "Namespace"},
    ),
    "MirrorOverlay": (
        {
            **MESH,
            "gatewayHosts": ["shop.example.com"],
            "meshServices": [ORDERS],
            "mirrors": [NEXT],
            "crossClusterMirrors": [ACROSS],
            "offers": {"testing": OFFER},
        },
        {"EnvoyFilter", "DestinationRule", "ServiceEntry"},
    ),
    "MirrorReceiver": (
        {
            **MESH,
            "gateway": "internal-gateway/internal-gateway",
            "address": "10.1.2.3",
            "contract": CONTRACT,
            "service": ORDERS,
        },
        {"VirtualService", "EnvoyFilter"},
    ),
    "MirroredService": (
        {**MESH, "primary": ORDERS, "mirrors": [NEXT], "protocol": "HTTP", "governMesh": True},
        {"VirtualService", "EnvoyFilter", "DestinationRule"},
    ),
    "ReplayJob": (
        {
            **CLUSTER,
            "namespace": "tools",
            "image": f"registry.example/jobs@sha256:{'0' * 64}",
            "recording": "gs://lake/monday",
            "target": "https://v2.example",
            "shards": 4.0,
            "begin": "2027-01-31T12:00:00Z",
            "rate": 200.0,
            "sideEffects": "v2 has data of its own",
            "rewrites": {"/v1": "/v2"},
            "headerSecret": "credential",
            "accountAnnotations": {"iam.gke.io/gcp-service-account": "replay@project.iam.gserviceaccount.com"},
        },
        {"Job", "ServiceAccount", "NetworkPolicy"},
    ),
}


def constructed(component: str, inputs: Mapping[str, Any]) -> tuple[set[str], dict[str, Any]]:
    """Kinds of what one component registers, and its outputs."""
    recording, found = recorded(component, inputs)
    return {each.type.rpartition(":")[2] for each in recording.resources}, found


def recorded(component: str, inputs: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """What one component registers, and its outputs."""
    found: dict[str, Any] = {}

    def program() -> None:
        made = provider().construct("shop", f"trafficmirror:index:{component}", inputs, pulumi.ResourceOptions())
        pulumi.Output.all(**made.state).apply(found.update)

    address = {"kubernetes:core/v1:Service": {"status": {"loadBalancer": {"ingress": [{"ip": "10.1.2.3"}]}}}}
    return run_program(program, outputs=address), found


def test_the_schema_is_what_is_checked_in() -> None:
    """Write it anew by ``python -m tests.support.plugin``, and look at it: programs in other languages rest on it."""
    assert SCHEMA.read_text(encoding="utf-8") == schema()


def test_every_argument_and_value_is_described() -> None:
    known = json.loads(SCHEMA.read_text(encoding="utf-8"))
    for name, shape in {**known["resources"], **known["types"]}.items():
        assert shape["description"], name
        for field, each in {**shape["properties"], **shape.get("inputProperties", {})}.items():
            assert each.get("description"), f"{name}.{field}"


def test_every_component_of_the_plugin_is_tried_here() -> None:
    names = json.loads(SCHEMA.read_text(encoding="utf-8"))["resources"]
    assert {name.rpartition(":")[2] for name in names} == set(CASES)


@pytest.mark.parametrize("component", CASES)
def test_flat_arguments_make_the_library_s_component(component: str) -> None:
    inputs, wanted = CASES[component]
    kinds, outputs = constructed(component, inputs)
    assert wanted | {component} <= kinds
    known = json.loads(SCHEMA.read_text(encoding="utf-8"))["resources"][f"trafficmirror:index:{component}"]
    assert set(outputs) == set(known["properties"])
    assert None not in outputs.values()


def test_an_overlay_is_for_the_gateway_the_domain_and_the_waypoint_that_are_named() -> None:
    places = {"gateway": "web/edge", "gatewayLabels": {"istio": "edge"}, "domain": "*.example.com"}
    behind = {"waypointServices": [ORDERS], "waypoint": "own"}
    recording, _ = recorded("MirrorOverlay", {**CASES["MirrorOverlay"][0], "meshServices": [], **places, **behind})
    specs = [each.inputs["spec"] for each in recording.resources if each.type.endswith(":EnvoyFilter")]
    at_gateway = next(each for each in specs if "workloadSelector" in each)
    assert at_gateway["workloadSelector"] == {"labels": {"istio": "edge"}}
    hosts = [patch["match"].get("routeConfiguration", {}).get("vhost", {}) for patch in at_gateway["configPatches"]]
    assert hosts[0]["domainName"] == "*.example.com"
    at_waypoint = next(each for each in specs if "targetRefs" in each)
    assert at_waypoint["targetRefs"][0]["name"] == "own"


@pytest.mark.parametrize(
    ("component", "changed", "said"),
    [
        ("MirrorOverlay", {"mirrors": [{**NEXT, "percent": 110.0}]}, "percent"),
        ("MirrorOverlay", {"mirrors": [{**NEXT, "service": {**ORDERS, "port": 80.5}}]}, "port"),
        ("MirrorOverlay", {"offers": {}}, "offers"),
        ("MirrorOverlay", {"protocol": "FTP"}, "protocol"),
        ("MirrorOverlay", {"gateway": "edge"}, "NAMESPACE/NAME"),
        ("MirrorOverlay", {"gateway": "web/edge", "gatewayLabels": {"istio": "no label"}}, "labels"),
        ("MirrorOverlay", {"domain": "*.example.org"}, "domain"),
        ("MirrorReceiver", {"gateway": "internal-gateway"}, "gateway"),
        ("MirrorReceiver", {"contract": {**CONTRACT, "tls": "NONE"}}, "MUTUAL"),
        ("ReplayJob", {"begin": None}, "begin"),
        ("ReplayJob", {"caSecret": "My Secret"}, "secrets.ca"),
        ("GkeCluster", {"autopilot": True}, "max_nodes"),
        ("ExistingCluster", {"kubeconfig": "no: kubeconfig"}, "kubeconfig"),
    ],
)
def test_what_is_wrong_is_said_without_places_in_our_code(component: str, changed: dict[str, Any], said: str) -> None:
    with pytest.raises(Exception, match=said) as refused:
        constructed(component, {**CASES[component][0], **changed})
    inner: Any = refused.value
    while (deeper := getattr(inner, "inner", inner.__cause__)) is not None:
        inner = deeper
    assert type(inner).__name__ == "RefusedError"
    assert inner.__traceback__ is None


def test_the_guide_shows_the_example() -> None:
    root = FOLDER.parent
    guide = (root / "docs" / "guides" / "other-languages.md").read_text(encoding="utf-8")
    example = (root / "examples" / "yaml" / "Pulumi.yaml").read_text(encoding="utf-8")
    assert example.partition("\n")[2] in guide


def test_a_kubeconfig_that_comes_as_an_object_is_taken_as_its_text() -> None:
    _, outputs = constructed("ExistingCluster", {"kubeconfig": json.loads(KUBECONFIG)})
    assert outputs["server"] == "https://192.0.2.1"


@pytest.mark.slow
def test_the_process_tells_the_engine_the_same_schema() -> None:
    argv = [sys.executable, str(FOLDER), "127.0.0.1:1"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                stub: Any = provider_pb2_grpc.ResourceProviderStub(channel)
                told = stub.GetSchema(provider_pb2.GetSchemaRequest(version=0), timeout=30).schema
        finally:
            process.terminate()
    assert json.loads(told) == json.loads(SCHEMA.read_text(encoding="utf-8"))
