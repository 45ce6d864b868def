"""Bad input: each is refused by the one error, with field, value, rule and remedy."""

# pyright: reportArgumentType=false
# Wrong types are the point: callers may be untyped.

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from pulumi_traffic_mirror.model import (
    Brakes,
    CrossClusterMirror,
    Destination,
    DnsLabel,
    Expiry,
    GatewayRef,
    GatewayServer,
    HeaderMatch,
    HeaderName,
    HeaderRules,
    HeaderTest,
    Hostname,
    InClusterMirror,
    IstioBehaviour,
    IstioVersion,
    Match,
    MirrorContract,
    MirrorOffer,
    MirrorTls,
    Percent,
    Port,
    Protocol,
    RpcMethod,
    Scrub,
    TlsMode,
    ValidationError,
    Waiver,
    client_server,
    gateway_address,
    receiver_server,
    render,
)
from pulumi_traffic_mirror.model.paths import HttpPath
from pulumi_traffic_mirror.model.rules import ClusterObjects, Mesh, RuleSettings
from tests.unit.model.samples import (
    GATEWAY,
    HOST,
    MIRROR,
    NEW,
    NOW,
    PRIMARY,
    REASON,
    SAY_HELLO,
    contract,
    cross_cluster,
    in_cluster,
    receiver,
    route,
)

HUGE = 10**400

SCALARS: list[tuple[Callable[[Any], object], Any, str]] = [
    *((Percent, value, "percent") for value in (-1, -0.0001, 100.0001, 101, float("nan"), float("inf"), HUGE)),
    *((Percent, value, "percent") for value in (True, False, "50", None, [50], 0.00001, 33.33331, 99.99999)),
    *((Port, value, "port") for value in (0, -1, 65536, HUGE, True, "8000", 8000.0, None)),
    *((Hostname, value, "host") for value in ("", None, 8000, b"a.example", ["a.example"])),
    *((Hostname, value, "host") for value in ("http://a.example", "a.example/path", "a.example:8000", "A.example")),
    *((Hostname, value, "host") for value in ("10.0.0.1", "::1", "[::1]", "[2001:db8::1]:80", "10.0.0.300", "1.2.3")),
    *(
        (Hostname, value, "host")
        for value in ("*", "*.example", "a.*.example", "a.example.", ".a.example", "a..example")
    ),
    *(
        (Hostname, value, "host")
        for value in ("a", "grüße.example", "a_b.example", "-a.example", "a-.example", "a b.example")
    ),
    *((Hostname, value, "host") for value in ("a.example\n", "a.\u212a", f"{'a' * 64}.example", f"{'a.' * 126}ab")),
    *((DnsLabel, value, "name") for value in ("", "A", "a.b", "-a", "a-", "a" * 64, "ä", None, 7, "a\n")),
    *((RpcMethod, value, "rpc_method") for value in ("", "/a.B/C", "a.B/*", "a.B", "a.B/C/D", "a.B/C ", "*", None)),
    *(
        (HttpPath, value, "path")
        for value in ("", "api", None, 7, b"/api", "/api?x=1", "/api#x", "/api/*", "/a b", "/ä")
    ),
    *((HttpPath, value, "path") for value in ("//api", "/api//x", "/api/../x", "/api\n", "/ä", "/" + "a" * 1_024)),
    *((RpcMethod, value, "rpc_method") for value in (".B/C", "a..B/C", "a.B/", "1a.B/C", "a.Bü/C")),
    *(
        (HeaderName, value, "header")
        for value in ("", "X-Api-Key", ":authority", "host", "a b", "a:", "ä", None, "a\n")
    ),
    *((gateway_address, value, "address") for value in ("", None, 7, "127.0.0.1", "::", "224.0.0.1", "fe80::1")),
    *(
        (gateway_address, value, "address")
        for value in ("localhost", "http://b", "10.0.0.1:80", "10.0.0.0/8", "B.example")
    ),
    *((IstioVersion.parse, value, "istio_version") for value in ("", "1", "v1.31.0", "1.31.0.0", "latest", None, 1.31)),
    *((Expiry.parse, value, "expires") for value in ("", "tomorrow", "2027-02-30", "2027-01-31T00:00:00", None, 5)),
]
"""Constructor, value, and the field that the error names."""

BUILT: list[tuple[str, Callable[[], object], str]] = [
    # label, constructor, field
    ("version part that is no number", lambda: IstioVersion(1, "31"), "minor"),
    ("version part below zero", lambda: IstioVersion(1, -1), "minor"),
    ("unknown old release", lambda: IstioBehaviour(version=IstioVersion(1, 25, 9)), "version"),
    ("unknown new release", lambda: IstioBehaviour(version=IstioVersion(1, 32)), "version"),
    ("version as text", lambda: IstioBehaviour(version="1.31"), "version"),
    (
        "compatibility newer than the version",
        lambda: IstioBehaviour(version=IstioVersion(1, 28), compatibility_version=IstioVersion(1, 29)),
        "compatibility_version",
    ),
    (
        "switch as text",
        lambda: IstioBehaviour(version=IstioVersion(1, 31), disable_shadow_host_suffix="false"),
        "disable_shadow_host_suffix",
    ),
    ("waiver without a reason", lambda: Waiver(reason="   ok    "), "reason"),
    ("waiver with a number", lambda: Waiver(reason=12345678901), "reason"),
    ("no connections", lambda: Brakes(max_connections=0), "max_connections"),
    ("connections without end", lambda: Brakes(max_connections=2**32 - 1), "max_connections"),
    ("half a request", lambda: Brakes(max_requests=1.5), "max_requests"),
    ("true as a number", lambda: Brakes(max_pending_requests=True), "max_pending_requests"),
    ("connect timeout of nothing", lambda: Brakes(connect_timeout_seconds=0), "connect_timeout_seconds"),
    ("life without end", lambda: Brakes(max_duration_seconds=float("inf")), "max_duration_seconds"),
    ("life that is no number", lambda: Brakes(max_duration_seconds=float("nan")), "max_duration_seconds"),
    ("seconds as text", lambda: Brakes(ejection_seconds="5s"), "ejection_seconds"),
    (
        "probe longer than its interval",
        lambda: Brakes(keepalive_seconds=2, keepalive_timeout_seconds=2),
        "keepalive_timeout_seconds",
    ),
    ("headers as one text", lambda: Scrub(extra_headers="x-secret"), "extra_headers"),
    ("header in upper case", lambda: Scrub(extra_headers=["x-ok", "X-Secret"]), "extra_headers[1]"),
    ("pairing header taken off", lambda: Scrub(extra_headers=["x-request-id"]), "extra_headers"),
    ("framing header taken off", lambda: Scrub(extra_headers=["content-type"]), "extra_headers"),
    ("mark taken off", lambda: Scrub(extra_headers=["x-traffic-mirror"]), "extra_headers"),
    ("mark on the request id", lambda: Scrub(mark_header="x-request-id"), "mark_header"),
    ("mark that is a credential", lambda: Scrub(mark_header="cookie"), "extra_headers"),
    ("mark without a value", lambda: Scrub(mark_value=""), "mark_value"),
    ("mark with a blank", lambda: Scrub(mark_value="a b"), "mark_value"),
    ("mark in two lines", lambda: Scrub(mark_value="a\r\nb"), "mark_value"),
    ("mark that is a number", lambda: Scrub(mark_value=1), "mark_value"),
    ("mark beyond its length", lambda: Scrub(mark_value="m" * 129), "mark_value"),
    ("match of nothing", Match, "match"),
    ("methods as one text", lambda: Match(rpc_methods="a.B/C"), "rpc_methods"),
    ("method with a slash before it", lambda: Match(rpc_methods=["a.B/C", "/a.B/D"]), "rpc_methods[1]"),
    ("method named twice", lambda: Match(rpc_methods=["a.B/C", "a.B/C"]), "rpc_methods"),
    (
        "method streaming and not",
        lambda: Match(rpc_methods=["a.B/C"], streaming_rpc_methods=["a.B/C"], streaming_waiver=REASON),
        "rpc_methods",
    ),
    ("streaming without a waiver", lambda: Match(streaming_rpc_methods=["a.B/C"]), "streaming_rpc_methods"),
    ("HTTP method in lower case", lambda: Match(http_methods=["get"]), "http_methods"),
    ("HTTP method that is never mirrored", lambda: Match(http_methods=["CONNECT"]), "http_methods"),
    ("HTTP method that is no text", lambda: Match(http_methods=[7]), "http_methods"),
    ("paths as one text", lambda: Match(path_prefixes="/api"), "path_prefixes"),
    ("path without a slash", lambda: Match(exact_paths=["/ok", "api"]), "exact_paths[1]"),
    ("prefix named twice", lambda: Match(path_prefixes=["/api", "/api/"]), "path_prefixes"),
    (
        "gRPC methods beside paths",
        lambda: Match(rpc_methods=["a.B/C"], path_prefixes=["/api"]),
        "path_prefixes",
    ),
    (
        "paths of gRPC",
        lambda: route(mirrors=[in_cluster(match=Match(path_prefixes=["/helloworld.Greeter"]))]),
        "mirrors[0].match.path_prefixes",
    ),
    (
        "websockets by a header",
        lambda: route(
            protocol=Protocol.HTTP,
            mirrors=[in_cluster(match=Match(headers=[HeaderMatch(name="upgrade", value="websocket")]))],
        ),
        "mirrors[0].match.headers",
    ),
    ("websockets waived by a word", lambda: in_cluster(websockets="yes"), "websockets"),
    ("headers that are no matches", lambda: Match(headers=["x-a"]), "headers[0]"),
    (
        "one header twice",
        lambda: Match(headers=[HeaderMatch(name="x-a", value="1"), HeaderMatch(name="x-a", value="2")]),
        "headers",
    ),
    ("match without a value", lambda: HeaderMatch(name="x-a"), "value"),
    ("presence with a value", lambda: HeaderMatch(name="x-a", test=HeaderTest.PRESENT, value="1"), "value"),
    ("value in two lines", lambda: HeaderMatch(name="x-a", value="1\n2"), "value"),
    ("unknown test", lambda: HeaderMatch(name="x-a", test="suffix", value="1"), "test"),
    ("end without a zone", lambda: Expiry(datetime(2027, 1, 31)), "expires"),
    ("end that is a day", lambda: Expiry(date(2027, 1, 31)), "expires"),
    ("end before the calendar", lambda: Expiry(datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))), "expires"),
    ("host of a partial Service", lambda: Destination("greeter.hello.svc", 8000), "host"),
    ("labels without a subset", lambda: Destination(MIRROR.host, 8000, subset_labels={"a": "b"}), "subset_labels"),
    ("label with a blank", lambda: Destination(MIRROR.host, 8000, "v2", {"version": "v 2"}), "subset_labels.version"),
    ("labels that are a text", lambda: Destination(MIRROR.host, 8000, "v2", "version=v2"), "subset_labels"),
    ("subset in upper case", lambda: Destination(MIRROR.host, 8000, "V2"), "subset"),
    ("gateway with a slash", lambda: GatewayRef(name="a/b", namespace="c"), "name"),
    ("header rule in upper case", lambda: HeaderRules(request_set={"X-A": "1"}), "request_set"),
    ("header rule in two lines", lambda: HeaderRules(response_add={"x-a": "1\n2"}), "response_add.x-a"),
    ("header rule with a number", lambda: HeaderRules(request_add={"x-a": 1}), "request_add.x-a"),
    ("headers to remove as one text", lambda: HeaderRules(request_remove="x-a"), "request_remove"),
    ("neither service nor subset", lambda: InClusterMirror(percent=100, match=SAY_HELLO), "service"),
    ("service and subset", lambda: in_cluster(subset="v2", shared_service=REASON), "service"),
    ("subset without a waiver", lambda: in_cluster(service=None, subset="v2"), "subset"),
    ("service as text", lambda: in_cluster(service="greeter-v2"), "service"),
    ("brakes as a number", lambda: in_cluster(brakes=5), "brakes"),
    ("scrub switched off by a word", lambda: in_cluster(scrub=False), "scrub"),
    ("end as text", lambda: in_cluster(expires="2027-01-31"), "expires"),
    ("match as text", lambda: in_cluster(match="SayHello"), "match"),
    ("name beyond its length", lambda: in_cluster(name="m" * 41), "name"),
    ("side effects waived by a word", lambda: in_cluster(side_effects=True), "side_effects"),
    ("shared Service waived by a word", lambda: in_cluster(shared_service="yes"), "shared_service"),
    ("plain text waived by a word", lambda: in_cluster(plain_text="yes"), "plain_text"),
    ("streaming waived by a word", lambda: Match(rpc_methods=["a.B/C"], streaming_waiver="yes"), "streaming_waiver"),
    ("percent as text", lambda: cross_cluster(percent="10"), "percent"),
    ("labels of a subset that is not", lambda: in_cluster(subset_labels={"version": "v2"}), "subset_labels"),
    ("waiver for a Service that is not shared", lambda: in_cluster(shared_service=REASON), "shared_service"),
    (
        "credential without TLS",
        lambda: cross_cluster(contract=contract(transport=REASON), client_credential="c"),
        "client_credential",
    ),
    ("TLS without a credential", lambda: cross_cluster(client_credential=""), "client_credential"),
    ("contract as a dict", lambda: CrossClusterMirror(percent=100, contract={"hosts": [HOST]}), "contract"),
    ("no hosts", lambda: contract(hosts=[]), "hosts"),
    ("hosts of an iterator that is at its end", lambda: contract(hosts=iter([])), "hosts"),
    ("hosts as one text", lambda: contract(hosts=HOST), "hosts"),
    ("host twice", lambda: contract(hosts=[HOST, HOST]), "hosts[1]"),
    ("suffixed host", lambda: contract(hosts=[f"{HOST}-shadow"]), "hosts[0]"),
    ("no room for the suffix", lambda: contract(hosts=[f"a.{'b' * 57}"]), "hosts[0]"),
    ("wildcard host", lambda: contract(hosts=["*.staging.example"]), "hosts[0]"),
    ("mirror host that clients call", lambda: contract(mirror_host=HOST), "mirror_host"),
    ("mirror host in suffixed form", lambda: contract(mirror_host=f"{HOST}-shadow"), "mirror_host"),
    ("mirror host inside the cluster", lambda: contract(mirror_host="b.hello.svc.cluster.local"), "mirror_host"),
    ("unknown protocol", lambda: contract(protocol="TCP"), "protocol"),
    ("transport switched off by a word", lambda: contract(transport=None), "transport"),
    ("TLS mode of the mesh", lambda: MirrorTls(mode="ISTIO_MUTUAL"), "mode"),
    ("receiver beyond its length", lambda: contract(receiver="r" * 41), "receiver"),
    ("contract without hosts at all", lambda: MirrorContract(hosts=None), "hosts"),
    ("server without hosts", lambda: GatewayServer(hosts=[]), "hosts"),
    ("server hosts as one text", lambda: GatewayServer(hosts=HOST), "hosts"),
    ("server with TLS and no credential", lambda: GatewayServer(hosts=[HOST], tls=TlsMode.MUTUAL), "credential"),
    ("server with a credential and no TLS", lambda: GatewayServer(hosts=[HOST], credential="c"), "credential"),
    ("receiver with TLS and no credential", lambda: receiver_server(contract()), "credential"),
    ("receiver called like a host", lambda: receiver(service=Destination(HOST, 8000)), "service.host"),
    ("limits as a number", lambda: receiver(limits=64), "limits"),
    (
        "plain text and TLS on one port",
        lambda: render.gateway(GATEWAY, {"a": "b"}, [client_server([HOST]), receiver_server(contract(), "c")]),
        "servers[1].tls",
    ),
    ("hosts without a gateway", lambda: route(gateway=None, mirrors=[]), "gateway"),
    ("a gateway without hosts", lambda: route(hosts=[]), "hosts"),
    ("nobody who could call", lambda: route(gateway=None, hosts=[], mesh=False, mirrors=[]), "gateway"),
    ("primary's name among the hosts", lambda: route(hosts=[PRIMARY.host], mirrors=[]), "hosts"),
    ("protocol as another word", lambda: route(protocol="grpc-web"), "protocol"),
    ("timeout of nothing", lambda: route(timeout_seconds=0), "timeout_seconds"),
    ("timeout as text", lambda: route(timeout_seconds="5s"), "timeout_seconds"),
    ("primary as text", lambda: route(primary="greeter"), "primary"),
    ("mirror as text", lambda: route(mirrors=["v2"]), "mirrors[0]"),
    ("gRPC mirror without methods", lambda: route(mirrors=[in_cluster(match=None)]), "mirrors[0].match"),
    (
        "gRPC mirror of HTTP methods",
        lambda: route(mirrors=[in_cluster(match=Match(http_methods=["GET"]))]),
        "mirrors[0].match",
    ),
    ("mirror is the primary", lambda: route(primary=MIRROR), "mirrors[0].service"),
    (
        "mirror in the primary's Service",
        lambda: route(mirrors=[in_cluster(service=Destination(PRIMARY.host, 8000, "v2"))]),
        "mirrors[0].service",
    ),
    (
        "subset of a primary without one",
        lambda: route(
            primary=Destination(PRIMARY.host, 8000),
            mirrors=[in_cluster(service=None, subset="v2", shared_service=REASON)],
        ),
        "mirrors[0].subset",
    ),
    (
        "two mirrors of one name",
        lambda: route(mirrors=[in_cluster(name="x"), cross_cluster(name="x")]),
        "mirrors[1].name",
    ),
    ("two mirrors to one place", lambda: route(mirrors=[in_cluster(), in_cluster(name="again")]), "mirrors[1].service"),
    (
        "two contracts with one mirror host",
        lambda: route(
            mirrors=[cross_cluster(), cross_cluster(name="b", contract=contract(mirror_host=contract().mirror_host))]
        ),
        "mirrors[1].contract.mirror_host",
    ),
    (
        "conditions that cannot be combined",
        lambda: route(
            mirrors=[
                in_cluster(
                    match=Match(
                        rpc_methods=["a.B/C"], headers=[HeaderMatch(name="x-a", test=HeaderTest.REGEX, value="a.*")]
                    )
                ),
                cross_cluster(match=Match(rpc_methods=["a.B/C"], headers=[HeaderMatch(name="x-a", value="abc")])),
            ]
        ),
        "mirrors[1].match.headers",
    ),
    (
        "too many different matches",
        lambda: route(
            mirrors=[
                in_cluster(
                    name=f"m{i}",
                    service=Destination(f"m{i}.hello.svc.cluster.local", 8000),
                    match=Match(rpc_methods=[f"a.B/C{i}"]),
                )
                for i in range(5)
            ]
        ),
        "mirrors",
    ),
    (
        "mark set by header rules",
        lambda: route(headers=HeaderRules(request_set={"x-traffic-mirror": "1"})),
        "mirrors[0].scrub.mark_header",
    ),
    (
        "cross-cluster without a gateway",
        lambda: route(gateway=None, hosts=[], mirrors=[cross_cluster()]),
        "mirrors[0].contract",
    ),
    ("host that the contract lacks", lambda: route(hosts=[HOST, "b.staging.example"]), "mirrors[1].contract.hosts"),
    ("other port than the contract's", lambda: route(port=8001), "mirrors[1].contract.port"),
    ("HTTP for a gRPC contract", lambda: route(protocol="HTTP"), "mirrors[1].contract.protocol"),
    ("address of an offer", lambda: MirrorOffer.of(contract(), "b"), "address"),
    ("share above everything", lambda: RuleSettings(max_percent=101), "max_percent"),
    ("lifetime of nothing", lambda: RuleSettings(max_lifetime_days=0), "max_lifetime_days"),
    ("lifetime without end", lambda: RuleSettings(max_lifetime_days=float("inf")), "max_lifetime_days"),
    ("requests beyond floating point", lambda: RuleSettings(max_requests=HUGE), "max_requests"),
    ("targets as one text", lambda: RuleSettings(allowed_targets="*.example"), "allowed_targets"),
    ("target that is no text", lambda: RuleSettings(allowed_targets=["a.example", None]), "allowed_targets[1]"),
    ("credentials as one text", lambda: RuleSettings(credential_headers="cookie"), "credential_headers"),
    ("methods that are no list", lambda: RuleSettings(allowed_rpc_methods=None), "allowed_rpc_methods"),
    ("method that is a list", lambda: RuleSettings(allowed_http_methods=[["GET"]]), "allowed_http_methods[0]"),
    ("permission as text", lambda: RuleSettings(private_plain_text="false"), "private_plain_text"),
    ("end that is no date", lambda: Expiry.on("2027-01-31"), "expires"),
    ("HTTP method that is a list", lambda: Match(http_methods=[["GET"]]), "http_methods"),
    ("mirrors that are no list", lambda: route(mirrors=in_cluster()), "mirrors"),
    ("mesh as text", lambda: route(mesh="false"), "mesh"),
    (
        "terms with a number as name",
        lambda: MirrorOffer.accept(
            {**MirrorOffer.of(contract(), "10.0.0.1").to_json(), "terms": {1: 2}}, contract(), now=NOW
        ),
        "offer.terms.1",
    ),
    ("allowed method in lower case", lambda: RuleSettings(allowed_http_methods=["get"]), "allowed_http_methods[0]"),
    (
        "two clusters of one name",
        lambda: Mesh(clusters=[ClusterObjects(name="a"), ClusterObjects(name="a")]),
        "clusters",
    ),
]


@pytest.mark.parametrize(("kind", "value", "field"), SCALARS)
def test_a_malformed_value_is_refused(kind: Callable[[Any], object], value: Any, field: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        kind(value)
    _complete(refusal.value, field)
    assert repr(value) in str(refusal.value)


@pytest.mark.parametrize(("build", "field"), [case[1:] for case in BUILT], ids=[case[0] for case in BUILT])
def test_an_illegal_state_is_refused(build: Callable[[], object], field: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        build()
    _complete(refusal.value, field)


def _complete(error: ValidationError, field: str) -> None:
    assert error.field == field
    assert error.rule
    assert error.rule[0].islower()
    assert error.remedy
    assert not error.remedy.endswith(".")
    for part in (error.field, error.rule, error.remedy):
        assert part in str(error)


OFFER = MirrorOffer.of(contract(), "10.1.2.3").to_json()


OFFERS: list[tuple[object, str]] = [
    (None, "offer"),
    ("10.1.2.3", "offer"),
    ({}, "offer"),
    ({**OFFER, "terms": None}, "offer.terms"),
    ({**OFFER, "terms": {**contract().terms, "port": 9000}}, "offer.terms.port"),
    ({**OFFER, "terms": {**contract().terms, "extra": 1}}, "offer.terms.extra"),
    ({**OFFER, "digest": "0" * 64}, "offer.digest"),
    ({**OFFER, "expires": "2026-11-22"}, "offer.expires"),
    ({**OFFER, "expires": "soon"}, "offer.expires"),
    ({**OFFER, "address": None}, "offer.address"),
    ({**OFFER, "address": "b/c"}, "offer.address"),
]
"""Offer, and the field that the error names."""


@pytest.mark.parametrize(("offer", "field"), OFFERS)
def test_an_offer_that_does_not_fit_is_refused(offer: object, field: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        MirrorOffer.accept(offer, contract(), now=NOW)
    _complete(refusal.value, field)


@pytest.mark.parametrize("offer", [None, [1], "PRIVATE", MirrorOffer.of(contract(), "10.0.0.1")])
def test_what_is_no_offer_is_told_by_its_type(offer: object) -> None:
    said = "None" if offer is None else f"'({type(offer).__name__})'"
    with pytest.raises(ValidationError, match=re.escape(f"offer = {said}: must be the offer")):
        MirrorOffer.accept(offer, contract(), now=NOW)


@pytest.mark.parametrize("address", ["8.8.8.8", "2001:4860::1", "gateway.testing.example"])
def test_plain_text_goes_to_private_addresses_only(address: str) -> None:
    plain_text = contract(transport=REASON)
    with pytest.raises(ValidationError, match="private IP address"):
        MirrorOffer.accept(MirrorOffer.of(plain_text, address).to_json(), plain_text, now=NOW)
    accepted = MirrorOffer.accept(MirrorOffer.of(plain_text, "10.0.0.7").to_json(), plain_text, now=NOW)
    assert accepted.address == "10.0.0.7"


@pytest.mark.parametrize("value", ["a" * 100_000, 10**5_000, [10**5_000]], ids=["text", "number", "list"])
def test_a_value_that_is_too_long_to_be_shown_is_refused_like_any_other(value: object) -> None:
    """Python itself does not write whole numbers of more than 4,300 digits."""
    with pytest.raises(ValidationError) as refusal:
        DnsLabel(value, field="name")
    _complete(refusal.value, "name")
    assert len(str(refusal.value)) < 3_000


def test_a_mirror_s_error_names_its_place_on_the_route() -> None:
    with pytest.raises(ValidationError, match=r"^mirrors\[1\]\.contract\.port"):
        route(port=8001)


def test_the_release_decides_about_the_authority() -> None:
    preserved, suffixed = (
        IstioBehaviour(version=IstioVersion(1, 28)),
        IstioBehaviour(version=IstioVersion(1, 31), compatibility_version=IstioVersion(1, 27)),
    )
    assert preserved.authority_mode.value == "preserved"
    assert suffixed.authority_mode.value == "suffixed"
    switched = IstioBehaviour(version=IstioVersion(1, 31), disable_shadow_host_suffix=False)
    assert switched.authority_mode.value == "suffixed"
    # The switch came with 1.28; older releases ignore it.
    ignored = IstioBehaviour(version=IstioVersion(1, 27), disable_shadow_host_suffix=True)
    assert ignored.authority_mode.value == "suffixed"
    assert NEW.scrubs_at_source
    with pytest.raises(ValidationError, match="must be a date"):
        Expiry.on("2027-01-31")  # pyright: ignore[reportArgumentType]
    assert Expiry.on(date(2027, 1, 31)).at == datetime(2027, 1, 31, 23, 59, 59, tzinfo=UTC)
