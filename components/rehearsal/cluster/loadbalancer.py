"""Gives Services of type LoadBalancer an address, which a cloud would do: run as a program, one per stage.

One thread per cluster watches its Services and writes the cluster's gateway address into the status of each that
has none; kube-proxy does the rest. Usage: ``python -m …loadbalancer KUBECONFIG=ADDRESS …``

The plain HTTP client does, because the official one costs a second of processor time to import.
"""

import base64
import json
import ssl
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict, cast

import httpx
import yaml

_RETRY_SECONDS = 1.0
"""Pause after a lost connection, so that a cluster that is being ended does not cost a processor."""

_WATCH_SECONDS = 300
"""Length of one watch; the server ends it then and the next begins."""

_TIMEOUT = 10.0
"""Seconds for a connection or a change; a watch may stay silent for as long as it lasts."""


class Ingress(TypedDict, total=False):
    """One address of a load balancer."""

    ip: str
    hostname: str


class LoadBalancerStatus(TypedDict, total=False):
    """Addresses that a Service got."""

    ingress: list[Ingress]


class ServiceStatus(TypedDict, total=False):
    """Status of a Service, as far as it is read here."""

    loadBalancer: LoadBalancerStatus


class ServiceSpec(TypedDict, total=False):
    """Specification of a Service, as far as it is read here."""

    type: str
    loadBalancerClass: str


class Metadata(TypedDict):
    """Name of an object."""

    name: str
    namespace: str


class Service(TypedDict):
    """A Service, as far as it is read here."""

    metadata: Metadata
    spec: ServiceSpec
    status: ServiceStatus


def needs_address(service: Service) -> bool:
    """Tell whether a Service waits for an address from this load balancer."""
    spec = service["spec"]
    if spec.get("type") != "LoadBalancer" or spec.get("loadBalancerClass"):
        return False
    return not service["status"].get("loadBalancer", {}).get("ingress")


def connect(kubeconfig: Path) -> httpx.Client:
    """Return a client of the cluster that a kubeconfig of the stage names."""
    access = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
    cluster = access["clusters"][0]["cluster"]
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode("ascii")
    return httpx.Client(
        base_url=cluster["server"],
        headers={"Authorization": f"Bearer {access['users'][0]['user']['token']}"},
        verify=ssl.create_default_context(cadata=authority),
        trust_env=False,
        timeout=httpx.Timeout(_TIMEOUT, read=None),
    )


def serve(kubeconfig: Path, address: str) -> None:
    """Give `address` to every Service of one cluster that waits for one, until the process ends."""
    with connect(kubeconfig) as client:
        while True:
            try:
                _watch(client, address)
            except httpx.HTTPError as error:
                sys.stderr.write(f"{kubeconfig}: {type(error).__name__}: {error}\n")
                time.sleep(_RETRY_SECONDS)


def _watch(client: httpx.Client, address: str) -> None:
    query = {"watch": "true", "timeoutSeconds": str(_WATCH_SECONDS)}
    with client.stream("GET", "/api/v1/services", params=query) as answer:
        answer.raise_for_status()
        for line in answer.iter_lines():
            event = json.loads(line)
            service = cast("Service", event["object"])
            if event["type"] in {"ADDED", "MODIFIED"} and needs_address(service):
                _assign(client, service["metadata"], address)


def _assign(client: httpx.Client, metadata: Metadata, address: str) -> None:
    status = {"status": {"loadBalancer": {"ingress": [{"ip": address}]}}}
    client.patch(
        f"/api/v1/namespaces/{metadata['namespace']}/services/{metadata['name']}/status",
        content=json.dumps(status),
        headers={"Content-Type": "application/merge-patch+json"},
    ).raise_for_status()
    sys.stderr.write(f"{metadata['namespace']}/{metadata['name']}: {address}\n")


def main(arguments: Sequence[str]) -> None:
    """Serve every ``KUBECONFIG=ADDRESS`` among the arguments."""
    threads: list[threading.Thread] = []
    for argument in arguments:
        kubeconfig, _, address = argument.rpartition("=")
        threads.append(threading.Thread(target=serve, args=(Path(kubeconfig), address), daemon=True))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(sys.argv[1:])
