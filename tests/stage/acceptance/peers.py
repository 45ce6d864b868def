"""The test's own pods: echo servers that count what arrives, and a caller inside the mesh."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from pulumi_traffic_mirror.model import Protocol

from .terms import NAMESPACE, PORTS

SOURCE: Final = Path(__file__).parent / "workloads" / "peer"
CONTROL_PORT: Final = 9000

_APP_PROTOCOLS = {Protocol.GRPC: "grpc", Protocol.HTTP: "http", Protocol.HTTP2: "http2"}


def echo_objects(image: str, version: str) -> Iterator[dict[str, Any]]:
    """Yield Deployment and Service of one echo server."""
    name = f"echo-{version}"
    listening = ",".join(str(port) for port in PORTS.values())
    yield _deployment(name, image, "echo.py", {"VERSION": version, "ECHO_PORTS": listening}, ports=PORTS.values())
    # A target port for each: to one that several share, sidecars speak the first one's protocol alone, and gRPC's
    # HTTP/2 knows no WebSockets.
    ports = [
        {"name": f"{app}-{PORTS[protocol]}", "port": PORTS[protocol], "targetPort": PORTS[protocol], "appProtocol": app}
        for protocol, app in _APP_PROTOCOLS.items()
    ]
    yield {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"selector": {"app": name}, "ports": ports},
    }


def caller_objects(image: str) -> Iterator[dict[str, Any]]:
    """Yield the Deployment of the caller."""
    yield _deployment("caller", image, "caller.py", {}, "serve", ports=[CONTROL_PORT])


def _deployment(
    name: str, image: str, script: str, environment: dict[str, str], *arguments: str, ports: Iterable[int]
) -> dict[str, Any]:
    labels = {"app": name}
    pod_name = {"name": "PODNAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    container = {
        "name": "peer",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/usr/bin/python3", f"/app/{script}", *arguments],
        "env": [pod_name, *({"name": key, "value": value} for key, value in environment.items())],
        "readinessProbe": {"tcpSocket": {"port": CONTROL_PORT}, "periodSeconds": 1},
        "ports": [{"containerPort": port} for port in ports],
    }
    # Orders to the peer are the test's business and must not pass the mesh.
    annotations = {"traffic.sidecar.istio.io/excludeInboundPorts": str(CONTROL_PORT)}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels, "annotations": annotations},
                "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]},
            },
        },
    }
