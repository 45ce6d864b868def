"""Staging and testing in one program: the offer goes from one component to the other, without a stack reference.

Configuration: ``pulumi config set --secret stagingKubeconfig < staging.yaml``, likewise ``testingKubeconfig``. The
service runs in the namespace ``hello`` of both clusters, which are on GKE: ``platform`` makes load balancers internal
there.
"""

import pulumi

from pulumi_traffic_mirror import (
    GKE,
    CrossClusterMirror,
    Destination,
    ExistingCluster,
    ExistingClusterArgs,
    GatewayServer,
    IstioControlPlane,
    IstioControlPlaneArgs,
    Match,
    MeshGateway,
    MeshGatewayArgs,
    MirrorContract,
    MirroredService,
    MirroredServiceArgs,
    MirrorReceiver,
    MirrorReceiverArgs,
    client_server,
    receiver_server,
)

config = pulumi.Config()
service = Destination("greeter.hello.svc.cluster.local", 8000)
contract = MirrorContract(hosts=["grpc-hello.staging.example"])


def cluster(role: str) -> ExistingCluster:
    """The cluster whose kubeconfig is the secret ``<role>Kubeconfig``."""
    kubeconfig = config.require_secret(f"{role}Kubeconfig")
    return ExistingCluster(role, ExistingClusterArgs(kubeconfig=kubeconfig, platform=GKE))


def edge(role: str, server: GatewayServer) -> tuple[IstioControlPlane, MeshGateway]:
    """Istio and one gateway. The Secrets with the certificates exist in its namespace."""
    mesh = IstioControlPlane(f"{role}-istio", IstioControlPlaneArgs(cluster=cluster(role)))
    return mesh, MeshGateway(f"{role}-gateway", MeshGatewayArgs(mesh=mesh, servers=[server]))


testing_mesh, testing_gateway = edge("testing", receiver_server(contract, "mirror-server"))
receiver = MirrorReceiver(
    "receiver",
    MirrorReceiverArgs(
        mesh=testing_mesh, gateway=testing_gateway, contract=contract, namespace="hello", service=service
    ),
)

staging_mesh, staging_gateway = edge("staging", client_server(contract.hosts))
mirrored = MirroredService(
    "greeter",
    MirroredServiceArgs(
        mesh=staging_mesh,
        gateway=staging_gateway,
        hosts=contract.hosts,
        namespace="hello",
        primary=service,
        mirrors=[
            CrossClusterMirror(
                contract=contract,
                offer=receiver.offer,
                percent=10,
                match=Match(rpc_methods=["helloworld.Greeter/SayHello"]),
                client_credential="mirror-client",
            )
        ],
    ),
)
pulumi.export("mirrors", mirrored.mirrors)
