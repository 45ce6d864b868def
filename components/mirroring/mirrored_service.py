"""Staging's side: the routing of one service with its mirrors."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import pulumi
import pulumi_kubernetes as k8s

from .. import model
from ..argument_types import check_types, require_args
from ..mesh import MeshGateway, MeshHandle
from ..mesh.gateway import check_gateway
from ..mesh.objects import is_plain, istio_resource
from ..model import (
    Destination,
    GatewayRef,
    HeaderRules,
    InClusterMirror,
    MirroredRoute,
    Protocol,
    ValidationError,
    render,
)
from ..workloads.namespace import MeshNamespace, check_namespace
from .paths import mirror_paths
from .rendered import RenderedRoute

PRIMARY_ROLE: Final = "primary"
"""In the names of children; those of mirrors have the mirror's name."""


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class CrossClusterMirror(model.CrossClusterMirror):
    """Copies requests that enter staging's gateway to the gateway of another cluster.

    See :class:`pulumi_traffic_mirror.model.CrossClusterMirror` for the other fields.

    Raises:
        ValidationError: A credential is missing, or given for a contract without TLS.
    """

    offer: pulumi.Input[Mapping[str, Any]] = field(compare=False)
    """What the testing stack exports (``MirrorReceiver.offer``), e.g. ``StackReference.require_output("receiver")``.
    Refused, with the value that differs, when it was made for another contract or has expired."""


@dataclass(frozen=True, kw_only=True)
class MirroredServiceArgs:
    """Arguments of :class:`MirroredService`.

    Raises:
        ValidationError: A value has a wrong type; the component refuses what does not fit together.
    """

    mesh: MeshHandle
    """Control plane of the cluster that owns the traffic."""

    primary: Destination
    """Who answers. With a subset the primary keeps clear of other versions of its Service."""

    mirrors: Sequence[InClusterMirror | CrossClusterMirror] = ()
    """Who gets copies; any number, none included."""

    hosts: Sequence[str] = ()
    """Authorities that clients use at the gateway, exact names; empty without a gateway."""

    gateway: MeshGateway | GatewayRef | None = None
    """Gateway that clients enter by. None mirrors only what callers inside the mesh send."""

    namespace: MeshNamespace | str = "default"
    """Namespace of the routing objects; it must exist, unless it is given as a component."""

    port: int = 8000
    """Port that clients use at the gateway, 1 to 65535."""

    protocol: Protocol = Protocol.GRPC
    """What clients speak."""

    govern_mesh: bool = True
    """Whether callers inside the mesh, who use the primary's own name, are routed and mirrored in-cluster too. Only
    one component of a program can govern a name there."""

    headers: HeaderRules = field(default_factory=HeaderRules)
    """Header changes for primary and mirrors alike."""

    timeout_seconds: float | None = None
    """Bound on primary and mirrors of the route, 0.001 to 3,600 s; None for no bound, which is Istio's default."""

    object_name: str = ""
    """Name of the routing objects in the cluster; default the component's name."""

    now: datetime = field(default_factory=_now)
    """Time at which mirrors and offers are held against their ends. Default the current time, in UTC."""

    def __post_init__(self) -> None:
        check_types(self)
        check_namespace(self.namespace, self.mesh.cluster)

    @property
    def namespace_name(self) -> str:
        """Name of the namespace."""
        return self.namespace if isinstance(self.namespace, str) else self.namespace.namespace

    def route(self, name: str) -> MirroredRoute:
        """The model's view of these arguments; see :meth:`rendered`."""
        return self.rendered(name).route

    def rendered(self, name: str) -> RenderedRoute:
        """The objects that these arguments ask for, judged.

        Args:
            name: The component's name.

        Raises:
            ValidationError: Any rule of the model is broken, or a mirror has expired.
        """
        gateway = self.gateway.ref if isinstance(self.gateway, MeshGateway) else self.gateway
        route = MirroredRoute(
            name=self.object_name or name,
            namespace=self.namespace_name,
            hosts=self.hosts,
            port=self.port,
            protocol=self.protocol,
            primary=self.primary,
            mirrors=self.mirrors,
            gateway=gateway,
            mesh=self.govern_mesh,
            istio=self.mesh.behaviour,
            headers=self.headers,
            timeout_seconds=self.timeout_seconds,
            root_namespace=self.mesh.root_namespace,
        )
        for index, mirror in enumerate(self.mirrors):
            if mirror.name == PRIMARY_ROLE and self.primary.subset:
                raise ValidationError(
                    field=f"mirrors[{index}].name",
                    value=str(mirror.name),
                    rule="must not be the role of the primary's own DestinationRule",
                    remedy="Give the mirror another name",
                )
            if mirror.expires and mirror.expires.has_passed(self.now):
                raise ValidationError(
                    field=f"mirrors[{index}].expires",
                    value=str(mirror.expires),
                    rule=f"must not have passed (it is {self.now:%Y-%m-%dT%H:%M:%SZ})",
                    remedy="Remove the mirror, or give it a later end",
                )
        if isinstance(self.gateway, MeshGateway):
            check_gateway(self.gateway, self.mesh)
            _check_served(self.gateway, route)
        rendered = RenderedRoute.of(route)
        rendered.require_rules(self.mesh, self.now)
        return rendered


def _check_served(gateway: MeshGateway, route: MirroredRoute) -> None:
    for index, host in enumerate(route.hosts):
        if not any(host in server.hosts and server.port == route.port for server in gateway.servers):
            raise ValidationError(
                field=f"hosts[{index}]",
                value=str(host),
                rule=f"must be served by the gateway {gateway.ref} on port {int(route.port)}",
                remedy="Add client_server(hosts, port, protocol) to the gateway's servers",
            )


class MirroredService(pulumi.ComponentResource):
    """Owns the routing of one service in staging: VirtualService, DestinationRules, ServiceEntries and EnvoyFilter.

    It creates neither the service nor its mirrors. Nobody else may route the same hosts: what two VirtualServices for
    one host do is undefined in a mesh.

    Raises:
        ValidationError: At construction, before anything is registered; for an offer when its value is known, in
            preview and update alike.
    """

    TYPE = "trafficmirror:index:MirroredService"

    mesh: MeshHandle
    """Control plane of its cluster."""

    route: MirroredRoute
    """What is rendered: names and namespaces of the objects among it."""

    virtual_service: k8s.apiextensions.CustomResource
    """The routes. A change of percent changes this object and the EnvoyFilter."""

    envoy_filter: k8s.apiextensions.CustomResource | None
    """Bound and scrub of the mirrors; None when both are waived or there is no mirror."""

    mirrors: pulumi.Output[list[dict[str, Any]]]
    """What is mirrored: name, percent, destination, end, and the reasons of guards that are switched off."""

    def __init__(self, name: str, args: MirroredServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        args = require_args(args, MirroredServiceArgs)
        rendered = args.rendered(name)
        self._paths = mirror_paths()
        self._paths.add_route(name, rendered.route, args.mesh.cluster)
        specs = {str(each.name): self._entry_spec(rendered.route, each, args.now, at) for at, each in _across(args)}
        super().__init__(self.TYPE, name, {}, opts)
        self.route, self.mesh = rendered.route, args.mesh
        self._name = name
        self._needs: list[pulumi.Resource] = list(args.mesh.ready)
        if isinstance(args.gateway, MeshGateway):
            # The last of a gateway's parts, so it stands for all of them.
            self._needs.append(args.gateway.gateway)
        if isinstance(args.namespace, MeshNamespace):
            self._needs.append(args.namespace)
        targets = self._targets(rendered, specs)
        self.envoy_filter = None
        if rendered.envoy_filter:
            self.envoy_filter = istio_resource(f"{name}-envoy-filter", rendered.envoy_filter, self._opts())
            # Before the routes, or the first mirrors would leave unscrubbed and unbounded.
            targets.append(self.envoy_filter)
        self.virtual_service = istio_resource(f"{name}-virtual-service", rendered.virtual_service, self._opts(*targets))
        summary = _summary(rendered.route)
        # Not lifted: every value in it would become an output of its own.
        self.mirrors = pulumi.Output.from_input("").apply(lambda _: summary)
        self.register_outputs({"mirrors": self.mirrors})

    def _opts(self, *after: pulumi.Resource) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(
            parent=self, provider=self.mesh.cluster.provider, depends_on=[*self._needs, *after]
        )

    def _targets(self, rendered: RenderedRoute, specs: Mapping[str, pulumi.Input[Any]]) -> list[pulumi.Resource]:
        """What a route must find when it arrives: subsets before routes, or requests meet 503."""
        targets: list[pulumi.Resource] = []
        for rule in rendered.destination_rules:
            role = _role(rule, rendered.route)
            targets.append(istio_resource(f"{self._name}-{role}-destination-rule", rule, self._opts()))
        for mirror, shape in rendered.service_entries.items():
            name = f"{self._name}-{mirror}-service-entry"
            targets.append(istio_resource(name, shape, self._opts(), spec=specs[mirror]))
        return targets

    def _entry_spec(
        self, route: MirroredRoute, mirror: CrossClusterMirror, now: datetime, index: int
    ) -> pulumi.Input[Any]:
        """The ServiceEntry's spec; of a plain offer at once, so that a wrong one is refused before anything else."""

        def spec(value: object) -> model.JsonValue:
            offer = model.MirrorOffer.accept(value, mirror.contract, now=now, field=f"mirrors[{index}].offer")
            self._paths.follow(mirror.contract, value)
            return render.service_entry(route, mirror, offer)["spec"]

        return spec(mirror.offer) if is_plain(mirror.offer) else pulumi.Output.from_input(mirror.offer).apply(spec)


def _across(args: MirroredServiceArgs) -> Iterator[tuple[int, CrossClusterMirror]]:
    for index, mirror in enumerate(args.mirrors):
        if isinstance(mirror, CrossClusterMirror):
            yield index, mirror


def _role(rendered: model.JsonObject, route: MirroredRoute) -> str:
    metadata = rendered["metadata"]
    own = str(metadata["name"]) if isinstance(metadata, Mapping) else ""
    return PRIMARY_ROLE if own == route.name else own.removeprefix(f"{route.name}-")


def _scrubbed(route: MirroredRoute, mirror: model.Mirror) -> str:
    """Where credentials come off, which releases before 1.31 can only do later, see ``render.envoy_filter``."""
    if isinstance(mirror.scrub, model.Waiver):
        return "nowhere"
    if route.istio.scrubs_at_source:
        return "on the mirror alone, before it leaves"
    return "on the way to the mirror" if isinstance(mirror, InClusterMirror) else "at testing's gateway only"


def _summary(route: MirroredRoute) -> list[dict[str, Any]]:
    return [
        {
            "name": str(mirror.name),
            "percent": float(mirror.percent),
            "destination": mirror.destination(route.primary).cluster_name,
            "scrubbed": _scrubbed(route, mirror),
            "waivers": {guard: waiver.reason for guard, waiver in render.waivers(mirror).items()},
            **({"expires": str(mirror.expires)} if mirror.expires else {}),
        }
        for mirror in route.mirrors
    ]
