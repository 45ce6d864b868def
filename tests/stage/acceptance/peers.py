"""The test's own pods: echo servers that count what arrives, and a caller inside the mesh."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from components.model import Protocol

from .terms import NAMESPACE, PORTS

SOURCE: Final = Path(__file__).parent / "workloads" / "peer"
CONTROL_PORT: Final = 9000
ECHO_PORT: Final = 8000

_APP_PROTOCOLS = {Protocol.GRPC: "grpc", Protocol.HTTP: "http", Protocol.HTTP2: "http2"}


def echo_objects(image: str, version: str) -> Iterator[dict[str, Any]]:
    """Yield Deployment and Service of one echo server."""
    name = f"echo-{version}"
    yield _deployment(name, image, "echo.py", {"VERSION": version, "ECHO_PORTS": str(ECHO_PORT)}, port=ECHO_PORT)
    ports = [
        {"name": f"{app}-{PORTS[protocol]}", "port": PORTS[protocol], "targetPort": ECHO_PORT, "appProtocol": app}
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
    yield _deployment("caller", image, "caller.py", {}, "serve", port=CONTROL_PORT)


def _deployment(
    name: str, image: str, script: str, environment: dict[str, str], *arguments: str, port: int
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
        "ports": [{"containerPort": port}],
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
