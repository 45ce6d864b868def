"""Istio, an internal gateway and a mirror in a cluster on Azure, a cloud that the library does not know: see ``aks``.

Configuration: ``pulumi config set --secret kubeconfig < kubeconfig.yaml`` and ``pulumi config set clusterId <id>``.
"""

import pulumi
from aks import AksCluster, AksClusterArgs

from pulumi_traffic_mirror import (
    Destination,
    InClusterMirror,
    IstioControlPlane,
    IstioControlPlaneArgs,
    Match,
    MeshGateway,
    MeshGatewayArgs,
    MirroredService,
    MirroredServiceArgs,
    client_server,
)

HOSTS = ["grpc-hello.staging.example"]
config = pulumi.Config()
cluster = AksCluster(
    "staging", AksClusterArgs(kubeconfig=config.require_secret("kubeconfig"), identity=config.require("clusterId"))
)
istio = IstioControlPlane("istio", IstioControlPlaneArgs(cluster=cluster, version="1.31.0"))
gateway = MeshGateway("gateway", MeshGatewayArgs(mesh=istio, servers=[client_server(HOSTS)]))
MirroredService(
    "greeter",
    MirroredServiceArgs(
        mesh=istio,
        gateway=gateway,
        hosts=HOSTS,
        namespace="hello",
        primary=Destination("greeter.hello.svc.cluster.local", 8000),
        mirrors=[
            InClusterMirror(
                service=Destination("greeter-next.hello.svc.cluster.local", 8000),
                percent=10,
                match=Match(rpc_methods=["helloworld.Greeter/SayHello"]),
            )
        ],
    ),
)
pulumi.export("address", gateway.address)
