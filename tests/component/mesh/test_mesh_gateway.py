"""MeshGateway: release, address, Gateway object, certificates, and who may reach it."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pulumi
import pulumi_kubernetes as k8s
import pytest

from components.clusters import ClusterHandle, ClusterKind
from components.mesh import (
    ExistingIstio,
    Exposure,
    ImagePullPolicy,
    MeshGateway,
    MeshGatewayArgs,
    MeshHandle,
    Size,
    TlsCredential,
)
from components.model import (
    GatewayRef,
    GatewayServer,
    MirrorContract,
    Protocol,
    TlsMode,
    ValidationError,
    client_server,
    receiver_server,
)
from tests.support.handles import no_mesh
from tests.support.recording import Recording, refused, run_program

RELEASE = "kubernetes:helm.sh/v3:Release"
SECRET = "kubernetes:core/v1:Secret"
GATEWAY = "kubernetes:networking.istio.io/v1:Gateway"
SERVICE = "kubernetes:core/v1:Service"
HOST = "grpc-hello.staging.example"
NOW = datetime(2026, 11, 23, tzinfo=UTC)


def mesh(kind: ClusterKind = ClusterKind.EXISTING, **arguments: Any) -> MeshHandle:
    cluster = ClusterHandle(name="staging", provider=k8s.Provider("staging-provider"), kind=kind)
    given: dict[str, Any] = {"version": "1.31.0", **arguments}
    return ExistingIstio(cluster=cluster, **given).handle


def plain_mesh() -> MeshHandle:
    """For arguments that are refused before a cluster matters."""
    return no_mesh()


def recorded(
    *,
    preview: bool = False,
    kind: ClusterKind = ClusterKind.EXISTING,
    istio: dict[str, Any] | None = None,
    ingress: dict[str, str] | None = None,
    see: Callable[[MeshGateway], None] = lambda _: None,
    **arguments: Any,
) -> Recording:
    def program() -> None:
        given: dict[str, Any] = {"servers": [client_server([HOST])], **arguments}
        gateway = MeshGateway("gateway", MeshGatewayArgs(mesh=mesh(kind, **(istio or {})), **given))
        see(gateway)
        pulumi.export("address", gateway.address)

    entries = [{"ip": "198.18.0.10"} if ingress is None else ingress]
    return run_program(
        program,
        preview=preview,
        top_level={"staging-provider"},
        outputs={SERVICE: {"status": {"loadBalancer": {"ingress": entries}}}},
    )


def values_of(recording: Recording) -> dict[str, Any]:
    return recording.one(RELEASE, "gateway-release").inputs["values"]


@pytest.mark.parametrize("preview", [False, True])
def test_release_service_and_gateway_object_are_its_children(preview: bool) -> None:
    recording = recorded(preview=preview)
    component = recording.one(MeshGateway.TYPE, "gateway")
    provider = recording.one("pulumi:providers:kubernetes", "staging-provider")
    children = recording.children_of(component)
    assert {(child.type, child.name, child.read) for child in children} == {
        (RELEASE, "gateway-release", False),
        (SERVICE, "gateway-service", True),
        (GATEWAY, "gateway-gateway", False),
    }
    assert {child.provider for child in children} == {provider.urn}
    assert recording.names(recording.one(GATEWAY).depends_on) == {"gateway-release"}
    assert recording.names(recording.one(SERVICE).depends_on) == {"gateway-release"}


def test_release_credential_and_gateway_object_wait_for_the_control_plane() -> None:
    def program() -> None:
        handle = mesh()
        gate = k8s.core.v1.ConfigMap("gate")
        waiting = MeshHandle(cluster=handle.cluster, behaviour=handle.behaviour, ready=(gate,))
        credentials = [TlsCredential(name="edge", ca="authority")]
        args = MeshGatewayArgs(mesh=waiting, servers=[client_server([HOST])], credentials=credentials)
        MeshGateway("gateway", args)

    recording = run_program(
        program,
        top_level={"staging-provider", "gate"},
        outputs={SERVICE: {"status": {"loadBalancer": {"ingress": [{"ip": "198.18.0.10"}]}}}},
    )
    for resource in (recording.one(RELEASE, "gateway-release"), recording.one(SECRET), recording.one(GATEWAY)):
        assert "gate" in recording.names(resource.depends_on)


def test_the_gateway_object_selects_the_release_s_pods_and_lists_exact_hosts() -> None:
    recording = recorded(gateway_name="edge", namespace="gateways")
    found = recording.one(GATEWAY)
    assert found.inputs["metadata"] == {"name": "edge", "namespace": "gateways"}
    assert found.inputs["spec"]["selector"] == {"istio": "edge"}
    assert values_of(recording)["labels"]["istio"] == "edge"
    assert [server["hosts"] for server in found.inputs["spec"]["servers"]] == [[HOST]]
    release = recording.one(RELEASE)
    assert (release.inputs["name"], release.inputs["namespace"]) == ("edge", "gateways")


def test_each_port_is_opened_once_beside_the_health_check() -> None:
    contract = MirrorContract(hosts=[HOST])
    servers = [
        client_server(["one.staging.example"]),
        client_server(["two.staging.example"]),
        client_server(["web.staging.example"], 8080, Protocol.HTTP),
        GatewayServer(hosts=["tls.staging.example"], port=8443, tls=TlsMode.SIMPLE, credential="edge"),
    ]
    ports = values_of(recorded(servers=servers))["service"]["ports"]
    assert [(port["name"], port["port"], port["targetPort"]) for port in ports] == [
        ("status-port", 15021, 15021),
        ("grpc-8000", 8000, 8000),
        ("http-8080", 8080, 8080),
        ("https-8443", 8443, 8443),
    ]
    mirrors = values_of(recorded(servers=[receiver_server(contract, "edge")]))["service"]["ports"]
    assert [port["name"] for port in mirrors] == ["status-port", "https-8000"]


@pytest.mark.parametrize("ingress", [{"ip": "198.18.0.10"}, {"hostname": "lb.cloud.example"}])
def test_the_address_is_the_load_balancer_s(ingress: dict[str, str]) -> None:
    assert recorded(ingress=ingress).exports == {"address": next(iter(ingress.values()))}


def test_a_load_balancer_without_address_is_an_error_that_says_where_to_look() -> None:
    def program() -> None:
        gateway = MeshGateway("gateway", MeshGatewayArgs(mesh=mesh(), servers=[client_server([HOST])]))
        pulumi.export("address", gateway.address)

    assert "events of its Service" in str(refused(program, ValidationError).error)


def test_the_service_is_looked_up_by_the_release_s_status() -> None:
    # A plain id would make the first preview look for a Service that does not exist yet.
    assert recorded().one(SERVICE).import_id == "istio-system/internal-gateway"
    assert recorded(preview=True).one(SERVICE).import_id != "istio-system/internal-gateway"


INTERNAL = "networking.gke.io/load-balancer-type"
GLOBAL = "networking.gke.io/internal-load-balancer-allow-global-access"


def test_on_gke_the_load_balancer_is_internal_and_reachable_from_other_regions() -> None:
    assert values_of(recorded(kind=ClusterKind.GKE))["service"]["annotations"] == {
        INTERNAL: "Internal",
        GLOBAL: "true",
    }
    regional = values_of(recorded(kind=ClusterKind.GKE, global_access=False))["service"]["annotations"]
    assert regional == {INTERNAL: "Internal"}


def test_elsewhere_no_cloud_is_assumed() -> None:
    assert "annotations" not in values_of(recorded())["service"]
    own = {"service.beta.kubernetes.io/azure-load-balancer-internal": "true"}
    assert values_of(recorded(service_annotations=own))["service"]["annotations"] == own


def test_a_gateway_inside_the_cluster_needs_no_load_balancer() -> None:
    recording = recorded(exposure=Exposure.CLUSTER, kind=ClusterKind.GKE)
    assert values_of(recording)["service"]["type"] == "ClusterIP"
    assert "annotations" not in values_of(recording)["service"]
    assert recording.of_type(SERVICE) == ()
    assert recording.exports == {"address": "internal-gateway.istio-system.svc.cluster.local"}


def test_a_public_gateway_has_tls_and_ranges_and_no_internal_load_balancer() -> None:
    server = GatewayServer(hosts=[HOST], port=443, tls=TlsMode.SIMPLE, credential="edge")
    recording = recorded(
        exposure=Exposure.PUBLIC, servers=[server], source_ranges=["203.0.113.0/24"], kind=ClusterKind.GKE
    )
    service = values_of(recording)["service"]
    assert service["loadBalancerSourceRanges"] == ["203.0.113.0/24"]
    assert "annotations" not in service


def test_production_survives_a_node_and_small_fits_on_one() -> None:
    production = values_of(recorded())
    assert production["autoscaling"] == {"enabled": True, "minReplicas": 2, "maxReplicas": 5}
    assert production["podDisruptionBudget"] == {"minAvailable": 1}
    assert {item["topologyKey"] for item in production["topologySpreadConstraints"]} == {
        "topology.kubernetes.io/zone",
        "kubernetes.io/hostname",
    }
    small = values_of(recorded(size=Size.SMALL))
    assert small["autoscaling"] == {"enabled": False}
    assert "topologySpreadConstraints" not in small
    for values in (production, small):
        assert values["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


def test_the_proxy_comes_from_the_mesh_s_revision_with_its_pull_policy() -> None:
    istio = {"revision": "stable", "image_pull_policy": ImagePullPolicy.IF_NOT_PRESENT}
    values = values_of(recorded(istio=istio))
    assert (values["revision"], values["imagePullPolicy"]) == ("stable", "IfNotPresent")
    assert values["podAnnotations"] == {"pulumi-traffic-mirror/data-plane": "stable/1.31.0"}
    assert not {"revision", "imagePullPolicy"} & set(values_of(recorded()))


def test_values_are_open_below_the_arguments() -> None:
    own = {"nodeSelector": {"pool": "edge"}, "service": {"type": "NodePort", "externalTrafficPolicy": "Local"}}
    values = values_of(recorded(values=own))
    assert values["nodeSelector"] == {"pool": "edge"}
    assert values["service"]["externalTrafficPolicy"] == "Local"
    assert values["service"]["type"] == "LoadBalancer"


def test_outputs_for_routes_are_plain() -> None:
    seen: list[MeshGateway] = []
    recorded(see=seen.append)
    gateway = seen[0]
    assert gateway.ref == GatewayRef(name="internal-gateway", namespace="istio-system")
    assert gateway.servers == (client_server([HOST]),)
    assert gateway.selector == {"istio": "internal-gateway"}


TLS = GatewayServer(hosts=[HOST], tls=TlsMode.MUTUAL, credential="edge")


@pytest.mark.parametrize(
    ("arguments", "field", "rule"),
    [
        ({"servers": []}, "servers", "must not be empty"),
        ({"namespace": "Gateways"}, "namespace", "DNS label"),
        ({"gateway_name": "a.b"}, "gateway_name", "DNS label"),
        ({"gateway_name": "g" * 54}, "gateway_name", "at most 53 characters"),
        ({"timeout_seconds": 0}, "timeout_seconds", "at least 1"),
        ({"source_ranges": ["10.0.0.1/8"]}, "source_ranges[0]", "has host bits set"),
        ({"source_ranges": ["10.0.0.0/8", "all"]}, "source_ranges[1]", "CIDR"),
        ({"exposure": Exposure.PUBLIC}, "servers[0].tls", "public gateway"),
        ({"exposure": Exposure.PUBLIC, "servers": [TLS]}, "source_ranges", "public gateway"),
        ({"exposure": Exposure.CLUSTER, "source_ranges": ["10.0.0.0/8"]}, "source_ranges", "load balancer"),
        ({"servers": [client_server([HOST], 15021)]}, "servers[0].port", "health check"),
        ({"servers": [client_server(["a.example"]), TLS]}, "servers[1]", "like servers[0]"),
        (
            {"servers": [client_server(["a.example"]), client_server([HOST], protocol=Protocol.HTTP)]},
            "servers[1]",
            "like servers[0]",
        ),
        (
            {"servers": [TLS, GatewayServer(hosts=[HOST], tls=TlsMode.SIMPLE, credential="edge")]},
            "servers[1].hosts",
            "TLS mode and credential",
        ),
        (
            {"servers": [TLS], "credentials": [TlsCredential(name="edge", ca="x"), TlsCredential(name="edge", ca="x")]},
            "credentials[1].name",
            "must not repeat",
        ),
        (
            {"servers": [TLS], "credentials": [TlsCredential(name="edge", ca="x")]},
            "servers[0].credential",
            "certificate",
        ),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], field: str, rule: str) -> None:
    given: dict[str, Any] = {"servers": [client_server([HOST])], **arguments}
    with pytest.raises(ValidationError) as refusal:
        MeshGatewayArgs(mesh=plain_mesh(), **given)
    assert refusal.value.field == field
    assert rule in str(refusal.value)
