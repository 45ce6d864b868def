"""Arguments of a wrong type are refused with field and remedy, whatever the caller's type checker would have said."""

import inspect
from collections.abc import Callable
from typing import Any

import pulumi
import pulumi_kubernetes as k8s
import pytest

import pulumi_traffic_mirror
from tests.support.handles import no_cluster, no_mesh
from tests.support.recording import Recording, refused, run_program

tm: Any = pulumi_traffic_mirror
"""As a caller without a type checker sees it."""

HOSTS = ["grpc-hello.staging.example"]
SERVER = tm.client_server(HOSTS)
SERVICE = tm.Destination("greeter.hello.svc.cluster.local", 8000)
IMAGE = f"registry.example/greeter@sha256:{'0' * 64}"
RELEASE = "kubernetes:helm.sh/v3:Release"
ADDRESS = {"kubernetes:core/v1:Service": {"status": {"loadBalancer": {"ingress": [{"ip": "10.1.2.3"}]}}}}
COMPONENTS = [
    each
    for name in tm.__all__
    if inspect.isclass(each := getattr(tm, name)) and issubclass(each, pulumi.ComponentResource)
]


def refusal(make: Callable[[], object]) -> str:
    """The message, of an error that the engine shows without a traceback."""
    refused_program = refused(make, tm.ValidationError)
    assert isinstance(refused_program.error, pulumi.RunError)
    assert not [r for r in refused_program.recording.resources if r.type.startswith("trafficmirror:")]
    return str(refused_program.error)


@pytest.mark.parametrize("component", COMPONENTS)
@pytest.mark.parametrize("args", [None, "PRIVATE", {"key": "PRIVATE"}, tm.Waiver(reason="these are no arguments")])
def test_a_component_takes_only_its_own_arguments(component: Any, args: Any) -> None:
    text = refusal(lambda: component("thing", args))
    assert f"must be {component.__name__}Args. Build them with {component.__name__}Args(…)" in text
    assert "PRIVATE" not in text


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: tm.GreeterArgs(cluster=no_cluster(), image=IMAGE, allow_tag="false"),
            "allow_tag = 'false': must be T",
        ),
        (lambda: tm.GreeterArgs(cluster=no_cluster(), image=IMAGE, replicas=2.5), "replicas = 2.5: must be a whole n"),
        (lambda: tm.GreeterArgs(cluster=no_cluster(), image=7), "image = '(int)': must be a text."),
        (lambda: tm.GreeterArgs(cluster=no_cluster(), image=IMAGE, env={"PIN": 1234}), "env['PIN'] = '(int)': must be"),
        (lambda: tm.GreeterArgs(cluster=no_mesh(), image=IMAGE), "cluster = '(MeshHandle)': must be ClusterHandle."),
        (lambda: tm.ClusterHandle(name="a", provider=None), "provider = None: must be Provider."),
        (
            lambda: tm.ClusterHandle(name="a", provider=object.__new__(k8s.Provider), platform="aks"),
            "must be ClusterPlatform",
        ),
        (lambda: tm.IstioControlPlaneArgs(cluster=no_cluster(), values=[]), "values = '(list)': must be a mapping"),
        (lambda: tm.IstioControlPlaneArgs(cluster=no_cluster(), kubernetes_version=1.35), "kubernetes_version = 1.35"),
        (lambda: tm.MeshGatewayArgs(mesh=no_mesh(), servers=SERVER), "must be a list. Put it in brackets"),
        (
            lambda: tm.MeshGatewayArgs(mesh=no_mesh(), servers=[{}]),
            "servers[0] = '(dict)': must be GatewayServer. Build",
        ),
        (lambda: tm.MeshGatewayArgs(mesh=no_mesh(), servers=[SERVER], exposure="world"), "'internal', 'public', 'clus"),
        (lambda: tm.MeshGatewayArgs(mesh=no_mesh(), servers=[SERVER], source_ranges={"10.0.0.0/8"}), "must be a list"),
        (lambda: tm.MirrorContract(hosts={*HOSTS}), "must be a list. Put it in brackets"),
        (lambda: tm.StandardMode(machine_type=4), "mode.machine_type = 4: must be a text"),
        (lambda: tm.MaintenanceWindow(days=["monday"]), "maintenance.days[0] = 'monday': must be one of 'MO'"),
        (lambda: tm.ExistingClusterArgs(kubeconfig={"token": "x"}), "kubeconfig = '(dict)': must be a text or None"),
        (lambda: tm.TlsCredential(name="edge", ca=b"x"), "ca = '(bytes)': must be a text or None"),
        (
            lambda: tm.MirroredServiceArgs(mesh=no_mesh(), primary=SERVICE, timeout_seconds="5s"),
            "timeout_seconds = '5s': must be a number or None. Give a value of that type.",
        ),
        (lambda: tm.TlsCredential(name="edge", ca=""), "ca = '': must not be empty"),
        (lambda: tm.RecordedWorkload(namespace="hello", labels="app"), "at.labels = 'app': must be a mapping"),
        (lambda: tm.MirroredServiceArgs(mesh=no_mesh(), primary=SERVICE, mirrors=[None]), "mirrors[0] = None: must be"),
        (lambda: tm.ObjectStorage(url="gs://[x"), "must be the URL of a bucket"),
        (
            lambda: tm.ObjectStorage(url="gs://a", account_annotations="x"),
            "account_annotations = 'x': must be texts by",
        ),
        (lambda: tm.Match(http_methods=[["GET"]]), "http_methods = ['GET']: must be one of"),
    ],
)
def test_a_value_of_a_wrong_type_is_refused(make: Callable[[], object], words: str) -> None:
    assert words in refusal(make)


def test_an_output_is_no_plain_value_and_no_list() -> None:
    late = pulumi.Output.from_input
    for make, words in (
        (lambda: tm.GkeClusterArgs(project=late("a"), location="", deletion_protection=True), "project = '(Output)'"),
        (lambda: tm.MirrorContract(hosts=late(HOSTS)), "hosts = "),
    ):
        text = refusal(make)
        assert words in text


def test_a_component_stands_for_its_handle() -> None:
    istio = tm.ExistingIstio(cluster=no_cluster(), version="1.31.0")
    given: Any = istio
    args = tm.MeshGatewayArgs(mesh=given, servers=[SERVER])
    assert args.mesh.cluster is istio.cluster
    wrong: Any = istio.cluster
    assert "mesh = '(ClusterHandle)': must be MeshHandle." in refusal(
        lambda: tm.MeshGatewayArgs(mesh=wrong, servers=[SERVER])
    )

    def program() -> None:
        made: Any = type("Somebody", (), {"handle": cluster()})()
        mesh: Any = tm.ExistingIstio(cluster=made, version="1.31.0")
        tm.MeshNamespace("hello", tm.MeshNamespaceArgs(cluster=made, mesh=mesh, namespace="hello"))

    labels = run_program(program).one("kubernetes:core/v1:Namespace").input("metadata.labels")
    assert labels["istio-injection"] == "enabled"


@pytest.mark.parametrize(
    "make",
    [
        lambda late: tm.MirrorContract(hosts=late),
        lambda late: tm.MirrorContract(hosts=[late]),
        lambda late: tm.Destination(late, 80),
        lambda late: tm.InClusterMirror(service=tm.Destination("v2.shop.example", 80), percent=late),
        tm.Expiry,
        lambda late: tm.GkeClusterArgs(project=late, location="", deletion_protection=True),
    ],
)
def test_an_output_where_a_plain_value_is_needed_is_told_why(make: Callable[[Any], object]) -> None:
    text = refusal(lambda: make(pulumi.Output.secret("hidden")))
    assert " = '(Output)'" in text
    assert "Give a plain value" in text
    assert "while that is done" in text


def cluster() -> Any:
    return tm.ClusterHandle(name="a", provider=k8s.Provider("a"), platform=tm.GKE)


def gateway(**arguments: Any) -> Recording:
    def program() -> None:
        mesh = tm.ExistingIstio(cluster=cluster(), version="1.31.0").handle
        tm.MeshGateway("gateway", tm.MeshGatewayArgs(mesh=mesh, servers=[SERVER], **arguments))

    return run_program(program, outputs=ADDRESS)


def test_members_of_closed_sets_may_be_spelled() -> None:
    """Compared by identity, "internal" is not Exposure.INTERNAL, and the load balancer was public."""
    service = gateway(exposure="internal").one(RELEASE).inputs["values"]["service"]
    assert service["annotations"]["networking.gke.io/load-balancer-type"] == "Internal"
    with pytest.raises(tm.ValidationError, match=r"servers\[0\].tls = None: must be set on a public gateway"):
        gateway(exposure="public")


NETWORK = "projects/my-project/global/networks/b"
PARTS: dict[str, Callable[[pulumi.Output[Any]], object]] = {
    "kubeconfig": lambda late: tm.ExistingCluster("a", tm.ExistingClusterArgs(kubeconfig=late)),
    "image": lambda late: tm.Greeter("a", tm.GreeterArgs(cluster=cluster(), image=late)),
    "first": lambda late: tm.NetworkPeering("a", tm.NetworkPeeringArgs(first=late, second=NETWORK)),
    "second": lambda late: tm.NetworkPeering("a", tm.NetworkPeeringArgs(first=NETWORK, second=late)),
    "edge.ca": lambda late: tm.TlsCredential(name="edge", ca=late).register(
        "a", "istio-system", pulumi.ResourceOptions()
    ),
}


def test_a_namespace_of_another_cluster_is_refused() -> None:
    def program() -> None:
        elsewhere = tm.MeshNamespace("hello", tm.MeshNamespaceArgs(cluster=cluster(), namespace="hello"))
        tm.MirroredServiceArgs(mesh=no_mesh(), primary=SERVICE, namespace=elsewhere)

    found = refused(program, tm.ValidationError)
    assert "namespace = 'hello in a': must be a namespace of the cluster 'staging'" in str(found.error)


@pytest.mark.parametrize("field", PARTS)
def test_what_another_stack_does_not_export_is_refused_when_that_is_known(field: str) -> None:
    """A stack reference gives None for it."""
    found = refused(lambda: PARTS[field](pulumi.Output.from_input(None)), tm.ValidationError)
    assert f"{field} = None: must be a non-empty text once it is known" in str(found.error)
