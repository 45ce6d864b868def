"""Which DestinationRules govern a mirror: by place, by host, by workload, and several together."""

from typing import Any

import pytest

from pulumi_traffic_mirror.model import Brakes
from pulumi_traffic_mirror.model.render import traffic_policy
from tests.unit.model.rule_cases import bare
from tests.unit.model.samples import HOST, Object, changed, deployment, findings, mesh, of_kind, sending

BRAKES: Object = dict(traffic_policy(Brakes()))
B = "b.hello.svc.cluster.local"
ROOT = "istio-system"


def governing(name: str, namespace: str = "hello", *, chosen: Object | None = None, **spec: Any) -> Object:
    """A DestinationRule for `b` in `hello`, for the pods chosen only."""
    selector = {} if chosen is None else {"workloadSelector": {"matchLabels": chosen}}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"host": B, **selector, **spec},
    }


def at_gateway(**mirror: Any) -> list[Object]:
    """A mirror to `b` on a gateway in the root namespace."""
    route = bare(mirror={"host": B, "port": {"number": 8000}, **mirror})
    route["spec"] |= {"hosts": [HOST], "gateways": [f"{ROOT}/internal-gateway"]}
    return [route, of_kind(sending(), "Gateway")]


@pytest.mark.parametrize(
    ("chosen", "namespace", "pods", "braked"),
    [
        ({}, ROOT, {}, True),
        ({"istio": "internal-gateway"}, ROOT, {}, True),
        ({"app": "gateway"}, ROOT, {}, True),
        ({"app": "gateway"}, ROOT, {"app": "gateway"}, True),
        ({"app": "gateway"}, ROOT, {"app": "other"}, False),
        ({"istio": "other"}, ROOT, {}, False),
        ({"istio": "internal-gateway"}, "hello", {}, False),
        ({}, "hello", {}, False),
    ],
)
def test_a_rule_for_other_pods_brakes_nothing(
    chosen: Object, namespace: str, pods: dict[str, str], braked: bool
) -> None:
    front = [deployment("it", ROOT, istio="internal-gateway", **pods)] if pods else []
    rule = governing("b", namespace, chosen=chosen, trafficPolicy=BRAKES)
    assert (findings(mesh([*at_gateway(), *front, rule]), "mirror-no-brakes") == []) is braked


def test_a_rule_for_the_gateway_s_pods_wins_over_one_for_all() -> None:
    general = governing("all", "hello", trafficPolicy=BRAKES)
    own = governing("own", ROOT, chosen={"istio": "internal-gateway"})
    [found] = findings(mesh([*at_gateway(), general, own]), "mirror-no-brakes")
    assert "DestinationRule istio-system/own lacks" in found.message


def test_a_rule_for_other_pods_hides_that_of_the_target_s_namespace() -> None:
    """A namespace with some rule for a host is looked at alone: pods that it does not choose have none."""
    general = governing("all", "hello", trafficPolicy=BRAKES)
    other = governing("other", ROOT, chosen={"istio": "other"})
    judged = mesh([*at_gateway(), general, other])
    assert findings(judged, "mirror-no-brakes")
    [found] = findings(judged, "destination-rule-out-of-reach")
    assert (found.object, found.field) == ("DestinationRule istio-system/other", "spec.workloadSelector")
    assert "exportTo: [istio-system]" in found.remedy


@pytest.mark.parametrize(("exports", "braked"), [(["istio-system"], True), (["."], False), ([], False)])
def test_beside_a_rule_for_other_pods_one_for_the_rest_names_its_namespace(exports: list[str], braked: bool) -> None:
    """One for ``.`` is merged into that for other pods, and a public one of the root namespace comes too late."""
    other = governing("other", ROOT, chosen={"istio": "other"})
    beside = governing("beside", ROOT, trafficPolicy=BRAKES, exportTo=exports)
    assert (findings(mesh([*at_gateway(), other, beside]), "mirror-no-brakes") == []) is braked
    own = governing("own", ROOT, chosen={"istio": "internal-gateway"})
    merged = findings(mesh([*at_gateway(), own, beside]), "mirror-no-brakes") == []
    assert merged is (exports == ["."])


def test_a_rule_for_other_pods_alone_is_not_out_of_reach() -> None:
    rule = governing("b", chosen={"app": "web"}, trafficPolicy=BRAKES)
    assert findings(mesh([*at_gateway(), rule]), "destination-rule-out-of-reach") == []


@pytest.mark.parametrize(
    ("chosen", "general", "braked"), [(BRAKES, None, True), (None, BRAKES, True), (None, None, False)]
)
def test_which_sidecars_a_rule_chooses_cannot_be_told(
    chosen: Object | None, general: Object | None, braked: bool
) -> None:
    rules = [
        governing("chosen", chosen={"app": "web"}, trafficPolicy=chosen),
        governing("general", trafficPolicy=general),
    ]
    for ordered in (rules, rules[::-1]):
        assert (findings(mesh([bare(), *ordered]), "mirror-no-brakes") == []) is braked


def test_tls_for_other_pods_is_none() -> None:
    objects = changed(sending(), "DestinationRule", "spec.workloadSelector", {"matchLabels": {"app": "web"}}, last=True)
    assert findings(mesh(sending()), "mirror-plain-text") == []
    assert findings(mesh(objects), "mirror-plain-text")


def test_a_rule_for_some_pods_is_no_second_one() -> None:
    rules = [governing("all", trafficPolicy=BRAKES), governing("web", chosen={"app": "web"}, trafficPolicy=BRAKES)]
    assert findings(mesh([bare(), *rules]), "mirror-destination-rule-twice") == []
    again = governing("again", chosen={"app": "web"}, trafficPolicy=BRAKES)
    [found] = findings(mesh([bare(), *rules, again]), "mirror-destination-rule-twice")
    assert found.object == "DestinationRule hello/again"


def test_two_rules_for_one_host_are_read_as_one() -> None:
    subsets = governing("subsets", subsets=[{"name": "v2", "labels": {"version": "v2"}}])
    brakes = governing("brakes", trafficPolicy=BRAKES)
    for ordered in ([subsets, brakes], [brakes, subsets]):
        judged = mesh([*at_gateway(subset="v2"), *ordered])
        assert findings(judged, "mirror-subset-undefined") == []
        assert findings(judged, "mirror-no-brakes") == []


def test_a_finding_names_the_one_of_two_rules_that_says_it() -> None:
    loose = {**BRAKES, "connectionPool": {"http": {"http2MaxRequests": 100_000}}}
    subsets = governing("subsets", subsets=[{"name": "v2", "trafficPolicy": loose}])
    judged = mesh([*at_gateway(subset="v2"), governing("brakes", trafficPolicy=BRAKES), subsets])
    [found] = findings(judged, "mirror-requests-limit")
    assert found.object == "DestinationRule hello/subsets"
    assert found.field == "spec.subsets[0].trafficPolicy.connectionPool.http.http2MaxRequests"


def test_a_private_rule_of_the_root_namespace_is_its_proxies_own() -> None:
    general, own = governing("all", "hello"), governing("own", ROOT, exportTo=["."], trafficPolicy=BRAKES)
    assert findings(mesh([*at_gateway(), general, own]), "mirror-no-brakes") == []
    public = governing("public", ROOT, trafficPolicy=BRAKES)
    assert findings(mesh([*at_gateway(), general, public]), "mirror-no-brakes")


def test_a_wider_rule_does_not_stand_in_for_one_that_is_kept_from_the_proxy() -> None:
    kept = governing("b", exportTo=["web"])
    wide = governing("wide", host="*.hello.svc.cluster.local", trafficPolicy=BRAKES)
    assert findings(mesh([*at_gateway(), wide]), "mirror-no-brakes") == []
    assert findings(mesh([*at_gateway(), wide, kept]), "mirror-no-brakes")


def calling(**match: Any) -> Object:
    """A mirror of the mesh's to `b` for calls with one match, in `hello`."""
    return bare(match=[match]) if match else bare()


@pytest.mark.parametrize(
    ("match", "exports", "braked"),
    [
        ({"sourceNamespace": "web"}, None, True),
        ({"sourceNamespace": "hello"}, None, False),
        ({"sourceNamespace": "web", "gateways": ["mesh"]}, None, False),
        ({}, ["web"], True),
        ({}, ["web", "~"], True),
        ({}, ["web", "."], False),
        ({"sourceNamespace": "web"}, ["web", "shop"], True),
        ({}, ["web", "shop"], False),
        ({}, None, False),
    ],
)
def test_sidecars_that_see_the_route_and_are_meant_send(match: Object, exports: list[str] | None, braked: bool) -> None:
    """Conditions on the source count only beside no ``gateways``. Source: sourceMatchHTTP."""
    route = calling(**match)
    if exports:
        route["spec"]["exportTo"] = exports
    rule = governing("b", "web", exportTo=["."], trafficPolicy=BRAKES)
    assert (findings(mesh([route, rule]), "mirror-no-brakes") == []) is braked


@pytest.mark.parametrize(
    ("match", "sends"),
    [
        ({}, True),
        ({"sourceNamespace": ROOT}, True),
        ({"sourceNamespace": "web"}, False),
        ({"sourceLabels": {"app": "web"}}, True),
        ({"sourceLabels": {"istio": "other"}}, False),
        ({"sourceLabels": {"istio": "other"}, "gateways": [f"{ROOT}/internal-gateway"]}, True),
    ],
)
def test_a_gateway_sends_what_calls_from_it_match(match: Object, sends: bool) -> None:
    route, gateway = at_gateway()
    route["spec"]["http"][0]["match"] = [match]
    assert bool(findings(mesh([route, gateway]), "mirror-no-brakes")) is sends


def test_conditions_of_a_delegating_entry_hold_too() -> None:
    inner = bare()
    del inner["spec"]["hosts"]
    outer = bare(mirror=None, route=None, match=[{"sourceNamespace": "web"}], delegate={"name": "a"})
    outer["metadata"]["name"] = "outer"
    rule = governing("b", "web", exportTo=["."], trafficPolicy=BRAKES)
    assert findings(mesh([outer, inner, rule]), "mirror-no-brakes") == []
