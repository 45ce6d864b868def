"""Staging and testing from one program: the stack's configuration says which of the two it is."""

import pulumi

import components as tm
from components import program

settings = program.load()
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

if settings.role is program.Role.TESTING:
    receiver = tm.MirrorReceiver(
        "greeter",
        tm.MirrorReceiverArgs(
            mesh=mesh,
            gateway=gateway,
            contract=settings.contract,
            namespace=hello,
            service=primary.destination,
        ),
    )
    pulumi.export("receiver", receiver.offer)

if settings.role is program.Role.STAGING:
    mirrors: list[tm.InClusterMirror | tm.CrossClusterMirror] = []
    if inside := settings.in_cluster:
        rewrite = tm.Greeter("greeter-v2", program.greeter_args(settings, mesh, hello, "v2"))
        mirrors.append(
            tm.InClusterMirror(
                name="v2",
                service=rewrite.destination,
                percent=inside.percent,
                match=settings.match,
                expires=inside.expires,
            )
        )
    if across := settings.cross_cluster:
        testing = pulumi.StackReference(across.testing_stack)
        program.peer_with_testing("peering", settings, cluster, testing)
        mirrors.append(
            tm.CrossClusterMirror(
                contract=settings.contract,
                # None where testing does not export it, which is refused with what to do.
                offer=testing.get_output("receiver"),
                percent=across.percent,
                match=settings.match,
                client_credential=settings.credential_name if settings.contract.tls else "",
                expires=across.expires,
            )
        )
    for name, branch in program.branches_args(settings, mesh, hello).items():
        mirrors += tm.BranchService(name, branch).mirrors
    service = tm.MirroredService(
        "greeter",
        tm.MirroredServiceArgs(
            mesh=mesh,
            gateway=gateway,
            namespace=hello,
            hosts=settings.contract.hosts,
            port=settings.contract.port,
            protocol=settings.contract.protocol,
            primary=primary.destination,
            mirrors=mirrors,
        ),
    )
    pulumi.export("mirrors", service.mirrors)
    if guard := program.expiry_guard_args(settings, mesh, service):
        tm.ExpiryGuard("expiry", guard)
