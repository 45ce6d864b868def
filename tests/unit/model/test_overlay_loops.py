"""Loops through mirrors that overlays hang on routes: found, told by their guards, and never where there is none."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from pulumi_traffic_mirror.model import (
    Destination,
    GatewayHosts,
    GatewayRef,
    MirrorOffer,
    OverlayRoute,
    Protocol,
    WaypointService,
    render,
)
from pulumi_traffic_mirror.model.rules import UNKNOWN, Finding, Mesh, Outcome
from pulumi_traffic_mirror.model.rules.aiming import absent_headers, required_hosts
from pulumi_traffic_mirror.model.rules.loops import ENDED_BY_MARK, ENDLESS
from tests.unit.model.overlay_cases import overlay_objects
from tests.unit.model.samples import (
    GATEWAY,
    HOST,
    NEW,
    SERVER,
    Object,
    contract,
    cross_cluster,
    deployment,
    findings,
    in_cluster,
    mesh,
    plain,
    route,
    sending,
    service,
)

MARKED = " && !('x-traffic-mirror' in request.headers)"
RULE = "mirror-loop"


def owner(host: str = HOST, gateway: GatewayRef = GATEWAY, **entry: Any) -> Object:
    """Somebody's VirtualService on a gateway, without mirrors."""
    target = {"host": "orders.hello.svc.cluster.local", "port": {"number": 8000}}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "owner", "namespace": "hello"},
        "spec": {
            "hosts": [host],
            "gateways": [str(gateway)],
            "http": [{"route": [{"destination": target}], **entry}],
        },
    }


def overlaid(host: str = HOST, percent: float = 10, domain: str = "") -> list[Object]:
    """An overlay that mirrors a host at gateways to another cluster."""
    mirror = cross_cluster(contract=contract(hosts=[host]), percent=percent)
    on = [GatewayHosts(hosts=[host], domain=domain)]
    hung = OverlayRoute(name="shop", namespace="hello", on=on, mirrors=[mirror], istio=NEW, protocol=Protocol.GRPC)
    entry = render.overlay_service_entry(hung, mirror, MirrorOffer.of(mirror.contract, "198.18.0.120"))
    rules = render.overlay_destination_rules(hung).values()
    return plain([entry, *rules, *render.overlay_filters(hung).values()])


def patched(objects: list[Object], change: Callable[[Any], None]) -> list[Object]:
    """The same with every EnvoyFilter changed."""
    changed = copy.deepcopy(objects)
    for each in changed:
        if each["kind"] == "EnvoyFilter":
            change(each)
    return changed


def unguarded(each: Any) -> None:
    """Copy what carries a mark, too."""
    for patch in each["spec"]["configPatches"]:
        for header in patch["patch"]["value"].get("request_headers_to_add", []):
            assert MARKED in header["header"]["value"]
            header["header"]["value"] = header["header"]["value"].replace(MARKED, "")


def unmarking(each: Any) -> None:
    """Leave the mark out of the copies."""
    for patch in each["spec"]["configPatches"]:
        for policy in patch["patch"]["value"].get("route", {}).get("request_mirror_policies", []):
            policy["request_headers_mutations"] = [
                one for one in policy["request_headers_mutations"] if "append" not in one
            ]


def in_namespace(name: str, selector: dict[str, str] | None = None) -> Callable[[Any], None]:
    """Lie in another namespace, for some pods there."""

    def change(each: Any) -> None:
        each["metadata"]["namespace"] = name
        if selector:
            each["spec"]["workloadSelector"] = {"labels": selector}

    return change


def at_fault(judged: Mesh) -> list[Finding]:
    return [each for each in findings(judged, RULE) if each.outcome is Outcome.BROKEN]


def test_two_overlays_that_mirror_to_each_other_are_a_loop_that_their_marks_end() -> None:
    [found] = at_fault(mesh([owner(), *overlaid()], [owner(), *overlaid()]))
    assert found.object == "EnvoyFilter istio-system/hello-shop-overlay"
    assert "request_mirror_policies[0]" in found.field
    assert found.message == (
        f"{ENDED_BY_MARK}: staging {GATEWAY} {HOST} -(mirrored)-> testing {GATEWAY} {HOST}"
        f" -(mirrored)-> staging {GATEWAY} {HOST}"
    )


@pytest.mark.parametrize(
    ("there", "back", "fate"),
    [
        pytest.param([], [unguarded], ENDED_BY_MARK, id="one side guards"),
        pytest.param([unguarded], [unguarded], ENDLESS, id="nobody guards"),
        pytest.param([unmarking], [unmarking], ENDLESS, id="nobody marks"),
        # The guard of one side looks for a mark that the other does not write.
        pytest.param([unguarded], [unmarking], ENDED_BY_MARK, id="the one that marks meets the one that guards"),
        pytest.param([unguarded, unmarking], [], ENDLESS, id="one side does neither"),
    ],
)
def test_what_a_loop_of_overlays_does_is_said_by_the_guards_in_force(
    there: list[Callable[[Any], None]], back: list[Callable[[Any], None]], fate: str
) -> None:
    sides: list[list[Object]] = []
    for changes in (there, back):
        objects = overlaid()
        for change in changes:
            objects = patched(objects, change)
        sides.append([owner(), *objects])
    assert [each.message.partition(":")[0] for each in at_fault(mesh(*sides))] == [fate]


@pytest.mark.parametrize(
    ("changes", "fate"),
    [
        pytest.param([], ENDED_BY_MARK, id="both guard"),
        pytest.param([unguarded], ENDED_BY_MARK, id="the service guards against the overlay's copies"),
        pytest.param([unmarking], ENDED_BY_MARK, id="the overlay guards against the service's copies"),
        pytest.param([unguarded, unmarking], ENDLESS, id="the service's mark meets no guard, and its guard no mark"),
    ],
)
def test_a_loop_of_an_overlay_and_a_mirrored_service_is_found(changes: list[Any], fate: str) -> None:
    objects = overlaid()
    for change in changes:
        objects = patched(objects, change)
    looping = mesh([owner(), *objects], sending(route(mirrors=[cross_cluster()])))
    assert [each.message.partition(":")[0] for each in at_fault(looping)] == [fate]


def test_a_plain_mirror_back_to_an_overlay_is_a_loop() -> None:
    back = owner(mirror={"host": "a.example", "port": {"number": 8000}})
    assert at_fault(mesh([owner(), *overlaid()], [back]))


def test_a_primary_that_leads_back_to_an_overlay_is_a_loop() -> None:
    back = owner(route=[{"destination": {"host": "a.example", "port": {"number": 8000}}}])
    [found] = at_fault(mesh([owner(), *overlaid()], [back]))
    assert "-(routed)-> staging" in found.message


def gateway_of(labels: dict[str, str]) -> Object:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Gateway",
        "metadata": {"name": GATEWAY.name, "namespace": GATEWAY.namespace},
        "spec": {"selector": labels, "servers": [SERVER]},
    }


def test_an_overlay_to_the_service_of_its_own_gateway_is_a_loop() -> None:
    front = service("front", "istio-system", selector={"istio": "internal-gateway"})
    target = Destination("front.istio-system.svc.cluster.local", 8000)
    objects = overlay_objects(
        on=[GatewayHosts(hosts=[HOST])], protocol="GRPC", mirrors=[in_cluster(service=target, name="front")]
    )
    gateway = gateway_of({"istio": "internal-gateway"})
    assert at_fault(mesh([owner(), *objects, gateway, front]))
    other = service("front", "istio-system", selector={"app": "front"})
    assert not findings(mesh([owner(), *objects, gateway, other]), RULE)


@pytest.mark.parametrize(
    "back",
    [
        pytest.param([owner()], id="nothing leads back"),
        pytest.param([owner(), *overlaid(percent=0)], id="a mirror at rest"),
        pytest.param([owner("other.example"), *overlaid("other.example")], id="another host"),
        pytest.param([owner("*"), *overlaid("other.example", domain="*")], id="another host of a wildcard"),
        pytest.param([owner(), *overlay_objects()], id="a mirror inside the cluster"),
        pytest.param([owner(redirect={"uri": "/"}), *overlaid()], id="a route that forwards nothing"),
        pytest.param(overlaid(), id="no route that it could hang on"),
        pytest.param([owner(), *patched(overlaid(), in_namespace("hello"))], id="patches of no gateway"),
        pytest.param(
            [owner(), gateway_of({"istio": "a"}), *patched(overlaid(), in_namespace("istio-system", {"istio": "b"}))],
            id="patches of another gateway",
        ),
    ],
)
def test_what_leads_nowhere_is_no_loop(back: list[Object]) -> None:
    assert not findings(mesh([owner(), *overlaid()], back), RULE)


SHOP = "orders.hello.svc.cluster.local"


def behind_waypoint(**labels: str) -> list[Object]:
    """A Service that gateways send requests to by its waypoint, and the waypoint's namespace."""
    found = service("orders")
    found["metadata"]["labels"] = {"istio.io/use-waypoint": "waypoint", **labels}
    return [found, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "hello"}}]


def front() -> list[Object]:
    """The Service of the gateway, and the gateway."""
    return [service("front", "istio-system", selector={"istio": "ingress"}), gateway_of({"istio": "ingress"})]


def at_waypoint(**changes: Any) -> list[Object]:
    """An overlay at the waypoint whose copies go to the gateway that requests came by."""
    target = Destination("front.istio-system.svc.cluster.local", 8000)
    return overlay_objects(
        **{
            "on": [WaypointService(SHOP, 8000)],
            "protocol": "GRPC",
            "mirrors": [in_cluster(service=target, name="front")],
            **changes,
        }
    )


INGRESS = {"istio.io/ingress-use-waypoint": "true"}


def test_an_overlay_at_a_waypoint_that_mirrors_to_the_gateway_in_front_of_it_is_a_loop() -> None:
    [found] = at_fault(mesh([owner(), *front(), *behind_waypoint(**INGRESS), *at_waypoint()]))
    assert found.object == "EnvoyFilter hello/hello-shop-waypoint-overlay"
    assert found.message.startswith(f"{ENDED_BY_MARK}: staging {GATEWAY} {HOST} -(mirrored)->")
    unguarded_there = patched(at_waypoint(), at_waypoint_unguarded)
    [found] = at_fault(mesh([owner(), *front(), *behind_waypoint(**INGRESS), *unguarded_there]))
    assert found.message.startswith(ENDLESS)


def at_waypoint_unguarded(each: Any) -> None:
    """Copy what carries a mark, too."""
    for patch in each["spec"]["configPatches"]:
        for header in patch["patch"]["value"].get("typed_config", {}).get("route_config", {}).get(ADDED, []):
            header["header"]["value"] = header["header"]["value"].replace(MARKED, "")


ADDED = "request_headers_to_add"


def mesh_route(**entry: Any) -> Object:
    """The owner's route for the Service itself, which its waypoint has."""
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "inside", "namespace": "hello"},
        "spec": {"hosts": [SHOP], "http": [{"route": [{"destination": {"host": SHOP}}], **entry}]},
    }


TO_FRONT = {"mirror": {"host": "front.istio-system.svc.cluster.local", "port": {"number": 8000}}}


@pytest.mark.parametrize(
    "objects",
    [
        # Gateways go past waypoints unless a label says otherwise.
        pytest.param([*behind_waypoint(), *at_waypoint()], id="past the waypoint"),
        pytest.param([*behind_waypoint(**{**INGRESS, "istio.io/use-waypoint": "none"}), *at_waypoint()], id="none"),
        pytest.param(
            [*behind_waypoint(**{**INGRESS, "istio.io/use-waypoint": "other"}), *at_waypoint()], id="another waypoint"
        ),
        pytest.param(
            [*behind_waypoint(**INGRESS), *patched(at_waypoint(), lambda each: each["spec"].pop("targetRefs"))],
            id="a filter for no waypoint",
        ),
        pytest.param(
            [*behind_waypoint(**INGRESS), *at_waypoint(on=[WaypointService("else.hello.svc.cluster.local", 8000)])],
            id="another Service",
        ),
        pytest.param(
            [*behind_waypoint(**INGRESS), *at_waypoint(), mesh_route(mirror={"host": SHOP})],
            id="a route there with mirrors of its own",
        ),
        pytest.param(
            [*behind_waypoint(**INGRESS), mesh_route(**TO_FRONT, rewrite={"authority": "else.example"})],
            id="a route there that gives another name",
        ),
        pytest.param([*behind_waypoint(), mesh_route(**TO_FRONT)], id="a route for sidecars"),
    ],
)
def test_what_comes_by_no_waypoint_or_is_not_mirrored_there_is_no_loop(objects: list[Object]) -> None:
    assert not findings(mesh([owner(), *front(), *objects]), RULE)


def test_a_route_at_a_waypoint_that_mirrors_to_the_gateway_in_front_of_it_is_a_loop() -> None:
    objects = [owner(), *front(), *behind_waypoint(**INGRESS)]
    [found] = at_fault(mesh([*objects, mesh_route(**TO_FRONT)]))
    assert found.object == "VirtualService hello/inside"
    assert found.message.startswith(ENDLESS)


def before_pods(context: str = "SIDECAR_INBOUND", match: Any = None, **spec: Any) -> Object:
    """A mirror of what pods take in, back to the gateway that it came by."""
    target = "outbound|8000||front.istio-system.svc.cluster.local"
    policy = {"cluster": target, "disable_shadow_host_suffix_append": True}
    value = {"route": {"request_mirror_policies": [policy]}}
    patch = {
        "applyTo": "HTTP_ROUTE",
        "match": {"context": context, **(match or {})},
        "patch": {"operation": "MERGE", "value": value},
    }
    return {
        "apiVersion": "networking.istio.io/v1alpha3",
        "kind": "EnvoyFilter",
        "metadata": {"name": "by-hand", "namespace": "hello"},
        "spec": {"configPatches": [patch], **spec},
    }


def chosen(**labels: str) -> dict[str, Any]:
    return {"workloadSelector": {"labels": labels}}


def of_routes(**match: Any) -> dict[str, Any]:
    return {"routeConfiguration": match}


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (before_pods(), True),
        (before_pods("ANY"), True),
        (before_pods(**chosen(app="orders")), True),
        (before_pods(**chosen(app="else")), False),
        (before_pods("SIDECAR_OUTBOUND"), False),
        # Which port of a pod a Service leads to is not looked at.
        (before_pods(match=of_routes(portNumber=9999)), False),
        (before_pods(match=of_routes(vhost={"name": "inbound|http|8000"})), False),
        (before_pods(match=of_routes(vhost={"route": {"name": "orders"}})), False),
        (before_pods(targetRefs=[{"kind": "Gateway", "name": "waypoint"}]), False),
    ],
)
def test_a_mirror_of_what_pods_take_in_back_to_the_gateway_is_a_loop(written: Object, told: bool) -> None:
    found = at_fault(mesh([owner(), *front(), service("orders"), written]))
    assert [each.object for each in found] == ["EnvoyFilter hello/by-hand"] * told


def test_pods_of_another_namespace_are_not_met() -> None:
    elsewhere = before_pods()
    elsewhere["metadata"]["namespace"] = "else"
    assert not at_fault(mesh([owner(), *front(), service("orders"), elsewhere]))
    elsewhere["metadata"]["namespace"] = "istio-system"
    assert at_fault(mesh([owner(), *front(), service("orders"), elsewhere]))


@pytest.mark.parametrize(("version", "told"), [("v1", True), ("v2", False)])
def test_the_pods_at_hand_tell_whom_a_selector_takes(version: str, told: bool) -> None:
    pods = deployment("orders", app="orders", version="v1")
    written = before_pods(**chosen(app="orders", version=version))
    assert bool(at_fault(mesh([owner(), *front(), service("orders"), pods, written]))) is told


def test_the_labels_of_a_namespace_hold_for_its_services() -> None:
    there, namespace = behind_waypoint()
    labels = there["metadata"].pop("labels")
    namespace["metadata"]["labels"] = {**labels, **INGRESS}
    assert at_fault(mesh([owner(), *front(), there, namespace, *at_waypoint()]))


def test_a_wildcard_route_is_mirrored_for_the_hosts_that_the_overlay_names() -> None:
    assert at_fault(mesh([owner("*"), *overlaid(domain="*")], [owner(), *overlaid()]))


def test_an_overlay_whose_route_is_not_at_hand_may_hang_on_one() -> None:
    both = [owner(), *overlaid()]
    [found] = at_fault(mesh(overlaid(), both, complete=False))
    assert f"staging gateways {HOST}" in found.message


def test_the_authority_is_the_one_that_the_patch_says() -> None:
    """A copy with a suffix goes past routes for the host itself, whatever the control plane's release is."""

    def suffixed(each: Any) -> None:
        for patch in each["spec"]["configPatches"]:
            for policy in patch["patch"]["value"].get("route", {}).get("request_mirror_policies", []):
                del policy["disable_shadow_host_suffix_append"]

    there = patched(overlaid(), suffixed)
    assert not findings(mesh([owner(), *there], [owner(), *overlaid()]), RULE)

    def rewritten(each: Any) -> None:
        for patch in each["spec"]["configPatches"]:
            for policy in patch["patch"]["value"].get("route", {}).get("request_mirror_policies", []):
                policy["host_rewrite_literal"] = "other.example"

    there = patched(overlaid(), rewritten)
    assert not findings(mesh([owner(), *there], [owner(), *overlaid()]), RULE)
    with_rewrite = owner("other.example", rewrite={"authority": HOST})
    assert at_fault(mesh([owner(), *there], [with_rewrite, *overlaid("other.example")]))


def test_a_value_that_is_not_known_yet_is_told_where_it_stands() -> None:
    unknown = owner(rewrite={"authority": UNKNOWN})
    found = findings(mesh([unknown, *overlaid()], [owner(), *overlaid()]), RULE)
    assert [(each.outcome, each.object) for each in found] == [(Outcome.NOT_JUDGED, "VirtualService hello/owner")]


@pytest.mark.parametrize(
    ("condition", "absent"),
    [
        ("request.method == 'GET' && !('x-mark' in request.headers)", {"x-mark"}),
        ("!('X-Mark' in request.headers)", {"x-mark"}),
        # What holds in one case only keeps nobody out.
        ("(request.method == 'GET' || !('x-mark' in request.headers)) && request.host == 'a'", set()),
        ("request.method == 'GET' || !('x-mark' in request.headers)", set()),
        ("'x-mark' in request.headers", set()),
        # No part of a literal is one of the condition.
        ("request.headers['a'] == ' && !(b' && !('x-mark' in request.headers)", {"x-mark"}),
    ],
)
def test_only_what_always_holds_keeps_a_marked_request_out(condition: str, absent: set[str]) -> None:
    assert absent_headers(condition) == absent


@pytest.mark.parametrize(
    ("condition", "hosts"),
    [
        ("(request.host == 'a.x' || request.host.startsWith('a.x\\x3a')) && request.method == 'GET'", ("a.x",)),
        ("(request.host == 'a.x' || request.host == 'b.x')", ("a.x", "b.x")),
        ("(request.host == 'a.x' || request.method == 'GET')", ()),
        ("request.host == 'a.x' || request.method == 'GET'", ()),
        ("!(request.host == 'a.x')", ()),
        ("request.method == 'GET'", ()),
    ],
)
def test_only_what_always_holds_narrows_the_hosts(condition: str, hosts: tuple[str, ...]) -> None:
    assert required_hosts(condition) == hosts
