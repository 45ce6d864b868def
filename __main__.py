"""Staging and testing from one program: the stack's configuration says which of the two it is."""

from dataclasses import replace

import pulumi

import pulumi_traffic_mirror as tm
from pulumi_traffic_mirror import program

settings = program.load()
program.check(settings)
cluster = program.make_cluster("cluster", settings)
mesh = tm.IstioControlPlane("istio", program.control_plane_args(settings, cluster.handle)).handle
hello = tm.MeshNamespace("hello", tm.MeshNamespaceArgs(cluster=cluster.handle, mesh=mesh, namespace=settings.namespace))
gateway = tm.MeshGateway("gateway", program.gateway_args(settings, mesh))
primary = tm.Greeter("greeter-v1", program.greeter_args(settings, mesh, hello, "v1"))

pulumi.export("gatewayAddress", gateway.address)
pulumi.export("network", cluster.network)
pulumi.export("networkRanges", cluster.ranges)

if recording := program.recorder_args(settings, mesh, gateway, hello):
    recorder = tm.TrafficRecorder("recorder", recording)
    pulumi.export("recordings", {"at": recorder.recordings, "fetch": recorder.fetch})

replays = {
    name: tm.ReplayJob(name, args) for name, args in program.replays_args(settings, cluster.handle, hello).items()
}
if replays:
    pulumi.export("replays", {name: {"result": each.result, "wait": each.wait} for name, each in replays.items()})

if settings.role is program.Role.TESTING:
    receiver = tm.MirrorReceiver(
        "greeter",
        tm.MirrorReceiverArgs(
            mesh=mesh,
            gateway=gateway,
            api=gateway.api,
            contract=settings.contract,
            namespace=hello,
            service=primary.destination,
        ),
    )
    pulumi.export("receiver", receiver.offer)

if settings.role is program.Role.STAGING:
    mirrors: list[tm.InClusterMirror | tm.CrossClusterMirror] = []
    for mirror in settings.mirrors:
        if isinstance(mirror, tm.InClusterMirror):
            rewrite = tm.Greeter("greeter-v2", program.greeter_args(settings, mesh, hello, "v2"))
            mirrors.append(replace(mirror, service=rewrite.destination))
        else:
            testing = pulumi.StackReference(settings.testing_stack)
            program.peer_with_testing("peering", settings, cluster, testing)
            mirrors.append(program.with_offer(mirror, testing))
    overlays = {
        name: tm.MirrorOverlay(name, args) for name, args in program.overlays_args(settings, mesh, hello).items()
    }
    for name, branch in program.branches_args(settings, mesh, hello).items():
        mirrors += tm.BranchService(name, branch).mirrors
    service = tm.MirroredService(
        "greeter",
        tm.MirroredServiceArgs(
            mesh=mesh,
            gateway=gateway,
            api=gateway.api,
            namespace=hello,
            hosts=settings.contract.hosts,
            port=settings.contract.port,
            protocol=settings.contract.protocol,
            primary=primary.destination,
            mirrors=mirrors,
        ),
    )
    pulumi.export("mirrors", service.mirrors)
    for name, guard in program.expiry_guard_args(settings, mesh, service, overlays).items():
        tm.ExpiryGuard(name, guard)
