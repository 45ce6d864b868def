"""Figures of the model: rendering and judging a thousand mirrored services in two clusters, and finding loops.

Run ``python -m tests.bench.bench_model``; prints seconds, memory, and the ratio to a quarter of the size.
"""

import argparse
import resource
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from pulumi_traffic_mirror.model import (
    CrossClusterMirror,
    Destination,
    GatewayRef,
    InClusterMirror,
    IstioBehaviour,
    IstioVersion,
    JsonObject,
    Match,
    MirrorContract,
    MirroredRoute,
    MirrorOffer,
    MirrorReceiverRoute,
    client_server,
    receiver_server,
    render,
)
from pulumi_traffic_mirror.model.rules import ClusterObjects, Hop, Mesh, Place, find_loops, run_rules

ISTIO = IstioBehaviour(version=IstioVersion(1, 31))
GATEWAY = GatewayRef(name="internal-gateway", namespace="istio-system")
NOW = datetime(2026, 11, 23, tzinfo=UTC)
Result = TypeVar("Result")


def render_services(count: int) -> tuple[list[JsonObject], list[JsonObject]]:
    """Everything that both clusters need for ``count`` services with two mirrors each."""
    staging: list[JsonObject] = []
    testing: list[JsonObject] = []
    match = Match(rpc_methods=["helloworld.Greeter/SayHello"])
    contracts = [MirrorContract(hosts=[f"service-{index}.staging.example"]) for index in range(count)]
    for index, contract in enumerate(contracts):
        route = MirroredRoute(
            name=f"service-{index}",
            namespace="hello",
            primary=Destination(f"service-{index}.hello.svc.cluster.local", 8000, "v1"),
            istio=ISTIO,
            hosts=contract.hosts,
            gateway=GATEWAY,
            mirrors=[
                InClusterMirror(
                    service=Destination(f"service-{index}-v2.hello.svc.cluster.local", 8000), percent=50, match=match
                ),
                CrossClusterMirror(contract=contract, percent=10, match=match, client_credential="mirror-client"),
            ],
        )
        staging += [render.virtual_service(route), *render.destination_rules(route)]
        offer = MirrorOffer.accept(MirrorOffer.of(contract, "198.18.0.120").to_json(), contract, now=NOW)
        for mirror in route.mirrors:
            if isinstance(mirror, CrossClusterMirror):
                staging.append(render.service_entry(route, mirror, offer))
        filters = render.envoy_filter(route)
        receiver = MirrorReceiverRoute(
            name=f"service-{index}",
            namespace="hello",
            contract=contract,
            service=Destination(f"service-{index}.hello.svc.cluster.local", 8000),
            gateway=GATEWAY,
        )
        limits = render.receiver_destination_rule(receiver)
        staging += [filters] if filters else []
        testing += [render.receiver_virtual_service(receiver), *([limits] if limits else [])]
    hosts = [host for contract in contracts for host in contract.hosts]
    staging.append(render.gateway(GATEWAY, {"istio": "internal-gateway"}, [client_server(hosts)]))
    servers = [receiver_server(contract, "mirror-server") for contract in contracts]
    testing.append(render.gateway(GATEWAY, {"istio": "internal-gateway"}, servers))
    return staging, testing


def judge(staging: list[JsonObject], testing: list[JsonObject]) -> int:
    """Run every rule; the number of findings, which is 0 for what the model renders."""
    clusters = [
        ClusterObjects(name="staging", objects=staging, istio=ISTIO),
        ClusterObjects(name="testing", objects=testing, istio=ISTIO),
    ]
    return len(run_rules(Mesh(clusters=clusters, now=NOW)))


def chain(edges: int) -> list[Hop]:
    """A path through three clusters without a loop, then one hop that closes it."""
    hops = [
        Hop(
            start=Place(cluster=f"c{index % 3}", gateway="mesh/gateway", host=f"h{index}.example"),
            cluster=f"c{(index + 1) % 3}",
            authority=f"h{index + 1}.example",
        )
        for index in range(edges - 1)
    ]
    last = Place(cluster=f"c{(edges - 1) % 3}", gateway="mesh/gateway", host=f"h{edges - 1}.example")
    return [*hops, Hop(start=last, cluster="c0", authority="h0.example")]


def timed(work: Callable[[], Result]) -> tuple[float, Result]:
    """Seconds of processor time that ``work`` takes, and its result."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def main() -> int:
    """Print the figures; 1 when a bound is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--services", type=int, default=1_000)
    parser.add_argument("--edges", type=int, default=10_000)
    arguments = parser.parse_args()
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    totals: list[float] = []
    for count in (arguments.services // 4, arguments.services):
        rendering, (staging, testing) = timed(lambda count=count: render_services(count))
        judging, findings = timed(lambda staging=staging, testing=testing: judge(staging, testing))
        totals.append(rendering + judging)
        print(f"{count} services: render {rendering:.2f} s, rules {judging:.2f} s, {findings} findings")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"four times the services take {totals[1] / totals[0]:.1f} times as long (linear: 4)")
    print(f"memory: {peak - base:.0f} MiB more than at the start, {peak:.0f} MiB in all")
    seconds, loops = timed(lambda: find_loops(chain(arguments.edges)))
    print(f"{arguments.edges} edges: {len(loops)} loop of {len(loops[0])} hops found in {seconds:.2f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
