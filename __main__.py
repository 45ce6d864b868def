"""Staging and testing from one program: the stack's configuration says which of the two it is."""

import pulumi

from components import (
    CrossClusterMirror,
    Greeter,
    InClusterMirror,
    IstioControlPlane,
    MeshGateway,
    MeshNamespace,
    MeshNamespaceArgs,
    MirroredService,
    MirroredServiceArgs,
    MirrorReceiver,
    MirrorReceiverArgs,
    program,
)

settings = program.load()
cluster = program.make_cluster("cluster", settings)
mesh = IstioControlPlane("istio", program.control_plane_args(settings, cluster)).handle
hello = MeshNamespace("hello", MeshNamespaceArgs(cluster=cluster, mesh=mesh, namespace=settings.namespace))
gateway = MeshGateway("gateway", program.gateway_args(settings, mesh))
primary = Greeter("greeter-v1", program.greeter_args(settings, mesh, hello, "v1"))

pulumi.export("gatewayAddress", gateway.address)

if settings.role is program.Role.TESTING:
    receiver = MirrorReceiver(
        "greeter",
        MirrorReceiverArgs(
            mesh=mesh,
            gateway=gateway,
            contract=settings.contract,
            namespace=hello.namespace,
            service=primary.destination,
        ),
    )
    pulumi.export("receiver", receiver.offer)

if settings.role is program.Role.STAGING:
    mirrors: list[InClusterMirror | CrossClusterMirror] = []
    if inside := settings.in_cluster:
        rewrite = Greeter("greeter-v2", program.greeter_args(settings, mesh, hello, "v2"))
        mirrors.append(
            InClusterMirror(
                name="v2",
                service=rewrite.destination,
                percent=inside.percent,
                match=settings.match,
                expires=inside.expires,
            )
        )
    if across := settings.cross_cluster:
        mirrors.append(
            CrossClusterMirror(
                contract=settings.contract,
                offer=pulumi.StackReference(across.testing_stack).require_output("receiver"),
                percent=across.percent,
                match=settings.match,
                client_credential=settings.credential_name if settings.contract.tls else "",
                expires=across.expires,
            )
        )
    service = MirroredService(
        "greeter",
        MirroredServiceArgs(
            mesh=mesh,
            gateway=gateway,
            namespace=hello.namespace,
            hosts=settings.contract.hosts,
            port=settings.contract.port,
            protocol=settings.contract.protocol,
            primary=primary.destination,
            mirrors=mirrors,
        ),
    )
    pulumi.export("mirrors", service.mirrors)
