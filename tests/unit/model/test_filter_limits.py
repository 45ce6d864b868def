"""What an organisation allows holds for mirrors that only EnvoyFilters make, overlays and others."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from pulumi_traffic_mirror.model import (
    Brakes,
    Destination,
    Expiry,
    GatewayHosts,
    IstioBehaviour,
    Match,
    MeshService,
    MirrorOffer,
    OverlayRoute,
    Protocol,
    Waiver,
    WaypointService,
    render,
)
from pulumi_traffic_mirror.model.rules import RULES, UNKNOWN, Finding, Mesh, Outcome, RuleSettings, run_rules
from pulumi_traffic_mirror.model.rules.aiming import required_methods, required_paths
from tests.unit.model.overlay_cases import NEXT, ORDERS, around, overlay_objects
from tests.unit.model.samples import (
    HOST,
    NEW,
    NOW,
    Object,
    contract,
    cross_cluster,
    findings,
    in_cluster,
    mesh,
    plain,
    route,
    sending,
    service,
)

PAIR = ("orders", "next")
AT: dict[str, Any] = {
    "gateway": GatewayHosts(hosts=[HOST]),
    "sidecars": MeshService(ORDERS, 8000),
    "waypoint": WaypointService(ORDERS, 8080),
}


def hung(place: str = "gateway", **mirror: Any) -> list[Object]:
    """An overlay at one place with one mirror."""
    given = {"service": NEXT, "name": "next", "match": None, **mirror}
    return overlay_objects(on=[AT[place]], mirrors=[in_cluster(**given)])


def at_fault(objects: list[Object], rule: str, **allowed: Any) -> list[Finding]:
    found = findings(mesh([*objects, *around()]), rule, RuleSettings(**allowed))
    return [each for each in found if each.outcome is Outcome.BROKEN]


def in_filters(found: list[Finding]) -> bool:
    return bool(found) and all(each.object.startswith("EnvoyFilter ") for each in found)


@pytest.mark.parametrize("place", AT)
@pytest.mark.parametrize(("percent", "allowed", "told"), [(100, 10, True), (10, 10, False), (10.5, 10, True)])
def test_a_share_above_the_limit_is_told(place: str, percent: float, allowed: float, told: bool) -> None:
    found = at_fault(hung(place, percent=percent), "mirror-percent-limit", max_percent=allowed)
    assert in_filters(found) is told
    assert all(f"{percent:g} % are mirrored; at most {allowed:g} % are allowed" in each.message for each in found)


def patching(kind: str, value: Any) -> Object:
    patch = {"applyTo": kind, "patch": {"operation": "MERGE", "value": value}}
    return {
        "apiVersion": "networking.istio.io/v1alpha3",
        "kind": "EnvoyFilter",
        "metadata": {"name": "any", "namespace": "istio-system"},
        "spec": {"configPatches": [patch]},
    }


@pytest.mark.parametrize(
    ("kind", "value", "told"),
    [
        ("VIRTUAL_HOST", {"routes": [UNKNOWN]}, True),
        ("VIRTUAL_HOST", {"matcher": UNKNOWN}, True),
        ("LISTENER", {"default_filter_chain": UNKNOWN}, True),
        ("LISTENER", {"filter_chains": [{"filters": [UNKNOWN]}]}, True),
        ("BOOTSTRAP", {"static_resources": {"listeners": UNKNOWN}}, True),
        ("NETWORK_FILTER", {"typed_config": {"scoped_routes": UNKNOWN}}, True),
        ("CLUSTER", {"typed_extension_protocol_options": {"any.name": UNKNOWN}}, True),
        ("HTTP_ROUTE", {"route": {"request_mirror_policies": [{"runtime_fraction": {"default_value": "1"}}]}}, True),
        ("CLUSTER", {"connect_timeout": UNKNOWN}, False),
        ("VIRTUAL_HOST", {"domains": [UNKNOWN]}, False),
    ],
)
def test_what_may_hold_a_mirror_and_cannot_be_read_is_not_judged(kind: str, value: Any, told: bool) -> None:
    found = findings(mesh([patching(kind, value)]), "mirror-percent-limit", RuleSettings(max_percent=1))
    assert {each.outcome for each in found} == ({Outcome.NOT_JUDGED} if told else set())


@pytest.mark.parametrize("place", AT)
def test_a_target_that_is_not_allowed_is_told(place: str) -> None:
    rule = "mirror-target-not-allowed"
    assert in_filters(at_fault(hung(place), rule, allowed_targets=["*.labs.svc.cluster.local"]))
    assert not at_fault(hung(place), rule, allowed_targets=["*.hello.svc.cluster.local"])
    assert not at_fault(hung(place), rule)


@pytest.mark.parametrize("place", AT)
def test_methods_that_are_not_allowed_are_told(place: str) -> None:
    rule = "mirror-method-not-allowed"
    assert not at_fault(hung(place), rule, allowed_http_methods=["GET", "HEAD", "OPTIONS"])
    found = at_fault(hung(place), rule, allowed_http_methods=["GET"])
    assert {each.message for each in found} == {f"{method} may not be mirrored" for method in ("HEAD", "OPTIONS")}
    everything = hung(place, side_effects=Waiver(reason="a server that only counts what it gets"))
    assert [
        "every method is copied" in each.message for each in at_fault(everything, rule, allowed_http_methods=["GET"])
    ]
    assert at_fault(hung(place, match=Match(http_methods=["DELETE"])), rule, allowed_http_methods=["GET"])


@pytest.mark.parametrize("place", AT)
def test_grpc_methods_that_are_not_allowed_are_told(place: str) -> None:
    mirror = in_cluster(service=NEXT, name="next", match=Match(rpc_methods=["a.B/C", "a.B/D"]))
    objects = overlay_objects(on=[AT[place]], mirrors=[mirror], protocol=Protocol.GRPC)
    services = [service(name, ports=[{"name": "grpc", "port": port} for port in (8000, 8080)]) for name in PAIR]
    rule = "mirror-method-not-allowed"

    def told(allowed: list[str], *more: Object) -> list[str]:
        found = findings(mesh([*objects, *more]), rule, RuleSettings(allowed_rpc_methods=allowed))
        return [each.message for each in found]

    assert told(["a.B/C"], *services) == ["a.B/D may not be mirrored"]
    assert not told(["a.B/C", "a.B/D"], *services)
    # Where the mirror speaks HTTP/1.1 a path names no gRPC method.
    assert "every method is copied" in told(["a.B/C", "a.B/D"], *around())[0]


@pytest.mark.parametrize("place", AT)
@pytest.mark.parametrize(
    ("end", "told"), [("", True), ("2026-12-20", True), ("2026-11-30", False)], ids=["no end", "too late", "in time"]
)
def test_a_mirror_without_an_end_in_time_is_told(place: str, end: str, told: bool) -> None:
    objects = hung(place, expires=Expiry.parse(end) if end else None)
    assert in_filters(at_fault(objects, "mirror-lifetime", max_lifetime_days=14)) is told
    assert not at_fault(objects, "mirror-lifetime")


@pytest.mark.parametrize("place", AT)
def test_a_mirror_after_its_end_is_told(place: str) -> None:
    assert in_filters(at_fault(hung(place, expires=Expiry.parse("2026-11-22")), "mirror-expired"))
    assert not at_fault(hung(place, expires=Expiry.parse("2026-11-24")), "mirror-expired")


@pytest.mark.parametrize("place", AT)
def test_bounds_above_what_is_allowed_are_told(place: str) -> None:
    objects = hung(place, brakes=Brakes(max_requests=500, max_duration_seconds=30))
    [requests] = at_fault(objects, "mirror-requests-limit", max_requests=100)
    assert requests.object.startswith("DestinationRule ")
    assert "500 requests in flight" in requests.message
    assert not at_fault(objects, "mirror-requests-limit", max_requests=500)
    [life] = at_fault(objects, "mirror-unbounded-life", max_duration_seconds=8)
    assert "for 30 s; at most 8 s" in life.message
    assert not at_fault(objects, "mirror-unbounded-life", max_duration_seconds=30)


@pytest.mark.parametrize("place", AT)
def test_a_mirror_without_a_destination_rule_has_no_brakes(place: str) -> None:
    objects = hung(place)
    assert not at_fault(objects, "mirror-no-brakes")
    unbraked = [each for each in objects if each["kind"] != "DestinationRule"]
    assert in_filters(at_fault(unbraked, "mirror-no-brakes"))
    waived = hung(place, brakes=Waiver(reason="a server that only counts what it gets"))
    found = findings(mesh([*waived, *around()]), "mirror-no-brakes")
    assert {each.outcome for each in found} == {Outcome.WAIVED}


@pytest.mark.parametrize("place", AT)
@pytest.mark.parametrize(
    ("service", "rule", "words"),
    [
        (Destination("gone.hello.svc.cluster.local", 8000), "mirror-target-undefined", "no Service gone.hello"),
        (Destination("gone.example", 8000), "mirror-target-undefined", "no ServiceEntry defines gone.example"),
        (Destination(str(NEXT.host), 9999), "mirror-target-port-undefined", "not 9999"),
    ],
)
def test_a_target_that_is_not_there_is_told(place: str, service: Destination, rule: str, words: str) -> None:
    assert not at_fault(hung(place), rule)
    found = at_fault(hung(place, service=service), rule)
    assert in_filters(found)
    assert {words in each.message for each in found} == {True}
    assert {each.field.rpartition(".")[2] for each in found} == {"request_mirror_policies[0]"}


def across() -> list[Object]:
    """An overlay to another cluster."""
    mirror = cross_cluster(contract=contract(hosts=[HOST]))
    on = [GatewayHosts(hosts=[HOST])]
    given = OverlayRoute(name="shop", namespace="hello", on=on, mirrors=[mirror], istio=NEW, protocol=Protocol.GRPC)
    entry = render.overlay_service_entry(given, mirror, MirrorOffer.of(mirror.contract, "198.18.0.120"))
    rules = render.overlay_destination_rules(given).values()
    return plain([entry, *rules, *render.overlay_filters(given).values()])


def test_a_mirror_that_leaves_the_cluster_in_plain_text_is_told() -> None:
    assert not at_fault(across(), "mirror-plain-text")
    plainly = copy.deepcopy(across())
    for each in plainly:
        if each["kind"] == "DestinationRule":
            del each["spec"]["trafficPolicy"]["tls"]
    assert in_filters(at_fault(plainly, "mirror-plain-text"))
    # 198.18.0.0/15 is nobody's network outside.
    assert not at_fault(plainly, "mirror-plain-text", private_plain_text=True)


POLICY: Object = {"cluster": "outbound|80||else.shop.svc.cluster.local"}
ROUTE: Object = {"route": {"request_mirror_policies": [POLICY]}}


def by_hand(kind: str, value: Any, operation: str = "MERGE", **match: Any) -> Object:
    """An EnvoyFilter of somebody with one patch."""
    patch = {"applyTo": kind, "match": match, "patch": {"operation": operation, "value": value}}
    return {
        "apiVersion": "networking.istio.io/v1alpha3",
        "kind": "EnvoyFilter",
        "metadata": {"name": "by-hand", "namespace": "istio-system"},
        "spec": {"configPatches": [patch]},
    }


HOSTS = [{"name": "a", "domains": ["a"], "routes": [{"match": {"prefix": "/"}, **ROUTE}]}]
MANAGER = {"typed_config": {"route_config": {"virtual_hosts": HOSTS}}}
OPTIONS = {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {"requestMirrorPolicies": [POLICY]}}


@pytest.mark.parametrize(
    "written",
    [
        by_hand("HTTP_ROUTE", ROUTE),
        by_hand("HTTP_ROUTE", ROUTE, "MERGE_AND_REPLACE_LIST"),
        by_hand("HTTP_ROUTE", {"match": {"prefix": "/"}, **ROUTE}, "INSERT_FIRST"),
        by_hand("VIRTUAL_HOST", {"request_mirror_policies": [POLICY]}),
        by_hand("VIRTUAL_HOST", HOSTS[0], "ADD"),
        by_hand("ROUTE_CONFIGURATION", {"requestMirrorPolicies": [POLICY]}),
        by_hand("NETWORK_FILTER", MANAGER, "REPLACE"),
        by_hand("LISTENER", {"filter_chains": [{"filters": [MANAGER]}]}, "ADD"),
        by_hand("CLUSTER", {"typed_extension_protocol_options": OPTIONS}),
    ],
    ids=lambda each: "{applyTo} {patch[operation]}".format_map(each["spec"]["configPatches"][0]),
)
def test_a_mirror_is_found_wherever_a_patch_may_have_one(written: Object) -> None:
    """A share that is left out is all of the requests."""
    assert at_fault([written], "mirror-percent-limit", max_percent=50)
    assert at_fault([written], "mirror-target-not-allowed", allowed_targets=["next.hello.svc.cluster.local"])
    assert at_fault([written], "mirror-lifetime", max_lifetime_days=1)


def test_what_takes_a_mirror_away_has_none() -> None:
    removed = by_hand("HTTP_ROUTE", ROUTE, "REMOVE")
    assert not at_fault([removed], "mirror-percent-limit", max_percent=50)


def aimed(**header: str) -> Object:
    """A mirror whose header says something else than a condition and a cluster."""
    policy = {"cluster_header": "x-aim", "runtime_fraction": {"default_value": {"numerator": 5}}}
    add = [{"header": {"key": "x-aim", **header}}] if header else []
    return by_hand("HTTP_ROUTE", {"request_headers_to_add": add, "route": {"request_mirror_policies": [policy]}})


@pytest.mark.parametrize("written", [aimed(), aimed(value="%REQ(x-where)%")])
@pytest.mark.parametrize(
    ("rule", "allowed"),
    [
        ("mirror-target-not-allowed", {"allowed_targets": ["next.hello.svc.cluster.local"]}),
        ("mirror-method-not-allowed", {"allowed_http_methods": ["GET"]}),
    ],
)
def test_what_only_the_proxy_understands_is_held_against_no_limit(
    written: Object, rule: str, allowed: dict[str, Any]
) -> None:
    told = findings(mesh([written]), rule, RuleSettings(**allowed))
    assert [(each.outcome, each.object) for each in told] == [(Outcome.NOT_JUDGED, "EnvoyFilter istio-system/by-hand")]
    assert not findings(mesh([written]), rule)


def test_a_share_that_cannot_be_read_is_not_judged() -> None:
    written = aimed()
    policy = written["spec"]["configPatches"][0]["patch"]["value"]["route"]["request_mirror_policies"][0]
    policy["runtime_fraction"] = {"default_value": {"numerator": 5, "denominator": "DOZEN"}}
    assert [each.outcome for each in limited(written)] == [Outcome.NOT_JUDGED]


@pytest.mark.parametrize("path", ["share", "value"])
def test_what_is_not_known_yet_is_not_judged_where_there_is_a_limit(path: str) -> None:
    written = copy.deepcopy(by_hand("HTTP_ROUTE", ROUTE))
    patch = written["spec"]["configPatches"][0]["patch"]
    if path == "value":
        patch["value"] = UNKNOWN
    else:
        patch["value"]["route"]["request_mirror_policies"][0]["runtime_fraction"] = UNKNOWN
    assert [each.outcome for each in limited(written)] == [Outcome.NOT_JUDGED]
    assert not findings(mesh([written]), "mirror-percent-limit")


def limited(written: Object) -> list[Finding]:
    return findings(mesh([written]), "mirror-percent-limit", RuleSettings(max_percent=50))


def test_an_unknown_value_that_can_hold_no_mirror_hides_none() -> None:
    written = by_hand("NETWORK_FILTER", {"name": UNKNOWN, "typed_config": {"stat_prefix": UNKNOWN}})
    assert not limited(written)


def test_a_filter_whose_namespace_is_not_known_yet_is_judged_by_what_it_says() -> None:
    written = by_hand("HTTP_ROUTE", ROUTE)
    written["metadata"]["namespace"] = UNKNOWN
    assert [each.outcome for each in limited(written)] == [Outcome.BROKEN]


def test_patches_that_are_not_in_force_mirror_nothing() -> None:
    managed = IstioBehaviour.of_release("1.28.3-asm.4", field="istio")
    assert limited(by_hand("HTTP_ROUTE", ROUTE))
    judged = mesh([by_hand("HTTP_ROUTE", ROUTE)], istio=managed)
    assert not findings(judged, "mirror-percent-limit", RuleSettings(max_percent=50))


@pytest.mark.parametrize("build", [sending, lambda: sending(route(mirrors=[in_cluster(percent=0)]))])
def test_what_a_service_s_route_lists_is_told_once_and_there(build: Callable[[], list[Object]]) -> None:
    found = findings(mesh(build()), "", RuleSettings(max_percent=1, max_lifetime_days=1, allowed_targets=["a.example"]))
    limits = {"mirror-percent-limit", "mirror-lifetime", "mirror-target-not-allowed"}
    assert {each.object.partition(" ")[0] for each in found if each.rule in limits} <= {"VirtualService"}


def test_a_list_that_says_another_share_than_the_route_is_held_against_the_limit() -> None:
    objects = copy.deepcopy(sending(route(mirrors=[in_cluster(percent=10)])))
    for each in objects:
        for patch in each["spec"].get("configPatches", []):
            for policy in patch["patch"]["value"].get("route", {}).get("request_mirror_policies", []):
                policy["runtime_fraction"] = {"default_value": {"numerator": 100}}
    assert in_filters(at_fault(objects, "mirror-percent-limit", max_percent=10))


def test_settings_that_allow_everything_find_nothing() -> None:
    """The components hold their own objects against the rules without any settings of an organisation."""
    rules = [each for each in RULES if each.id.startswith("mirror-")]
    whole = Mesh(clusters=mesh([*overlay_objects(), *around()]).clusters, now=NOW)
    assert not [each for each in run_rules(whole, rules) if each.outcome is not Outcome.NOT_JUDGED]


@pytest.mark.parametrize(
    ("condition", "methods"),
    [
        ("(request.method == 'GET' || request.method == 'HEAD') && !('x-m' in request.headers)", ("GET", "HEAD")),
        ("request.method == 'GET'", ("GET",)),
        ("!('x-m' in request.headers) && request.method in ['GET', 'HEAD']", ("GET", "HEAD")),
        ("(request.method in ['GET'])", ("GET",)),
        # What holds in one case only names nothing.
        ("(request.method == 'GET' || request.url_path == '/a')", ()),
        ("request.method == 'GET' || request.url_path == '/a'", ()),
        ("!(request.method == 'GET')", ()),
        ("!('x-m' in request.headers)", ()),
    ],
)
def test_only_what_always_holds_names_methods(condition: str, methods: tuple[str, ...]) -> None:
    assert required_methods(condition) == methods


@pytest.mark.parametrize(
    ("condition", "paths"),
    [
        ("(request.url_path == '/a.B/C' || request.url_path == '/a.B/D') && 1", ("/a.B/C", "/a.B/D")),
        (r"request.url_path == '/it\x27s'", ("/it's",)),
        ("(request.url_path.startsWith('/a/') || request.url_path == '/a')", ()),
    ],
)
def test_only_what_always_holds_names_paths(condition: str, paths: tuple[str, ...]) -> None:
    assert required_paths(condition) == paths
