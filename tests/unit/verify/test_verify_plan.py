"""What is wanted of mirrors is read from live objects, and what sidecars have is held against it."""

import copy
from typing import Any, cast

from pulumi_traffic_mirror.model.credentials import LEAST_CREDENTIAL_HEADERS
from pulumi_traffic_mirror.model.rules import ClusterObjects
from pulumi_traffic_mirror.operations.verify.observation import Observation
from pulumi_traffic_mirror.operations.verify.plan import Plan, choose_host, make_plan
from pulumi_traffic_mirror.operations.verify.proxy import ProxyView
from pulumi_traffic_mirror.operations.verify.request import Request
from tests.unit.verify.test_verify_proxy import page, policy
from tests.unit.verify.test_verify_run import HOST, V2, objects

PATH = "/helloworld.Greeter/SayHello"
NAME = "v1.hello.svc.cluster.local"
OWNER = {"filter_metadata": {"istio": {"config": "/apis/n/v1/namespaces/hello/virtual-service/greeter"}}}


def planned(cluster: list[dict[str, Any]], *receiving: ClusterObjects) -> Plan:
    staging = ClusterObjects(name="staging", objects=cluster)
    request = Request(authority=HOST)
    _, source = choose_host(staging, HOST, request)
    return make_plan(staging, receiving, request, source)


def in_mesh() -> list[dict[str, Any]]:
    found = copy.deepcopy(objects())
    route = next(each for each in found if each["kind"] == "VirtualService")
    route["spec"] |= {"hosts": [HOST, NAME], "gateways": ["istio-system/gate", "mesh"]}
    return found


def test_a_gateway_s_route_has_mirrors_and_a_primary_of_one_version() -> None:
    plan = planned(objects())
    assert [target.wanted.name for target in plan.targets] == ["v2"]
    assert (plan.owner, plan.version, plan.sender) == ("hello/greeter", "v1", "staging")
    assert plan.mesh_calls == ()
    # Nothing in the cluster bounds the copies, which this library promised with the mirror.
    assert plan.targets[0].wanted.max_duration_seconds == 8


def filtered() -> list[dict[str, Any]]:
    """A route's mirror with a scrub and a bound of their own by an EnvoyFilter."""
    mark = {"append": {"header": {"key": "x-mine", "value": "yes"}}}
    mutations = [{"remove": "x-secret"}, mark]
    value = {"route": {"request_mirror_policies": [{"cluster": V2, "request_headers_mutations": mutations}]}}
    kind = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    bound = {"@type": f"type.googleapis.com/{kind}", "common_http_protocol_options": {"max_stream_duration": "3s"}}
    options = {"typed_extension_protocol_options": {kind: bound}}
    patches = [
        {"applyTo": "HTTP_ROUTE", "patch": {"operation": "MERGE_AND_REPLACE_LIST", "value": value}},
        {
            "applyTo": "CLUSTER",
            "match": {"context": "GATEWAY", "cluster": {"name": V2}},
            "patch": {"operation": "MERGE", "value": options},
        },
    ]
    return [
        *objects(),
        {
            "apiVersion": "networking.istio.io/v1alpha3",
            "kind": "EnvoyFilter",
            "metadata": {"namespace": "istio-system", "name": "scrub"},
            "spec": {"configPatches": patches},
        },
    ]


def test_what_an_envoy_filter_promises_is_wanted_and_never_less_than_every_mirror_must_keep() -> None:
    wanted = planned(filtered()).targets[0].wanted
    assert (wanted.mark, wanted.max_duration_seconds) == (("x-mine", "yes"), 3)
    assert wanted.removed == {"x-secret", *LEAST_CREDENTIAL_HEADERS}


def test_in_a_managed_mesh_an_envoy_filter_promises_nothing() -> None:
    """It applies none to routes and clusters: what is written there is neither wanted nor missed."""
    labels = {"istio.io/rev": "asm-managed-stable"}
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "hello", "labels": labels}}
    wanted = planned([*filtered(), space]).targets[0].wanted
    assert (wanted.mark, wanted.removed, wanted.max_duration_seconds) == (
        ("x-traffic-mirror", "mirror"),
        frozenset(),
        0,
    )


def test_what_sidecars_should_copy_is_known_by_the_service_s_own_name() -> None:
    (call,) = planned(in_mesh()).mesh_calls
    assert (call.authority, call.routes, call.clusters) == (f"{NAME}:8000", "8000", (V2,))


def sidecar(*policies: dict[str, Any], owner: dict[str, Any] = OWNER) -> ProxyView:
    route = {"match": {"prefix": "/"}, "route": {"request_mirror_policies": list(policies)}, "metadata": owner}
    hosts = [{"name": NAME, "domains": [NAME, f"{NAME}:8000"], "routes": [route]}]
    config = {"route_config": {"name": "8000", "virtual_hosts": hosts}}
    return page([], RoutesConfigDump={"dynamic_route_configs": [config]})


def lacking(view: ProxyView) -> list[str]:
    plan = planned(in_mesh())
    seen: Any = dict.fromkeys(("run", "arrivals", "lines", "views", "theirs", "refused", "refusals"))
    observed = Observation(**{**seen, "plan": plan, "sidecars": {"caller.shop": view}})
    return list(cast("Any", observed)._sidecars_without(plan.targets[0]))


def test_a_sidecar_that_lost_the_mirror_of_its_route_is_found() -> None:
    assert lacking(sidecar(policy(cluster=V2))) == []
    assert lacking(sidecar(policy(cluster="other"))) == ["caller.shop"]
    # Who does not get the route at all, as by exportTo, sends no copy by it.
    assert lacking(sidecar(owner={})) == []
