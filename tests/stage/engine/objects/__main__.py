"""Objects whose kinds are data: the provider, and not the SDK, gives them their types."""

import pulumi
import pulumi_kubernetes as k8s

config = pulumi.Config()
cluster = k8s.Provider(
    "cluster", kubeconfig=pulumi.Output.secret(config.require("kubeconfig")), enable_config_map_mutable=True
)
here = pulumi.ResourceOptions(provider=cluster)
namespace = config.require("namespace")


def _object(api_version: str, kind: str, **fields: object) -> dict[str, object]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": "object", "namespace": namespace}, **fields}


group = k8s.yaml.v2.ConfigGroup(
    "group",
    objs=[
        _object("v1", "Secret", stringData={"token": config.require("token")}),
        _object(
            "rbac.authorization.k8s.io/v1", "Role", rules=[{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
        ),
        {
            "apiVersion": "v1",
            "kind": "List",
            "items": [_object("v1", "ConfigMap", data={"percent": config.require("percent")})],
        },
    ],
    opts=here,
)
chart = k8s.helm.v4.Chart("chart", chart=config.require("chart"), namespace=namespace, opts=here)
