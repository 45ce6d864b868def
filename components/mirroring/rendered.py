"""The objects of one mirrored service, overlay or receiver, rendered once: changed as users ask, judged, registered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Self

from ..customizing import ComponentArgs
from ..mesh import MeshHandle
from ..model import (
    CrossClusterMirror,
    IstioBehaviour,
    JsonObject,
    MirroredRoute,
    MirrorOffer,
    MirrorReceiverRoute,
    OverlayRoute,
    RouteApi,
    render,
    rules,
)

PRIMARY_ROLE: Final = "primary"
"""In the names of children; those of mirrors have the mirror's name."""


def entry_name(mirror: CrossClusterMirror) -> str:
    """Part of the name of a mirror's ServiceEntry as a child after the component's."""
    return f"{mirror.name}-service-entry"


@dataclass(frozen=True, kw_only=True)
class RenderedRoute:
    """A route and its objects, by the part of their names as children after the component's.

    Attributes:
        route: The model's view.
        destination_rules: In the order in which they are registered.
        service_entries: Their addresses are placeholders until an offer is known.
        envoy_filter: None when every guard is waived or nothing is mirrored.
        routes: The VirtualService, or the routes of the Gateway API.
        grants: What lets these name Services in other namespaces.
    """

    route: MirroredRoute
    destination_rules: Mapping[str, JsonObject]
    service_entries: Mapping[str, JsonObject]
    envoy_filter: JsonObject | None
    routes: Mapping[str, JsonObject]
    grants: Mapping[str, JsonObject]

    @property
    def children(self) -> tuple[str, ...]:
        """The parts of the children's names after the component's."""
        filters = ["envoy-filter"] if self.envoy_filter else []
        return (*self.destination_rules, *self.service_entries, *self.grants, *self.routes, *filters)

    @classmethod
    def of(cls, route: MirroredRoute) -> Self:
        """Render ``route``."""
        native = route.api is RouteApi.GATEWAY
        across = [mirror for mirror in route.mirrors if isinstance(mirror, CrossClusterMirror)]
        return cls(
            route=route,
            destination_rules={_rule_name(rule, route): rule for rule in render.destination_rules(route)},
            service_entries={entry_name(each): render.service_entry(route, each, _any_offer(each)) for each in across},
            envoy_filter=render.native_filter(route) if native else render.envoy_filter(route),
            routes=_routes(render.native_routes(route) if native else [render.virtual_service(route)]),
            grants=_grants(route) if native else {},
        )

    def customized(self, args: ComponentArgs) -> Self:
        """The same with the changes that a component's arguments ask for.

        Raises:
            ValidationError: One is of no object here, or makes something else of it.
        """
        filters = {"envoy-filter": self.envoy_filter} if self.envoy_filter else {}
        args.require_children(self.children)
        return replace(
            self,
            destination_rules=_customized(self.destination_rules, args),
            service_entries=_customized(self.service_entries, args),
            envoy_filter=_customized(filters, args).get("envoy-filter"),
            routes=_customized(self.routes, args),
            grants=_customized(self.grants, args),
        )

    def require_rules(self, mesh: MeshHandle, now: datetime) -> None:
        """Hold what will be registered against the rules that judge anybody's mirrors.

        Args:
            mesh: Control plane that gets the objects.
            now: Time at which ends are judged.

        Raises:
            ValidationError: A rule is broken.
        """
        rendered = (self.destination_rules, self.service_entries, self.grants, self.routes)
        objects = [each for shapes in rendered for each in shapes.values()]
        _require_rules([*objects, *filter(None, [self.envoy_filter])], mesh, now)


@dataclass(frozen=True, kw_only=True)
class RenderedOverlay:
    """An overlay and its objects, by the part of their names as children after the component's.

    Attributes:
        route: The model's view.
        destination_rules: How mirrors are reached.
        service_entries: Their addresses are placeholders until an offer is known.
        envoy_filters: The patches.
    """

    route: OverlayRoute
    destination_rules: Mapping[str, JsonObject]
    service_entries: Mapping[str, JsonObject]
    envoy_filters: Mapping[str, JsonObject]

    @property
    def children(self) -> tuple[str, ...]:
        """The parts of the children's names after the component's."""
        return (*self.destination_rules, *self.service_entries, *self.envoy_filters)

    @classmethod
    def of(cls, route: OverlayRoute) -> Self:
        """Render ``route``."""
        across = [mirror for mirror in route.mirrors if isinstance(mirror, CrossClusterMirror)]
        return cls(
            route=route,
            destination_rules={
                f"{mirror}-destination-rule": rule for mirror, rule in render.overlay_destination_rules(route).items()
            },
            service_entries={
                entry_name(each): render.overlay_service_entry(route, each, _any_offer(each)) for each in across
            },
            envoy_filters=render.overlay_filters(route),
        )

    def customized(self, args: ComponentArgs) -> Self:
        """As for :meth:`RenderedRoute.customized`.

        Raises:
            ValidationError: A change is of no object here, or makes something else of it.
        """
        args.require_children(self.children)
        return replace(
            self,
            destination_rules=_customized(self.destination_rules, args),
            service_entries=_customized(self.service_entries, args),
            envoy_filters=_customized(self.envoy_filters, args),
        )

    def require_rules(self, mesh: MeshHandle, now: datetime) -> None:
        """As for :meth:`RenderedRoute.require_rules`.

        Raises:
            ValidationError: A rule is broken.
        """
        rendered = (self.destination_rules, self.service_entries, self.envoy_filters)
        _require_rules([each for objects in rendered for each in objects.values()], mesh, now)


@dataclass(frozen=True, kw_only=True)
class RenderedReceiver:
    """A receiver's objects, by the part of their names as children after the component's.

    Attributes:
        at_gateway: What holds for mirrors where they enter, as far as the mesh applies it.
        behind: What must be there before the route.
        route: The VirtualService, or the route of the Gateway API.
    """

    at_gateway: Mapping[str, JsonObject]
    behind: Mapping[str, JsonObject]
    route: Mapping[str, JsonObject]

    @property
    def objects(self) -> Mapping[str, JsonObject]:
        """All of them."""
        return {**self.at_gateway, **self.behind, **self.route}

    @classmethod
    def of(cls, route: MirrorReceiverRoute, istio: IstioBehaviour) -> Self:
        """Render ``route`` for a mesh."""
        bounded = istio.patches_all("HTTP_FILTER", "HTTP_ROUTE")
        at_gateway = {
            "authorization": render.receiver_authorization(route),
            "rate-limit": render.receiver_rate_limit(route) if bounded else None,
            "envoy-filter": render.receiver_envoy_filter(route) if istio.patches_all("NETWORK_FILTER") else None,
        }
        native = route.api is RouteApi.GATEWAY
        named = (str(route.name), str(route.namespace), route.contract.protocol)
        # One service, so one namespace at most that must grant it.
        grants = render.reference_grants(*named, [route.service]) if native else {}
        behind = {
            "destination-rule": render.receiver_destination_rule(route),
            "reference-grant": next(iter(grants.values()), None),
        }
        return cls(
            at_gateway={child: shape for child, shape in at_gateway.items() if shape},
            behind={child: shape for child, shape in behind.items() if shape},
            route=_routes([render.native_receiver(route) if native else render.receiver_virtual_service(route)]),
        )

    def customized(self, args: ComponentArgs) -> Self:
        """As for :meth:`RenderedRoute.customized`.

        Raises:
            ValidationError: A change is of no object here, or makes something else of it.
        """
        args.require_children(self.objects)
        return replace(
            self,
            at_gateway=_customized(self.at_gateway, args),
            behind=_customized(self.behind, args),
            route=_customized(self.route, args),
        )

    def require_rules(self, mesh: MeshHandle, now: datetime) -> None:
        """As for :meth:`RenderedRoute.require_rules`.

        Raises:
            ValidationError: A rule is broken.
        """
        _require_rules([*self.objects.values()], mesh, now)


def _grants(route: MirroredRoute) -> Mapping[str, JsonObject]:
    targets = [mirror.destination() for mirror in route.native]
    grants = render.reference_grants(str(route.name), str(route.namespace), route.protocol, targets)
    return {f"{namespace}-reference-grant": grant for namespace, grant in grants.items()}


def _routes(routes: Sequence[JsonObject]) -> dict[str, JsonObject]:
    named: dict[str, JsonObject] = {}
    for each in routes:
        kind = "virtual-service" if each["kind"] == "VirtualService" else "route"
        named[f"mesh-{kind}" if named else kind] = each
    return named


def _rule_name(rule: JsonObject, route: MirroredRoute) -> str:
    metadata = rule["metadata"]
    own = str(metadata["name"]) if isinstance(metadata, Mapping) else ""
    role = PRIMARY_ROLE if own == route.name else own.removeprefix(f"{route.name}-")
    return f"{role}-destination-rule"


def _customized(shapes: Mapping[str, JsonObject], args: ComponentArgs) -> dict[str, JsonObject]:
    return {child: args.customized(child, shape) for child, shape in shapes.items()}


def _require_rules(objects: Sequence[JsonObject], mesh: MeshHandle, now: datetime) -> None:
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


def _any_offer(mirror: CrossClusterMirror) -> MirrorOffer:
    """An offer whose address, from the range for documentation, only completes the shape of an object."""
    return MirrorOffer.of(mirror.contract, "192.0.2.1")
