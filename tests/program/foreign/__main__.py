"""Somebody else's program: uses the published package inside components of its own, with every resource option."""

import sys

import pulumi
import pulumi_kubernetes as k8s

import pulumi_traffic_mirror as tm

CONTRACTS = {
    name: tm.MirrorContract(hosts=[f"{name}.staging.example", f"{name}-2.staging.example"], receiver=f"{name}-b")
    for name in ("alpha", "beta")
}
METHODS = tm.Match(rpc_methods=["helloworld.Greeter/SayHello"])


def istio(name: str) -> tm.MeshHandle:
    """A cluster with an Istio that is there already, under a provider of the program's own."""
    provider = k8s.Provider(name, kubeconfig="none")
    cluster = tm.ClusterHandle(name=name, provider=provider, platform=tm.GKE)
    return tm.ExistingIstio(cluster=cluster, version="1.31.0").handle


class Shop(pulumi.ComponentResource):
    """Two mirrored services with two hosts each, nested in a component that is protected and was renamed."""

    def __init__(self, name: str, opts: pulumi.ResourceOptions) -> None:
        super().__init__("shop:index:Shop", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        testing = istio("testing")
        servers = [tm.receiver_server(contract, "server") for contract in CONTRACTS.values()]
        inbound = tm.MeshGateway("inbound", tm.MeshGatewayArgs(mesh=testing, servers=servers), child)
        staging = istio("staging")
        clients = [tm.client_server(contract.hosts) for contract in CONTRACTS.values()]
        outbound = tm.MeshGateway("outbound", tm.MeshGatewayArgs(mesh=staging, servers=clients), child)
        for which, contract in CONTRACTS.items():
            service = tm.Destination(f"{which}.shop.svc.cluster.local", 8000)
            receiver = tm.MirrorReceiver(
                f"{which}-receiver",
                tm.MirrorReceiverArgs(
                    mesh=testing, gateway=inbound, contract=contract, namespace="shop", service=service
                ),
                child,
            )
            mirror = tm.CrossClusterMirror(
                contract=contract, offer=receiver.offer, percent=10, match=METHODS, client_credential="client"
            )
            tm.MirroredService(
                which,
                tm.MirroredServiceArgs(
                    mesh=staging,
                    gateway=outbound,
                    hosts=contract.hosts,
                    namespace="shop",
                    primary=service,
                    mirrors=[mirror],
                ),
                child,
            )
        self.register_outputs({})


def labelled(args: pulumi.ResourceTransformArgs) -> pulumi.ResourceTransformResult:
    """Add a label to every object, as many companies do."""
    props = dict(args.props)
    metadata = props.get("metadata")
    if isinstance(metadata, dict):
        props["metadata"] = {**metadata, "labels": {"team": "shop"}}
    return pulumi.ResourceTransformResult(props=props, opts=args.opts)


Shop(
    "shop",
    pulumi.ResourceOptions(protect=True, aliases=[pulumi.Alias(name="old-shop")], transforms=[labelled]),
)
pulumi.export("package", sys.modules["pulumi_traffic_mirror"].__file__)
pulumi.export("leaked", sorted(name for name in sys.modules if name.split(".")[0] in ("typer", "rich")))
