"""MeshGateway: release, address, Gateway object, certificates, and who may reach it."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pulumi
import pulumi_kubernetes as k8s
import pytest

from pulumi_traffic_mirror.clusters import ClusterHandle, ClusterPlatform
from pulumi_traffic_mirror.clusters.gke import GKE
from pulumi_traffic_mirror.mesh import (
    ExistingIstio,
    Exposure,
    ImagePullPolicy,
    MeshGateway,
    MeshGatewayArgs,
    MeshHandle,
    MeshNamespace,
    MeshNamespaceArgs,
    Size,
    TlsCredential,
)
from pulumi_traffic_mirror.model import (
    GatewayRef,
    GatewayServer,
    MirrorContract,
    Protocol,
    TlsMode,
    ValidationError,
    Waiver,
    client_server,
    receiver_server,
)
from pulumi_traffic_mirror.model.monitoring import PROXY_STATS, STATS_ANNOTATION
from tests.support.handles import PRIVATE, no_mesh
from tests.support.recording import Recording, refused, run_program

ANY = ClusterPlatform()
RELEASE = "kubernetes:helm.sh/v3:Release"
SECRET = "kubernetes:core/v1:Secret"
GATEWAY = "kubernetes:networking.istio.io/v1:Gateway"
SERVICE = "kubernetes:core/v1:Service"
NAMESPACE = "kubernetes:core/v1:Namespace"
ROOT = {"namespace": "istio-system", "in_root_namespace": Waiver(reason="is moved out of it this month")}
HOST = "grpc-hello.staging.example"
BY_ITSELF = Waiver(reason="this cluster has no way to the internet")
NOW = datetime(2026, 11, 23, tzinfo=UTC)


def mesh(platform: ClusterPlatform = PRIVATE, **arguments: Any) -> MeshHandle:
    cluster = ClusterHandle(name="staging", provider=k8s.Provider("staging-provider"), platform=platform)
    given: dict[str, Any] = {"version": "1.31.0", **arguments}
    return ExistingIstio(cluster=cluster, **given).handle


def plain_mesh() -> MeshHandle:
    """For arguments that are refused before a cluster matters."""
    return no_mesh()


def recorded(
    *,
    preview: bool = False,
    platform: ClusterPlatform = PRIVATE,
    istio: dict[str, Any] | None = None,
    ingress: dict[str, str] | None = None,
    see: Callable[[MeshGateway], None] = lambda _: None,
    **arguments: Any,
) -> Recording:
    def program() -> None:
        given: dict[str, Any] = {"servers": [client_server([HOST])], **arguments}
        gateway = MeshGateway("gateway", MeshGatewayArgs(mesh=mesh(platform, **(istio or {})), **given))
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
        (NAMESPACE, "gateway-namespace", False),
    }
    assert {child.provider for child in children} == {provider.urn}
    assert recording.names(recording.one(GATEWAY).depends_on) == {"gateway-namespace", "gateway-release"}
    assert recording.names(recording.one(SERVICE).depends_on) == {"gateway-release"}


def test_by_default_it_has_a_namespace_of_its_own_at_the_strictest_level() -> None:
    recording = recorded(credentials=[TlsCredential(name="edge", ca="authority")], gateway_name="entrance")
    metadata = recording.one(NAMESPACE).inputs["metadata"]
    assert metadata["name"] == "entrance"
    assert metadata["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert recording.one(RELEASE).inputs["namespace"] == "entrance"
    for resource in (recording.one(SECRET), recording.one(GATEWAY)):
        assert resource.inputs["metadata"]["namespace"] == "entrance"
    for resource in (recording.one(RELEASE), recording.one(SECRET), recording.one(GATEWAY)):
        assert "gateway-namespace" in recording.names(resource.depends_on)


@pytest.mark.parametrize("given", [ROOT, {"namespace": "gateways"}])
def test_a_namespace_that_is_given_is_nobody_s_to_make(given: dict[str, Any]) -> None:
    recording = recorded(**given)
    assert not recording.of_type(NAMESPACE)
    assert recording.one(RELEASE).inputs["namespace"] == given["namespace"]


def test_what_is_replaced_stays_where_that_is_asked_for() -> None:
    """All but the Gateway object, which would go on taking hosts from the new one."""
    credentials = [TlsCredential(name="edge", ca="authority")]
    for kept in (False, True):
        recording = recorded(credentials=credentials, keep_replaced=kept)
        children = recording.children_of(recording.one(MeshGateway.TYPE, "gateway"))
        assert {child.type for child in children if child.retain_on_delete} == ({RELEASE, SECRET} if kept else set())


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

    empty = {SERVICE: {"status": {"loadBalancer": {}}}}
    assert "events of its Service" in str(refused(program, ValidationError, outputs=empty).error)


def test_the_service_is_looked_up_by_the_release_s_status() -> None:
    # A plain id would make the first preview look for a Service that does not exist yet.
    assert recorded().one(SERVICE).import_id == "internal-gateway/internal-gateway"
    assert recorded(preview=True).one(SERVICE).import_id != "internal-gateway/internal-gateway"


def test_the_service_is_read_by_its_name_so_that_a_refresh_takes_the_same_for_its_inputs() -> None:
    inputs = recorded().one(SERVICE).inputs
    assert (inputs["apiVersion"], inputs["kind"]) == ("v1", "Service")
    assert inputs["metadata"]["name"] == "internal-gateway"
    assert inputs["metadata"]["namespace"] == "internal-gateway"
    assert "spec" not in inputs, "its spec is Helm's"


INTERNAL = "networking.gke.io/load-balancer-type"
GLOBAL = "networking.gke.io/internal-load-balancer-allow-global-access"


def test_on_gke_the_load_balancer_is_internal_and_reachable_from_other_regions() -> None:
    assert values_of(recorded(platform=GKE))["service"]["annotations"] == {
        INTERNAL: "Internal",
        GLOBAL: "true",
    }
    regional = values_of(recorded(platform=GKE, global_access=False))["service"]["annotations"]
    assert regional == {INTERNAL: "Internal"}


def test_elsewhere_no_cloud_is_assumed() -> None:
    waived = recorded(platform=ANY, internal_by_itself=BY_ITSELF)
    assert "annotations" not in values_of(waived)["service"]
    own = {"service.beta.kubernetes.io/azure-load-balancer-internal": "true"}
    assert values_of(recorded(platform=ANY, service_annotations=own))["service"]["annotations"] == own


@pytest.mark.parametrize(
    "arguments",
    [
        {"internal_by_itself": BY_ITSELF},
        {"service_annotations": {"cloud.example/internal": "true"}},
        {"source_ranges": ["10.0.0.0/8"]},
        {"exposure": Exposure.CLUSTER},
    ],
)
def test_a_load_balancer_that_nothing_keeps_internal_is_refused(arguments: dict[str, Any]) -> None:
    assert recorded(platform=ANY, **arguments).one(GATEWAY)
    refusal = refused(lambda: MeshGatewayArgs(mesh=mesh(ANY), servers=[client_server([HOST])]), ValidationError)
    assert "exposure = 'internal': must be more than a name" in str(refusal.error)


@pytest.mark.parametrize(
    "arguments",
    [{}, {"platform": ANY, "exposure": Exposure.CLUSTER}, {"platform": ANY, "source_ranges": ["10.0.0.0/8"]}],
)
def test_a_reason_that_nobody_needs_is_refused(arguments: dict[str, Any]) -> None:
    platform = arguments.pop("platform", PRIVATE)
    given = {"servers": [client_server([HOST])], "internal_by_itself": BY_ITSELF, **arguments}
    refusal = refused(lambda: MeshGatewayArgs(mesh=mesh(platform), **given), ValidationError)
    assert "internal_by_itself" in str(refusal.error)
    assert "has no effect" in str(refusal.error)


def test_a_gateway_inside_the_cluster_needs_no_load_balancer() -> None:
    recording = recorded(exposure=Exposure.CLUSTER, platform=GKE)
    assert values_of(recording)["service"]["type"] == "ClusterIP"
    assert "annotations" not in values_of(recording)["service"]
    assert recording.of_type(SERVICE) == ()
    assert recording.exports == {"address": "internal-gateway.internal-gateway.svc.cluster.local"}


def test_a_public_gateway_has_tls_and_ranges_and_no_internal_load_balancer() -> None:
    server = GatewayServer(hosts=[HOST], port=443, tls=TlsMode.SIMPLE, credential="edge")
    recording = recorded(exposure=Exposure.PUBLIC, servers=[server], source_ranges=["203.0.113.0/24"], platform=GKE)
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
    assert values["podAnnotations"]["pulumi-traffic-mirror/data-plane"] == "stable/1.31.0"
    assert not {"revision", "imagePullPolicy"} & set(values_of(recorded()))


def test_the_proxy_exports_counters_of_copies_unless_the_caller_says_otherwise() -> None:
    assert values_of(recorded())["podAnnotations"][STATS_ANNOTATION] == PROXY_STATS
    own = {"podAnnotations": {STATS_ANNOTATION: "none"}}
    assert values_of(recorded(values=own))["podAnnotations"][STATS_ANNOTATION] == "none"


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
    assert gateway.ref == GatewayRef(name="internal-gateway", namespace="internal-gateway")
    assert gateway.servers == (client_server([HOST]),)
    assert gateway.selector == {"istio": "internal-gateway"}


TLS = GatewayServer(hosts=[HOST], tls=TlsMode.MUTUAL, credential="edge")


@pytest.mark.parametrize(
    ("arguments", "field", "rule"),
    [
        ({"servers": []}, "servers", "must not be empty"),
        ({"namespace": "Gateways"}, "namespace", "DNS label"),
        ({"namespace": "istio-system"}, "namespace", "the key of the mesh's CA"),
        ({"gateway_name": "istio-system"}, "namespace", "the key of the mesh's CA"),
        (ROOT | {"namespace": "gateways"}, "in_root_namespace", "belongs to a gateway in the root namespace"),
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
            "TLS mode, credential and client names",
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


def test_a_gateway_waits_for_a_namespace_that_is_given_as_a_component() -> None:
    def program() -> None:
        handle = mesh()
        ingress = MeshNamespace("ingress", MeshNamespaceArgs(cluster=handle.cluster, namespace="ingress", mesh=handle))
        given: dict[str, Any] = {
            "servers": [client_server([HOST])],
            "credentials": [TlsCredential(name="edge", ca="x")],
        }
        MeshGateway("gateway", MeshGatewayArgs(mesh=handle, namespace=ingress, **given))

    recording = run_program(
        program, outputs={SERVICE: {"status": {"loadBalancer": {"ingress": [{"ip": "198.18.0.10"}]}}}}
    )
    for made in (recording.one(RELEASE), recording.one(SECRET), recording.one(GATEWAY)):
        assert "ingress" in {made.input("namespace"), made.input("metadata.namespace")}
        assert "ingress-namespace" in recording.names(made.depends_on), made.type
    with pytest.raises(ValidationError, match="namespace = 'elsewhere in b': must be a namespace of the cluster 'sta"):
        run_program(elsewhere)


def elsewhere() -> None:
    other = ClusterHandle(name="b", provider=k8s.Provider("b-provider"))
    namespace = MeshNamespace("elsewhere", MeshNamespaceArgs(cluster=other, namespace="elsewhere"))
    MeshGatewayArgs(mesh=mesh(), servers=[client_server([HOST])], namespace=namespace)
