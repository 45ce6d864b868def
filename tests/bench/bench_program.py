"""Figures of a program: 200 mirrored services by components, and the same resources registered bare.

Run ``python -m tests.bench.bench_program``; prints registrations, seconds of processor time, and their ratio. Both
programs run alternately in one process against the SDK's own mocks, so that the ratio is of one run.
"""

import argparse
import asyncio
import contextvars
import gc
import logging
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import pulumi
import pulumi_kubernetes as k8s
import yaml
from pulumi.runtime import mocks
from pulumi.runtime.settings import configure, reset_options
from pulumi.runtime.stack import run_in_stack

import pulumi_traffic_mirror as tm
from tests.support.recording import Recorded, Recording, run_program
from tests.support.wire import reveal

ADDRESS: Final = {"kubernetes:core/v1:Service": {"status": {"loadBalancer": {"ingress": [{"ip": "10.1.2.3"}]}}}}
MATCH: Final = tm.Match(rpc_methods=["helloworld.Greeter/SayHello"])
COMPONENT: Final = "trafficmirror:index:"
BOUND: Final = 1.3
"""Most that the components may cost beside bare registrations."""

KUBECONFIG: Final = yaml.safe_dump(
    {
        "clusters": [{"name": "c", "cluster": {"server": "https://192.0.2.1:6443"}}],
        "users": [{"name": "u", "user": {"token": "none"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
)


class _Mocks(mocks.Mocks):
    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        outputs: dict[str, Any] = {**args.inputs}
        if args.typ == "kubernetes:helm.sh/v3:Release":
            outputs["status"] = {"name": args.name, "namespace": "istio-system"}
        return f"{args.name}-id", {**outputs, **ADDRESS.get(args.typ, {})}

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        raise NotImplementedError(args.token)


def by_components(services: int) -> None:
    """A program with one cluster, one gateway, and ``services`` hosts with a mirror inside and one outside."""
    cluster = tm.ExistingCluster("cluster", tm.ExistingClusterArgs(kubeconfig=KUBECONFIG, platform=tm.GKE)).handle
    mesh = tm.ExistingIstio(cluster=cluster, version="1.31.0").handle
    contracts = [
        tm.MirrorContract(hosts=[f"service-{index}.staging.example"], mirror_host=f"service-{index}.testing.example")
        for index in range(services)
    ]
    hosts = [host for contract in contracts for host in contract.hosts]
    gateway = tm.MeshGateway("gateway", tm.MeshGatewayArgs(mesh=mesh, servers=[tm.client_server(hosts)]))
    for index, contract in enumerate(contracts):
        name = f"service-{index}"
        tm.MirroredService(
            name,
            tm.MirroredServiceArgs(
                mesh=mesh,
                gateway=gateway,
                namespace="hello",
                hosts=contract.hosts,
                primary=tm.Destination(f"{name}.hello.svc.cluster.local", 8000),
                mirrors=[
                    tm.InClusterMirror(
                        name="v2",
                        service=tm.Destination(f"{name}-v2.hello.svc.cluster.local", 8000),
                        percent=50,
                        match=MATCH,
                    ),
                    tm.CrossClusterMirror(
                        contract=contract,
                        offer=dict(tm.MirrorOffer.of(contract, "10.1.2.3").to_json()),
                        percent=10,
                        match=MATCH,
                        client_credential="mirror-client",
                    ),
                ],
            ),
        )


class _Bare(pulumi.ComponentResource):
    """A parent without anything of its own."""

    def __init__(self, kind: str, name: str, outputs: Mapping[str, Any], opts: pulumi.ResourceOptions) -> None:
        super().__init__(kind, name, {}, opts)
        self.outputs = outputs
        self.register_outputs(dict(outputs))


def bare(resources: Sequence[Recorded], order: list[str]) -> None:
    """The same registrations without components: inputs, parents, providers and dependencies as recorded."""
    by_urn = {resource.urn: resource for resource in resources}
    made: dict[str, Any] = {}
    for urn in order:
        recorded = by_urn[urn]
        opts = pulumi.ResourceOptions(
            parent=made.get(recorded.parent),
            provider=made.get(recorded.provider or ""),
            depends_on=[made[dependency] for dependency in recorded.depends_on],
        )
        made[urn] = _register(recorded, opts)


def _register(recorded: Recorded, opts: pulumi.ResourceOptions) -> pulumi.Resource:
    inputs = reveal(recorded.inputs)
    if not recorded.custom:
        return _Bare(recorded.type, recorded.name, recorded.outputs or {}, opts)
    if recorded.type == "pulumi:providers:kubernetes":
        return k8s.Provider(recorded.name, kubeconfig=inputs["kubeconfig"], opts=opts)
    if recorded.type == "kubernetes:helm.sh/v3:Release":
        return k8s.helm.v3.Release(recorded.name, chart=inputs["chart"], values=inputs["values"], opts=opts)
    if recorded.read:
        return k8s.core.v1.Service.get(recorded.name, str(recorded.import_id), opts)
    return k8s.apiextensions.CustomResource(
        recorded.name,
        api_version=inputs["apiVersion"],
        kind=inputs["kind"],
        metadata=k8s.meta.v1.ObjectMetaArgs(**inputs["metadata"]),
        spec=inputs["spec"],
        opts=opts,
    )


def sorted_by_need(recording: Recording) -> list[str]:
    """URNs such that whatever a resource needs comes before it."""
    order: dict[str, None] = {}

    def visit(urn: str) -> None:
        resource = recording.by_urn.get(urn)
        if resource is None or urn in order:
            return
        for need in (resource.parent, resource.provider or "", *resource.depends_on):
            visit(need)
        order[urn] = None

    for resource in recording.resources:
        visit(resource.urn)
    return list(order)


def seconds_of(program: Callable[[], None]) -> float:
    """Processor time of one run of ``program`` under the SDK's mocks."""

    async def deploy() -> None:
        settings = mocks.MockSettings(
            monitor=mocks.MockMonitor(_Mocks()),
            engine=mocks.MockEngine(logging.getLogger("bench")),
            project="bench",
            stack="bench",
            organization="organization",
            dry_run=False,
        )
        configure(settings)
        await run_in_stack(program)

    context = contextvars.copy_context()
    context.run(reset_options)
    # What earlier runs left would be looked through again and again, and most often in the program that allocates more.
    gc.collect()
    gc.freeze()
    start = time.process_time()
    with asyncio.Runner() as runner:
        runner.run(deploy(), context=context)
    seconds = time.process_time() - start
    gc.unfreeze()
    return seconds


def measure(services: int, rounds: int) -> tuple[float, float]:
    """Print the figures of one size; return the seconds of components and bare registrations."""
    recording = run_program(lambda: by_components(services), outputs=ADDRESS)
    order = sorted_by_need(recording)
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(rounds):
        theirs.append(seconds_of(lambda: bare(recording.resources, order)))
        ours.append(seconds_of(lambda: by_components(services)))
    ratio = statistics.median(own / other for own, other in zip(ours, theirs, strict=True))
    seconds, without = statistics.median(ours), statistics.median(theirs)
    print(
        f"{services} services: {len(order)} registrations, components {seconds:.2f} s, bare {without:.2f} s,"
        f" ratio {ratio:.2f} (bound {BOUND})"
    )
    return seconds, without


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--services", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    # The SDK's mocks leave an event loop open in every thread, which Python would tell of at the end.
    sys.unraisablehook = lambda _: None
    seconds_of(lambda: by_components(2))  # loads what is loaded lazily
    few = measure(arguments.services // 4, arguments.rounds)
    many = measure(arguments.services, arguments.rounds)
    print(f"four times the services: components {many[0] / few[0]:.1f}, bare {many[1] / few[1]:.1f} times as long")
    gc.collect()
    return 0


if __name__ == "__main__":
    sys.exit(main())
