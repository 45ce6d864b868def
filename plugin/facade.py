"""The components as programs in every language see them: flat arguments, plain values, no unions.

Each holds the library's component of its name as its child, which does all the work, and the cluster's provider.
"""

from typing import Any, Final, NotRequired, TypedDict

import pulumi
import values
from foundation import Component, told
from replays import ReplayJob
from shapes import Contract, CrossClusterMirror, Mesh, Mirror, Server, Service

import pulumi_traffic_mirror as tm


class ExistingClusterArgs(TypedDict):
    """Which cluster: a kubeconfig's content, its file, or a context of the files that kubectl would read."""

    kubeconfig: NotRequired[pulumi.Input[str]]
    """Content of a kubeconfig; held as a secret."""
    kubeconfig_path: NotRequired[str]
    """File to read on the machine that runs the program."""
    context: NotRequired[str]
    """Context to use; default the kubeconfig's current one."""


class ExistingCluster(Component):
    """A cluster that is there: its kubeconfig with one context, for the other components."""

    kubeconfig: pulumi.Output[str]
    """Kubeconfig with the chosen context alone; a secret."""
    server: pulumi.Output[str]
    """URL of the API server."""

    def __init__(self, name: str, args: ExistingClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        chosen = values.chosen(args, "kubeconfig_path", "context")
        if args.get("kubeconfig") is not None:
            chosen["kubeconfig"] = values.kubeconfig(args.get("kubeconfig"))
        made = told(lambda: tm.ExistingCluster(name, tm.ExistingClusterArgs(**chosen), self.own()))
        self.kubeconfig, self.server = made.kubeconfig, made.server
        self.register_outputs({"kubeconfig": self.kubeconfig, "server": self.server})


class GkeClusterArgs(TypedDict):
    """A cluster on GKE, hardened; with a network of its own."""

    project: str
    """Id of the Google Cloud project."""
    location: str
    """Region or zone, e.g. "europe-west1"; Autopilot needs a region."""
    deletion_protection: bool
    """Refuse to delete or replace the cluster."""
    autopilot: NotRequired[bool]
    """Whether Google runs the nodes; default no."""
    machine_type: NotRequired[str]
    """Of the nodes; not with Autopilot."""
    min_nodes: NotRequired[int]
    """Fewest nodes in all zones together; not with Autopilot."""
    max_nodes: NotRequired[int]
    """Most nodes in all zones together; not with Autopilot."""
    node_cidr: NotRequired[str]
    """Range of nodes and internal load balancers."""
    pod_cidr: NotRequired[str]
    """Range of pods."""
    service_cidr: NotRequired[str]
    """Range of Services."""
    labels: NotRequired[dict[str, str]]
    """Labels of the cluster and its nodes."""


class GkeCluster(Component):
    """A cluster on GKE."""

    kubeconfig: pulumi.Output[str]
    """Kubeconfig of the cluster; a secret."""
    server: pulumi.Output[str]
    """URL of the API server."""
    cluster_name: pulumi.Output[str]
    """Name of the cluster in Google Cloud."""

    def __init__(self, name: str, args: GkeClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        made = told(lambda: tm.GkeCluster(name, self._arguments(args), self.own()))
        self.kubeconfig, self.server, self.cluster_name = made.kubeconfig, made.server, made.cluster_name
        self.register_outputs({"kubeconfig": self.kubeconfig, "server": self.server, "clusterName": self.cluster_name})

    @staticmethod
    def _arguments(args: values.Given) -> tm.GkeClusterArgs:
        nodes = values.chosen(args, "machine_type", "min_nodes", "max_nodes")
        if args.get("autopilot") and nodes:
            raise tm.ValidationError(
                field=next(iter(nodes)),
                value=next(iter(nodes.values())),
                rule="must be left out with autopilot: Google runs the nodes",
                remedy="Leave it out, or set autopilot to false",
            )
        return tm.GkeClusterArgs(
            project=args["project"],
            location=args["location"],
            deletion_protection=args["deletion_protection"],
            mode=tm.AutopilotMode() if args.get("autopilot") else tm.StandardMode(**nodes),
            network=tm.NewNetwork(**values.chosen(args, "node_cidr", "pod_cidr", "service_cidr")),
            **values.chosen(args, "labels"),
        )


class IstioControlPlaneArgs(TypedDict):
    """Istio in one cluster."""

    kubeconfig: pulumi.Input[str]
    """Of the cluster: kubeconfig of an ExistingCluster or GkeCluster."""
    context: NotRequired[str]
    """Context in it; default its current one."""
    version: NotRequired[str]
    """Version of charts and images."""
    revision: NotRequired[str]
    """Name of the revision; default the unnamed one."""
    namespace: NotRequired[str]
    """Root namespace of the mesh; default istio-system."""
    hub: NotRequired[str]
    """Registry and path of the images."""
    charts: NotRequired[str]
    """URL of a Helm repository with Istio's charts, or the folder manifests/charts of a release."""
    cni: NotRequired[bool]
    """Whether istio-cni redirects traffic; default no."""
    values: NotRequired[dict[str, Any]]
    """More Helm values of the chart istiod, plain."""


class IstioControlPlane(Component):
    """Installs Istio: its CRDs, istiod, optionally istio-cni."""

    version: pulumi.Output[str]
    """Version of istiod, known when it is ready."""

    def __init__(self, name: str, args: IstioControlPlaneArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        names = ("version", "revision", "namespace", "hub", "cni", "values")

        def make() -> tm.IstioControlPlane:
            cluster = self.cluster(name, args)
            given = {**values.chosen(args, *names), **values.charts(args.get("charts"))}
            return tm.IstioControlPlane(name, tm.IstioControlPlaneArgs(cluster=cluster, **given), self.own())

        self.version = told(make).version
        self.register_outputs({"version": self.version})


class MeshGatewayArgs(TypedDict):
    """A gateway: Envoy at the edge of a cluster, its load balancer and its listeners."""

    kubeconfig: pulumi.Input[str]
    """Of the cluster: kubeconfig of an ExistingCluster or GkeCluster."""
    context: NotRequired[str]
    """Context in it; default its current one."""
    mesh: Mesh
    """Control plane that configures it."""
    servers: NotRequired[list[Server]]
    """Listeners for its own clients."""
    contracts: NotRequired[list[Contract]]
    """Contracts whose mirrors it accepts."""
    server_credential: NotRequired[str]
    """Secret with its certificate for mirrors, in its namespace; needed unless contracts waive TLS."""
    namespace: NotRequired[str]
    """Namespace that is there; default one of its own."""
    gateway_name: NotRequired[str]
    """Name of the Gateway object and the Service; default internal-gateway."""
    exposure: NotRequired[str]
    """internal (default), public or cluster."""
    source_ranges: NotRequired[list[str]]
    """CIDR ranges that clients come from."""
    service_annotations: NotRequired[dict[str, str]]
    """More annotations of the Service."""
    values: NotRequired[dict[str, Any]]
    """More Helm values of the chart gateway, plain."""


class MeshGateway(Component):
    """Runs Istio's gateway and makes its Gateway object."""

    address: pulumi.Output[str]
    """IP address or name of the load balancer."""

    def __init__(self, name: str, args: MeshGatewayArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)

        def make() -> tm.MeshGateway:
            credential = args.get("server_credential", "")
            contracts = [values.contract(each) for each in args.get("contracts", [])]
            servers = [values.server(each) for each in args.get("servers", [])]
            servers += [tm.receiver_server(each, credential if each.tls else "") for each in contracts]
            names = ("namespace", "gateway_name", "exposure", "source_ranges", "service_annotations", "values")
            given = values.chosen(args, *names)
            mesh = self.mesh(name, args)
            return tm.MeshGateway(name, tm.MeshGatewayArgs(mesh=mesh, servers=servers, **given), self.own())

        self.address = told(make).address
        self.register_outputs({"address": self.address})


class MirroredServiceArgs(TypedDict):
    """The routing of one service with its mirrors."""

    kubeconfig: pulumi.Input[str]
    """Of the cluster: kubeconfig of an ExistingCluster or GkeCluster."""
    context: NotRequired[str]
    """Context in it; default its current one."""
    mesh: Mesh
    """Control plane of the cluster that owns the traffic."""
    primary: Service
    """Who answers."""
    mirrors: NotRequired[list[Mirror]]
    """Mirrors in the cluster."""
    cross_cluster_mirrors: NotRequired[list[CrossClusterMirror]]
    """Mirrors in other clusters."""
    offers: NotRequired[dict[str, pulumi.Input[dict[str, Any]]]]
    """What the other clusters' MirrorReceivers offer, by the mirror's name."""
    hosts: NotRequired[list[str]]
    """Authorities that clients use at the gateway."""
    gateway: NotRequired[str]
    """Gateway as NAMESPACE/NAME; default none."""
    namespace: NotRequired[str]
    """Namespace of the routing objects; default default."""
    port: NotRequired[int]
    """Port that clients use at the gateway; default 8000."""
    protocol: NotRequired[str]
    """GRPC (default), HTTP or HTTP2."""
    govern_mesh: NotRequired[bool]
    """Whether callers inside the mesh are routed too; default yes."""


class MirroredService(Component):
    """Owns the routing of one service, and mirrors it."""

    mirrors: pulumi.Output[list[dict[str, Any]]]
    """What is mirrored."""

    def __init__(self, name: str, args: MirroredServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)

        def make() -> tm.MirroredService:
            given = {**values.chosen(args, "hosts", "namespace", "port", "govern_mesh"), **values.protocol(args)}
            if gateway := args.get("gateway"):
                given["gateway"] = values.gateway(gateway)
            made = tm.MirroredServiceArgs(
                mesh=self.mesh(name, args),
                primary=values.destination(args["primary"]),
                mirrors=values.mirrors(args),
                **given,
            )
            return tm.MirroredService(name, made, self.own())

        self.mirrors = told(make).mirrors
        self.register_outputs({"mirrors": self.mirrors})


class MirrorOverlayArgs(TypedDict):
    """Mirrors on routing that somebody else owns."""

    kubeconfig: pulumi.Input[str]
    """Of the cluster: kubeconfig of an ExistingCluster or GkeCluster."""
    context: NotRequired[str]
    """Context in it; default its current one."""
    mesh: Mesh
    """Control plane of the cluster that owns the traffic."""
    gateway_hosts: NotRequired[list[str]]
    """Hosts at gateways that the mirrors hang on."""
    domain: NotRequired[str]
    """Those hosts as the owner's route writes them, where that is a wildcard such as *.example.com."""
    gateway: NotRequired[str]
    """Gateway at which clients call those hosts, as NAMESPACE/NAME: its pods alone get the patches; default all."""
    gateway_labels: NotRequired[dict[str, str]]
    """Labels of that gateway's pods; without them all gateways of its namespace get the patches."""
    mesh_services: NotRequired[list[Service]]
    """Services that callers with sidecars call."""
    waypoint_services: NotRequired[list[Service]]
    """Services that a waypoint in their namespaces serves."""
    waypoint: NotRequired[str]
    """Name of that waypoint; default waypoint."""
    mirrors: NotRequired[list[Mirror]]
    """Mirrors in the cluster."""
    cross_cluster_mirrors: NotRequired[list[CrossClusterMirror]]
    """Mirrors in other clusters."""
    offers: NotRequired[dict[str, pulumi.Input[dict[str, Any]]]]
    """What the other clusters' MirrorReceivers offer, by the mirror's name."""
    routes: NotRequired[list[str]]
    """Names of the owner's routes; default all that forward."""
    namespace: NotRequired[str]
    """Namespace of what lies nowhere else; default default."""
    protocol: NotRequired[str]
    """HTTP (default), HTTP2 or GRPC."""


class MirrorOverlay(Component):
    """Puts mirrors on routing that somebody else owns."""

    mirrors: pulumi.Output[list[dict[str, Any]]]
    """What is mirrored."""

    def __init__(self, name: str, args: MirrorOverlayArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)

        def make() -> tm.MirrorOverlay:
            given = {**values.chosen(args, "routes", "namespace"), **values.protocol(args)}
            if gateway := args.get("gateway"):
                given["gateway"] = values.gateway(gateway, args.get("gateway_labels"))
            mesh, mirrors = self.mesh(name, args), values.mirrors(args)
            made = tm.MirrorOverlayArgs(mesh=mesh, on=values.places(args), mirrors=mirrors, **given)
            return tm.MirrorOverlay(name, made, self.own())

        self.mirrors = told(make).mirrors
        self.register_outputs({"mirrors": self.mirrors})


class MirrorReceiverArgs(TypedDict):
    """Testing's side: accepts what one contract says and nothing else."""

    kubeconfig: pulumi.Input[str]
    """Of the cluster: kubeconfig of an ExistingCluster or GkeCluster."""
    context: NotRequired[str]
    """Context in it; default its current one."""
    mesh: Mesh
    """Control plane of the cluster that receives mirrors."""
    gateway: str
    """Gateway that mirrors enter by, as NAMESPACE/NAME; its contracts must have this one."""
    address: pulumi.Input[str]
    """Address at which staging reaches it: address of the MeshGateway."""
    contract: Contract
    """What staging sends."""
    service: Service
    """Who gets the mirrors."""
    namespace: NotRequired[str]
    """Namespace of the route; default default."""
    expires: NotRequired[str]
    """End of the offer as ISO text."""


class MirrorReceiver(Component):
    """Accepts the mirrors of one contract."""

    offer: pulumi.Output[dict[str, Any]]
    """For staging's stack."""

    def __init__(self, name: str, args: MirrorReceiverArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)

        def make() -> tm.MirrorReceiver:
            given = values.chosen(args, "namespace")
            if end := args.get("expires"):
                given["expires"] = tm.Expiry.parse(end)
            made = tm.MirrorReceiverArgs(
                mesh=self.mesh(name, args),
                gateway=values.gateway(args["gateway"]),
                address=args["address"],
                contract=values.contract(args["contract"]),
                service=values.destination(args["service"]),
                **given,
            )
            return tm.MirrorReceiver(name, made, self.own())

        self.offer = told(make).offer
        self.register_outputs({"offer": self.offer})


COMPONENTS: Final = (
    ExistingCluster,
    GkeCluster,
    IstioControlPlane,
    MeshGateway,
    MirrorOverlay,
    MirrorReceiver,
    MirroredService,
    ReplayJob,
)
"""Everything that the plugin serves."""
