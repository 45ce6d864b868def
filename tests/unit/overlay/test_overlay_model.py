# pyright: reportArgumentType=false
"""Overlays: what is refused, and what is rendered."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from pulumi_traffic_mirror.model import (
    CrossClusterMirror,
    Destination,
    GatewayHosts,
    GatewayRef,
    HeaderMatch,
    HeaderTest,
    InClusterMirror,
    IstioBehaviour,
    IstioVersion,
    Match,
    MeshService,
    MirrorOffer,
    OverlayRoute,
    Protocol,
    ValidationError,
    WaypointService,
    render,
)
from pulumi_traffic_mirror.model.render.overlay import proxies_from
from pulumi_traffic_mirror.model.rules import run_rules
from tests.unit.model.samples import REASON, Object, contract, mesh, plain
from tests.unit.model.test_rendering import empties, valid

HOST = "shop.example.com"
ORDERS = "orders.shop.svc.cluster.local"
NEXT = Destination("orders-next.labs.svc.cluster.local", 80)
GATEWAY = GatewayHosts(hosts=[HOST])
NEW = IstioBehaviour(version=IstioVersion(1, 31))


def mirror(**values: Any) -> InClusterMirror:
    return InClusterMirror(**{"percent": 100, "service": NEXT, "name": "next", **values})


def across(**values: Any) -> CrossClusterMirror:
    agreed = contract(hosts=[HOST], protocol=Protocol.HTTP)
    return CrossClusterMirror(**{"percent": 100, "contract": agreed, "client_credential": "mirror-client", **values})


def overlay(*mirrors: Any, **values: Any) -> OverlayRoute:
    given = {"name": "shop", "namespace": "web", "on": [GATEWAY], "istio": NEW, "mirrors": mirrors or [mirror()]}
    return OverlayRoute(**{**given, **values})


def objects_of(route: OverlayRoute) -> list[Object]:
    entries = [
        render.overlay_service_entry(route, each, MirrorOffer.of(each.contract, "10.1.2.3"))
        for each in route.mirrors
        if isinstance(each, CrossClusterMirror)
    ]
    rules = render.overlay_destination_rules(route).values()
    return plain([*rules, *entries, *render.overlay_filters(route).values()])


def patches(route: OverlayRoute, kind: str = "HTTP_ROUTE") -> list[Any]:
    found = [each for each in objects_of(route) if each["kind"] == "EnvoyFilter"]
    return [patch for each in found for patch in each["spec"]["configPatches"] if patch["applyTo"] == kind]


REFUSED: list[tuple[str, Callable[[], object], str]] = [
    # what, constructor, field that the error names
    ("hosts as one text", lambda: GatewayHosts(hosts=HOST), "hosts"),
    ("no host", lambda: GatewayHosts(hosts=[]), "hosts"),
    ("wildcard as a host", lambda: GatewayHosts(hosts=["*.example.com"]), "hosts[0]"),
    ("host in upper case", lambda: GatewayHosts(hosts=["Shop.example.com"]), "hosts[0]"),
    ("host with a port", lambda: GatewayHosts(hosts=[f"{HOST}:80"]), "hosts[0]"),
    ("domain that is no wildcard", lambda: GatewayHosts(hosts=[HOST], domain="example.com"), "domain"),
    ("domain with a quote", lambda: GatewayHosts(hosts=[HOST], domain="*.example.com'"), "domain"),
    ("domain as a number", lambda: GatewayHosts(hosts=[HOST], domain=7), "domain"),
    ("host outside the domain", lambda: GatewayHosts(hosts=[HOST], domain="*.example.org"), "hosts[0]"),
    ("short name of a service", lambda: MeshService("orders", 80), "host"),
    ("service outside the cluster", lambda: MeshService("orders.example.com", 80), "host"),
    ("port as a text", lambda: MeshService(ORDERS, "80"), "port"),
    ("waypoint in upper case", lambda: WaypointService(ORDERS, 80, waypoint="Way"), "waypoint"),
    ("old istiod", lambda: overlay(istio=IstioBehaviour(version=IstioVersion(1, 27, 9))), "istio.version"),
    ("no place", lambda: overlay(on=[]), "on"),
    ("place as a text", lambda: overlay(on=[HOST]), "on[0]"),
    ("places as one", lambda: overlay(on=GATEWAY), "on"),
    ("host twice", lambda: overlay(on=[GATEWAY, GatewayHosts(hosts=["b.example", HOST])]), "on[1]"),
    (
        "service twice",
        lambda: overlay(on=[MeshService(ORDERS, 80), WaypointService(ORDERS, 80)]),
        "on[1]",
    ),
    ("mirror as a text", lambda: overlay("next"), "mirrors[0]"),
    ("subset", lambda: overlay(InClusterMirror(percent=100, subset="v2", shared_service=REASON)), "mirrors[0].subset"),
    ("two mirrors of one name", lambda: overlay(mirror(), across(name="next")), "mirrors[1].name"),
    ("two mirrors to one service", lambda: overlay(mirror(), mirror(name="b")), "mirrors[1].service"),
    (
        "mirror to the service itself",
        lambda: overlay(mirror(service=Destination(ORDERS, 80)), on=[MeshService(ORDERS, 80)]),
        "mirrors[0].service",
    ),
    ("other cluster from the mesh", lambda: overlay(across(), on=[MeshService(ORDERS, 80)]), "mirrors[0].contract"),
    (
        "host that the receiver does not accept",
        lambda: overlay(across(), on=[GatewayHosts(hosts=[HOST, "b.example"])]),
        "mirrors[0].contract.hosts",
    ),
    ("receiver of gRPC", lambda: overlay(across(contract=contract(hosts=[HOST]))), "mirrors[0].contract.protocol"),
    ("gRPC without methods", lambda: overlay(protocol=Protocol.GRPC), "mirrors[0].match"),
    (
        "paths of gRPC",
        lambda: overlay(mirror(match=Match(path_prefixes=["/a.B"])), protocol=Protocol.GRPC),
        "mirrors[0].match.path_prefixes",
    ),
    (
        "header beyond ASCII",
        lambda: overlay(mirror(match=Match(headers=[HeaderMatch(name="x-a", value="ä")]))),
        "mirrors[0].match.headers[0].value",
    ),
    (
        "regular expression with flags",
        lambda: overlay(mirror(match=Match(headers=[HeaderMatch(name="x-a", test=HeaderTest.REGEX, value="(?i)a")]))),
        "mirrors[0].match.headers[0].value",
    ),
    (
        "websocket's header",
        lambda: overlay(mirror(match=Match(headers=[HeaderMatch(name="upgrade", value="a")]))),
        "mirrors[0].match.headers",
    ),
    ("routes as one text", lambda: overlay(routes="orders"), "routes"),
    ("route without a name", lambda: overlay(routes=["a", ""]), "routes[1]"),
    ("route twice", lambda: overlay(routes=["a", "a"]), "routes[1]"),
    ("routes of a waypoint", lambda: overlay(routes=["a"], on=[WaypointService(ORDERS, 80)]), "routes"),
    (
        "gateway of no host",
        lambda: overlay(gateway=GatewayRef(name="edge", namespace="edge"), on=[MeshService(ORDERS, 80)]),
        "gateway",
    ),
    ("gateway as a text", lambda: overlay(gateway="edge/edge"), "gateway"),
    ("name in upper case", lambda: overlay(name="Shop"), "name"),
    ("unknown protocol", lambda: overlay(protocol="TCP"), "protocol"),
]


@pytest.mark.parametrize(("build", "field"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_what_cannot_work_is_refused(build: Callable[[], object], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        build()
    assert caught.value.field == field
    assert caught.value.rule
    assert caught.value.remedy


EVERYWHERE = overlay(mirror(), across(), on=[GATEWAY, MeshService(ORDERS, 80), WaypointService(ORDERS, 8080)])


def test_its_objects_are_valid_compact_and_break_no_rule() -> None:
    objects = objects_of(EVERYWHERE)
    valid(objects)
    assert list(empties(objects)) == []
    assert [str(found) for found in run_rules(mesh(objects, complete=False)) if found.fails] == []


def test_only_forwarding_routes_of_the_place_are_changed() -> None:
    for patch in patches(EVERYWHERE):
        assert patch["patch"]["operation"] == "MERGE"
        assert patch["match"]["routeConfiguration"]["vhost"]["route"]["action"] == "ROUTE"
    hosts = [patch["match"]["routeConfiguration"]["vhost"] for patch in patches(EVERYWHERE)]
    assert [(host.get("domainName"), host.get("name")) for host in hosts] == [(HOST, None), (None, f"{ORDERS}:80")]


def test_each_aim_is_taken_off_before_it_is_set_and_has_its_policy() -> None:
    for patch in patches(EVERYWHERE):
        value = patch["patch"]["value"]
        aims = [each["header"]["key"] for each in value["request_headers_to_add"]]
        assert value["request_headers_to_remove"] == aims
        assert {each["append_action"] for each in value["request_headers_to_add"]} == {"OVERWRITE_IF_EXISTS_OR_ADD"}
        assert [each["cluster_header"] for each in value["route"]["request_mirror_policies"]] == aims


def test_copies_to_another_cluster_leave_gateways_only() -> None:
    named = {patch["match"]["context"]: str(patch["patch"]) for patch in patches(EVERYWHERE)}
    assert "testing-mirror" in named["GATEWAY"]
    assert "testing-mirror" not in named["SIDECAR_OUTBOUND"]
    assert "testing-mirror" not in str(patches(EVERYWHERE, "NETWORK_FILTER"))


def test_a_waypoint_gets_an_object_of_its_own_beside_it() -> None:
    found = [each for each in objects_of(EVERYWHERE) if each["kind"] == "EnvoyFilter"]
    root, waypoint = found
    assert (root["metadata"]["namespace"], waypoint["metadata"]["namespace"]) == ("istio-system", "shop")
    assert waypoint["spec"]["targetRefs"][0]["name"] == "waypoint"
    chain = patches(EVERYWHERE, "NETWORK_FILTER")[0]["match"]["listener"]["filterChain"]
    assert chain["name"] == f"inbound-vip|8080|http|{ORDERS}"
    note = "envoyfilter.istio.io/referenced-services"
    assert waypoint["metadata"]["annotations"][note] == "labs/orders-next.labs.svc.cluster.local"


def filters(route: OverlayRoute) -> list[Object]:
    return plain(list(render.overlay_filters(route).values()))


EDGE = GatewayRef(name="edge", namespace="edge", labels={"istio": "edge"})


def test_patches_for_a_gateway_that_is_known_reach_its_pods_alone() -> None:
    (made,) = filters(overlay(gateway=EDGE))
    assert made["metadata"]["namespace"] == "edge"
    assert made["spec"]["workloadSelector"] == {"labels": {"istio": "edge"}}
    (everywhere,) = filters(overlay())
    assert (everywhere["metadata"]["namespace"], "workloadSelector" in everywhere["spec"]) == ("istio-system", False)
    # They say the same but for their place.
    assert made["spec"]["configPatches"] == everywhere["spec"]["configPatches"]
    (unlabelled,) = filters(overlay(gateway=GatewayRef(name="edge", namespace="edge")))
    assert (unlabelled["metadata"]["namespace"], "workloadSelector" in unlabelled["spec"]) == ("edge", False)
    assert not list(run_rules(mesh(objects_of(overlay(across(), gateway=EDGE)), complete=False)))


def test_sidecars_get_patches_of_their_own_beside_a_gateway_that_is_known() -> None:
    made = filters(overlay(on=[GATEWAY, MeshService(ORDERS, 80)], gateway=EDGE))
    contexts = {
        (each["metadata"]["namespace"], each["metadata"]["name"]): {
            patch["match"]["context"] for patch in each["spec"]["configPatches"]
        }
        for each in made
    }
    assert contexts == {
        ("edge", "web-shop-gateway-overlay"): {"GATEWAY"},
        ("istio-system", "web-shop-overlay"): {"SIDECAR_OUTBOUND"},
    }
    # Two objects aim by headers of their own: a route that both met would copy twice.
    aims = [
        {patch["patch"]["value"]["request_headers_to_remove"][0] for patch in each["spec"]["configPatches"][:1]}
        for each in made
    ]
    assert not aims[0] & aims[1]


def test_named_routes_are_changed_one_by_one() -> None:
    found = patches(overlay(routes=["orders", "shop.orders.0"]))
    named = [patch["match"]["routeConfiguration"]["vhost"]["route"]["name"] for patch in found]
    assert named == ["orders", "shop.orders.0"]


def test_overlays_of_one_name_in_two_namespaces_share_nothing() -> None:
    one, two = objects_of(overlay()), objects_of(overlay(namespace="other"))
    names = [{(each["kind"], each["metadata"]["name"]) for each in objects} for objects in (one, two)]
    assert names[0].isdisjoint(names[1])
    aims = [overlay(namespace=name).aim_header(mirror(), 0) for name in ("web", "other")]
    assert aims[0] != aims[1]


def test_the_names_of_flagger_s_rules_are_left_to_it() -> None:
    """It empties a DestinationRule that is called like its own."""
    for name in ("canary", "primary", "blue-canary"):
        route = overlay(mirror(name=name, service=Destination("next.web.svc.cluster.local", 80)))
        (rule,) = render.overlay_destination_rules(route).values()
        assert not str(rule["metadata"]["name"]).endswith(("-canary", "-primary"))  # type: ignore[index, call-overload]


def test_without_mirrors_nothing_is_made() -> None:
    assert objects_of(OverlayRoute(name="shop", namespace="web", on=[GATEWAY], istio=NEW)) == []


@pytest.mark.parametrize(
    ("version", "reached"),
    [
        ("1.27.9", False),
        ("1.28.0", True),
        ("1.29-alpha.8f3a", True),
        ("1.31.0", True),
        ("1.28.5-asm.3", True),
        ("1.9.0", False),
        ("1.40.1", True),
        ("11.28.0", False),
    ],
)
def test_older_proxies_are_left_alone(version: str, reached: bool) -> None:
    """They leave out what they do not know, and copies would leave with credentials."""
    assert bool(re.search(proxies_from(IstioVersion(1, 28)), version)) is reached
