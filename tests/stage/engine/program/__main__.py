"""One of each kind that a mirroring stack uses."""

import pulumi
import pulumi_kubernetes as k8s

config = pulumi.Config()
cluster = k8s.Provider(
    "cluster",
    kubeconfig=pulumi.Output.secret(config.require("kubeconfig")),
    cluster_identifier="test",
    enable_server_side_apply=True,
    enable_config_map_mutable=True,
    enable_secret_mutable=True,
)
here = pulumi.ResourceOptions(provider=cluster)
greeting = config.get("greeting") or "hello"
labels = {"app": "greeter"}

namespace = k8s.core.v1.Namespace("space", metadata={"name": config.require("namespace")}, opts=here)
inside = namespace.metadata.name
config_map = k8s.core.v1.ConfigMap(
    "words", metadata={"name": "words", "namespace": inside}, data={"greeting": greeting}, opts=here
)
secret = k8s.core.v1.Secret(
    "token",
    metadata={"name": "token", "namespace": inside},
    string_data={"token": config.require_secret("token")},
    opts=here,
)
account = k8s.core.v1.ServiceAccount("account", metadata={"name": "greeter", "namespace": inside}, opts=here)
role = k8s.rbac.v1.Role(
    "role",
    metadata={"name": "greeter", "namespace": inside},
    rules=[{"api_groups": [""], "resources": ["configmaps"], "verbs": ["get"]}],
    opts=here,
)
deployment = k8s.apps.v1.Deployment(
    "greeter",
    metadata={"name": "greeter", "namespace": inside, "labels": labels},
    spec={
        "replicas": 1,
        "selector": {"match_labels": labels},
        "template": {
            "metadata": {"labels": labels},
            "spec": {
                "service_account_name": account.metadata.name,
                "containers": [
                    {
                        "name": "greeter",
                        "image": config.get("image") or "works",
                        "ports": [{"container_port": 8000, "name": "grpc"}],
                        "resources": {"requests": {"cpu": "0.1", "memory": "64Mi"}},
                        "env": [{"name": "GREETING", "value": greeting}],
                    }
                ],
            },
        },
    },
    opts=pulumi.ResourceOptions(
        provider=cluster, custom_timeouts=pulumi.CustomTimeouts(create=config.get("timeout") or "60s")
    ),
)
service = k8s.core.v1.Service(
    "service",
    metadata={
        "name": "greeter",
        "namespace": inside,
        "annotations": {"pulumi.com/waitFor": "jsonpath={.spec.clusterIP}"},
    },
    spec={"selector": labels, "ports": [{"name": "grpc", "port": 8000, "app_protocol": "grpc"}]},
    opts=here,
)
kind = k8s.apiextensions.v1.CustomResourceDefinition(
    "kind",
    metadata={"name": config.require("plural") + ".mirror.example"},
    spec={
        "group": "mirror.example",
        "scope": "Namespaced",
        "names": {"plural": config.require("plural"), "kind": config.require("kind")},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"open_apiv3_schema": {"type": "object", "x_kubernetes_preserve_unknown_fields": True}},
            }
        ],
    },
    opts=here,
)
route = k8s.apiextensions.CustomResource(
    "route",
    api_version="mirror.example/v1",
    kind=config.require("kind"),
    metadata={
        "name": "route",
        "namespace": inside,
        # Kubernetes' garbage collector looks for new kinds every 30 s, and deletes nothing in the foreground before.
        "annotations": {"pulumi.com/deletionPropagationPolicy": "background"},
    },
    spec={"hosts": ["a.example"], "percent": float(config.get("percent") or "12.5"), "retries": 2},
    opts=pulumi.ResourceOptions(provider=cluster, depends_on=[kind]),
)
release = k8s.helm.v3.Release(
    "release",
    k8s.helm.v3.ReleaseArgs(
        name="tiny",
        chart=config.require("chart"),
        namespace=inside,
        values={"greeting": greeting, "image": config.get("chartImage") or ""},
        timeout=60,
    ),
    opts=here,
)

pulumi.export("clusterIp", service.spec.cluster_ip.apply(bool))
pulumi.export("config", config_map.data)
pulumi.export("id", deployment.id)
pulumi.export("names", release.resource_names)
pulumi.export("namespace", inside)
pulumi.export("phase", namespace.status.phase)
pulumi.export("ready", deployment.status.ready_replicas)
pulumi.export("release", release.status)
pulumi.export("replicas", deployment.spec.replicas)
pulumi.export("route", route.id)
pulumi.export("token", secret.data)
