"""A program one of whose mirrors depends on an address that only a deployment gives."""

from typing import Any

import pulumi
import pulumi_kubernetes as k8s

config = pulumi.Config()
provider = k8s.Provider("cluster", kubeconfig=config.require_secret("kubeconfig"), cluster_identifier="staging")
opts = pulumi.ResourceOptions(provider=provider)

entrance = k8s.core.v1.Service(
    "entrance",
    metadata={
        "name": "entrance",
        "namespace": "hello",
        "annotations": {"pulumi.com/skipAwait": "true", "networking.gke.io/load-balancer-type": "Internal"},
    },
    spec={"type": "LoadBalancer", "ports": [{"name": "grpc", "port": 8000}]},
    opts=opts,
)
known: Any = {"host": "v2.hello.svc.cluster.local", "port": {"number": 8000}}
unknown: Any = {"host": entrance.id, "port": {"number": 8000}}
k8s.apiextensions.CustomResource(
    "route",
    api_version="networking.istio.io/v1",
    kind="VirtualService",
    metadata={"name": "greeter", "namespace": "hello"},
    spec={
        "hosts": ["greeter.example"],
        "http": [
            {"name": "first", "mirror": unknown, "mirrorPercent": 10},
            {"name": "second", "mirror": known, "mirrorPercent": config.require_int("percent")},
        ],
    },
    opts=opts,
)
