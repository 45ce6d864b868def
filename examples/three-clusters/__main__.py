"""One cluster with the traffic and two that receive mirrors of it, each under a contract of its own.

Configuration: ``pulumi config set --secret stagingKubeconfig < staging.yaml``, likewise ``testingKubeconfig`` and
``performanceKubeconfig``, all on GKE, where ``platform`` makes load balancers internal.
The service runs in the namespace ``hello`` of all clusters, and the Secrets with the
certificates exist beside the gateways: ``mirror-client`` in staging, ``mirror-server`` in the others.
"""

import pulumi

from pulumi_traffic_mirror import (
    GKE,
    CrossClusterMirror,
    Destination,
    ExistingCluster,
    ExistingClusterArgs,
    ExistingIstio,
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

HOSTS = ["grpc-hello.staging.example"]
config = pulumi.Config()
service = Destination("greeter.hello.svc.cluster.local", 8000)


def mesh(role: str) -> ExistingIstio:
    """The Istio that is there already in the cluster whose kubeconfig is the secret ``<role>Kubeconfig``."""
    kubeconfig = config.require_secret(f"{role}Kubeconfig")
    cluster = ExistingCluster(role, ExistingClusterArgs(kubeconfig=kubeconfig, platform=GKE))
    return ExistingIstio(cluster=cluster, version="1.31.0")


def mirror_to(role: str, percent: float) -> CrossClusterMirror:
    """A receiver in the cluster ``role``, and staging's mirror to it."""
    contract = MirrorContract(hosts=HOSTS, receiver=role)
    handle = mesh(role)
    server = receiver_server(contract, "mirror-server")
    gateway = MeshGateway(f"{role}-gateway", MeshGatewayArgs(mesh=handle, servers=[server]))
    receiver = MirrorReceiver(
        f"{role}-receiver",
        MirrorReceiverArgs(mesh=handle, gateway=gateway, contract=contract, namespace="hello", service=service),
    )
    return CrossClusterMirror(
        contract=contract,
        offer=receiver.offer,
        percent=percent,
        match=Match(rpc_methods=["helloworld.Greeter/SayHello"]),
        client_credential="mirror-client",
    )


staging = mesh("staging")
mirrored = MirroredService(
    "greeter",
    MirroredServiceArgs(
        mesh=staging,
        gateway=MeshGateway("staging-gateway", MeshGatewayArgs(mesh=staging, servers=[client_server(HOSTS)])),
        hosts=HOSTS,
        namespace="hello",
        primary=service,
        mirrors=[mirror_to("testing", 100), mirror_to("performance", 1)],
    ),
)
pulumi.export("mirrors", mirrored.mirrors)
