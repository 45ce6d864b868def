"""Mirrors alone, on a cluster, a mesh, routing and a service that exist: a tenth of the reads of one path.

Configuration: ``pulumi config set --secret kubeconfig < kubeconfig.yaml``; ``host``, what clients call at the gateway;
``until``, the last day of the mirror, e.g. ``2027-01-31``.
"""

import pulumi

from pulumi_traffic_mirror import (
    Destination,
    ExistingCluster,
    ExistingClusterArgs,
    ExistingIstio,
    Expiry,
    GatewayHosts,
    InClusterMirror,
    Match,
    MeshService,
    MirrorOverlay,
    MirrorOverlayArgs,
)

config = pulumi.Config()
cluster = ExistingCluster("staging", ExistingClusterArgs(kubeconfig=config.require_secret("kubeconfig")))
mesh = ExistingIstio(cluster=cluster, version="1.31.0")

overlay = MirrorOverlay(
    "shop",
    MirrorOverlayArgs(
        mesh=mesh,
        namespace="shop",
        on=[
            # Whoever routes this host at a gateway: a VirtualService, an HTTPRoute, a chart, Flagger.
            GatewayHosts(hosts=[config.require("host")]),
            # Callers inside the mesh, who use the service's own name.
            MeshService("orders.shop.svc.cluster.local", port=80),
        ],
        mirrors=[
            InClusterMirror(
                service=Destination("orders-next.shop.svc.cluster.local", 80),
                percent=10,
                match=Match(path_prefixes=["/api/orders"]),
                expires=Expiry(config.require("until")),
            )
        ],
    ),
)
pulumi.export("mirrors", overlay.mirrors)
