"""Staging's side: the routing of one service with its mirrors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from .. import model
from ..mesh import MeshGateway, MeshHandle
from ..model import (
    Destination,
    GatewayRef,
    HeaderRules,
    InClusterMirror,
    MirroredRoute,
    Protocol,
    ValidationError,
    render,
    rules,
)
from .objects import istio_resource


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class CrossClusterMirror(model.CrossClusterMirror):
    """Copies requests that enter staging's gateway to the gateway of another cluster.

    See :class:`pulumi_traffic_mirror.model.CrossClusterMirror` for the other fields.
    """

    offer: pulumi.Input[Mapping[str, Any]] = field(compare=False)
    """What the testing stack exports (``MirrorReceiver.offer``), e.g. ``StackReference.require_output("receiver")``.
    Refused, with the value that differs, when it was made for another contract or has expired."""


@dataclass(frozen=True, kw_only=True)
class MirroredServiceArgs:
    """Arguments of :class:`MirroredService`."""

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

    namespace: str = "default"
    """Namespace of the routing objects."""

    port: int = 8000
    """Port that clients use at the gateway, 1 to 65535."""

    protocol: Protocol = Protocol.GRPC
    """What clients speak."""

    govern_mesh: bool = True
    """Whether callers inside the mesh, who use the primary's own name, are routed and mirrored in-cluster too."""

    headers: HeaderRules = field(default_factory=HeaderRules)
    """Header changes for primary and mirrors alike."""

    timeout_seconds: float | None = None
    """Bound on primary and mirrors of the route, above 0; None for no bound, which is Istio's default."""

    object_name: str = ""
    """Name of the routing objects in the cluster; default the component's name."""

    now: datetime = field(default_factory=_now)
    """Time at which mirrors and offers are held against their ends. Default the current time, in UTC."""

    def route(self, name: str) -> MirroredRoute:
        """The model's view of these arguments.

        Args:
            name: The component's name.

        Raises:
            ValidationError: Any rule of the model is broken, or a mirror has expired.
        """
        gateway = self.gateway.ref if isinstance(self.gateway, MeshGateway) else self.gateway
        route = MirroredRoute(
            name=self.object_name or name,
            namespace=self.namespace,
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
            if mirror.expires and mirror.expires.has_passed(self.now):
                raise ValidationError(
                    field=f"mirrors[{index}].expires",
                    value=str(mirror.expires),
                    rule=f"must not have passed (it is {self.now:%Y-%m-%dT%H:%M:%SZ})",
                    remedy="Remove the mirror, or give it a later end",
                )
        if isinstance(self.gateway, MeshGateway):
            _check_served(self.gateway, route)
        _keep_rules(self.mesh, route, self.now)
        return route


def _keep_rules(mesh: MeshHandle, route: MirroredRoute, now: datetime) -> None:
    """Hold what will be registered against the rules that judge anybody's mirrors; the offer is not known yet."""
    across = [mirror for mirror in route.mirrors if isinstance(mirror, model.CrossClusterMirror)]
    entries = [render.service_entry(route, mirror, _any_offer(mirror)) for mirror in across]
    envoy_filter = render.envoy_filter(route)
    objects = [*render.destination_rules(route), *entries, render.virtual_service(route)]
    if envoy_filter:
        objects.append(envoy_filter)
    rules.require(
        rules.ClusterObjects(
            name=mesh.cluster.name,
            objects=objects,
            istio=mesh.behaviour,
            complete=False,
            root_namespace=mesh.root_namespace,
        ),
        now,
    )


def _any_offer(mirror: model.CrossClusterMirror) -> model.MirrorOffer:
    """An offer whose address, from the range for documentation, only completes the shape of an object."""
    return model.MirrorOffer.of(mirror.contract, "192.0.2.1")


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

    route: MirroredRoute
    """What is rendered: names and namespaces of the objects among it."""

    virtual_service: k8s.apiextensions.CustomResource
    """The routes. A change of percent changes this object and the EnvoyFilter."""

    envoy_filter: k8s.apiextensions.CustomResource | None
    """Bound and scrub of the mirrors; None when both are waived or there is no mirror."""

    mirrors: pulumi.Output[list[dict[str, Any]]]
    """What is mirrored: name, percent, destination, end, and the reasons of guards that are switched off."""

    def __init__(self, name: str, args: MirroredServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        route = args.route(name)
        super().__init__(self.TYPE, name, {}, opts)
        self.route = route
        self._name = name
        self._args = args
        needs: list[pulumi.Resource] = list(args.mesh.ready)
        if isinstance(args.gateway, MeshGateway):
            needs.append(args.gateway)
        self._needs = needs
        targets = self._targets(route)
        self.envoy_filter = self._envoy_filter(route)
        if self.envoy_filter:
            # Before the routes, or the first mirrors would leave unscrubbed and unbounded.
            targets.append(self.envoy_filter)
        self.virtual_service = istio_resource(
            f"{name}-virtual-service", render.virtual_service(route), self._opts(*targets)
        )
        self.mirrors = pulumi.Output.from_input(_summary(route))
        self.register_outputs({"mirrors": self.mirrors})

    def _opts(self, *after: pulumi.Resource) -> pulumi.ResourceOptions:
        provider = self._args.mesh.cluster.provider
        return pulumi.ResourceOptions(parent=self, provider=provider, depends_on=[*self._needs, *after])

    def _targets(self, route: MirroredRoute) -> list[pulumi.Resource]:
        """What a route must find when it arrives: subsets before routes, or requests meet 503."""
        targets: list[pulumi.Resource] = []
        for rendered in render.destination_rules(route):
            role = _role(rendered, route)
            targets.append(istio_resource(f"{self._name}-{role}-destination-rule", rendered, self._opts()))
        for index, mirror in enumerate(self._args.mirrors):
            if isinstance(mirror, CrossClusterMirror):
                targets.append(self._service_entry(route, mirror, f"mirrors[{index}].offer"))
        return targets

    def _service_entry(
        self, route: MirroredRoute, mirror: CrossClusterMirror, field: str
    ) -> k8s.apiextensions.CustomResource:
        now = self._args.now

        def spec(value: object) -> model.JsonValue:
            offer = model.MirrorOffer.accept(value, mirror.contract, now=now, field=field)
            return render.service_entry(route, mirror, offer)["spec"]

        shape = render.service_entry(route, mirror, _any_offer(mirror))
        return istio_resource(
            f"{self._name}-{mirror.name}-service-entry",
            shape,
            self._opts(),
            spec=pulumi.Output.from_input(mirror.offer).apply(spec),
        )

    def _envoy_filter(self, route: MirroredRoute) -> k8s.apiextensions.CustomResource | None:
        rendered = render.envoy_filter(route)
        return istio_resource(f"{self._name}-envoy-filter", rendered, self._opts()) if rendered else None


def _role(rendered: model.JsonObject, route: MirroredRoute) -> str:
    metadata = rendered["metadata"]
    own = str(metadata["name"]) if isinstance(metadata, Mapping) else ""
    return "primary" if own == route.name else own.removeprefix(f"{route.name}-")


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
