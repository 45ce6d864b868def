"""Copies a share of the requests for one host to the next version of a service; who answers them stays as it is."""

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
    MirrorOverlay,
    MirrorOverlayArgs,
)

config = pulumi.Config()
target = config.require("target")
cluster = ExistingCluster("cluster", ExistingClusterArgs(context=config.require("context")))
istio = ExistingIstio(cluster=cluster.handle, version=config.require("istio"))

overlay = MirrorOverlay(
    "next",
    MirrorOverlayArgs(
        mesh=istio.handle,
        namespace=target.split(".")[1],
        on=[GatewayHosts(hosts=[config.require("host")])],
        mirrors=[
            InClusterMirror(
                service=Destination(target, config.require_int("port")),
                percent=config.require_float("percent"),
                match=Match(path_prefixes=[config.require("path")]),
                expires=Expiry(config.require("until")),
            )
        ],
    ),
)
pulumi.export("mirrors", overlay.mirrors)
