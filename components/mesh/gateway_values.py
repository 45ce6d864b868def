"""Helm values of the chart ``gateway``."""

from collections.abc import Mapping, Sequence
from enum import StrEnum, unique
from typing import Final

from ..model import GatewayServer, JsonObject, JsonValue
from ..model.annotations import DATA_PLANE
from ..model.monitoring import PROXY_STATS, STATS_ANNOTATION
from .charts import merged
from .handle import MeshHandle
from .size import Size

STATUS_PORT: Final = 15021
"""Where the proxy answers health checks. Source: istio.io/latest/docs/ops/deployment/application-requirements."""

GATEWAY_NAME: Final = "internal-gateway"
"""Default name of a gateway, and of its namespace."""


@unique
class Exposure(StrEnum):
    """Who can reach a gateway."""

    INTERNAL = "internal"
    """The private network: an internal load balancer, as the cluster's platform or ``service_annotations`` say."""
    PUBLIC = "public"
    """The internet, from given ranges, over TLS."""
    CLUSTER = "cluster"
    """Only pods of the cluster."""


_SIZES: Final[dict[Size, JsonObject]] = {
    Size.PRODUCTION: {
        "autoscaling": {"enabled": True, "minReplicas": 2, "maxReplicas": 5},
        "podDisruptionBudget": {"minAvailable": 1},
    },
    Size.SMALL: {
        "autoscaling": {"enabled": False},
        "replicaCount": 1,
        "resources": {"requests": {"cpu": "10m", "memory": "40Mi"}},
    },
}

_DEFAULTS: Final[JsonObject] = {
    # Istio's proxies export no counter of a cluster by themselves, and copies are in no other.
    "podAnnotations": {STATS_ANNOTATION: PROXY_STATS},
    # A new pod takes over before an old one goes, with one replica as well.
    "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
    "securityContext": {
        # The chart leaves it to the node, whose default is often no filter at all.
        "seccompProfile": {"type": "RuntimeDefault"},
        # The chart's own default, lost once the context is set: lets a non-root proxy listen below 1024.
        "sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}],
    },
}


def _spread(name: str) -> JsonObject:
    """Over zones, then over nodes; scheduled anyway where there is only one."""
    selector: JsonObject = {"matchLabels": {"istio": name}}
    keys = ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
    return {
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": selector}
            for key in keys
        ]
    }


def service_ports(servers: Sequence[GatewayServer]) -> list[JsonValue]:
    """Ports of the load balancer: each listener's, once, and the health check's."""
    ports: dict[int, str] = {}
    for server in servers:
        ports.setdefault(int(server.port), "https" if server.tls else server.protocol.port_name)
    listeners: list[JsonValue] = [
        {"name": f"{name}-{port}", "port": port, "targetPort": port, "protocol": "TCP"}
        for port, name in sorted(ports.items())
    ]
    health: JsonValue = {"name": "status-port", "port": STATUS_PORT, "targetPort": STATUS_PORT, "protocol": "TCP"}
    return [health, *listeners]


def load_balancer_annotations(mesh: MeshHandle, exposure: Exposure, *, global_access: bool) -> JsonObject:
    """What makes the load balancer internal on the cluster's platform."""
    if exposure is not Exposure.INTERNAL:
        return {}
    platform = mesh.cluster.platform
    # Without global access only clients of the same region arrive, and staging may be in another.
    return {**platform.internal_load_balancer, **(platform.global_access if global_access else {})}


def gateway_values(
    *,
    name: str,
    mesh: MeshHandle,
    servers: Sequence[GatewayServer],
    exposure: Exposure,
    source_ranges: Sequence[str],
    annotations: Mapping[str, JsonValue],
    size: Size,
    values: Mapping[str, JsonValue],
) -> JsonObject:
    """Values of the chart: defaults, then the caller's, then what the arguments say."""
    service: JsonObject = {
        "type": "ClusterIP" if exposure is Exposure.CLUSTER else "LoadBalancer",
        "ports": service_ports(servers),
    }
    if annotations:
        service["annotations"] = dict(annotations)
    if source_ranges:
        service["loadBalancerSourceRanges"] = list(source_ranges)
    typed: JsonObject = {
        "service": service,
        # The Gateway object selects by them, so they are not left to the chart's rules.
        "labels": {"app": name, "istio": name},
        "podAnnotations": {DATA_PLANE: mesh.data_plane},
    }
    if mesh.revision:
        typed["revision"] = mesh.revision
    if mesh.image_pull_policy:
        # The chart's image is "auto", for which Kubernetes would choose Always.
        typed["imagePullPolicy"] = mesh.image_pull_policy.value
    spread = _spread(name) if size is Size.PRODUCTION else {}
    return merged(_DEFAULTS, _SIZES[size], spread, values, typed)
