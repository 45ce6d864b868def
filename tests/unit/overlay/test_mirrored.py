"""Mirrors in a VirtualService of one's own: every request meets the route that it met before, and its mirrors."""

# pyright: reportArgumentType=false
# Wrong types are among what is tested: callers may be untyped.

import copy
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pulumi_traffic_mirror.model import (
    CrossClusterMirror,
    Destination,
    HeaderMatch,
    InClusterMirror,
    IstioBehaviour,
    IstioVersion,
    Match,
    MirrorOffer,
    Protocol,
    SpecOf,
    ValidationError,
)
from pulumi_traffic_mirror.model.render import mirrored
from pulumi_traffic_mirror.model.rules import run_rules
from tests.unit.model.samples import REASON, Object, contract, mesh, plain
from tests.unit.model.test_rendering import empties, valid

NEW = IstioBehaviour(version=IstioVersion(1, 31))
OLD = IstioBehaviour(version=IstioVersion(1, 29))
AT = SpecOf(name="shop", namespace="web", istio=NEW)
HOST = "shop.example.com"


def to(host: str, weight: int | None = None) -> Object:
    destination = {"host": f"{host}.web.svc.cluster.local", "port": {"number": 80}}
    return {"destination": destination, **({"weight": weight} if weight else {})}


SPEC: Object = {
    "hosts": [HOST],
    "gateways": ["ingress/edge", "mesh"],
    "exportTo": ["*"],
    "http": [
        {
            "name": "orders",
            "match": [{"uri": {"prefix": "/api/orders"}, "name": "read"}, {"uri": {"exact": "/orders"}}],
            "route": [to("orders", 90), to("orders-canary-of-ours", 10)],
            "retries": {"attempts": 3, "perTryTimeout": "2s"},
            "timeout": "7s",
            "rewrite": {"uri": "/v2"},
            "corsPolicy": {"allowOrigins": [{"exact": "https://a.example"}]},
            "someFieldOfTheNextRelease": {"kept": True},
        },
        {"match": [{"uri": {"prefix": "/old"}}], "redirect": {"uri": "/api/orders"}},
        {
            "match": [
                {"uri": {"prefix": "/cart"}, "method": {"regex": "GET|POST"}, "headers": {"x-beta": {"exact": "1"}}}
            ],
            "route": [to("cart")],
            "mirror": to("audit")["destination"],
            "mirrorPercentage": {"value": 5},
        },
        {"name": "rest", "route": [to("web")]},
    ],
}
EARLY = IstioBehaviour(version=IstioVersion(1, 27))
NATIVE: Object = {
    "parentRefs": [
        {"name": "edge", "namespace": "ingress"},
        {"group": "", "kind": "Service", "name": "orders", "port": 80},
    ],
    "hostnames": [HOST],
    "rules": [
        {
            "name": "orders",
            "matches": [{"path": {"type": "PathPrefix", "value": "/api/orders"}}],
            "backendRefs": [{"name": "orders", "port": 80, "weight": 90}, {"name": "canary", "port": 80, "weight": 10}],
            "timeouts": {"request": "7s"},
        },
        {"filters": [{"type": "RequestRedirect", "requestRedirect": {"hostname": "b.example"}}]},
    ],
}
FORWARDING = [SPEC["http"][0], SPEC["http"][2], SPEC["http"][3]]


def mirror(name: str = "next", **values: Any) -> InClusterMirror:
    return InClusterMirror(
        **{"percent": 100, "service": Destination(f"{name}.labs.svc.cluster.local", 80), "name": name, **values}
    )


def across(**values: Any) -> CrossClusterMirror:
    agreed = contract(hosts=[HOST], protocol=Protocol.HTTP)
    return CrossClusterMirror(**{"percent": 100, "contract": agreed, "client_credential": "mirror-client", **values})


def holds(test: Any, value: str) -> bool:
    if not test:
        return True
    ((kind, wanted),) = test.items()
    if kind == "regex":
        return re.fullmatch(wanted, value) is not None
    return value == wanted if kind == "exact" else value.startswith(wanted)


def taken_by(spec: Object, path: str, method: str, headers: dict[str, str]) -> Object:
    """The entry that a proxy takes, as Istio defines matches."""
    for entry in spec["http"]:
        for match in entry.get("match") or [{}]:
            present = match.get("headers", {})
            if (
                holds(match.get("uri"), path)
                and holds(match.get("method"), method)
                and all(name in headers and holds(test, headers[name]) for name, test in present.items())
                and not any(
                    name in headers and holds(test, headers[name])
                    for name, test in match.get("withoutHeaders", {}).items()
                )
            ):
                return entry
    raise AssertionError("no entry")


def behaviour(entry: Object) -> Object:
    return {
        key: value
        for key, value in entry.items()
        if key not in ("name", "match", "mirrors", "mirror", "mirrorPercentage")
    }


def hosts_of(entry: Object) -> list[str]:
    """Who gets copies by an entry."""
    listed = [each["destination"]["host"] for each in entry.get("mirrors", [])]
    return [*([entry["mirror"]["host"]] if "mirror" in entry else []), *listed]


MATCHES = [
    None,
    Match(path_prefixes=["/api/orders/eu"]),
    Match(path_prefixes=["/api", "/cart"]),
    Match(exact_paths=["/orders"], http_methods=["GET", "POST"]),
    Match(headers=[HeaderMatch(name="x-beta", value="1")]),
    Match(headers=[HeaderMatch(name="x-beta", value="2")]),
]


@settings(max_examples=150)
@given(
    st.lists(st.sampled_from(MATCHES), min_size=1, max_size=3, unique=True),
    st.sampled_from(["/api/orders", "/api/orders/eu/7", "/api/ordersX", "/orders", "/old", "/cart/7", "/", "/api"]),
    st.sampled_from(["GET", "POST", "OPTIONS"]),
    st.dictionaries(st.sampled_from(["x-beta", "x-traffic-mirror", "upgrade"]), st.sampled_from(["1", "2"])),
)
def test_every_request_meets_its_old_route_and_just_its_mirrors(
    matches: list[Match | None], path: str, method: str, headers: dict[str, str]
) -> None:
    mirrors = [mirror(f"next-{index}", match=match) for index, match in enumerate(matches)]
    before = taken_by(SPEC, path, method, headers)
    after = taken_by(plain([mirrored(SPEC, mirrors, at=AT).spec])[0], path, method, headers)
    assert behaviour(after) == behaviour(before)
    ours = [
        str(each.destination().host)
        for each, match in zip(mirrors, matches, strict=True)
        if "route" in before
        and not {"x-traffic-mirror", "upgrade"} & headers.keys()
        and takes(match, path, method, headers)
    ]
    assert hosts_of(after) == [*hosts_of(before), *ours]


def takes(match: Match | None, path: str, method: str, headers: dict[str, str]) -> bool:
    methods = match.http_methods if match and match.http_methods else ("GET", "HEAD", "OPTIONS")
    if method not in methods:
        return False
    tests = match.path_tests if match else ()
    fits = [path == test.path or (test.below and path.startswith(f"{test.path}/")) for test in tests]
    return (not fits or any(fits)) and all(
        headers.get(each.name) == each.value for each in (match.headers if match else ())
    )


def test_the_spec_that_is_given_stays_as_it_is() -> None:
    given_spec = copy.deepcopy(SPEC)
    result = mirrored(given_spec, [mirror()], at=AT)
    assert given_spec == SPEC
    assert {key: value for key, value in result.spec.items() if key != "http"} == {
        key: value for key, value in SPEC.items() if key != "http"
    }


def test_an_argo_rollout_learns_which_entries_it_must_list() -> None:
    result = mirrored(SPEC, [mirror()], at=AT)
    assert result.routes == (
        *("orders.guard", "orders.mirrored-0", "orders"),
        *("web.shop.2.guard", "web.shop.2.mirrored-0", "web.shop.2"),
        *("rest.guard", "rest.mirrored-0", "rest"),
    )
    named = [entry.get("name") for entry in plain([result.spec])[0]["http"]]
    assert named == [*result.routes[:3], None, *result.routes[3:]]


def test_only_the_entries_that_are_asked_for_are_split() -> None:
    at = SpecOf(name="shop", namespace="web", istio=NEW, entries=["rest"])
    result = mirrored(SPEC, [mirror()], at=at)
    assert result.routes == ("rest.guard", "rest.mirrored-0", "rest")
    assert plain([result.spec])[0]["http"][:3] == SPEC["http"][:3]


def test_an_entry_that_no_mirror_can_match_is_left_whole() -> None:
    result = mirrored(SPEC, [mirror(match=Match(path_prefixes=["/cart"]))], at=AT)
    assert plain([result.spec])[0]["http"][0] == SPEC["http"][0]


def test_bound_and_scrub_are_by_the_names_of_the_split_entries() -> None:
    result = mirrored(SPEC, [mirror()], at=AT)
    kinds = [each["kind"] for each in result.objects]
    assert kinds == ["DestinationRule", "EnvoyFilter"]
    patches: Any = plain(result.objects)[1]["spec"]["configPatches"]
    scrubbed = [
        (patch["match"]["context"], patch["match"]["routeConfiguration"]["vhost"]["route"]["name"])
        for patch in patches
        if patch["applyTo"] == "HTTP_ROUTE"
    ]
    # A match with a name of its own has a route of its own in Envoy.
    names = ["orders.mirrored-0.read", "orders.mirrored-0", "web.shop.2.mirrored-0", "rest.mirrored-0"]
    assert scrubbed == [(context, name) for context in ("GATEWAY", "SIDECAR_OUTBOUND") for name in names]


def test_the_owner_s_own_mirror_is_in_the_list_that_replaces_istio_s() -> None:
    patches: Any = plain(mirrored(SPEC, [mirror()], at=AT).objects)[1]["spec"]["configPatches"]
    (policies, *_) = [
        patch["patch"]["value"]["route"]["request_mirror_policies"]
        for patch in patches
        if patch["applyTo"] == "HTTP_ROUTE" and "web.shop.2" in str(patch["match"])
    ]
    assert [each["cluster"] for each in policies] == [
        "outbound|80||audit.web.svc.cluster.local",
        "outbound|80||next.labs.svc.cluster.local",
    ]
    assert policies[0]["runtime_fraction"]["default_value"]["numerator"] == 50_000
    assert "request_headers_mutations" not in policies[0]


@pytest.mark.parametrize("istio", [NEW, OLD])
@pytest.mark.parametrize("mirrors", [[mirror()], [mirror(), across()], [mirror(percent=0)], []])
def test_what_it_makes_is_valid_and_breaks_no_rule(istio: IstioBehaviour, mirrors: list[Any]) -> None:
    at = SpecOf(name="shop", namespace="web", istio=istio)
    offers = {"testing": MirrorOffer.of(across().contract, "10.1.2.3")}
    spec = {**copy.deepcopy(SPEC), "gateways": ["ingress/edge"]}
    del spec["http"][0]["someFieldOfTheNextRelease"]
    del spec["http"][2]["mirror"], spec["http"][2]["mirrorPercentage"]
    result = mirrored(spec, mirrors, at=at, offers=offers)
    service: Object = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "shop", "namespace": "web", "annotations": result.annotations},
        "spec": result.spec,
    }
    objects = plain([service, *result.objects])
    valid(objects)
    assert [path for each in objects for path in empties(each["spec"])] == []
    found = [each for each in run_rules(mesh(objects, complete=False, istio=istio)) if each.fails]
    # A receiver scrubs for a release that cannot do it at the source; the receiver is not among the objects.
    assert [str(each) for each in found if not (istio is OLD and "scrub" in each.rule)] == []


def test_weights_may_be_anything_that_json_is_not() -> None:
    """Outputs of Pulumi pass through."""
    later = object()
    spec = {"hosts": [HOST], "http": [{"route": [{**to("web"), "weight": later}]}]}
    result = mirrored(spec, [mirror()], at=AT)
    assert all(entry["route"][0]["weight"] is later for entry in result.spec["http"])  # type: ignore[index,union-attr,call-overload]


def test_the_spec_of_a_native_route_stays_as_it_is() -> None:
    before = copy.deepcopy(NATIVE)
    offer = MirrorOffer.of(contract(hosts=[HOST], protocol=Protocol.HTTP), "198.18.0.120")
    result = mirrored(NATIVE, [mirror(), across(name="testing")], at=AT, offers={"testing": offer})
    assert result.spec == NATIVE == before
    kinds = [each["kind"] for each in result.objects]
    assert kinds == ["DestinationRule", "DestinationRule", "ServiceEntry", "EnvoyFilter"]
    patched: Any = result.objects[-1]["spec"]
    hung = [
        each["match"]["routeConfiguration"]["vhost"]
        for each in patched["configPatches"]
        if each["applyTo"] == "HTTP_ROUTE"
    ]
    assert [each.get("domainName") or each["name"] for each in hung] == [HOST, "orders.web.svc.cluster.local:80"]
    assert all(each["route"] == {"action": "ROUTE"} for each in hung)
    assert {kept.scrub.value for kept in result.guards.values()} == {"at source"}
    assert not [each for each in run_rules(mesh(plain(result.objects), complete=False)) if each.fails]


def test_a_rule_of_a_native_route_is_chosen_by_its_name() -> None:
    at = SpecOf(name="shop", namespace="web", istio=NEW, entries=["orders"])
    patched: Any = mirrored(NATIVE, [mirror()], at=at).objects[-1]["spec"]
    routes = [each["match"].get("routeConfiguration") for each in patched["configPatches"]]
    assert {str(each["vhost"]["route"]) for each in routes if each} == {"{'name': 'orders', 'action': 'ROUTE'}"}


def with_http(*entries: Object, **spec: Any) -> Object:
    return {"hosts": [HOST], "gateways": ["ingress/edge"], "http": list(entries)} | spec


PATH = mirror(match=Match(path_prefixes=["/api"]))
OFFER = MirrorOffer.of(across().contract, "10.1.2.3")
REFUSED: list[tuple[str, Callable[[], object], str]] = [
    # what, call, field that the error names
    ("no routes", lambda: mirrored({"hosts": [HOST]}, [mirror()], at=AT), "spec.http"),
    ("routes as an object", lambda: mirrored({"http": {}}, [mirror()], at=AT), "spec.http"),
    ("route as a text", lambda: mirrored({"http": ["orders"]}, [mirror()], at=AT), "spec.http"),
    ("an HTTPRoute without a parent", lambda: mirrored({"rules": [{}]}, [mirror()], at=AT), "spec.parentRefs"),
    ("an HTTPRoute for any host", lambda: mirrored(NATIVE | {"hostnames": []}, [mirror()], at=AT), "spec.hostnames"),
    (
        "an HTTPRoute with a wildcard",
        lambda: mirrored(NATIVE | {"hostnames": ["*.example.com"]}, [mirror()], at=AT),
        "spec.hostnames",
    ),
    (
        "an HTTPRoute for a Service without its port",
        lambda: mirrored(NATIVE | {"parentRefs": [{"kind": "Service", "name": "orders"}]}, [mirror()], at=AT),
        "spec.parentRefs[0].port",
    ),
    (
        "a backend of an HTTPRoute",
        lambda: mirrored(NATIVE, [mirror(service=Destination("canary.web.svc.cluster.local", 80))], at=AT),
        "mirrors[0].service",
    ),
    ("a mirror across without an offer", lambda: mirrored(NATIVE, [across()], at=AT), "mirrors[0].offer"),
    (
        "a rule of an HTTPRoute that is not there",
        lambda: mirrored(NATIVE, [mirror()], at=SpecOf(name="a", namespace="web", istio=NEW, entries=["x"])),
        "at.entries[0]",
    ),
    (
        "an HTTPRoute before an istiod without overlays",
        lambda: mirrored(NATIVE, [mirror()], at=SpecOf(name="a", namespace="web", istio=EARLY)),
        "istio.version",
    ),
    ("TCP routes", lambda: mirrored({"tcp": [{}]}, [mirror()], at=AT), "spec.tcp"),
    (
        "matches as an object",
        lambda: mirrored(with_http({"match": {"uri": {}}, "route": [to("web")]}), [mirror()], at=AT),
        "spec.http[0].match",
    ),
    (
        "a delegate",
        lambda: mirrored(with_http({"name": "d", "delegate": {"name": "x"}}), [mirror()], at=AT),
        "spec.http.delegate",
    ),
    (
        "an entry that is not there",
        lambda: mirrored(SPEC, [mirror()], at=SpecOf(name="a", namespace="b", istio=NEW, entries=["orders", "x"])),
        "at.entries[1]",
    ),
    (
        "a prefix with a regular expression",
        lambda: mirrored(with_http({"match": [{"uri": {"regex": "/a.*"}}], "route": [to("web")]}), [PATH], at=AT),
        "spec.http[0].match[0].uri",
    ),
    (
        "a prefix with paths in any case",
        lambda: mirrored(
            with_http({"match": [{"uri": {"prefix": "/A"}, "ignoreUriCase": True}], "route": [to("web")]}),
            [PATH],
            at=AT,
        ),
        "spec.http[0].match[0].ignoreUriCase",
    ),
    (
        "a test that Istio does not know",
        lambda: mirrored(with_http({"match": [{"uri": {"suffix": "a"}}], "route": [to("web")]}), [PATH], at=AT),
        "spec.http[0].match[0].uri",
    ),
    (
        "a subset",
        lambda: mirrored(SPEC, [InClusterMirror(percent=100, subset="v2", shared_service=REASON)], at=AT),
        "mirrors[0].subset",
    ),
    (
        "a destination of the route",
        lambda: mirrored(SPEC, [mirror(service=Destination("web.web.svc.cluster.local", 80))], at=AT),
        "mirrors[0].service",
    ),
    (
        "a destination of the route without weight",
        lambda: mirrored(
            with_http({"route": [to("web", 100), {**to("next"), "weight": 0}]}),
            [mirror(service=Destination("next.web.svc.cluster.local", 80))],
            at=AT,
        ),
        "mirrors[0].service",
    ),
    (
        "a destination by its short name",
        lambda: mirrored(
            with_http({"route": [{"destination": {"host": "next"}}]}),
            [mirror(service=Destination("next.web.svc.cluster.local", 80))],
            at=AT,
        ),
        "mirrors[0].service",
    ),
    (
        "what Flagger writes",
        lambda: mirrored(with_http({"route": [to("web-primary", 100), to("web-canary", 0)]}), [mirror()], at=AT),
        "spec.http[0].route[0].destination.host",
    ),
    (
        "another cluster from the mesh",
        lambda: mirrored(SPEC, [across()], at=AT),
        "mirrors[0].contract",
    ),
    (
        "another cluster without its offer",
        lambda: mirrored(with_http({"route": [to("web")]}), [across()], at=AT),
        "mirrors[0].offer",
    ),
    (
        "a host that the receiver does not accept",
        lambda: mirrored(
            with_http({"route": [to("web")]}, hosts=["b.example"]),
            [across()],
            at=AT,
            offers={"testing": MirrorOffer.of(across().contract, "10.1.2.3")},
        ),
        "mirrors[0].contract.hosts",
    ),
    (
        "an own mirror without a port",
        lambda: mirrored(with_http({"route": [to("web")], "mirror": {"host": "audit"}}), [mirror()], at=AT),
        "spec.http.mirrors",
    ),
    (
        "more matches than can be combined",
        lambda: mirrored(SPEC, [mirror(f"n{i}", match=Match(path_prefixes=[f"/p{i}"])) for i in range(5)], at=AT),
        "mirrors",
    ),
    *(
        (f"{spec!r} as a spec", lambda spec=spec: mirrored(spec, [mirror()], at=AT), "spec")
        for spec in (None, 7, "http", [SPEC], ())
    ),
    *(
        (f"{mirrors!r} as mirrors", lambda mirrors=mirrors: mirrored(SPEC, mirrors, at=AT), "mirrors")
        for mirrors in (None, 7, "next", {"next"})
    ),
    *(
        (f"{each!r} as a mirror", lambda each=each: mirrored(SPEC, [mirror(), each], at=AT), "mirrors[1]")
        for each in (None, 7, "next", {})
    ),
    ("no place", lambda: mirrored(SPEC, [mirror()], at="shop"), "at"),
    ("an offer without a name", lambda: mirrored(SPEC, [mirror()], at=AT, offers=[OFFER]), "offers"),
    (
        "an offer as it is exported",
        lambda: mirrored(SPEC, [mirror()], at=AT, offers={"testing": OFFER.to_json()}),
        "offers.testing",
    ),
    ("entries as one text", lambda: SpecOf(name="a", namespace="b", istio=NEW, entries="orders"), "entries"),
    ("entry without a name", lambda: SpecOf(name="a", namespace="b", istio=NEW, entries=[""]), "entries[0]"),
    ("behaviour as a text", lambda: SpecOf(name="a", namespace="b", istio="1.31"), "istio"),
]


@pytest.mark.parametrize(("call", "field"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_what_mirrors_cannot_be_put_into_is_refused(call: Callable[[], object], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        call()
    assert caught.value.field == field
    assert caught.value.rule
    assert caught.value.remedy
