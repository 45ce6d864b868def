"""What cases of overlays share: an owner's objects, overlays on them, calls, and what a proxy has of it."""

import json
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pulumi_traffic_mirror as tm
from pulumi_traffic_mirror.mesh import ExistingIstio
from pulumi_traffic_mirror.model import GatewayHosts, Match, OverlayRoute, Protocol
from pulumi_traffic_mirror.model.overlay import AIM_PREFIX
from pulumi_traffic_mirror.rehearsal.machine.processes import wait_until
from pulumi_traffic_mirror.rehearsal.toolchain import OracleFiles

from .declared import cluster, declare
from .lab import Lab, Mirror, settled
from .proxies import Proxy
from .terms import GATEWAY, NAMESPACE, PORTS, STAGING, echo, hosts

HTTP = Protocol.HTTP
PORT = PORTS[HTTP]
HOST = hosts(HTTP)[0]
AIM = "x-traffic-mirror-to-hello.shop.echo-v3"
READS = Match(path_prefixes=["/api"])


def owner(first: int = 90) -> dict[str, Any]:
    """Somebody's VirtualService: four paths, two versions by weight, retries, a rewrite and a redirect."""
    v1, v2 = ({"host": str(echo(version, HTTP).host), "port": {"number": PORT}} for version in ("v1", "v2"))
    both = [{"destination": v1, "weight": first}, {"destination": v2, "weight": 100 - first}]
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "owner", "namespace": NAMESPACE},
        "spec": {
            "hosts": [HOST],
            "gateways": [str(GATEWAY)],
            "http": [
                {
                    "name": "orders",
                    "match": [{"uri": {"prefix": "/api/orders"}}],
                    "route": both,
                    "retries": {"attempts": 2, "perTryTimeout": "2s"},
                    "timeout": "7s",
                },
                {"name": "old", "match": [{"uri": {"exact": "/api/old"}}], "redirect": {"uri": "/api/orders"}},
                {
                    "match": [{"uri": {"prefix": "/api/cart"}}],
                    "rewrite": {"uri": "/v2/cart"},
                    "route": [{"destination": v1}],
                },
                {"name": "rest", "route": both},
            ],
        },
    }


def mirror(version: str = "v3", **values: Any) -> tm.InClusterMirror:
    """A mirror to an echo server; of what is below /api unless it says otherwise."""
    return tm.InClusterMirror(**{"percent": 100, "service": echo(version, HTTP), "match": READS, **values})


@contextmanager
def overlaid(lab: Lab, *mirrors: Mirror, name: str = "shop", **values: Any) -> Iterator[OverlayRoute]:
    """Put an overlay in place, and wait until the proxy has it."""
    made: list[OverlayRoute] = []

    def program() -> None:
        mesh = ExistingIstio(cluster=cluster(), version=lab.stage.istio_version).handle
        given = {"on": [GatewayHosts(hosts=[HOST])], "namespace": NAMESPACE, "protocol": HTTP, **values}
        made.append(tm.MirrorOverlay(name, tm.MirrorOverlayArgs(mesh=mesh, mirrors=mirrors, **given)).route)

    objects = declare(program).objects
    header = made[0].aim_header(mirrors[0], 0)
    proxy = lab.gateway if isinstance(made[0].on[0], GatewayHosts) else lab.caller
    target = mirrors[0].destination().cluster_name
    # Else that of an earlier case, on its way out, would be taken for this one.
    wait_until(lambda: header not in dump(proxy), what=f"the proxy has no {header} yet", timeout=30)
    with lab.applied(STAGING, objects):
        wait_until(
            lambda: header in dump(proxy) and all(target in bounded for bounded in proxy.bounded_clusters()),
            what=f"the proxy has {header}",
            timeout=30,
        )
        yield made[0]


def define_gateway_api(lab: Lab, role: str, files: OracleFiles) -> None:
    """Bring the kinds of the Gateway API into a cluster; they stay."""
    for definitions in files.definitions:
        if "gateway-api" in definitions.name:
            lab.stage.kubectl(role, "apply", "--server-side", "-f", str(definitions))
    names = [f"crd/{kind}.gateway.networking.k8s.io" for kind in ("gateways", "httproutes", "grpcroutes")]
    lab.stage.kubectl(role, "wait", "--for=condition=Established", "--timeout=30s", *names)


def dump(proxy: Proxy) -> str:
    """The routes of a proxy without what changes by itself."""
    (page,) = proxy.page("config_dump?resource=dynamic_route_configs")
    configs = [each["route_config"] for each in json.loads(page).get("configs", [])]
    return json.dumps(sorted(configs, key=lambda each: str(each["name"])), sort_keys=True)


def settled_dump(proxy: Proxy, words: str) -> str:
    """The same as soon as it has ``words``."""
    wait_until(lambda: words in dump(proxy), what=f"the proxy has {words}", timeout=30)
    return dump(proxy)


def undisturbed(lab: Lab, words: str = "/v2/cart") -> str:
    """The gateway's routes as soon as they have ``words``, and no overlay of an earlier case any more."""

    def ready() -> bool:
        found = dump(lab.gateway)
        return words in found and AIM_PREFIX not in found

    wait_until(ready, what=f"the gateway has {words} and no overlay", timeout=30)
    return dump(lab.gateway)


def call(
    lab: Lab, count: int = 200, *, path: str = "/api/orders", seconds: float = 120, **values: Any
) -> dict[str, Any]:
    """Call the host at the gateway."""
    given = {
        "protocol": "http1",
        "authority": f"{HOST}:{PORT}",
        "method": "GET",
        "path": path,
        "headers": {},
        "body_bytes": 0,
        **values,
    }
    job = lab.job_to(f"{lab.stage.gateway_addresses[STAGING]}:{PORT}", count, **given)
    return lab.run_job(job, inside=False, timeout=seconds)


CHANGING_SECONDS = 60
"""How long an owner's route changes, once a second, while calls are made and pods are replaced."""


def under_change(
    lab: Lab, owner: Callable[[int], dict[str, Any]], calls: Callable[[], dict[str, Any]], rollout: str = ""
) -> dict[str, Any]:
    """Call while the owner's weights change every second for a minute, and a rollout replaces pods.

    Args:
        lab: The clusters.
        owner: The owner's route by the weight of its first version.
        calls: Makes the calls; gives their result.
        rollout: What is rolled out, as ``deployment/<name>``; empty for nothing.
    """
    began = time.monotonic()
    running: Future[dict[str, Any]] | None = None
    with ThreadPoolExecutor(1) as pool:
        for second in range(CHANGING_SECONDS):
            lab.outpost.ask("apply", STAGING, owner(90 - second % 3 * 20))
            if second == CHANGING_SECONDS // 4:
                running = pool.submit(calls)
            if rollout and second == CHANGING_SECONDS // 3:
                lab.stage.kubectl(STAGING, "-n", NAMESPACE, "rollout", "restart", rollout)
            time.sleep(max(0.0, began + second + 1 - time.monotonic()))
        assert running is not None
        result = running.result()
        lab.outpost.ask("apply", STAGING, owner(90))
        return result


def unpatched(lab: Lab) -> Any:
    """The gateway's routes without what overlays add."""
    return without_overlay(json.loads(dump(lab.gateway)))


def share(result: dict[str, Any]) -> float:
    """Which share of the calls the first version answered."""
    return result["versions"]["v1"] / result["calls"]


def assert_split_alike(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Assert that two runs were answered by the versions in the same shares.

    Four standard deviations of the difference of two counts.
    """
    expected, calls = share(one), one["calls"]
    assert abs(share(other) - expected) < 4 * math.sqrt(2 * expected * (1 - expected) / calls)


def copies(lab: Lab, result: dict[str, Any], complete: int, version: str = "v3") -> int:
    """How many different calls of a run arrived at an echo server."""
    seen = settled(lambda: lab.seen(STAGING, version, result["run"]), complete=complete or 1)
    return int(seen["calls"])


def without_overlay(value: Any) -> Any:
    """A dump without an overlay's headers and policies."""
    if isinstance(value, list):
        return [without_overlay(each) for each in value if not of_overlay(each)]
    if isinstance(value, dict):
        kept = {key: without_overlay(each) for key, each in value.items()}
        return {key: each for key, each in kept.items() if each != [] or value[key] == []}
    return value


def of_overlay(item: Any) -> bool:
    """Whether an item of a list is an overlay's: a header to remove or to set, or a policy."""
    names = [item]
    if isinstance(item, dict):
        names = [item.get("header", {}).get("key"), item.get("cluster_header")]
    return any(isinstance(name, str) and name.startswith(AIM_PREFIX) for name in names)


def uncopied(lab: Lab, **values: Any) -> dict[str, int]:
    """How many copies came of requests that must not be copied, by their kind."""
    forged = {"x-traffic-mirror": "mirror", AIM: echo("v3", HTTP).cluster_name}
    made = {
        "POST": call(lab, 50, method="POST", **values),
        "marked": call(lab, 50, headers={"x-traffic-mirror": "mirror"}, **values),
        "forged": call(lab, 50, headers=forged, **values),
    }
    return {name: copies(lab, result, 0) for name, result in made.items()}
