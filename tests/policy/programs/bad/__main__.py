"""A program without the library that does what the policy pack is there to refuse."""

from typing import Any

import pulumi
import pulumi_kubernetes as k8s

config = pulumi.Config()
provider = k8s.Provider("cluster", kubeconfig=config.require_secret("kubeconfig"))
opts = pulumi.ResourceOptions(provider=provider)
namespace = config.get("namespace") or "default"

labels = {"app": "greeter"}
pods: dict[str, Any] = {
    "hostNetwork": True,
    "containers": [
        {
            "name": "greeter",
            "image": "registry.example/greeter:latest",
            "env": [{"name": "DATABASE_PASSWORD", "value": "everybody-reads-this"}],
        }
    ],
}
deployment: Any = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pods}}
k8s.apps.v1.Deployment("greeter", metadata={"name": "greeter", "namespace": namespace}, spec=deployment, opts=opts)
k8s.core.v1.Service(
    "entrance",
    metadata={"name": "entrance", "namespace": namespace, "annotations": {"pulumi.com/skipAwait": "true"}},
    spec={"type": "LoadBalancer", "selector": labels, "ports": [{"name": "grpc", "port": 8000}]},
    opts=opts,
)
k8s.apiextensions.CustomResource(
    "route",
    api_version="networking.istio.io/v1",
    kind="VirtualService",
    metadata={
        "name": "greeter",
        "namespace": namespace,
        "annotations": {"pulumi-traffic-mirror/expires": "2020-01-31"},
    },
    spec={
        "hosts": ["greeter.example"],
        "gateways": ["istio-system/entrance"],
        "http": [
            {
                "route": [{"destination": {"host": "v1.hello.svc.cluster.local", "port": {"number": 8000}}}],
                "mirror": {"host": "v2.hello.svc.cluster.local", "port": {"number": 8000}, "subset": "v2"},
                "mirrorPercentage": {"value": 101},
            }
        ],
    },
    opts=opts,
)
k8s.apiextensions.CustomResource(
    "rule",
    api_version="networking.istio.io/v1",
    kind="DestinationRule",
    metadata={"name": "greeter", "namespace": namespace},
    spec={"host": "v2.hello.svc.cluster.local", "subsets": [{"name": "v3", "labels": {"version": "v3"}}]},
    opts=opts,
)
