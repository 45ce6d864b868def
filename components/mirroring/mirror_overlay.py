"""Staging's side on routing that somebody else owns: mirrors alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from ..argument_types import HandleOf, check_types, require_args
from ..clock import utc_now
from ..customizing import Component, ComponentArgs
from ..mesh import MeshGateway, MeshHandle
from ..mesh.gateway import check_gateway
from ..mesh.namespace import InNamespace, MeshNamespace, check_namespace
from ..mesh.objects import istio_resource
from ..model import (
    GatewayHosts,
    GatewayRef,
    InClusterMirror,
    JsonObject,
    MeshService,
    MirrorOffer,
    OverlayRoute,
    Protocol,
    WaypointService,
    render,
)
from ..options import refuse_ignored_provider
from .paths import mirror_paths
from .rendered import RenderedOverlay, entry_name
from .sending import (
    CrossClusterMirror,
    across,
    entry_spec,
    mirror_summary,
    refuse_ended,
)


@dataclass(frozen=True, kw_only=True)
class MirrorOverlayArgs(InNamespace, ComponentArgs):
    """Arguments of :class:`MirrorOverlay`.

    Raises:
        ValidationError: A value has a wrong type; the component refuses what does not fit together.
    """

    mesh: HandleOf[MeshHandle]
    """Control plane of the cluster that owns the traffic, Istio 1.28 or newer."""

    on: Sequence[GatewayHosts | MeshService | WaypointService]
    """Where the mirrors hang: hosts at gateways, Services that callers with sidecars call or that a waypoint serves."""

    mirrors: Sequence[InClusterMirror | CrossClusterMirror] = ()
    """Who gets copies; any number, none included. A Service of its own or another cluster, no subset. Those to
    another cluster get what enters at gateways."""

    gateway: MeshGateway | GatewayRef | None = None
    """Gateway at which clients call the gateway hosts. Its pods alone then get the patches for them: with
    ``GatewayRef(labels=…)`` those of these labels, without labels all gateways of its namespace. None: every gateway of
    the mesh gets them, because the EnvoyFilter lies in the root namespace; they change routes of the hosts alone."""

    routes: Sequence[str] = ()
    """Names of the owner's routes that are mirrored, as the proxy has them; empty for all that forward requests."""

    protocol: Protocol = Protocol.HTTP
    """What callers speak, and the mirrors as well."""

    namespace: MeshNamespace | str = "default"
    """Namespace of the objects that lie neither beside a mirror's Service nor a waypoint, nor in the root namespace; it
    must exist, unless it is given as a component."""

    object_name: str = ""
    """Name of the objects in the cluster; default the component's name."""

    now: datetime = field(default_factory=utc_now)
    """Time at which mirrors and offers are held against their ends. Default the current time, in UTC."""

    def __post_init__(self) -> None:
        check_types(self)
        check_namespace(self.namespace, self.mesh.cluster)

    def rendered(self, name: str) -> RenderedOverlay:
        """The objects that these arguments ask for, judged.

        Args:
            name: The component's name.

        Raises:
            ValidationError: Any rule of the model is broken, or a mirror has expired.
        """
        refuse_ended(self.mirrors, self.now)
        if isinstance(self.gateway, MeshGateway):
            check_gateway(self.gateway, self.mesh)
        route = OverlayRoute(
            name=self.object_name or name,
            namespace=self.namespace_name,
            on=self.on,
            mirrors=self.mirrors,
            routes=self.routes,
            protocol=self.protocol,
            istio=self.mesh.behaviour,
            root_namespace=self.mesh.root_namespace,
            gateway=self.gateway.ref if isinstance(self.gateway, MeshGateway) else self.gateway,
        )
        rendered = RenderedOverlay.of(route).customized(self)
        rendered.require_rules(self.mesh, self.now)
        return rendered


class MirrorOverlay(Component):
    """Mirrors on routing that somebody else owns, without owning, patching or reading its objects.

    It makes EnvoyFilters that give routes one header and one mirror policy more, and how the mirrors are reached:
    DestinationRules and ServiceEntries. The owner's VirtualService, HTTPRoute or GRPCRoute may change at any time, and
    may come later. On matching requests the primary sees one more header, the name of the mirror's cluster.

    Raises:
        ValidationError: At construction, before anything is registered; for an offer when its value is known, in
            preview and update alike.
    """

    TYPE = "trafficmirror:index:MirrorOverlay"

    mesh: MeshHandle
    """Control plane of its cluster."""

    route: OverlayRoute
    """What is rendered: names and namespaces of the objects among it."""

    envoy_filters: Sequence[k8s.apiextensions.CustomResource]
    """The patches: one object for gateways and sidecars, one for each waypoint, one for a gateway that is named; none
    without mirrors."""

    mirrors: pulumi.Output[list[dict[str, Any]]]
    """What is mirrored: name, percent, destination, end, which guards are kept and by what, and the reasons of those
    that are switched off."""

    def __init__(self, name: str, args: MirrorOverlayArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        args = require_args(args, MirrorOverlayArgs)
        refuse_ignored_provider(opts, args.mesh.cluster.provider)
        rendered = args.rendered(name)
        paths = mirror_paths()
        paths.add_overlay(name, rendered.route, args.mesh.cluster)
        specs = {
            entry_name(each): entry_spec(
                each, at, partial(_entry, args, rendered.route, each), now=args.now, paths=paths
            )
            for at, each in across(args.mirrors)
        }
        super().__init__(self.TYPE, name, args, opts, children=rendered.children, judged=rendered.children)
        self.route, self.mesh = rendered.route, args.mesh
        self._name = name
        self._needs = [*args.mesh.ready, *args.namespace_resources]
        if isinstance(args.gateway, MeshGateway):
            self._needs.append(args.gateway.gateway)
        targets = self._targets(rendered, specs)
        # Last and, when it goes, first: copies never leave for a mirror without brakes.
        self.envoy_filters = tuple(
            istio_resource(f"{name}-{role}", shape, self._opts(*targets))
            for role, shape in rendered.envoy_filters.items()
        )
        summary = [
            mirror_summary(mirror, mirror.destination(), rendered.route.guards(mirror))
            for mirror in rendered.route.mirrors
        ]
        self.mirrors = pulumi.Output.from_input("").apply(lambda _: summary)
        self.register_outputs({"mirrors": self.mirrors})

    def _opts(self, *after: pulumi.Resource) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(
            parent=self, provider=self.mesh.cluster.provider, depends_on=[*self._needs, *after]
        )

    def _targets(self, rendered: RenderedOverlay, specs: Mapping[str, pulumi.Input[Any]]) -> list[pulumi.Resource]:
        targets: list[pulumi.Resource] = []
        for child, shape in {**rendered.destination_rules, **rendered.service_entries}.items():
            name = f"{self._name}-{child}"
            targets.append(istio_resource(name, shape, self._opts(), spec=specs.get(child)))
        return targets


def _entry(args: MirrorOverlayArgs, route: OverlayRoute, mirror: CrossClusterMirror, offer: MirrorOffer) -> JsonObject:
    return args.customized(entry_name(mirror), render.overlay_service_entry(route, mirror, offer))
