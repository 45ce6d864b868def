"""The rules of overlays: for each one a mesh that keeps it, one that breaks it, and one that it says nothing of."""

import copy
from collections.abc import Callable
from typing import Any

from pulumi_traffic_mirror.model import (
    Destination,
    GatewayHosts,
    InClusterMirror,
    MeshService,
    OverlayRoute,
    Protocol,
    WaypointService,
    render,
)
from pulumi_traffic_mirror.model.rules import Mesh
from tests.unit.model.samples import GATEWAY, HOST, NEW, Object, mesh, plain, service

METHODS = "(request.method == 'GET' || request.method == 'HEAD' || request.method == 'OPTIONS') && "
NEXT = Destination("next.hello.svc.cluster.local", 8000)
ORDERS = "orders.hello.svc.cluster.local"
EVERYWHERE = (GatewayHosts(hosts=[HOST]), MeshService(ORDERS, 8000), WaypointService(ORDERS, 8080))


def overlay_objects(**values: Any) -> list[Object]:
    """What is rendered for an overlay on a host at the gateway, on sidecars and at a waypoint."""
    given = {"name": "shop", "namespace": "hello", "on": EVERYWHERE, "istio": NEW, "protocol": Protocol.HTTP, **values}
    route = OverlayRoute(**{"mirrors": [InClusterMirror(percent=100, service=NEXT, name="next")], **given})
    rules = render.overlay_destination_rules(route).values()
    return plain([*rules, *render.overlay_filters(route).values()])


def around() -> list[Object]:
    """What an overlay hangs on: the owner's route at the gateway, and the Services."""
    target = {"host": ORDERS, "port": {"number": 8000}}
    owner: Object = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "owner", "namespace": "hello"},
        "spec": {"hosts": [HOST], "gateways": [str(GATEWAY)], "http": [{"route": [{"destination": target}]}]},
    }
    ports = [{"name": "http", "port": number, "targetPort": 8000} for number in (8000, 8080)]
    return [owner, service("orders", ports=ports), service("next", ports=ports)]


def whole(**values: Any) -> Mesh:
    """An overlay and what it hangs on."""
    return mesh([*overlay_objects(**values), *around()])


Change = Callable[[Any], None]


def with_patches(change: Change, kind: str = "HTTP_ROUTE", *more: Object) -> Callable[[], Mesh]:
    """The same with every patch of a kind changed."""

    def made() -> Mesh:
        objects = copy.deepcopy(overlay_objects())
        for each in objects:
            for patch in each["spec"].get("configPatches", []):
                if patch["applyTo"] == kind:
                    change(patch)
        return mesh([*objects, *around(), *more])

    return made


def with_filters(change: Change, *more: Object, where: str = "") -> Callable[[], Mesh]:
    """The same with its EnvoyFilters changed, or those of one namespace."""

    def made() -> Mesh:
        objects = copy.deepcopy(overlay_objects())
        for each in objects:
            if each["kind"] == "EnvoyFilter" and where in ("", each["metadata"]["namespace"]):
                change(each)
        return mesh([*objects, *around(), *more])

    return made


def unaction(patch: Any) -> None:
    """Match routes of any action."""
    del patch["match"]["routeConfiguration"]["vhost"]["route"]


def fixed(patch: Any) -> None:
    """Name the cluster instead of the header."""
    for policy in patch["patch"]["value"]["route"]["request_mirror_policies"]:
        del policy["cluster_header"]
        policy["cluster"] = NEXT.cluster_name


def trusting(patch: Any) -> None:
    """Leave a client's header on."""
    del patch["patch"]["value"]["request_headers_to_remove"]


def by_name(patch: Any) -> None:
    """Match virtual hosts by name."""
    host = patch["match"]["routeConfiguration"]["vhost"]
    host["name"] = f"{host.pop('domainName', HOST)}:8000"


def unscrubbed(patch: Any) -> None:
    """Leave all headers on."""
    for policy in patch["patch"]["value"]["route"]["request_mirror_policies"]:
        del policy["request_headers_mutations"]


def without_condition(words: str) -> Change:
    """Take a part of the condition away."""

    def change(patch: Any) -> None:
        for header in patch["patch"]["value"]["request_headers_to_add"]:
            header["header"]["value"] = header["header"]["value"].replace(words, "")

    return change


def other_place(patch: Any) -> None:
    """Match a host that nobody routes."""
    host = patch["match"]["routeConfiguration"]["vhost"]
    host["domainName" if "domainName" in host else "name"] = "nobody.example"


def unbound(patch: Any) -> None:
    """Bound another cluster."""
    patch["match"]["cluster"]["name"] = "outbound|1||nobody"


def unlisted(each: Any) -> None:
    """Take the annotation of the mirrors' clusters away."""
    del each["metadata"]["annotations"]["envoyfilter.istio.io/referenced-services"]


def untargeted(each: Any) -> None:
    """Name no waypoint."""
    each["spec"].pop("targetRefs", None)


def twin() -> Mesh:
    """Two objects that aim by one header."""
    first = overlay_objects()
    second = copy.deepcopy(first)
    for each in second:
        each["metadata"]["name"] += "-2"
    return mesh([*first, *second, *around()])


def replacing(priority: int) -> Object:
    """An EnvoyFilter that replaces the mirrors of all routes."""
    policies = [{"cluster": "outbound|80||else.hello.svc.cluster.local"}]
    value = {"route": {"request_mirror_policies": policies}}
    patch = {"applyTo": "HTTP_ROUTE", "patch": {"operation": "MERGE_AND_REPLACE_LIST", "value": value}}
    return {
        "apiVersion": "networking.istio.io/v1alpha3",
        "kind": "EnvoyFilter",
        "metadata": {"name": "later", "namespace": "istio-system"},
        "spec": {"priority": priority, "configPatches": [patch]},
    }


def own_mirror() -> Object:
    """A route of the mesh with a mirror of its own."""
    target = {"host": ORDERS, "port": {"number": 8080}}
    entry = {"route": [{"destination": target}], "mirror": {"host": NEXT.host, "port": {"number": 8000}}}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "own", "namespace": "hello"},
        "spec": {"hosts": [ORDERS], "http": [entry]},
    }


def options_with_mirrors() -> Object:
    """An EnvoyFilter with mirrors in a cluster's options."""
    name = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    options = {"request_mirror_policies": [{"cluster": NEXT.cluster_name}]}
    patch = {
        "applyTo": "CLUSTER",
        "match": {"cluster": {"name": f"outbound|8000||{ORDERS}"}},
        "patch": {"operation": "MERGE", "value": {"typed_extension_protocol_options": {name: options}}},
    }
    return {
        "apiVersion": "networking.istio.io/v1alpha3",
        "kind": "EnvoyFilter",
        "metadata": {"name": "options", "namespace": "istio-system"},
        "spec": {"configPatches": [patch]},
    }


def nothing() -> Mesh:
    """What an overlay would hang on, without it."""
    return mesh(around())


def mirroring_route() -> Mesh:
    """The overlay on a host whose own route mirrors to the same Service."""
    owner = copy.deepcopy(around()[0])
    owner["spec"]["http"][0]["mirror"] = {"host": NEXT.host, "port": {"number": 8000}}
    return mesh([*overlay_objects(), owner, *around()[1:]])


def canary_route() -> Mesh:
    """The overlay on a host whose route has the mirror's Service among its destinations, with a weight of 0."""
    owner = copy.deepcopy(around()[0])
    first = owner["spec"]["http"][0]["route"][0]
    canary = {"destination": {"host": NEXT.host, "port": {"number": 8000}}, "weight": 0}
    owner["spec"]["http"][0]["route"] = [{**first, "weight": 100}, canary]
    return mesh([*overlay_objects(), owner, *around()[1:]])


OVERLAY_MESHES: tuple[tuple[str, Callable[[], Mesh], str], ...] = (
    # rule, a mesh that breaks it, what the finding names
    ("overlay-redirect", with_patches(unaction), "redirects"),
    ("overlay-unaimed", with_patches(fixed), NEXT.cluster_name),
    ("overlay-forgeable", with_patches(trusting), "x-traffic-mirror-to-hello.shop.next"),
    ("overlay-collapsed", with_patches(by_name), "by its name"),
    ("overlay-credentials", with_patches(unscrubbed), "authorization"),
    ("overlay-side-effects", with_patches(without_condition(METHODS)), "method"),
    ("overlay-websockets", with_patches(without_condition(" && !('upgrade' in request.headers)")), "upgrade"),
    (
        "overlay-unmarked",
        with_patches(without_condition(" && !('x-traffic-mirror' in request.headers)")),
        "come by again",
    ),
    ("overlay-unbounded", with_patches(unbound, "CLUSTER"), NEXT.cluster_name),
    ("overlay-shared-header", twin, "EnvoyFilter hello"),
    ("overlay-cluster-level", lambda: mesh([*around(), options_with_mirrors()]), "HTTP options"),
    ("overlay-order", lambda: mesh([*overlay_objects(), *around(), replacing(10)]), "priority 10"),
    ("overlay-hidden-cluster", with_filters(unlisted, where="hello"), str(NEXT.host)),
    ("overlay-waypoint-target", with_filters(untargeted), "no waypoint"),
    ("overlay-waypoint-mirrors", lambda: mesh([*overlay_objects(), *around(), own_mirror()]), "hello/own"),
    ("overlay-unmatched", with_patches(other_place), "nobody.example"),
    ("overlay-counted-twice", mirroring_route, "hello/owner"),
    ("overlay-to-destination", canary_route, "hello/owner"),
)
