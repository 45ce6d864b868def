"""Seeded random small meshes around one mirrored route, as plain objects; a seed always gives the same mesh."""

import random
from typing import Any, Final

from tests.differential.filters import FilterMaker
from tests.differential.routes import RouteMaker
from tests.differential.variations import VariationMaker

Object = dict[str, Any]

NAMESPACES: Final = ("shop", "lab", "infra")
ENTRANCE: Final = "entrance"
"""Name of a Service that every mesh has."""
STYLES: Final = (*["mesh"] * 4, "gateway", "gateway and mesh", "native gateway", "native mesh", "waypoint")


class Mesh(VariationMaker, RouteMaker, FilterMaker):
    """One mesh; made by its constructor."""

    def __init__(self, seed: int) -> None:
        super().__init__(random.Random(seed))  # noqa: S311 -- meshes, no secrets
        self.namespaces = self.random.sample(NAMESPACES, self.random.randint(1, 3))
        self.home = self.namespaces[0]
        self.style = self.pick(*STYLES)
        self._make_services()
        self._make_routes()
        for index in range(self.pick(0, 1, 1, 2)):
            self.make_destination_rule(f"rule-{index}")
        if self.chance(0.15):
            self.make_sidecar()
        if self.chance(0.45):
            self.make_mirror_filter()
        if self.chance(0.4):
            self.make_life_filter()
        if self.chance(0.05):
            self.make_host_filter()
        if self.chance(0.2):
            self.make_namespaces()
        self.random.shuffle(self.objects)
        if self.style == "waypoint" and self.chance(0.5):  # last, so that all others stay as they were
            self.change_waypoints()
        if self.chance(0.5):
            self.vary()
        self.vary_mesh()

    def _make_services(self) -> None:
        # As in any mesh, some Service has port 80: only then sidecars route hosts that nothing defines.
        self.add("v1", "Service", ENTRANCE, "istio-system", {"ports": [{"name": "http", "port": 80}]})
        self.make_service("web", self.home)
        self.make_service("shadow", self.pick(*self.namespaces))
        for namespace in self.namespaces:
            self.make_workload(f"client-{namespace}", namespace, {"app": f"client-{namespace}"})
        for name in ("aux", "alt"):
            if self.chance(0.35):
                self.make_service(name, self.pick(*self.namespaces))
        if self.chance(0.3):
            self.make_service_entry()

    def _make_routes(self) -> None:
        if self.style.startswith("gateway") or self.chance(0.1):
            self.make_istio_gateway()
        if self.style == "waypoint":
            self.make_waypoint()
        if self.style.startswith("native") or (self.style == "waypoint" and self.chance(0.4)):
            self.make_native_route(at_gateway=self.style == "native gateway")
            return
        for index in range(1 if self.chance(0.75) else 2):
            self.make_virtual_service(f"route-{index}")


def mesh(seed: int) -> list[Object]:
    """The objects of one mesh."""
    return Mesh(seed).objects
