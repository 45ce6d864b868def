"""Overlays inside the mesh in a verification: at the sidecars of callers, and at waypoints."""

import copy
from dataclasses import replace
from typing import Any

import pytest

from pulumi_traffic_mirror.model import MeshService, ValidationError, WaypointService
from pulumi_traffic_mirror.model.rules import ClusterObjects
from pulumi_traffic_mirror.operations.errors import OperationError
from pulumi_traffic_mirror.operations.kube import ClusterAccess
from pulumi_traffic_mirror.operations.outcome import Outcome
from pulumi_traffic_mirror.operations.verify import run
from pulumi_traffic_mirror.operations.verify.causes import Cause
from pulumi_traffic_mirror.operations.verify.claims import MirrorVerdict, judge_mirror
from pulumi_traffic_mirror.operations.verify.evidence import ProxyCounters, read_clusters_page
from pulumi_traffic_mirror.operations.verify.facts import MirrorFacts, Refusal
from pulumi_traffic_mirror.operations.verify.inside import Inside, choose_inside, make_inside_plan
from pulumi_traffic_mirror.operations.verify.job import VerifyJob
from pulumi_traffic_mirror.operations.verify.observation import Observation, Run
from pulumi_traffic_mirror.operations.verify.plan import Plan, Sender
from pulumi_traffic_mirror.operations.verify.proxy import ProxyView
from pulumi_traffic_mirror.operations.verify.rejections import filters_of_routes
from pulumi_traffic_mirror.operations.verify.request import Request
from pulumi_traffic_mirror.operations.verify.survey import Counts, Side, Survey
from tests.unit.verify.test_verify_overlay import READ, cluster, overlay, owned
from tests.unit.verify.test_verify_proxy import page
from tests.unit.verify.test_verify_run import V2

ORDERS = "v1.hello.svc.cluster.local"
AT_SIDECARS = Inside(ORDERS, 8000, Sender.SIDECARS)
AT_WAYPOINT = Inside(ORDERS, 8000, Sender.WAYPOINT)
CHAIN = f"inbound-vip|8000|http|{ORDERS}"
V1 = f"outbound|8000||{ORDERS}"
SIDECARS = overlay(on=[MeshService(ORDERS, 8000)])
WAYPOINT = overlay(on=[WaypointService(ORDERS, 8000)])


def without_gateway_hosts(*more: dict[str, Any]) -> ClusterObjects:
    return ClusterObjects(name="staging", objects=[*owned(), *more])


def planned(place: Inside, *more: dict[str, Any], request: Request = READ) -> Plan:
    return make_inside_plan(without_gateway_hosts(*more), (), request, place)


def test_what_hangs_inside_the_mesh_is_chosen_by_its_host() -> None:
    staging = without_gateway_hosts(*SIDECARS)
    assert choose_inside(staging, "") == AT_SIDECARS
    assert choose_inside(staging, ORDERS) == choose_inside(staging, f"{ORDERS}:8000") == AT_SIDECARS
    assert choose_inside(staging, f"{ORDERS}:9000") is None
    assert choose_inside(without_gateway_hosts(*WAYPOINT), ORDERS) == AT_WAYPOINT


def test_a_host_at_a_gateway_is_meant_unless_another_is_named() -> None:
    staging = cluster(*overlay(), *overlay(name="inside", on=[MeshService(ORDERS, 8000)]))
    assert choose_inside(staging, "") is None
    assert choose_inside(staging, ORDERS) == AT_SIDECARS


def test_of_several_places_one_must_be_named() -> None:
    more = overlay(name="other", on=[MeshService(ORDERS, 8080)])
    with pytest.raises(ValidationError, match=rf"{ORDERS}:8000 \(sidecars\), {ORDERS}:8080 \(sidecars\)"):
        choose_inside(without_gateway_hosts(*SIDECARS, *more), ORDERS)


@pytest.mark.parametrize(
    ("place", "made", "routes", "pods"),
    [
        (AT_SIDECARS, SIDECARS, "8000", ()),
        (AT_WAYPOINT, WAYPOINT, CHAIN, (("gateway.networking.k8s.io/gateway-name", "waypoint"),)),
    ],
)
def test_a_mirror_inside_the_mesh_is_planned_without_any_route(
    place: Inside, made: Any, routes: str, pods: Any
) -> None:
    plan = planned(place, *made)
    (target,) = plan.targets
    assert (plan.route, plan.request.authority, plan.routes) == ("Service hello/v1", f"{ORDERS}:8000", routes)
    assert (plan.gateway.pods.labels, plan.sent_by) == (pods, place.sent_by)
    assert (target.wanted.name, target.wanted.cluster, target.wanted.max_duration_seconds) == ("next", V2, 8)
    assert target.wanted.hung is not None
    assert plan.primaries == (V1, CHAIN)


def test_a_bound_that_somebody_took_away_is_still_promised() -> None:
    made = copy.deepcopy(WAYPOINT)
    (filter_,) = [each for each in made if each["kind"] == "EnvoyFilter"]
    filter_["spec"]["configPatches"] = [p for p in filter_["spec"]["configPatches"] if p["applyTo"] != "CLUSTER"]
    (target,) = planned(AT_WAYPOINT, *made).targets
    assert target.wanted.max_duration_seconds > 0


def test_versions_of_a_routed_service_answer_together() -> None:
    to = [{"destination": {"host": ORDERS, "port": {"number": 8000}}, "weight": 90}]
    to += [{"destination": {"host": "v3.hello.svc.cluster.local", "port": {"number": 8000}}, "weight": 10}]
    route = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"namespace": "hello", "name": "inside"},
        "spec": {"hosts": [ORDERS], "http": [{"route": to}]},
    }
    plan = planned(AT_SIDECARS, *SIDECARS, route)
    assert plan.route == "VirtualService hello/inside"
    lines = [f"{each}::10.0.0.1:80::rq_total::{n}" for each, n in zip(plan.primaries, (7, 0, 3, 0), strict=True)]
    assert read_clusters_page(["\n".join(lines)], *plan.primaries).total == 10


def test_a_call_that_no_overlay_takes_is_refused_with_the_way_out() -> None:
    with pytest.raises(OperationError, match="takes GET /else") as refused:
        planned(AT_SIDECARS, *SIDECARS, request=replace(READ, path="/else"))
    assert "--path" in refused.value.remedy


def test_which_waypoint_serves_a_service_is_told_by_its_label_where_the_filter_names_a_class() -> None:
    made = copy.deepcopy(WAYPOINT)
    (filter_,) = [each for each in made if each["kind"] == "EnvoyFilter"]
    filter_["spec"]["targetRefs"] = [
        {"group": "gateway.networking.k8s.io", "kind": "GatewayClass", "name": "istio-waypoint"}
    ]
    with pytest.raises(OperationError, match="Which waypoint serves"):
        planned(AT_WAYPOINT, *made)
    labels = {"istio.io/use-waypoint": "shared", "istio.io/use-waypoint-namespace": "edge"}
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "hello", "labels": labels}}
    assert planned(AT_WAYPOINT, *made, space).gateway.name == "the waypoint edge/shared"


def value_of(made: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    patches = [p for each in made if each["kind"] == "EnvoyFilter" for p in each["spec"]["configPatches"]]
    return copy.deepcopy(next(p["patch"]["value"] for p in patches if p["applyTo"] == kind))


BOUND = {"max_stream_duration": "8s"}
OPTIONS = {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {"common_http_protocol_options": BOUND},
}
CLUSTERS = {"dynamic_active_clusters": [{"cluster": {"name": V2, "typed_extension_protocol_options": OPTIONS}}]}
REST = {"name": "rest", "match": {"prefix": "/"}, "route": {"cluster": V1}}


def sidecar(*, carried: bool = True, host: str = ORDERS, **changes: Any) -> ProxyView:
    """Routes of a sidecar for the Service's port, as istiod merges the overlay into them."""
    value = value_of(SIDECARS, "HTTP_ROUTE") if carried else {"route": {}}
    route = {**REST, **value, "route": {**REST["route"], **value["route"]}, **changes}
    hosts = [
        {"name": f"{host}:8000", "domains": [host, "v1", "v1.hello"], "routes": [route]},
        {"name": "allow_any", "domains": ["*"], "routes": [REST]},
    ]
    config = {"route_config": {"name": "8000", "virtual_hosts": hosts}}
    return page([], RoutesConfigDump={"dynamic_route_configs": [config]}, ClustersConfigDump=CLUSTERS)


def waypoint(*, carried: bool = True, **changes: Any) -> ProxyView:
    """A waypoint's listener with the Service's chain, as istiod merges the overlay into its connection manager."""
    added = value_of(WAYPOINT, "NETWORK_FILTER")["typed_config"]["route_config"] if carried else {}
    hosts = [{"name": "inbound|http|8000", "domains": ["*"], "routes": [{**REST, **changes}]}]
    manager = {"name": "http", "typed_config": {"route_config": {"name": CHAIN, "virtual_hosts": hosts, **added}}}
    listener = {"name": "main_internal", "filter_chains": [{"name": CHAIN, "filters": [manager]}]}
    listeners = {"dynamic_listeners": [{"active_state": {"listener": listener}}]}
    return page([], ListenersConfigDump=listeners, ClustersConfigDump=CLUSTERS)


def facts(plan: Plan, *views: ProxyView, calls: int = 100, copies: int = 20) -> MirrorFacts:
    none = Counts(primary=ProxyCounters(), mirrors={"next": ProxyCounters(known=True)}, passed_on={}, pages=())
    sent = ProxyCounters(known=True, endpoints=1, total=copies, success=copies)
    after = replace(none, primary=ProxyCounters(known=True, total=calls), mirrors={"next": sent})
    observed = Observation(
        plan=plan,
        run=Run(before=none, after=after),
        arrivals={},
        lines={},
        views=views,
        sidecars={},
        theirs={},
        refused=(),
        refusals=0,
    )
    (found,) = observed.facts()
    return found


def judged(plan: Plan, *views: ProxyView, **counted: int) -> MirrorVerdict:
    return judge_mirror(facts(plan, *views, **counted))


PLANS = [(planned(AT_SIDECARS, *SIDECARS), sidecar), (planned(AT_WAYPOINT, *WAYPOINT), waypoint)]


@pytest.mark.parametrize(("plan", "proxy"), PLANS)
def test_an_overlay_in_force_holds_when_some_calls_were_copied(plan: Plan, proxy: Any) -> None:
    verdict = judged(plan, proxy())
    assert (verdict.outcome, verdict.causes) == (Outcome.HOLDS, ())
    claims = {each.title: each for each in verdict.claims}
    assert "at most 65 of 100" in claims["gets 50 % of the calls that its condition takes"].expected
    assert claims["leaves other requests alone"].seen.count("none by the proxy's route") == 3


@pytest.mark.parametrize(("plan", "proxy"), PLANS)
def test_without_copies_nothing_is_told_and_too_many_are_a_finding(plan: Plan, proxy: Any) -> None:
    verdict = judged(plan, proxy(), copies=0)
    assert (verdict.outcome, [each.cause for each in verdict.causes]) == (Outcome.UNKNOWN, [Cause.TOO_FEW_CALLS])
    assert [each.cause for each in judged(plan, proxy(), copies=90).causes] == [Cause.TOO_MANY]


@pytest.mark.parametrize(("plan", "proxy"), PLANS)
def test_a_proxy_that_lost_the_overlay_is_a_finding(plan: Plan, proxy: Any) -> None:
    assert [each.cause for each in judged(plan, proxy(), proxy(carried=False)).causes] == [Cause.NO_POLICY]


def test_a_waypoint_s_route_with_mirrors_of_its_own_takes_none_of_the_overlay() -> None:
    own: dict[str, Any] = {"route": {"cluster": V1, "request_mirror_policies": [{"cluster": "outbound|80||else"}]}}
    (plan, _) = PLANS[1]
    assert [each.cause for each in judged(plan, waypoint(**own)).causes] == [Cause.NO_POLICY]


def test_a_client_s_header_at_a_waypoint_is_a_finding() -> None:
    (plan, _) = PLANS[1]
    added = value_of(WAYPOINT, "NETWORK_FILTER")["typed_config"]["route_config"] | {"request_headers_to_remove": []}
    hosts = [{"domains": ["*"], "routes": [REST]}]
    manager = {"typed_config": {"route_config": {"name": CHAIN, **added, "virtual_hosts": hosts}}}
    listener = {"filter_chains": [{"filters": [manager]}]}
    listeners = {"dynamic_listeners": [{"active_state": {"listener": listener}}]}
    view = page([], ListenersConfigDump=listeners, ClustersConfigDump=CLUSTERS)
    assert [each.cause for each in judged(plan, view).causes] == [Cause.COPIES_OTHERS]


def test_sidecars_that_do_not_know_the_host_take_no_part(monkeypatch: pytest.MonkeyPatch) -> None:
    (plan, _) = PLANS[0]
    survey = Survey(plan=plan, sides={})
    monkeypatch.setattr(Survey, "ask_senders", lambda *_: ["1", "2"])
    views = {"1": sidecar(), "2": sidecar(host="other.hello.svc.cluster.local")}
    monkeypatch.setattr("pulumi_traffic_mirror.operations.verify.survey.ProxyView", views.get)
    assert survey.senders() == [views["1"]]
    assert not survey.gaps
    views["1"] = views["2"]
    assert survey.senders() == []
    assert survey.gaps == [f"none of 2 sidecars knows {ORDERS}:8000"]


def test_a_refused_listener_freezes_the_routing_of_a_waypoint_alone() -> None:
    refusal = Refusal(proxy="the sending proxy waypoint-1", kinds=("listener",), in_listeners=True)
    (plan, _) = PLANS[1]
    (cause,) = judge_mirror(replace(facts(plan, waypoint()), refused=(refusal,))).causes
    assert cause.cause is Cause.FROZEN
    assert "frozen" in cause.detail
    elsewhere = replace(facts(plan, waypoint()), refused=(replace(refusal, in_listeners=False),))
    assert judge_mirror(elsewhere).causes[0].cause is Cause.REJECTED
    staging = without_gateway_hosts(*WAYPOINT)
    assert filters_of_routes(staging, in_listeners=True) == ("hello/hello-shop-waypoint-overlay",)
    assert filters_of_routes(staging) == ()


def test_calls_inside_the_mesh_are_watched_only(monkeypatch: pytest.MonkeyPatch) -> None:
    access = ClusterAccess(name="staging", kubeconfig="")
    pods: Any = None
    side = Side(access=access, objects=without_gateway_hosts(*SIDECARS), pods=pods)
    monkeypatch.setattr(run, "_sides", lambda _: {"staging": side})
    with pytest.raises(ValidationError, match="must be given for") as refused:
        run.verify(VerifyJob(staging=access, host=ORDERS), lambda _: None)
    assert refused.value.field == "--watch"
