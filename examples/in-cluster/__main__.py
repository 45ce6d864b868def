"""A rewrite tried on live traffic inside one cluster, without any gateway: callers are in the mesh.

Configuration: ``pulumi config set --secret kubeconfig < kubeconfig.yaml``; ``image``, the greeter's with its digest;
``until``, the last day of the mirror, e.g. ``2027-01-31``.
"""

import pulumi

from pulumi_traffic_mirror import (
    ExistingCluster,
    ExistingClusterArgs,
    Expiry,
    Greeter,
    GreeterArgs,
    InClusterMirror,
    IstioControlPlane,
    IstioControlPlaneArgs,
    Match,
    MeshNamespace,
    MeshNamespaceArgs,
    MirroredService,
    MirroredServiceArgs,
)

config = pulumi.Config()
cluster = ExistingCluster("staging", ExistingClusterArgs(kubeconfig=config.require_secret("kubeconfig")))
mesh = IstioControlPlane("istio", IstioControlPlaneArgs(cluster=cluster))
hello = MeshNamespace("hello", MeshNamespaceArgs(cluster=cluster, mesh=mesh, namespace="hello"))
image = config.require("image")

primary, rewrite = (
    Greeter(
        f"greeter-{version}",
        GreeterArgs(cluster=cluster, mesh=mesh, namespace=hello, version=version, image=image),
    )
    for version in ("v1", "v2")
)
service = MirroredService(
    "greeter",
    MirroredServiceArgs(
        mesh=mesh,
        namespace=hello,
        primary=primary.destination,
        mirrors=[
            InClusterMirror(
                service=rewrite.destination,
                percent=50,
                match=Match(rpc_methods=["helloworld.Greeter/SayHello"]),
                expires=Expiry(config.require("until")),
            )
        ],
    ),
)
pulumi.export("mirrors", service.mirrors)
