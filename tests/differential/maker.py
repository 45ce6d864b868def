"""What all parts of a random mesh share: choice, and the objects so far."""

import random
from typing import Any, Final, TypeVar

Object = dict[str, Any]
Choice = TypeVar("Choice")

CREDENTIALS: Final = ("authorization", "cookie", "proxy-authorization", "x-api-key", "x-forwarded-client-cert")
ISTIO: Final = "networking.istio.io/v1"
NATIVE: Final = "gateway.networking.k8s.io/v1"


def full(name: str, namespace: str) -> str:
    """Full name of a Service."""
    return f"{name}.{namespace}.svc.cluster.local"


class Maker:
    """Makes objects by chance."""

    def __init__(self, chance: random.Random) -> None:
        self.random = chance
        self.objects: list[Object] = []
        self.namespaces: list[str] = []
        self.home = ""
        self.style = ""
        self.ports: dict[tuple[str, str], list[Object]] = {}
        """Ports of each Service, by name and namespace."""
        self.mirrors: list[tuple[str, Object, str]] = []
        """Of each mirror the name of its route, its destination, and the namespace that it is written in."""

    def chance(self, share: float) -> bool:
        """Whether something happens that does in this share of all cases."""
        return self.random.random() < share

    def pick(self, *choices: Choice) -> Choice:
        """One of the choices."""
        return self.random.choice(choices)

    def add(self, version: str, kind: str, name: str, namespace: str, spec: Object | None, **metadata: Any) -> Object:
        """Add an object."""
        made: Object = {"apiVersion": version, "kind": kind, "metadata": {"name": name, **metadata}}
        if namespace:
            made["metadata"]["namespace"] = namespace
        if spec is not None:
            made["spec"] = spec
        self.objects.append(made)
        return made

    def target(self, destination: Object, namespace: str) -> tuple[str, int, str]:
        """Host, port and subset of a destination or backend reference."""
        if "host" not in destination:
            return full(destination["name"], destination.get("namespace", namespace)), destination["port"], ""
        host = destination["host"]
        host = host if "." in host else full(host, namespace)
        return host, destination.get("port", {}).get("number", 80), destination.get("subset", "")
