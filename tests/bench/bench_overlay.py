"""What an overlay costs a gateway: ``python -m tests.bench.bench_overlay`` (needs an Envoy; without one it says so).

Processor time of a real Envoy for each request, closed loop, in many small blocks that alternate between proxies:
without any mirror, with an overlay that takes no request, with one that takes all, and with a hand-written mirror with
the same scrub. Two more tell what an overlay's share consists of: a hand-written mirror whose cluster is taken from a
header that the route sets to a fixed value, and one whose header has the shortest condition that there is. The medians
of the blocks' ratios count, each with the interval that holds the true median at 95 %: on a shared machine absolute
times say little, and what disturbs it lasts longer than a block.
"""

import asyncio
import copy
import statistics
import sys
import tempfile
from collections.abc import Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

from pulumi_traffic_mirror.model import (
    Destination,
    GatewayHosts,
    InClusterMirror,
    IstioBehaviour,
    IstioVersion,
    Match,
    OverlayRoute,
    Scrub,
)
from pulumi_traffic_mirror.model.render.condition import aimed
from pulumi_traffic_mirror.model.render.envoy_filter import header_mutations, policy_options
from tests.support.loopback_envoy import find_envoy
from tests.support.overlaid_envoy import Overlaid, Routes, overlaid

ROUNDS: Final = 80
REQUESTS: Final = 400
"""Of one round and proxy: about 30 ms, so that neighbours in a round meet the same machine."""
CONNECTIONS: Final = 4
MAX_UNMATCHED: Final = 1.20
MAX_MATCHED: Final = 1.10

HOST: Final = "shop.example.com"
NEXT: Final = Destination("orders-next.labs.svc.cluster.local", 80)
ROUTES: Final[Routes] = ({"name": "rest", "match": {"prefix": "/"}, "route": {"cluster": "one"}},)
ISTIO: Final = IstioBehaviour(version=IstioVersion(1, 31))
SCRUBBED: Final[Any] = {
    "cluster": NEXT.cluster_name,
    **policy_options(InClusterMirror(percent=100, service=NEXT), ISTIO),
    "request_headers_mutations": header_mutations(Scrub()),
}


def route(*paths: str) -> OverlayRoute:
    """An overlay that takes what lies below some paths; none without paths."""
    mirrors = (
        [InClusterMirror(percent=100, service=NEXT, name="next", match=Match(path_prefixes=paths))] if paths else []
    )
    on = [GatewayHosts(hosts=[HOST])]
    return OverlayRoute(name="shop", namespace="web", on=on, istio=ISTIO, mirrors=mirrors)


def by_hand(aim: str = "") -> Routes:
    """The same routes with a mirror of Envoy's own; with ``aim`` its cluster is taken from a header of that value."""
    routes: Any = copy.deepcopy(ROUTES)
    routes[0]["route"]["request_mirror_policies"] = [SCRUBBED]
    if aim:
        name = "x-traffic-mirror-to-next"
        mutations = [{"remove": name}, *SCRUBBED["request_headers_mutations"]]
        policy = {**SCRUBBED, "cluster_header": name, "request_headers_mutations": mutations}
        del policy["cluster"]
        header = {"append_action": "OVERWRITE_IF_EXISTS_OR_ADD", "header": {"key": name, "value": aim}}
        routes[0]["route"]["request_mirror_policies"] = [policy]
        routes[0].update(request_headers_to_remove=[name], request_headers_to_add=[header])
    return routes


def spent(running: Overlaid) -> int:
    """Processor time of all threads of a proxy, in nanoseconds; what psutil reads comes in steps of 10 ms."""
    tasks = Path(f"/proc/{running.proxy.pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)


async def cost(running: Overlaid) -> float:
    """Processor time of the proxy for one request, in nanoseconds, over one block."""
    head = f"GET /api/orders/7 HTTP/1.1\r\nhost: {HOST}\r\nauthorization: made-up\r\nx-request-id: 1\r\n\r\n".encode()

    async def work() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.proxy.port)
        for _ in range(REQUESTS // CONNECTIONS):
            writer.write(head)
            answer = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(answer.lower().partition(b"content-length:")[2].split(b"\r\n")[0]))
        writer.close()

    before = spent(running)
    await asyncio.gather(*(work() for _ in range(CONNECTIONS)))
    return (spent(running) - before) / REQUESTS


async def measure(binary: Path) -> dict[str, tuple[float, float, float]]:
    """Median ratios of the proxies' costs, each between the ends of its interval."""
    kinds: dict[str, tuple[Routes, OverlayRoute]] = {
        "none": (ROUTES, route()),
        "unmatched": (ROUTES, route("/cart")),
        "matched": (ROUTES, route("/api")),
        "by hand": (by_hand(), route()),
        "header": (by_hand(NEXT.cluster_name), route()),
        "one condition": (by_hand(aimed("request.method == 'GET'", NEXT.cluster_name)), route()),
    }
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        running: dict[str, Overlaid] = {}
        for kind, (routes, overlay) in kinds.items():
            (folder / kind).mkdir()
            started = overlaid(binary, folder / kind, {HOST: routes}, overlay, ("one", NEXT.cluster_name))
            running[kind] = await stack.enter_async_context(started)
        rounds: list[dict[str, float]] = []
        for number in range(ROUNDS + 1):
            # Each comes first as often as last.
            turn = list(running.items())[:: -1 if number % 2 else 1]
            rounds.append({kind: await cost(each) for kind, each in turn})
        copies = {kind: len(each.copies(NEXT.cluster_name)) for kind, each in running.items()}
    wanted = (ROUNDS + 1) * REQUESTS
    assert copies == {kind: 0 if kind in ("none", "unmatched") else wanted for kind in kinds}
    pairs = [("unmatched", "none"), ("by hand", "none")]
    pairs += [(kind, "by hand") for kind in ("header", "one condition", "matched")]
    return {f"{one} to {other}": middle(each[one] / each[other] for each in rounds[1:]) for one, other in pairs}


def middle(values: Iterable[float]) -> tuple[float, float, float]:
    """The median, between the ends of the interval that holds that of all such values at 95 %, by ranks."""
    ranked = sorted(values)
    aside = round(0.98 * len(ranked) ** 0.5)
    half = len(ranked) // 2
    return ranked[half - aside], statistics.median(ranked), ranked[half + aside]


def main() -> int:
    """Measure, print, and fail above the bounds."""
    binary = find_envoy()
    if binary is None:
        sys.stdout.write("no Envoy on this machine: build the stage once\n")
        return 0
    ratios = asyncio.run(measure(binary))
    for name, (low, ratio, high) in ratios.items():
        sys.stdout.write(f"processor time for each request, {name}: {ratio:.3f} ({low:.3f} to {high:.3f})\n")
    return int(ratios["unmatched to none"][1] > MAX_UNMATCHED or ratios["matched to by hand"][1] > MAX_MATCHED)


if __name__ == "__main__":
    sys.exit(main())
