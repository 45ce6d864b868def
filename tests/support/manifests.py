"""Objects for the provider's tests, as a program would describe them."""

from typing import Any

CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
SERVICE = "kubernetes:core/v1:Service"


def config_map(namespace: str, **data: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": namespace}, "data": data}


def deployment(namespace: str, image: str = "works", label: str = "a", **annotations: str) -> dict[str, Any]:
    labels = {"app": label}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": image}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d", "namespace": namespace, "annotations": annotations},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": template},
    }


def service(namespace: str, kind: str = "ClusterIP", label: str = "a") -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "s", "namespace": namespace},
        "spec": {"type": kind, "selector": {"app": label}, "ports": [{"port": 80}]},
    }
