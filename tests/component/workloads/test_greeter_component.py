"""Greeter and MeshNamespace: hardened pods, a Service per version, and namespaces that admit what they run."""

from collections.abc import Callable
from typing import Any

import pulumi
import pulumi_kubernetes as k8s
import pytest

from pulumi_traffic_mirror.clusters import ClusterHandle
from pulumi_traffic_mirror.mesh import ExistingIstio, MeshHandle, MeshNamespace, MeshNamespaceArgs, PodSecurity
from pulumi_traffic_mirror.model import Destination, ValidationError
from pulumi_traffic_mirror.workloads import Greeter, GreeterArgs
from pulumi_traffic_mirror.workloads.greeter.image import check_image
from tests.support.handles import no_cluster
from tests.support.recording import Recorded, Recording, refused, run_program

DEPLOYMENT = "kubernetes:apps/v1:Deployment"
SERVICE = "kubernetes:core/v1:Service"
ACCOUNT = "kubernetes:core/v1:ServiceAccount"
POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
BUDGET = "kubernetes:policy/v1:PodDisruptionBudget"
NAMESPACE = "kubernetes:core/v1:Namespace"
IMAGE = f"registry.example/greeter@sha256:{'0' * 64}"
CLUSTER = no_cluster()
"""For arguments that are refused before a cluster matters."""


def cluster() -> ClusterHandle:
    return ClusterHandle(name="staging", provider=k8s.Provider("staging-provider"))


def mesh_of(handle: ClusterHandle, **arguments: Any) -> MeshHandle:
    given: dict[str, Any] = {"version": "1.31.0", **arguments}
    return ExistingIstio(cluster=handle, **given).handle


def run(program: Callable[[], object], *, preview: bool = False) -> Recording:
    return run_program(program, preview=preview, top_level={"staging-provider", "gate"})


def recorded(*, preview: bool = False, meshed: bool = True, **arguments: Any) -> Recording:
    def program() -> None:
        handle = cluster()
        given: dict[str, Any] = {"image": IMAGE, **arguments}
        mesh = mesh_of(handle) if meshed else None
        greeter = Greeter("greeter", GreeterArgs(cluster=handle, mesh=mesh, **given))
        pulumi.export("host", greeter.destination.host)

    return run(program, preview=preview)


def container_of(recording: Recording) -> dict[str, Any]:
    containers = recording.one(DEPLOYMENT).input("spec.template.spec.containers")
    assert len(containers) == 1
    return containers[0]


def namespaces_let_in(policy: Recorded) -> list[Any]:
    return [peer.get("namespaceSelector") for peer in policy.input("spec.ingress.0.from")]


@pytest.mark.parametrize("preview", [False, True])
def test_a_greeter_is_a_deployment_with_its_own_service_account_and_policy(preview: bool) -> None:
    recording = recorded(preview=preview)
    component = recording.one(Greeter.TYPE, "greeter")
    children = recording.children_of(component)
    assert {(child.type, child.name, child.input("metadata.name")) for child in children} == {
        (DEPLOYMENT, "greeter-deployment", "greeter-v1"),
        (SERVICE, "greeter-service", "greeter"),
        (ACCOUNT, "greeter-service-account", "greeter-v1"),
        (POLICY, "greeter-network-policy", "greeter-v1"),
        (BUDGET, "greeter-disruption-budget", "greeter-v1"),
    }
    provider = recording.one("pulumi:providers:kubernetes", "staging-provider")
    assert {child.provider for child in children} == {provider.urn}
    assert {child.input("metadata.namespace") for child in children} == {"hello"}
    # Pods never run before who may call them is settled.
    needs = recording.names(recording.one(DEPLOYMENT).depends_on)
    assert needs == {"greeter-service-account", "greeter-network-policy"}


def test_the_pod_keeps_the_restricted_level() -> None:
    recording = recorded()
    pod = recording.one(DEPLOYMENT).input("spec.template.spec")
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container_of(recording)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False
    assert recording.one(ACCOUNT).inputs["automountServiceAccountToken"] is False


def test_memory_is_limited_and_cpu_is_not() -> None:
    resources = container_of(recorded())["resources"]
    assert set(resources["requests"]) == {"cpu", "memory"}
    assert set(resources["limits"]) == {"memory"}


def test_health_is_asked_by_grpc_on_the_served_port() -> None:
    container = container_of(recorded(port=9000))
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["grpc"] == {"port": 9000}
    assert container["ports"][0]["containerPort"] == 9000


def test_the_environment_names_version_pod_and_address() -> None:
    entries = container_of(recorded(version="v2", env={"WORKERS": "64"}))["env"]
    environment = {
        entry["name"]: entry.get("value") or entry["valueFrom"]["fieldRef"]["fieldPath"] for entry in entries
    }
    assert environment == {
        "VERSION": "v2",
        "PORT": "8000",
        "PODNAME": "metadata.name",
        "PODIP": "status.podIP",
        "WORKERS": "64",
    }


def test_two_versions_share_a_namespace_and_nothing_else() -> None:
    def program() -> None:
        handle = cluster()
        for version in ("v1", "v2"):
            Greeter(f"greeter-{version}", GreeterArgs(cluster=handle, image=IMAGE, version=version))

    recording = run(program)
    services = recording.of_type(SERVICE)
    assert {(item.input("metadata.name"), item.input("spec.selector.version")) for item in services} == {
        ("greeter", "v1"),
        ("greeter-v2", "v2"),
    }
    for kind in (DEPLOYMENT, SERVICE, ACCOUNT, POLICY, BUDGET):
        assert len({item.input("metadata.name") for item in recording.of_type(kind)}) == 2
    for deployment in recording.of_type(DEPLOYMENT):
        labels = deployment.input("spec.template.metadata.labels")
        assert (
            deployment.input("spec.selector.matchLabels") == labels == {"app": "greeter", "version": labels["version"]}
        )


def test_the_service_speaks_grpc_to_istio_and_is_up_at_once() -> None:
    service = recorded(port=9000).one(SERVICE)
    assert service.input("spec.ports") == [
        {"name": "grpc", "appProtocol": "grpc", "port": 9000, "targetPort": 9000, "protocol": "TCP"}
    ]
    assert service.input("metadata.annotations") == {"pulumi.com/waitFor": "jsonpath={.spec.clusterIP}"}


def test_routes_get_the_service_by_its_full_name() -> None:
    args = GreeterArgs(cluster=CLUSTER, image=IMAGE, version="v2", namespace="other", port=9000)
    assert args.destination == Destination("greeter-v2.other.svc.cluster.local", 9000)
    assert recorded(service_name="hello").exports == {"host": "hello.hello.svc.cluster.local"}


def test_only_gateways_neighbours_and_the_mesh_may_call() -> None:
    policy = recorded(gateway_namespaces=["gateways"]).one(POLICY)
    assert policy.input("spec.podSelector.matchLabels") == {"app": "greeter", "version": "v1"}
    assert policy.input("spec.policyTypes") == ["Ingress"]
    assert policy.input("spec.ingress.0.ports") == [{"port": 8000, "protocol": "TCP"}]
    gateways = [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["gateways"]}]
    assert namespaces_let_in(policy) == [
        None,
        {"matchExpressions": gateways},
        {"matchLabels": {"istio-injection": "enabled"}},
    ]
    assert len(namespaces_let_in(recorded(meshed=False, gateway_namespaces=[]).one(POLICY))) == 1


def test_rollouts_never_have_fewer_pods_and_ending_ones_go_on_serving() -> None:
    recording = recorded()
    strategy = recording.one(DEPLOYMENT).input("spec.strategy.rollingUpdate")
    assert strategy == {"maxUnavailable": 0, "maxSurge": 1}
    assert container_of(recording)["lifecycle"] == {"preStop": {"sleep": {"seconds": 5}}}
    assert "lifecycle" not in container_of(recorded(drain_seconds=0))


def test_one_replica_has_no_disruption_budget_that_would_block_a_drain() -> None:
    recording = recorded(replicas=1)
    assert recording.of_type(BUDGET) == ()
    assert "topologySpreadConstraints" not in recording.one(DEPLOYMENT).input("spec.template.spec")


def test_pods_restart_when_another_control_plane_serves_them() -> None:
    annotations = recorded().one(DEPLOYMENT).input("spec.template.metadata.annotations")
    assert annotations == {"pulumi-traffic-mirror/data-plane": "default/1.31.0"}
    assert recorded(meshed=False).one(DEPLOYMENT).input("spec.template.metadata.annotations") is None


@pytest.mark.parametrize("preview", [False, True])
def test_everything_waits_for_its_namespace_and_that_for_the_control_plane(preview: bool) -> None:
    def program() -> None:
        handle = cluster()
        gate = k8s.core.v1.ConfigMap("gate")
        mesh = MeshHandle(cluster=handle, behaviour=mesh_of(handle).behaviour, ready=(gate,))
        hello = MeshNamespace("hello", MeshNamespaceArgs(cluster=handle, namespace="hello", mesh=mesh))
        Greeter("greeter", GreeterArgs(cluster=handle, mesh=mesh, namespace=hello, image=IMAGE))

    recording = run(program, preview=preview)
    assert "gate" in recording.names(recording.one(NAMESPACE).depends_on)
    for kind in (DEPLOYMENT, SERVICE, ACCOUNT, POLICY):
        needs = recording.names(recording.one(kind).depends_on)
        assert {"gate", "hello-namespace"} <= needs, kind


@pytest.mark.parametrize(
    ("mesh", "level"),
    [
        # istio-init needs NET_ADMIN, which only "privileged" admits.
        ({}, PodSecurity.PRIVILEGED),
        ({"cni": True}, PodSecurity.RESTRICTED),
        (None, PodSecurity.RESTRICTED),
    ],
)
def test_a_namespace_enforces_the_strictest_level_that_its_pods_can_keep(
    mesh: dict[str, Any] | None, level: PodSecurity
) -> None:
    def program() -> None:
        handle = cluster()
        given = None if mesh is None else mesh_of(handle, **mesh)
        MeshNamespace("hello", MeshNamespaceArgs(cluster=handle, namespace="hello", mesh=given))

    namespace = run(program).one(NAMESPACE, "hello-namespace")
    labels = namespace.input("metadata.labels")
    assert labels.pop("istio-injection", None) == (None if mesh is None else "enabled")
    assert labels == {
        "pod-security.kubernetes.io/enforce": level.value,
        "pod-security.kubernetes.io/warn": "restricted",
        "pod-security.kubernetes.io/audit": "restricted",
    }


def test_a_level_may_be_chosen_and_a_revision_replaces_the_plain_label() -> None:
    mesh = mesh_of(CLUSTER, revision="stable")
    args = MeshNamespaceArgs(cluster=CLUSTER, namespace="hello", mesh=mesh, pod_security=PodSecurity.BASELINE)
    assert args.enforced is PodSecurity.BASELINE
    assert mesh.injection_labels == {"istio.io/rev": "stable"}


@pytest.mark.parametrize(
    "image",
    [IMAGE, f"localhost:5000/a/b/greeter:1.2@sha256:{'f' * 64}"],
)
def test_an_image_with_a_digest_is_taken(image: str) -> None:
    assert check_image(image, allow_tag=False) == image


@pytest.mark.parametrize(
    ("image", "allow_tag", "rule"),
    [
        ("registry.example/greeter:1", False, "must have a digest"),
        ("registry.example/greeter", False, "must have a digest"),
        ("registry.example/greeter", True, "other than 'latest'"),
        ("registry.example/greeter:latest", True, "other than 'latest'"),
        ("", True, "reference of an image"),
        ("Greeter:1", True, "reference of an image"),
        ("greeter@sha256:123", True, "reference of an image"),
        ("https://registry.example/greeter:1", True, "reference of an image"),
    ],
)
def test_an_image_that_may_change_is_refused(image: str, allow_tag: bool, rule: str) -> None:
    with pytest.raises(ValidationError, match=rule):
        GreeterArgs(cluster=CLUSTER, image=image, allow_tag=allow_tag)


def test_a_tag_does_where_it_is_allowed() -> None:
    assert GreeterArgs(cluster=CLUSTER, image="stage.local/greeter:1", allow_tag=True).image == "stage.local/greeter:1"


def test_an_image_that_is_known_late_is_checked_all_the_same() -> None:
    def program() -> None:
        image = pulumi.Output.from_input("registry.example/greeter:1")
        Greeter("greeter", GreeterArgs(cluster=cluster(), image=image))

    assert "must have a digest" in str(refused(program, ValidationError).error)


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"namespace": "Hello"}, "namespace"),
        ({"version": "v 1"}, "version"),
        ({"version": "v" * 64}, "version"),
        ({"service_name": "greeter."}, "service_name"),
        ({"version": "v" * 60}, "service_name"),
        ({"port": 0}, "port"),
        ({"replicas": 0}, "replicas"),
        ({"replicas": True}, "replicas"),
        ({"drain_seconds": 21}, "drain_seconds"),
        ({"gateway_namespaces": ["ok", "*"]}, "gateway_namespaces[1]"),
        ({"env": {"VERSION": "x"}}, "env.VERSION"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        GreeterArgs(cluster=CLUSTER, image=IMAGE, **arguments)
    assert refusal.value.field == field


def test_the_mesh_of_another_cluster_is_refused() -> None:
    other = no_cluster("testing")
    mesh = mesh_of(other)
    with pytest.raises(ValidationError, match="cluster 'staging'"):
        GreeterArgs(cluster=CLUSTER, image=IMAGE, mesh=mesh)
    with pytest.raises(ValidationError, match="cluster 'staging'"):
        MeshNamespaceArgs(cluster=CLUSTER, namespace="hello", mesh=mesh)


def test_the_namespace_of_another_cluster_is_refused() -> None:
    def program() -> None:
        here, there = (ClusterHandle(name=name, provider=k8s.Provider(name)) for name in ("a", "b"))
        hello = MeshNamespace("hello", MeshNamespaceArgs(cluster=there, namespace="hello"))
        GreeterArgs(cluster=here, image=IMAGE, namespace=hello)

    assert "namespace = 'hello in b': must be a namespace of the cluster 'a'" in str(
        refused(program, ValidationError).error
    )
