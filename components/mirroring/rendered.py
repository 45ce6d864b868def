"""The objects of one mirrored service, rendered once: judged first, registered then."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from ..mesh import MeshHandle
from ..model import CrossClusterMirror, JsonObject, MirroredRoute, MirrorOffer, render, rules


@dataclass(frozen=True, kw_only=True)
class RenderedRoute:
    """A route and its objects.

    Attributes:
        route: The model's view.
        destination_rules: In the order in which they are registered.
        service_entries: By the mirror's name; their addresses are placeholders until an offer is known.
        envoy_filter: None when every guard is waived or nothing is mirrored.
        virtual_service: The routes.
    """

    route: MirroredRoute
    destination_rules: tuple[JsonObject, ...]
    service_entries: Mapping[str, JsonObject]
    envoy_filter: JsonObject | None
    virtual_service: JsonObject

    @classmethod
    def of(cls, route: MirroredRoute) -> Self:
        """Render ``route``."""
        across = [mirror for mirror in route.mirrors if isinstance(mirror, CrossClusterMirror)]
        return cls(
            route=route,
            destination_rules=tuple(render.destination_rules(route)),
            service_entries={str(each.name): render.service_entry(route, each, _any_offer(each)) for each in across},
            envoy_filter=render.envoy_filter(route),
            virtual_service=render.virtual_service(route),
        )

    def require_rules(self, mesh: MeshHandle, now: datetime) -> None:
        """Hold what will be registered against the rules that judge anybody's mirrors.

        Args:
            mesh: Control plane that gets the objects.
            now: Time at which ends are judged.

        Raises:
            ValidationError: A rule is broken.
        """
        objects = [*self.destination_rules, *self.service_entries.values(), self.virtual_service]
        if self.envoy_filter:
            objects.append(self.envoy_filter)
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
