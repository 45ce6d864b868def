"""Staging's side: the routing of one service with its mirrors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, cast

import pulumi
import pulumi_kubernetes as k8s

from .. import model
from ..argument_types import HandleOf, check_types, require_args
from ..clock import utc_now
from ..customizing import Component, ComponentArgs
from ..mesh import MeshGateway, MeshHandle
from ..mesh.gateway import check_api, check_gateway
from ..mesh.namespace import InNamespace, MeshNamespace, check_namespace
from ..mesh.objects import istio_resource
from ..model import (
    Destination,
    GatewayRef,
    HeaderRules,
    InClusterMirror,
    MirroredRoute,
    Protocol,
    RouteApi,
    ValidationError,
    render,
)
from ..options import refuse_ignored_provider
from .paths import mirror_paths
from .rendered import PRIMARY_ROLE, RenderedRoute, entry_name
from .sending import (
    CrossClusterMirror,
    across,
    entry_spec,
    mirror_summary,
    refuse_ended,
)


@dataclass(frozen=True, kw_only=True)
class MirroredServiceArgs(InNamespace, ComponentArgs):
    """Arguments of :class:`MirroredService`.

    Raises:
        ValidationError: A value has a wrong type; the component refuses what does not fit together.
    """

    mesh: HandleOf[MeshHandle]
    """Control plane of the cluster that owns the traffic."""

    primary: Destination
    """Who answers. With a subset the primary keeps clear of other versions of its Service."""

    mirrors: Sequence[InClusterMirror | CrossClusterMirror] = ()
    """Who gets copies; any number, none included."""

    hosts: Sequence[str] = ()
    """Authorities that clients use at the gateway, exact names; empty without a gateway."""

    gateway: MeshGateway | GatewayRef | None = None
    """Gateway that clients enter by. None mirrors only what callers inside the mesh send."""

    api: RouteApi = RouteApi.ISTIO
    """Whose kinds of objects the routing is written in; that of the gateway. In the Gateway API an overlay's patch
    makes the mirrors, and the primary sees one header of it; RequestMirror where no header must come off at source."""

    namespace: MeshNamespace | str = "default"
    """Namespace of the routing objects; it must exist, unless it is given as a component. In the Gateway API that of
    the primary's Service."""

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

    now: datetime = field(default_factory=utc_now)
    """Time at which mirrors and offers are held against their ends. Default the current time, in UTC."""

    def __post_init__(self) -> None:
        given: object = self.primary
        if isinstance(given, list | tuple | Mapping):
            raise ValidationError(
                field="primary",
                value=f"({type(cast('object', given)).__name__})",
                rule="must be one Destination: weights, several paths, retries and rewrites are not written here",
                remedy="Keep the route, and use mirrored() on its spec or a MirrorOverlay on its hosts",
            )
        check_types(self)
        check_namespace(self.namespace, self.mesh.cluster)

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
            api=self.api,
        )
        for index, mirror in enumerate(self.mirrors):
            if mirror.name == PRIMARY_ROLE and self.primary.subset:
                raise ValidationError(
                    field=f"mirrors[{index}].name",
                    value=str(mirror.name),
                    rule="must not be the role of the primary's own DestinationRule",
                    remedy="Give the mirror another name",
                )
        refuse_ended(self.mirrors, self.now)
        if isinstance(self.gateway, MeshGateway):
            check_gateway(self.gateway, self.mesh)
            check_api(self.gateway, self.api)
            _check_served(self.gateway, route)
        rendered = RenderedRoute.of(route).customized(self)
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


class MirroredService(Component):
    """Owns the routing of one service in staging: VirtualService, DestinationRules, ServiceEntries and EnvoyFilter.

    The route has one primary and nothing else: one of several paths, with weights, retries or rewrites, stays its
    owner's, and is mirrored by ``mirrored()`` or a ``MirrorOverlay``.

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

    routes: Sequence[k8s.apiextensions.CustomResource]
    """The VirtualService, or the HTTPRoutes or GRPCRoutes. A change of percent changes these and the EnvoyFilter."""

    envoy_filter: k8s.apiextensions.CustomResource | None
    """Bound and scrub of the mirrors; None when both are waived, there is no mirror, or the mesh applies none."""

    mirrors: pulumi.Output[list[dict[str, Any]]]
    """What is mirrored: name, percent, destination, end, which guards are kept and by what, and the reasons of those
    that are switched off."""

    def __init__(self, name: str, args: MirroredServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        args = require_args(args, MirroredServiceArgs)
        refuse_ignored_provider(opts, args.mesh.cluster.provider)
        rendered = args.rendered(name)
        route, paths = rendered.route, mirror_paths()
        paths.add_route(name, route, args.mesh.cluster)
        specs = {
            entry_name(each): entry_spec(each, at, partial(_entry, args, route, each), now=args.now, paths=paths)
            for at, each in across(args.mirrors)
        }
        super().__init__(self.TYPE, name, args, opts, children=rendered.children, judged=rendered.children)
        self.route, self.mesh = rendered.route, args.mesh
        self._name = name
        self._needs: list[pulumi.Resource] = list(args.mesh.ready)
        if isinstance(args.gateway, MeshGateway):
            # The last of a gateway's parts, so it stands for all of them.
            self._needs.append(args.gateway.gateway)
        self._needs += args.namespace_resources
        targets = self._targets(rendered, specs)
        self.envoy_filter = None
        if rendered.envoy_filter:
            self.envoy_filter = istio_resource(f"{name}-envoy-filter", rendered.envoy_filter, self._opts())
            # Before the routes, or the first mirrors would leave unscrubbed and unbounded.
            targets.append(self.envoy_filter)
        self.routes = tuple(
            istio_resource(f"{name}-{child}", shape, self._opts(*targets)) for child, shape in rendered.routes.items()
        )
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
        for child, shape in {**rendered.destination_rules, **rendered.grants, **rendered.service_entries}.items():
            name = f"{self._name}-{child}"
            targets.append(istio_resource(name, shape, self._opts(), spec=specs.get(child)))
        return targets


def _entry(
    args: MirroredServiceArgs, route: MirroredRoute, mirror: CrossClusterMirror, offer: model.MirrorOffer
) -> model.JsonObject:
    return args.customized(entry_name(mirror), render.service_entry(route, mirror, offer))


def _summary(route: MirroredRoute) -> list[dict[str, Any]]:
    return [mirror_summary(each, each.destination(route.primary), route.guards(each)) for each in route.mirrors]
