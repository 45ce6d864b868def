"""Overlays in a verification: what hangs on a host is read from live objects, and what proxies have is held to it."""

import copy
from dataclasses import replace
from typing import Any

import pytest

from pulumi_traffic_mirror.model import (
    Destination,
    GatewayHosts,
    InClusterMirror,
    IstioBehaviour,
    IstioVersion,
    Match,
    OverlayRoute,
    Protocol,
    render,
)
from pulumi_traffic_mirror.model.rules import ClusterObjects
from pulumi_traffic_mirror.operations.outcome import Outcome
from pulumi_traffic_mirror.operations.verify.causes import Cause
from pulumi_traffic_mirror.operations.verify.claims import judge_mirror
from pulumi_traffic_mirror.operations.verify.evidence import ProxyCounters
from pulumi_traffic_mirror.operations.verify.facts import Witness
from pulumi_traffic_mirror.operations.verify.observation import Observation, Run
from pulumi_traffic_mirror.operations.verify.plan import Plan, choose_host, make_plan
from pulumi_traffic_mirror.operations.verify.request import Request
from pulumi_traffic_mirror.operations.verify.survey import Counts
from pulumi_traffic_mirror.operations.verify.witnesses import FORGED, MARKED, POSTED, Witnessed, kinds
from tests.unit.model.samples import plain
from tests.unit.verify.test_verify_proxy import page
from tests.unit.verify.test_verify_run import HOST, V1, V2, objects

V2_SERVICE = Destination("v2.hello.svc.cluster.local", 8000)
READ = Request(authority=HOST, path="/api/7", method="GET")
NAME = "hello-shop-overlay"


def overlay(**values: Any) -> list[dict[str, Any]]:
    given = {"name": "shop", "namespace": "hello", "on": [GatewayHosts(hosts=[HOST])], "protocol": Protocol.HTTP}
    mirror = InClusterMirror(service=V2_SERVICE, name="next", percent=50, match=Match(path_prefixes=["/api"]))
    istio = IstioBehaviour(version=IstioVersion(1, 31))
    route = OverlayRoute(**{**given, "mirrors": [mirror], "istio": istio, **values})
    rules = render.overlay_destination_rules(route).values()
    return plain([*rules, *render.overlay_filters(route).values()])


def owned(**spec: Any) -> list[dict[str, Any]]:
    """Somebody's own route without a mirror."""
    found = copy.deepcopy(objects())
    route = next(each for each in found if each["kind"] == "VirtualService")
    route["metadata"]["annotations"] = {}
    route["spec"]["http"][0].pop("mirrors")
    route["spec"] |= spec
    return found


def cluster(*more: dict[str, Any], **spec: Any) -> ClusterObjects:
    return ClusterObjects(name="staging", objects=[*owned(**spec), *more])


def planned(staging: ClusterObjects, request: Request = READ, host: str = "") -> Plan:
    host, source = choose_host(staging, host, request)
    return make_plan(staging, (), replace(request, authority=host), source)


def test_a_mirror_that_only_an_envoy_filter_makes_is_planned() -> None:
    (target,) = planned(cluster(*overlay())).targets
    wanted, hung = target.wanted, target.wanted.hung
    assert (wanted.name, wanted.cluster, wanted.percent, wanted.receiver) == ("next", V2, 50, "staging")
    assert wanted.mark == ("x-traffic-mirror", "mirror")
    assert "authorization" in wanted.removed
    assert wanted.max_duration_seconds == 8
    assert hung is not None
    assert (hung.source, hung.header) == (f"EnvoyFilter istio-system/{NAME}", "x-traffic-mirror-to-hello.shop.next")
    assert target.workload is not None


@pytest.mark.parametrize("request_", [replace(READ, path="/else"), replace(READ, method="POST")])
def test_a_call_that_the_condition_leaves_out_has_no_mirror(request_: Request) -> None:
    assert planned(cluster(*overlay()), request_).targets == ()


def test_an_overlay_beside_the_route_s_own_mirror_is_a_second_one() -> None:
    own = {"http": objects()[4]["spec"]["http"]}
    names = [target.wanted.name for target in planned(cluster(*overlay(), **own), host=HOST).targets]
    assert names == ["v2", "next"]


@pytest.mark.parametrize("spec", [{"workloadSelector": {"labels": {"istio": "other"}}}, None])
def test_an_overlay_that_does_not_reach_the_gateway_is_none_of_its_mirrors(spec: Any) -> None:
    found = overlay()
    if spec is None:
        found[-1]["metadata"]["namespace"] = "elsewhere"
    else:
        found[-1]["spec"] |= spec
    staging = cluster(*found)
    route = next(iter(staging.of("VirtualService")))
    assert make_plan(staging, (), READ, route).targets == ()


def test_one_host_of_a_wildcard_route_is_called() -> None:
    host, domain = "a.shop.example", "*.shop.example"
    found = overlay(on=[GatewayHosts(hosts=[host], domain=domain)])
    plan = planned(cluster(*found, hosts=["*.example", domain]))
    assert (plan.request.host, [target.wanted.name for target in plan.targets]) == (host, ["next"])


def native(*names: str) -> list[dict[str, Any]]:
    group = "gateway.networking.k8s.io/v1"
    gateway = {
        "apiVersion": group,
        "kind": "Gateway",
        "metadata": {"namespace": "istio-system", "name": "native"},
        "spec": {
            "gatewayClassName": "istio",
            "addresses": [{"type": "Hostname", "value": "v1.hello.svc.cluster.local"}],
            "listeners": [{"name": "http", "port": 8080, "protocol": "HTTP", "hostname": HOST}],
        },
    }
    reference = {"name": "native", "namespace": "istio-system"}
    routes = [
        {
            "apiVersion": group,
            "kind": "HTTPRoute",
            "metadata": {"namespace": "hello", "name": name},
            "spec": {
                "hostnames": [HOST],
                "parentRefs": [reference],
                "rules": [
                    {
                        "matches": [{"path": {"type": "PathPrefix", "value": f"/{name}"}}],
                        "backendRefs": [{"name": "v1", "port": 8000}],
                    }
                ],
            },
        }
        for name in names
    ]
    return [gateway, *routes]


def test_of_several_objects_that_route_a_host_the_one_that_takes_the_call_is_told() -> None:
    found = [each for each in owned() if each["kind"] != "VirtualService"]
    staging = ClusterObjects(name="staging", objects=[*found, *native("cart", "api"), *overlay()])
    plan = planned(staging)
    assert (plan.route, plan.gateway.port, plan.primaries) == ("HTTPRoute hello/api", 8080, (V1,))
    assert dict(plan.gateway.pods.labels)["version"] == "v1"
    assert [target.wanted.name for target in plan.targets] == ["next"]


def route_of(patches: list[dict[str, Any]], name: str, prefix: str, action: str = "route") -> dict[str, Any]:
    """A route of the proxy as istiod merges the overlay's patch into it."""
    route: dict[str, Any] = {"name": name, "match": {"prefix": prefix}, action: {}}
    for patch in patches:
        if patch["applyTo"] == "HTTP_ROUTE" and action == "route":
            value = copy.deepcopy(patch["patch"]["value"])
            route |= {**value, "route": {"cluster": V1, **value["route"]}}
    return route


PATCHES = overlay()[-1]["spec"]["configPatches"]
ORDERS, REST = route_of(PATCHES, "orders", "/api"), route_of(PATCHES, "", "/")
OLD = route_of(PATCHES, "old", "/old", "redirect")
BARE = {"name": "cart", "match": {"prefix": "/cart"}, "route": {"cluster": V1}}


def observed(*routes: dict[str, Any], witnessed: tuple[Witnessed, ...] = (), **values: Any) -> Observation:
    plan = planned(cluster(*overlay()))
    good = ProxyCounters(known=True, endpoints=1, total=100, success=100)
    nothing = Counts(primary=ProxyCounters(), mirrors={"next": ProxyCounters(known=True)}, passed_on={}, pages=())
    after = replace(
        nothing, mirrors={"next": replace(good, total=50, success=50)}, pages=(f"{V2}::1.1.1.1:1::rq_total::9",)
    )
    run = Run(before=nothing, after=after, tag="verify-1", answered=100, witnessed=witnessed)
    bound = {"max_stream_duration": "8s"}
    http = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    options = {http: {"common_http_protocol_options": bound}}
    clusters = {"dynamic_active_clusters": [{"cluster": {"name": V2, "typed_extension_protocol_options": options}}]}
    host = {"name": f"{HOST}:8000", "domains": [HOST], "routes": list(routes)}
    config = {"route_config": {"name": "http.8000", "virtual_hosts": [host]}}
    given: dict[str, Any] = {
        "plan": plan,
        "run": run,
        "arrivals": {},
        "lines": {},
        "views": [page([], RoutesConfigDump={"dynamic_route_configs": [config]}, ClustersConfigDump=clusters)],
        "sidecars": {},
        "theirs": {},
        "refused": (),
        "refusals": 0,
    }
    return Observation(**{**given, **values})


def judged(*routes: dict[str, Any], **values: Any) -> Any:
    (facts,) = observed(*routes, **values).facts()
    return judge_mirror(facts)


def test_an_overlay_on_every_forwarding_route_holds_and_redirects_do_not_count() -> None:
    (facts,) = observed(ORDERS, OLD, REST).facts()
    assert facts.coverage == (2, 2)
    verdict = judge_mirror(facts)
    assert (verdict.outcome, verdict.causes) == (Outcome.HOLDS, ())


def test_routes_that_lost_the_overlay_s_mirror_are_counted() -> None:
    verdict = judged(ORDERS, OLD, BARE, REST)
    assert [each.cause for each in verdict.causes] == [Cause.NOT_EVERYWHERE]
    assert "2 of 3 forwarding routes" in verdict.causes[0].detail
    assert judged({**BARE, "match": {"prefix": "/"}}, OLD).causes[0].cause is Cause.NO_POLICY


def test_only_the_routes_that_an_overlay_names_must_carry_it() -> None:
    plan = planned(cluster(*overlay(routes=["orders", "cart"])))
    (target,) = plan.targets
    assert target.wanted.hung is not None
    assert target.wanted.hung.routes == {"orders", "cart"}
    (facts,) = observed(ORDERS, BARE, REST, plan=plan).facts()
    assert facts.coverage == (1, 2)


def test_a_header_that_a_client_may_set_is_a_finding() -> None:
    verdict = judged({**ORDERS, "request_headers_to_remove": []}, REST)
    assert [each.cause for each in verdict.causes] == [Cause.COPIES_OTHERS]


def counts(copies: int, primary: int) -> Counts:
    return Counts(
        primary=ProxyCounters(known=True, total=primary),
        mirrors={"next": ProxyCounters(known=True, total=copies)},
        passed_on={},
        pages=(),
    )


def witnessed(copies: int, primary: int = 40, name: str = MARKED) -> Witnessed:
    return Witnessed(name=name, tag="marked-1", calls=40, before=counts(0, 0), after=counts(copies, primary))


def test_witnesses_that_were_not_copied_and_the_condition_speak_for_an_overlay() -> None:
    (facts,) = observed(ORDERS, REST, witnessed=(witnessed(0),)).facts()
    asked = [Witness(kind=kind, calls=0, copies=0) for kind in (FORGED, POSTED)]
    assert facts.witnesses == (Witness(kind=MARKED, calls=40, copies=0), *asked)
    claim = next(each for each in judge_mirror(facts).claims if each.title == "leaves other requests alone")
    route = "none by the proxy's route"
    assert (claim.outcome, claim.seen) == (Outcome.HOLDS, f"{MARKED}: 0 of 40, {FORGED}: {route}, {POSTED}: {route}")


def test_a_copy_of_a_witness_is_a_finding() -> None:
    assert [each.cause for each in judged(ORDERS, REST, witnessed=(witnessed(7),)).causes] == [Cause.COPIES_OTHERS]


def test_copies_beside_other_people_s_calls_tell_nothing() -> None:
    verdict = judged(ORDERS, REST, witnessed=(witnessed(7, primary=90),))
    assert (verdict.outcome, verdict.causes) == (Outcome.UNKNOWN, ())


def test_posts_that_the_mirror_may_get_are_no_witnesses() -> None:
    match = Match(path_prefixes=["/api"], http_methods=["GET", "POST"])
    mirror = InClusterMirror(percent=100, service=V2_SERVICE, name="next", match=match)
    patches = overlay(mirrors=[mirror])[-1]["spec"]["configPatches"]
    route = route_of(patches, "orders", "/api")
    (facts,) = observed(route, REST, witnessed=(witnessed(0), witnessed(9, name=POSTED))).facts()
    assert [each.kind for each in facts.witnesses] == [MARKED, FORGED]


def test_witnesses_are_marked_and_a_client_s_own_aim_is_among_them() -> None:
    plan = planned(cluster(*overlay()))
    marked, forged, posted = kinds(plan, posts=True)
    assert dict(marked.headers) == {"x-traffic-mirror": "mirror"}
    assert forged.name == FORGED
    assert dict(forged.headers) == {**dict(marked.headers), "x-traffic-mirror-to-hello.shop.next": V2}
    assert posted.method == "POST"
    assert len(list(kinds(plan, posts=False))) == 2
    assert list(kinds(planned(ClusterObjects(name="staging", objects=objects())), posts=True)) == []
