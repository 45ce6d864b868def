"""Values at the edge of what is accepted, and what becomes of them."""

# pyright: reportArgumentType=false
# Tables hold values of several types.

from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulumi_traffic_mirror.model import (
    Brakes,
    Destination,
    DnsLabel,
    Expiry,
    GatewayServer,
    HeaderMatch,
    HeaderName,
    Hostname,
    IstioVersion,
    Match,
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
    gateway_address,
    is_private,
    receiver_server,
)
from pulumi_traffic_mirror.model.rules import Outcome
from tests.unit.model.rule_cases import bare
from tests.unit.model.samples import HOST, NOW, contract, cross_cluster, findings, in_cluster, mesh, receiver, route

LONGEST_LABEL = "a" * 63
LONGEST_HOST = ".".join([LONGEST_LABEL] * 3 + ["b" * 61])


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        *((Percent, value) for value in (0, 0.0001, 33.3333, 99.9999, 100, 100.0)),
        *((Port, value) for value in (1, 8000, 65535)),
        *(
            (Hostname, value)
            for value in ("a.b", "xn--gre-goa.example", "1.example", f"{LONGEST_LABEL}.b", LONGEST_HOST)
        ),
        *((DnsLabel, value) for value in ("a", "1", "a-1", LONGEST_LABEL)),
        *((RpcMethod, value) for value in ("Greeter/SayHello", "a.b_c.D1/_E")),
        *((HeaderName, value) for value in ("x-a", "x_a", "!#$%&'*+.^_`|~0")),
        *((gateway_address, value) for value in ("10.0.0.1", "2001:db8::1", "a.example", "198.18.0.120")),
    ],
)
def test_a_value_at_the_edge_is_itself(kind: Callable[[Any], Any], value: Any) -> None:
    assert kind(value) == value
    assert str(kind(value)) in (str(value), str(float(value)) if isinstance(value, int) else "")


@given(st.integers(0, 1_000_000))
def test_every_share_that_the_proxy_can_express_is_accepted(steps: int) -> None:
    assert Percent(steps / 10_000).per_million == steps


@given(st.floats(0, 100))
def test_a_share_is_accepted_just_when_the_proxy_can_express_it(value: float) -> None:
    try:
        accepted = Percent(value)
    except ValidationError:
        assert round(value, 4) != value
    else:
        assert abs(accepted.per_million - value * 10_000) < 0.01


@given(st.text(max_size=20))
def test_any_text_is_a_name_or_refused(text: str) -> None:
    kinds: list[Callable[[str], object]] = [Hostname, DnsLabel, RpcMethod, HeaderName, gateway_address]
    for kind in (*kinds, IstioVersion.parse, Expiry.parse):
        with suppress(ValidationError):
            assert str(kind(text))


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC)))
def test_an_end_survives_its_text(at: datetime) -> None:
    assert Expiry.parse(str(Expiry(at))) == Expiry(str(Expiry(at))) == Expiry(at)
    assert not Expiry(at).has_passed(Expiry(at).at)


def test_an_end_is_kept_in_utc() -> None:
    assert str(Expiry.parse("2027-01-31T18:00:00+02:00")) == "2027-01-31T16:00:00Z"
    assert str(Expiry.parse("2027-01-31")) == "2027-01-31T23:59:59Z"


@pytest.mark.parametrize("name", ["max_connections", "max_pending_requests", "max_requests"])
@pytest.mark.parametrize("edge", [1, 65_536])
def test_counts_have_their_documented_edges(name: str, edge: int) -> None:
    assert getattr(Brakes(**{name: edge}), name) == edge
    with pytest.raises(ValidationError):
        Brakes(**{name: edge + (1 if edge > 1 else -1)})


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("connect_timeout_seconds", 0.1, 60),
        ("max_duration_seconds", 0.1, 3_600),
        ("ejection_seconds", 1, 3_600),
        ("consecutive_errors", 1, 1_000),
        ("keepalive_timeout_seconds", 0.1, 4.9),
    ],
)
def test_seconds_and_errors_have_their_documented_edges(name: str, low: float, high: float) -> None:
    for edge in (low, high):
        assert getattr(Brakes(**{name: edge}), name) == edge
    for beyond in (low / 2, high * 1.1):
        with pytest.raises(ValidationError):
            Brakes(**{name: beyond if name != "consecutive_errors" else round(beyond)})


def test_words_become_members_of_their_sets() -> None:
    words: dict[str, Any] = {"protocol": "HTTP2", "tls": "MUTUAL"}
    server = GatewayServer(hosts=[HOST], credential="c", **words)
    assert (server.protocol, server.tls) == (Protocol.HTTP2, TlsMode.MUTUAL)
    mode: Any = "SIMPLE"
    assert MirrorTls(mode=mode).mode is TlsMode.SIMPLE
    assert contract(protocol="GRPC").protocol is Protocol.GRPC
    assert route(protocol="GRPC").protocol is Protocol.GRPC


@pytest.mark.parametrize(
    ("protocol", "name", "http2"), [("GRPC", "grpc", True), ("HTTP2", "http2", True), ("HTTP", "http", False)]
)
def test_a_protocol_says_how_it_is_named_and_carried(protocol: str, name: str, http2: bool) -> None:
    assert (Protocol(protocol).port_name, Protocol(protocol).is_http2) == (name, http2)


def test_names_may_have_forty_characters() -> None:
    assert in_cluster(name="m" * 40).name == "m" * 40
    assert cross_cluster(contract=contract(receiver="r" * 40)).name == "r" * 40


def test_a_reason_has_at_least_ten_characters() -> None:
    assert Waiver(reason="ten chars.").reason == "ten chars."
    assert Scrub(mark_value="m" * 128).mark_value == "m" * 128


def test_the_default_names_say_what_they_are() -> None:
    assert in_cluster().name == "greeter-v2"
    assert cross_cluster().name == "testing"
    assert contract().mirror_host == f"testing-mirror.{HOST}"
    assert str(IstioVersion.parse("1.31")) == "1.31.0"
    assert IstioVersion.parse("1.31.2-rc.1") == IstioVersion(1, 31, 2)


@pytest.mark.parametrize(
    ("address", "private"),
    [("10.1.2.3", True), ("fd00::1", True), ("192.168.0.1", True), ("8.8.8.8", False), ("a.example", False)],
)
def test_private_addresses_are_told(address: str, private: bool) -> None:
    assert is_private(address) is private


def test_a_contract_s_digest_covers_every_term() -> None:
    plain = contract()
    for change in (
        {"hosts": ["other.example"]},
        {"port": 8001},
        {"protocol": "HTTP2"},
        {"receiver": "other"},
        {"mirror_host": "m.example"},
        {"transport": MirrorTls(mode=TlsMode.SIMPLE)},
        {"scrub": Scrub(extra_headers=["x-a"])},
        {"scrub": Scrub(mark_header="x-other")},
        {"scrub": Scrub(mark_value="other")},
        {"client_names": ["staging.example"]},
    ):
        assert contract(**change).digest != plain.digest
    assert {field.name for field in fields(plain)} == {
        "hosts",
        "port",
        "protocol",
        "receiver",
        "mirror_host",
        "transport",
        "scrub",
        "client_names",
    }


def test_an_offer_keeps_what_was_exported() -> None:
    until = Expiry.parse("2026-11-23")
    exported = MirrorOffer.of(contract(), "10.0.0.1", until).to_json()
    assert set(exported) == {"terms", "digest", "address", "expires"}
    accepted = MirrorOffer.accept(exported, contract(), now=NOW)
    assert (accepted.address, accepted.expires) == ("10.0.0.1", until)


def test_a_destination_says_its_cluster() -> None:
    assert Destination("a.b.svc.cluster.local", 80, "v1").cluster_name == "outbound|80|v1|a.b.svc.cluster.local"
    assert Destination("a.b.svc.cluster.local", 80).cluster_name == "outbound|80||a.b.svc.cluster.local"
    assert len({Destination("a.b", 80, "v1"), Destination("a.b", 80, "v1"), Destination("a.b", 80)}) == 2
    assert str(receiver().gateway) == "istio-system/internal-gateway"


def test_a_finding_is_complete_in_json() -> None:
    [found] = findings(mesh([bare()]), "mirror-side-effects")
    assert found.to_json() == {
        "rule": "mirror-side-effects",
        "severity": "error",
        "outcome": "broken",
        "cluster": "staging",
        "object": "VirtualService hello/a",
        "field": "spec.http[0].mirror",
        "message": "every method is copied, with its side effects",
        "remedy": found.remedy,
    }
    assert found.outcome is Outcome.BROKEN
    assert str(found).startswith("staging: VirtualService hello/a: spec.http[0].mirror: every method")


@pytest.mark.parametrize(
    "host",
    [f"a.{'b' * 56}", f"{'a' * 40}.{'b' * 40}.example", f"{'a.' * 119}examples"],
    ids=["longest last label", "short last label", "longest name"],
)
def test_a_contract_s_host_just_leaves_room_for_the_suffix(host: str) -> None:
    assert contract(hosts=[host], mirror_host="mirror.example").accepted_hosts == (host, f"{host}-shadow")


def test_a_receiver_s_server_is_the_contract_s() -> None:
    server = receiver_server(contract(port=9000, protocol=Protocol.HTTP2), "mirror-server")
    assert (server.port, server.protocol, server.credential) == (9000, Protocol.HTTP2, "mirror-server")


def test_conditions_that_only_one_match_has_hold_for_both() -> None:
    alice = Match(headers=[HeaderMatch(name="x-user", value="alice")])
    joined = Match(http_methods=["GET", "HEAD"]).joined(alice)
    assert joined == alice.joined(Match(http_methods=["GET", "HEAD"]))
    assert joined == Match(http_methods=["GET", "HEAD"], headers=alice.headers)
