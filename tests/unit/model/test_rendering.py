"""What is rendered: exact in the points that matter, and for any input deterministic, compact and valid for Istio."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pulumi_traffic_mirror.model import (
    Brakes,
    Destination,
    GatewayServer,
    HeaderMatch,
    HeaderRules,
    HeaderTest,
    IstioBehaviour,
    IstioVersion,
    JsonObject,
    Match,
    MirroredRoute,
    MirrorOffer,
    Protocol,
    Scrub,
    TlsMode,
    Waiver,
    client_server,
    receiver_server,
    render,
)
from pulumi_traffic_mirror.model.rules import run_rules
from tests.unit.model.samples import (
    GATEWAY,
    HOST,
    MIRROR,
    NEW,
    NOW,
    OLD,
    PRIMARY,
    REASON,
    SAY_HELLO,
    Object,
    contract,
    cross_cluster,
    in_cluster,
    mesh,
    of_kind,
    receiver,
    receiving,
    route,
    sending,
)

SCHEMAS = Path(__file__).parents[2] / "data" / "istio_crds"
MAY_BE_EMPTY = ("http_protocol_options", "http2_protocol_options")
"""Envoy's messages whose presence alone says something."""


def closed(schema: Any) -> Any:
    """A schema that refuses unknown fields, which an API server would drop in silence."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(value) for key, value in schema.items()}
    if "properties" in found and not found.get("x-kubernetes-preserve-unknown-fields") and "type" in found:
        found.setdefault("additionalProperties", False)
    return found


VALIDATORS = {
    path.stem: (loaded["apiVersion"], jsonschema.Draft7Validator(closed(loaded["spec"])))
    for path in sorted(SCHEMAS.glob("*.json"))
    for loaded in [json.loads(path.read_text(encoding="utf-8"))]
}


def valid(objects: Sequence[Object]) -> None:
    for each in objects:
        version, validator = VALIDATORS[each["kind"]]
        assert each["apiVersion"] == version
        validator.validate(each["spec"])


def empties(value: Any, path: str = "") -> Iterator[str]:
    """Paths of everything that is empty or null."""
    if value is None or value in ("", [], {}):
        if path.rpartition(".")[2] not in MAY_BE_EMPTY:
            yield path
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from empties(each, f"{path}.{key}")
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from empties(each, f"{path}.{index}")


def entries(objects: Sequence[Object]) -> dict[str, Object]:
    """HTTP routes of the VirtualService by the last part of their names."""
    return {
        entry["name"].removeprefix("hello.greeter."): entry
        for entry in of_kind(objects, "VirtualService")["spec"]["http"]
    }


def matched_by(entry: Object, path: str, method: str = "POST", **headers: str) -> bool:
    """Whether a proxy would take this entry; covers the conditions that are rendered."""
    tests = {"exact": str.__eq__, "prefix": str.startswith, "regex": lambda value, _: bool(value)}
    for match in entry.get("match", [{}]):
        conditions = match.get("headers", {})
        if (
            match.get("uri", {"exact": path})["exact"] == path
            and match.get("method", {"exact": method})["exact"] == method
            and all(
                name in headers and tests[kind](headers[name], wanted)
                for name, condition in conditions.items()
                for kind, wanted in condition.items()
            )
        ):
            return True
    return False


def mirrors_of(objects: Sequence[Object], context: str, path: str, method: str = "POST", **headers: str) -> list[str]:
    """Hosts that get a copy of a request, as the first entry that takes it says."""
    for name, entry in entries(objects).items():
        if name.startswith(context) and matched_by(entry, path, method, **headers):
            return [mirror["destination"]["host"].partition(".")[0] for mirror in entry.get("mirrors", [])]
    raise AssertionError("no route")


def test_both_sides_are_valid_for_istio() -> None:
    valid(sending())
    valid(receiving())


def test_no_share_renders_no_mirror_but_keeps_the_routes() -> None:
    with_disabled = sending(route(mirrors=[in_cluster(percent=0)]))
    assert "mirrors" not in json.dumps(of_kind(with_disabled, "VirtualService")["spec"])
    assert list(entries(with_disabled)) == list(entries(sending(route(mirrors=[in_cluster(percent=1)]))))


def test_a_marked_request_is_never_mirrored() -> None:
    objects = sending()
    for context in ("gateway", "mesh"):
        assert mirrors_of(objects, context, "/helloworld.Greeter/SayHello")
        assert mirrors_of(objects, context, "/helloworld.Greeter/SayHello", **{"x-traffic-mirror": "other"}) == []


def test_only_named_methods_are_mirrored() -> None:
    objects = sending()
    assert mirrors_of(objects, "gateway", "/helloworld.Greeter/SayHello") == ["greeter-v2", "testing-mirror"]
    assert mirrors_of(objects, "gateway", "/helloworld.Greeter/Delete") == []
    assert mirrors_of(objects, "mesh", "/helloworld.Greeter/SayHello") == ["greeter-v2"]


def test_http_mirrors_safe_methods_unless_told_otherwise() -> None:
    http = contract(protocol="HTTP")
    objects = sending(
        route(
            protocol=Protocol.HTTP,
            mirrors=[in_cluster(match=None), cross_cluster(contract=http, match=Match(http_methods=["POST", "GET"]))],
        )
    )
    assert mirrors_of(objects, "gateway", "/", "GET") == ["greeter-v2", "testing-mirror"]
    assert mirrors_of(objects, "gateway", "/", "HEAD") == ["greeter-v2"]
    assert mirrors_of(objects, "gateway", "/", "POST") == ["testing-mirror"]
    assert mirrors_of(objects, "gateway", "/", "DELETE") == []


def test_every_request_meets_just_the_mirrors_that_it_matches() -> None:
    exact = Match(rpc_methods=["a.B/C"], headers=[HeaderMatch(name="x-team", value="blue-1")])
    prefix = Match(
        rpc_methods=["a.B/C", "a.B/D"], headers=[HeaderMatch(name="x-team", test=HeaderTest.PREFIX, value="blue")]
    )
    always = {"match": None, "side_effects": REASON}
    objects = sending(
        route(
            mirrors=[
                in_cluster(name="exact", match=exact, service=Destination("exact.hello.svc.cluster.local", 8000)),
                in_cluster(name="prefix", match=prefix, service=Destination("prefix.hello.svc.cluster.local", 8000)),
                in_cluster(name="all", service=Destination("all.hello.svc.cluster.local", 8000), **always),
            ]
        )
    )
    assert mirrors_of(objects, "mesh", "/a.B/C", **{"x-team": "blue-1"}) == ["exact", "prefix", "all"]
    assert mirrors_of(objects, "mesh", "/a.B/C", **{"x-team": "blue-2"}) == ["prefix", "all"]
    assert mirrors_of(objects, "mesh", "/a.B/D", **{"x-team": "blue-1"}) == ["prefix", "all"]
    assert mirrors_of(objects, "mesh", "/a.B/C", **{"x-team": "red"}) == ["all"]


def test_a_destination_rule_lies_where_every_proxy_looks() -> None:
    away = Destination("greeter-v2.testing.svc.cluster.local", 8000)
    objects = sending(route(mirrors=[in_cluster(service=away), cross_cluster()]))
    places = {
        each["spec"]["host"]: each["metadata"]["namespace"] for each in objects if each["kind"] == "DestinationRule"
    }
    assert places == {PRIMARY.host: "hello", away.host: "testing", contract().mirror_host: "hello"}
    assert run_rules(mesh(objects)) == []


def test_the_receiver_s_limits_lie_with_its_service() -> None:
    objects = receiving(receiver(service=Destination("greeter.other.svc.cluster.local", 8000, "v3")))
    rule = of_kind(objects, "DestinationRule")
    assert rule["metadata"]["namespace"] == "other"
    assert [subset["name"] for subset in rule["spec"]["subsets"]] == ["v3"]


def test_a_mirror_changes_nothing_about_the_primary() -> None:
    def primary(objects: Sequence[Object]) -> list[Object]:
        return [each for each in objects if each["kind"] == "DestinationRule" and each["spec"]["host"] == PRIMARY.host]

    assert primary(sending()) == primary(sending(route(mirrors=[])))
    assert "trafficPolicy" not in json.dumps(primary(sending()))
    patched = [
        patch["match"]["cluster"]["name"] for patch in of_kind(sending(), "EnvoyFilter")["spec"]["configPatches"][:3]
    ]
    assert PRIMARY.cluster_name not in patched


def test_a_subset_mirror_shares_the_primary_s_rule_but_not_its_limits() -> None:
    given = route(
        mirrors=[in_cluster(service=None, subset="v2", subset_labels={"track": "canary"}, shared_service=REASON)]
    )
    [rule] = [each for each in sending(given) if each["kind"] == "DestinationRule"]
    first, second = rule["spec"]["subsets"]
    assert first == {"name": "v1", "labels": {"version": "v1"}}
    assert second["labels"] == {"track": "canary"}
    assert second["trafficPolicy"]["connectionPool"]["http"]["http2MaxRequests"] == Brakes().max_requests


@pytest.mark.parametrize(
    ("protocol", "kept"),
    [
        (Protocol.GRPC, "http2_protocol_options"),
        (Protocol.HTTP2, "http2_protocol_options"),
        (Protocol.HTTP, "http_protocol_options"),
    ],
)
def test_a_replaced_cluster_keeps_its_protocol(protocol: Protocol, kept: str) -> None:
    rendered: Any = json.loads(json.dumps(render.cluster_brakes(Brakes(max_duration_seconds=2), protocol)))
    [only] = rendered["typed_extension_protocol_options"].values()
    assert only["common_http_protocol_options"] == {"max_stream_duration": "2s"}
    assert list(only["explicit_http_config"]) == [kept]


def test_a_cluster_is_taken_whatever_a_destination_rule_says_of_ejection() -> None:
    """Envoy refuses one whose `base_ejection_time`, by itself 30 s, is above its `max_ejection_time`."""
    rendered: Any = render.cluster_brakes(Brakes(ejection_seconds=5), Protocol.HTTP)
    assert rendered["outlier_detection"] == {"base_ejection_time": "5s", "max_ejection_time": "5s"}


def test_credentials_are_taken_off_the_copy() -> None:
    scrubbed = Scrub(extra_headers=["x-session"], mark_value="greeter")
    objects = sending(route(mirrors=[in_cluster(scrub=scrubbed)]))
    for patch in of_kind(objects, "EnvoyFilter")["spec"]["configPatches"]:
        if patch["applyTo"] == "HTTP_ROUTE":
            [policy] = patch["patch"]["value"]["route"]["request_mirror_policies"]
            removed = [each["remove"] for each in policy["request_headers_mutations"] if "remove" in each]
            assert {"authorization", "cookie", "x-session", "x-envoy-peer-metadata"} <= set(removed)
            assert policy["request_headers_mutations"][-1]["append"]["header"] == {
                "key": "x-traffic-mirror",
                "value": "greeter",
            }
            assert policy["disable_shadow_host_suffix_append"] is True


def test_old_releases_scrub_in_cluster_mirrors_on_their_cluster() -> None:
    patches = of_kind(sending(route(istio=OLD)), "EnvoyFilter")["spec"]["configPatches"]
    assert {patch["applyTo"] for patch in patches} == {"CLUSTER"}
    by_cluster = {patch["match"]["cluster"]["name"]: json.dumps(patch["patch"]["value"]) for patch in patches}
    assert "header_mutation" in by_cluster[MIRROR.cluster_name]
    assert "upstream_codec" in by_cluster[MIRROR.cluster_name]
    # The receiver's gateway scrubs the other one.
    assert "header_mutation" not in by_cluster[f"outbound|8000||{contract().mirror_host}"]
    assert "MERGE_AND_REPLACE_LIST" not in json.dumps(patches)


@pytest.mark.parametrize("istio", [NEW, OLD])
def test_waived_guards_are_not_rendered_but_noted(istio: IstioBehaviour) -> None:
    given = route(istio=istio, mirrors=[in_cluster(brakes=REASON, scrub=REASON, match=None, side_effects=REASON)])
    objects = sending(given)
    assert [each["kind"] for each in objects if each["kind"] == "EnvoyFilter"] == []
    notes = of_kind(objects, "VirtualService")["metadata"]["annotations"]
    for guard in ("brakes", "scrub", "side-effects"):
        assert notes[f"pulumi-traffic-mirror/waiver.greeter-v2.{guard}"] == REASON.reason
    judged = run_rules(mesh(objects, istio=istio))
    assert {finding.rule for finding in judged} >= {"mirror-no-brakes", "mirror-credentials", "mirror-side-effects"}
    assert {finding.reason for finding in judged} == {REASON.reason}


def test_a_header_rule_holds_for_every_entry() -> None:
    objects = sending(
        route(headers=HeaderRules(request_set={"x-a": "1"}, response_remove=["server"]), timeout_seconds=1.5)
    )
    for entry in of_kind(objects, "VirtualService")["spec"]["http"]:
        assert entry["headers"] == {"request": {"set": {"x-a": "1"}}, "response": {"remove": ["server"]}}
        assert entry["timeout"] == "1.5s"


def test_a_service_entry_is_seen_by_the_gateway_alone() -> None:
    entry = of_kind(sending(address="gateway.testing.example"), "ServiceEntry")["spec"]
    assert entry["exportTo"] == [".", "istio-system"]
    assert entry["resolution"] == "DNS"
    numbered = of_kind(sending(address="2001:db8::7"), "ServiceEntry")["spec"]
    assert (numbered["resolution"], numbered["endpoints"]) == ("STATIC", [{"address": "2001:db8::7"}])


def test_the_receiver_takes_both_forms_and_refuses_copies_of_copies() -> None:
    objects = receiving()
    assert of_kind(objects, "VirtualService")["spec"]["hosts"] == [HOST, f"{HOST}-shadow"]
    loop, accepted = of_kind(objects, "VirtualService")["spec"]["http"]
    assert loop["directResponse"] == {"status": 508}
    assert loop["match"][0]["withoutHeaders"] == {"x-traffic-mirror": {"exact": "mirror"}}
    assert accepted["headers"]["request"]["set"] == {"x-traffic-mirror": "mirror"}
    assert "authorization" in accepted["headers"]["request"]["remove"]


def test_servers_of_one_gateway_have_different_names() -> None:
    servers = [
        GatewayServer(hosts=["a.example"], tls=TlsMode.SIMPLE, credential="cert"),
        GatewayServer(hosts=["b.example"], tls=TlsMode.MUTUAL, credential="cert"),
        GatewayServer(hosts=["c.example"], tls=TlsMode.MUTUAL, credential="cert", protocol=Protocol.HTTP2),
        client_server(["d.example"], 9000),
        client_server(["e.example", "d.example"], 9000),
    ]
    rendered = render.gateway(GATEWAY, {"istio": "gateway"}, servers)
    found: list[Any] = json.loads(json.dumps(rendered["spec"]))["servers"]
    assert [server["hosts"] for server in found] == [
        ["a.example"],
        ["b.example", "c.example"],
        ["d.example", "e.example"],
    ]
    assert len({server["port"]["name"] for server in found}) == 3


LABELS = st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
METHODS = st.from_regex(r"[a-z]{1,3}\.[A-Z][a-z]{0,3}/[A-Z][a-z]{0,3}", fullmatch=True)
HEADERS = st.builds(
    HeaderMatch,
    name=LABELS.map("x-{}".format),
    test=st.sampled_from([HeaderTest.EXACT, HeaderTest.PREFIX]),
    value=LABELS,
)
PERCENTS = st.integers(min_value=0, max_value=1_000_000).map(lambda steps: steps / 10_000)
BRAKES = st.one_of(
    st.just(REASON),
    st.builds(
        Brakes,
        max_requests=st.integers(1, 65_536),
        max_duration_seconds=st.floats(0.1, 3_600),
        connect_timeout_seconds=st.floats(0.1, 60),
        keepalive_seconds=st.floats(3, 60),
        ejection_seconds=st.floats(1, 60),
    ),
)
SCRUBS: st.SearchStrategy[Scrub | Waiver] = st.one_of(
    st.just(REASON),
    st.builds(Scrub, extra_headers=st.lists(LABELS.map("x-s-{}".format), max_size=3), mark_value=LABELS),
)
ISTIO = st.builds(
    IstioBehaviour,
    version=st.integers(26, 31).map(lambda minor: IstioVersion(1, minor)),
    disable_shadow_host_suffix=st.sampled_from([None, True, False]),
)


@st.composite
def matches(draw: st.DrawFn) -> Match:
    headers = draw(st.lists(HEADERS, max_size=2, unique_by=lambda header: header.name))
    return Match(rpc_methods=draw(st.lists(METHODS, min_size=1, max_size=3, unique=True)), headers=headers)


@st.composite
def routes(draw: st.DrawFn) -> MirroredRoute:
    names = draw(st.lists(LABELS, max_size=3, unique=True))
    shared: Scrub | Waiver = draw(SCRUBS)
    # A mark must not be among the headers of a match, where it would contradict the guard; names differ by prefix.
    mirrors: list[Any] = [
        in_cluster(
            name=f"m-{name}",
            service=Destination(f"{name}.mirrors.svc.cluster.local", 8000),
            percent=draw(PERCENTS),
            match=draw(matches()),
            brakes=draw(BRAKES),
            scrub=draw(SCRUBS),
        )
        for name in names
    ]
    hosts = draw(st.lists(LABELS.map("{}.example".format), min_size=1, max_size=3, unique=True))
    if draw(st.booleans()):
        agreed = contract(hosts=hosts, scrub=shared)
        mirrors.append(
            cross_cluster(contract=agreed, percent=draw(PERCENTS), match=draw(matches()), brakes=draw(BRAKES))
        )
    subset = draw(st.sampled_from([None, "v1"]))
    return route(
        hosts=hosts,
        primary=Destination(PRIMARY.host, 8000, subset),
        mirrors=mirrors,
        istio=draw(ISTIO),
        mesh=draw(st.booleans()),
        timeout_seconds=draw(st.sampled_from([None, 0.25])),
    )


@settings(max_examples=25)
@given(routes())
def test_any_route_is_rendered_compact_deterministic_and_valid(given_route: MirroredRoute) -> None:
    objects = sending(given_route)
    assert objects == sending(given_route)
    assert list(empties(objects)) == []
    valid(objects)
    names = [(each["kind"], each["metadata"]["namespace"], each["metadata"]["name"]) for each in objects]
    assert len(set(names)) == len(names)


@settings(max_examples=25)
@given(routes())
def test_any_rendered_route_breaks_no_rule_that_is_not_waived(given_route: MirroredRoute) -> None:
    found = run_rules(mesh(sending(given_route), istio=given_route.istio))
    assert [str(finding) for finding in found if finding.fails] == []


@settings(max_examples=40)
@given(routes(), st.sampled_from(["gateway", "mesh"]), st.data())
def test_any_request_meets_just_the_mirrors_that_it_matches(
    given_route: MirroredRoute, context: str, data: st.DataObject
) -> None:
    if context == "mesh" and not given_route.mesh:
        return
    named = [mirror.match for mirror in given_route.mirrors if mirror.match]
    methods = sorted({path for match in named for path in match.rpc_paths}) or ["/a.B/C"]
    headers = sorted({(header.name, header.value) for match in named for header in match.headers})
    path = data.draw(st.sampled_from(methods))
    sent = dict(data.draw(st.lists(st.sampled_from(headers), max_size=3))) if headers else {}
    tests = {HeaderTest.EXACT: str.__eq__, HeaderTest.PREFIX: str.startswith}
    expected = [
        str(mirror.destination(given_route.primary).host).partition(".")[0]
        for mirror in given_route.mirrors
        if mirror.percent > 0
        and (context == "gateway" or not isinstance(mirror, type(cross_cluster())))
        and mirror.match
        and path in mirror.match.rpc_paths
        and all(
            header.name in sent and tests[header.test](sent[header.name], header.value)
            for header in mirror.match.headers
        )
    ]
    assert mirrors_of(sending(given_route), context, path, **sent) == expected


@given(st.lists(LABELS.map("{}.example".format), min_size=1, max_size=4, unique=True), SCRUBS, st.booleans(), BRAKES)
def test_any_receiver_is_rendered_compact_and_valid(
    hosts: list[str], scrub: Scrub | Waiver, tls: bool, limits: Brakes | Waiver
) -> None:
    values: dict[str, Any] = {"hosts": hosts, "scrub": scrub} | ({} if tls else {"transport": REASON})
    objects = receiving(receiver(contract=contract(**values), limits=limits))
    assert list(empties(objects)) == []
    valid(objects)
    assert len(receiver_server(contract(**values), "cert" if tls else "").hosts) == 2 * len(hosts) + tls


@given(st.lists(LABELS.map("{}.example".format), min_size=1, max_size=3, unique=True), SCRUBS)
def test_an_offer_survives_its_journey(hosts: list[str], scrub: Scrub | Waiver) -> None:
    agreed = contract(hosts=hosts, scrub=scrub)
    exported: JsonObject = json.loads(json.dumps(MirrorOffer.of(agreed, "10.0.0.1").to_json()))
    assert MirrorOffer.accept(exported, contract(hosts=hosts, scrub=scrub), now=NOW).digest == agreed.digest


def test_unused_values_stay_out_of_the_digest() -> None:
    assert contract().digest == contract(port=8000).digest
    assert contract().digest != contract(port=8001).digest
    assert SAY_HELLO.rpc_paths == ("/helloworld.Greeter/SayHello",)


def test_a_mended_mirror_gets_copies_again_within_ten_seconds() -> None:
    """An ejected endpoint comes back at the first look after its ejection, a hung copy ends with its life."""
    brakes = Brakes()
    rendered: Any = json.loads(json.dumps(render.traffic_policy(brakes)))
    look = float(rendered["outlierDetection"]["interval"].removesuffix("s"))
    assert brakes.ejection_seconds + look + brakes.connect_timeout_seconds < 10
    assert brakes.max_duration_seconds + look < 10


@pytest.mark.parametrize(
    ("given", "listener"),
    [
        (receiver(), {"sni": str(contract().mirror_host)}),
        (receiver(contract=contract(transport=REASON)), {"portNumber": 8000}),
    ],
)
def test_the_receiver_keeps_identifiers_where_mirrors_enter_and_nowhere_else(
    given: Any, listener: dict[str, Any]
) -> None:
    found = of_kind(receiving(given), "EnvoyFilter")
    (patch,) = found["spec"]["configPatches"]
    match = patch["match"]["listener"]
    chosen = {key: value for key, value in {**match, **match["filterChain"]}.items() if key in {"sni", "portNumber"}}
    assert chosen == listener
    assert patch["patch"]["value"]["typed_config"]["preserve_external_request_id"] is True
