"""A cluster, an Istio and a gateway that are there already: only the mirror is ours.

Configuration: ``pulumi config set --secret kubeconfig < kubeconfig.yaml``.
"""

import pulumi

from pulumi_traffic_mirror import (
    Destination,
    ExistingCluster,
    ExistingClusterArgs,
    ExistingIstio,
    GatewayRef,
    InClusterMirror,
    Match,
    MirroredService,
    MirroredServiceArgs,
)

cluster = ExistingCluster("production", ExistingClusterArgs(kubeconfig=pulumi.Config().require_secret("kubeconfig")))
istio = ExistingIstio(cluster=cluster, version="1.29.2")

service = MirroredService(
    "checkout",
    MirroredServiceArgs(
        mesh=istio,
        gateway=GatewayRef(name="public", namespace="ingress"),
        hosts=["shop.example.com"],
        port=443,
        namespace="shop",
        primary=Destination("checkout.shop.svc.cluster.local", 8000),
        mirrors=[
            InClusterMirror(
                service=Destination("checkout-next.shop.svc.cluster.local", 8000),
                percent=5,
                match=Match(rpc_methods=["shop.Checkout/GetCart", "shop.Checkout/ListOffers"]),
            )
        ],
    ),
)
pulumi.export("mirrors", service.mirrors)
