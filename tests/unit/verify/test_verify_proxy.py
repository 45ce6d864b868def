"""What a proxy has is read from its admin pages as Envoy writes them."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pulumi_traffic_mirror.model.rules import ClusterObjects
from pulumi_traffic_mirror.operations.errors import OperationError
from pulumi_traffic_mirror.operations.verify.access_log import of_run, read_access_log
from pulumi_traffic_mirror.operations.verify.handshake import obstacles
from pulumi_traffic_mirror.operations.verify.proxy import ClusterView, Inlet, ProxyView
from pulumi_traffic_mirror.operations.verify.rejections import filters_behind, read_refused_now, words_about
from pulumi_traffic_mirror.operations.verify.survey import endpoints

HOST = "grpc-hello.staging.example"
CLUSTER = "outbound|8000||mirror.testing.example"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

Json = dict[str, Any]


def policy(**changes: Any) -> Json:
    return {
        "cluster": CLUSTER,
        "runtime_fraction": {"default_value": {"numerator": 250_000, "denominator": "MILLION"}},
        "disable_shadow_host_suffix_append": True,
        "request_headers_mutations": [
            {"remove": "authorization"},
            {"append": {"header": {"key": "x-traffic-mirror", "value": "mirror"}}},
        ],
        **changes,
    }


def route(name: str, match: Json, *policies: Json) -> Json:
    return {"name": name, "match": match, "route": {"cluster": "primary", "request_mirror_policies": list(policies)}}


def page(routes: list[Json], **sections: Any) -> ProxyView:
    host = {"name": f"{HOST}:8000", "domains": [HOST], "routes": routes}
    kinds = {
        "RoutesConfigDump": {
            "dynamic_route_configs": [{"route_config": {"name": "http.8000", "virtual_hosts": [host]}}]
        },
        **sections,
    }
    configs = [{"@type": f"type.googleapis.com/envoy.admin.v3.{kind}", **content} for kind, content in kinds.items()]
    # Agents may print a line before the page.
    return ProxyView("2026 warn OS CA Cert could not be found\n" + json.dumps({"configs": configs}))


GUARD = route("guard", {"prefix": "/", "headers": [{"name": "x-traffic-mirror", "present_match": True}]})
MIRRORED = route("mirrored", {"path": "/hello"}, policy())
REST = route("primary", {"prefix": "/"})


@pytest.mark.parametrize(
    ("authority", "path", "headers", "name"),
    [
        (f"{HOST}:8000", "/hello", {}, "mirrored"),
        (HOST, "/hello?x=1", {}, "mirrored"),
        (HOST, "/hello", {"x-traffic-mirror": "mirror"}, "guard"),
        (HOST, "/other", {}, "primary"),
        ("other.example", "/hello", {}, None),
    ],
)
def test_the_route_of_a_call_is_the_first_that_takes_it(
    authority: str, path: str, headers: dict[str, str], name: str | None
) -> None:
    found = page([GUARD, MIRRORED, REST]).route(authority, path, headers)
    assert (found.name if found else None) == name


@pytest.mark.parametrize(
    ("header", "value", "takes"),
    [
        ({"string_match": {"exact": "alice"}}, "alice", True),
        ({"string_match": {"exact": "alice"}}, "bob", False),
        ({"string_match": {"exact": "alice"}}, None, False),
        ({"string_match": {"prefix": "al"}}, "alice", True),
        ({"string_match": {"safe_regex": {"regex": "a.*"}}}, "alice", True),
        ({"string_match": {"safe_regex": {"regex": "b.*"}}}, "alice", False),
        ({"present_match": True}, "alice", True),
        ({"present_match": True}, None, False),
        ({"present_match": True, "invert_match": True}, None, True),
        ({"present_match": False}, None, True),
    ],
)
def test_conditions_on_headers_are_those_of_envoy(header: Json, value: str | None, takes: bool) -> None:
    view = page([route("r", {"prefix": "/", "headers": [{"name": "X-User", **header}]})])
    found = view.route(HOST, "/", {"x-user": value} if value is not None else {})
    assert (found is not None) is takes


def test_a_policy_has_its_share_its_suffix_and_what_it_does_to_headers() -> None:
    found = page([MIRRORED]).route(HOST, "/hello", {})
    assert found is not None
    (read,) = found.policies
    assert (read.cluster, read.percent, read.suffixed) == (CLUSTER, 25, False)
    assert read.removed == {"authorization"}
    assert read.added == {"x-traffic-mirror": "mirror"}


@pytest.mark.parametrize(("expression", "takes"), [(".*", False), (".+", True)])
def test_a_header_that_must_be_missing_is_an_empty_one_to_an_expression(expression: str, takes: bool) -> None:
    """As Istio renders withoutHeaders: with .* no request is ever taken (measured)."""
    test = {
        "name": "upgrade",
        "string_match": {"safe_regex": {"regex": expression}},
        "invert_match": True,
        "treat_missing_header_as_empty": True,
    }
    view = page([route("r", {"prefix": "/", "headers": [test]})])
    assert (view.route(HOST, "/", {}) is not None) is takes
    assert view.route(HOST, "/", {"upgrade": "websocket"}) is None


@pytest.mark.parametrize(
    ("config", "owner"),
    [
        ("/apis/networking.istio.io/v1/namespaces/hello/virtual-service/greeter", "hello/greeter"),
        ("/apis/networking.istio.io/v1/namespaces/hello/virtual-service/r-0-istio-autogenerated-k8s-gateway", ""),
        ("", ""),
    ],
)
def test_a_route_tells_whose_it_is(config: str, owner: str) -> None:
    found = page([{**MIRRORED, "metadata": {"filter_metadata": {"istio": {"config": config}}}}]).route(
        HOST, "/hello", {}
    )
    assert found is not None
    assert found.owner == owner


@pytest.mark.parametrize(
    ("share", "percent"),
    [({"numerator": 5}, 5), ({"denominator": "MILLION"}, 0), ({"numerator": 50, "denominator": "TEN_THOUSAND"}, 0.5)],
)
def test_shares_are_read_in_every_denominator(share: Json, percent: float) -> None:
    changed = policy(runtime_fraction={"default_value": share}, disable_shadow_host_suffix_append=False)
    found = page([route("r", {"path": "/"}, changed)]).route(HOST, "/", {})
    assert found is not None
    assert (found.policies[0].percent, found.policies[0].suffixed) == (percent, True)


def test_clusters_and_listeners_are_read_with_their_tls() -> None:
    context = {
        "common_tls_context": {
            "tls_certificate_sds_secret_configs": [{"name": "kubernetes://mirror-client"}],
            "combined_validation_context": {
                "default_validation_context": {"match_subject_alt_names": [{"exact": "mirror.testing.example"}]},
                "validation_context_sds_secret_config": {"name": "kubernetes://mirror-client-cacert"},
            },
        }
    }
    cluster = {
        "name": CLUSTER,
        "transport_socket": {"typed_config": {**context, "sni": "mirror.testing.example"}},
        "circuit_breakers": {"thresholds": [{"max_requests": 256}]},
        "typed_extension_protocol_options": {
            HTTP_OPTIONS: {
                "common_http_protocol_options": {"max_stream_duration": "8s"},
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
    }
    chain = {
        "filter_chain_match": {"server_names": ["mirror.testing.example"]},
        "transport_socket": {"typed_config": {**context, "require_client_certificate": True}},
        "filters": [{"typed_config": {"rds": {"route_config_name": "https.8000"}, "access_log": [{}]}}],
    }
    listener = {"address": {"socket_address": {"port_value": 8000}}, "filter_chains": [chain]}
    secret = {"tls_certificate": {"certificate_chain": {"inline_bytes": base64.b64encode(b"PEM").decode()}}}
    view = page(
        [MIRRORED],
        ClustersConfigDump={"dynamic_active_clusters": [{"cluster": cluster}]},
        ListenersConfigDump={"dynamic_listeners": [{"active_state": {"listener": listener}}]},
        SecretsConfigDump={"dynamic_active_secrets": [{"name": "kubernetes://mirror-client", "secret": secret}]},
    )
    read = view.clusters[CLUSTER]
    assert (read.http2, read.tls, read.sni, read.max_requests) == (True, True, "mirror.testing.example", 256)
    assert read.max_duration_seconds == 8
    assert read.secrets == ("kubernetes://mirror-client", "kubernetes://mirror-client-cacert")
    (inlet,) = view.inlets
    assert (inlet.port, inlet.tls, inlet.needs_certificate, inlet.routes, inlet.logs) == (
        8000,
        True,
        True,
        "https.8000",
        True,
    )
    assert view.secrets == {"kubernetes://mirror-client": b"PEM"}
    assert view.domains("http.8000") == (HOST,)


@pytest.mark.parametrize("text", ["", "no page", "{", "warn\n{broken"])
def test_a_page_that_is_none_is_said(text: str) -> None:
    with pytest.raises(OperationError, match="config_dump cannot be read"):
        ProxyView(text)


def test_what_was_sent_and_not_accepted_is_refused() -> None:
    proxies = [
        {
            "proxy": "gateway.istio-system",
            "cluster_sent": "2",
            "cluster_acked": "1",
            "route_sent": "3",
            "route_acked": "3",
        },
        {"proxy": "good.hello", "cluster_sent": "2", "cluster_acked": "2"},
    ]
    (found,) = read_refused_now("staging", "INFO starting\n" + json.dumps(proxies))
    assert (found.cluster, found.pod, found.namespace) == ("staging", "gateway", "istio-system")
    assert (found.kinds, found.versions) == (("cluster",), (("cluster", "2"),))
    assert list(read_refused_now("staging", "nothing")) == []


REJECTED = (
    "2026-11-23T10:00:00Z\twarn\tdelta\tADS:CDS: ACK ERROR gate-1.istio-system-4 Internal:Error adding/updating"
    f" cluster(s) {CLUSTER}: the option is wrong"
)


def test_the_last_words_of_a_proxy_are_found_in_istiod_s_log() -> None:
    older = REJECTED.replace("the option is wrong", "something else")
    other = REJECTED.replace("gate-1.", "gate-10.")
    said = words_about("gate-1.istio-system", [older, REJECTED, other])
    assert said == f"Error adding/updating cluster(s) {CLUSTER}: the option is wrong"
    assert words_about("gate-2.istio-system", [REJECTED]) == ""


def test_only_the_filter_that_changes_what_the_words_name_is_named() -> None:
    def changing(name: str, cluster: str) -> Json:
        patch = {"applyTo": "CLUSTER", "match": {"cluster": {"name": cluster}}, "patch": {"operation": "MERGE"}}
        return {
            "apiVersion": "networking.istio.io/v1alpha3",
            "kind": "EnvoyFilter",
            "metadata": {"name": name, "namespace": "istio-system"},
            "spec": {"configPatches": [patch]},
        }

    cluster = ClusterObjects(
        name="staging",
        objects=[changing("brakes", CLUSTER), changing("others", f"{CLUSTER}.other"), changing("all", "")],
    )
    assert filters_behind(words_about("gate-1.istio-system", [REJECTED]), cluster) == ("istio-system/brakes",)
    assert filters_behind("Proto constraint validation failed", cluster) == ()


def test_endpoints_are_those_of_the_cluster() -> None:
    lines = [f"{CLUSTER}::198.51.100.7:8000::rq_total::5", f"{CLUSTER}::[::1]:8000::rq_total::0"]
    assert endpoints(["\n".join([*lines, "other::1.2.3.4:1::rq_total::1"])], CLUSTER) == (
        "198.51.100.7:8000",
        "[::1]:8000",
    )


def line(details: str, flags: str = "-", code: int = 200, agent: str = "verify-1 grpc-python-asyncio/1.85.1") -> str:
    return (
        f'[2026-11-23T10:12:08.149Z] "POST /hello HTTP/2" {code} {flags} {details} - "-" 30 140 44 43 "198.18.64.1" '
        f'"{agent}" "27612d55" "{HOST}:8000" "198.18.65.3:8000" outbound|8000||greeter - - - - hello.greeter.mirror'
    )


def test_an_access_log_says_who_answered() -> None:
    lines = [line("via_upstream"), line("route_not_found", "NR"), line("no_healthy_upstream", "UH", 503), "noise"]
    read = list(read_access_log(lines))
    assert [each.answer for each in read] == ["200 via_upstream", "200 route_not_found", "503 no_healthy_upstream"]
    assert [each.unrouted for each in read] == [False, True, False]
    assert [each.passed_on for each in read] == [True, False, False]
    assert (read[0].authority, read[0].route) == (f"{HOST}:8000", "hello.greeter.mirror")
    assert len(of_run(read, "verify-1")) == 3
    assert of_run(read, "verify-") == []


class Authority:
    """Signs certificates of a test."""

    def __init__(self, name: str) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self.pem = self.sign(self.name, self.key, authority=True)

    def sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        *names: str,
        authority: bool = False,
        until: datetime = NOW + timedelta(days=1),
    ) -> bytes:
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - timedelta(days=1))
            .not_valid_after(until)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if names:
            alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
            builder = builder.add_extension(alternatives, critical=False)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def issue(self, *names: str, **changes: Any) -> bytes:
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "leaf")])
        return self.sign(subject, ec.generate_private_key(ec.SECP256R1()), *names, **changes)


OURS, THEIRS, STRANGER = Authority("ours"), Authority("theirs"), Authority("theirs")
NAME = "mirror.testing.example"
SENDER = ClusterView(
    http2=True, tls=True, sni=NAME, names=(NAME,), secrets=("kubernetes://client", "kubernetes://client-cacert")
)
INLET = Inlet(
    port=8000,
    tls=True,
    server_names=(NAME,),
    needs_certificate=True,
    secrets=("kubernetes://server", "kubernetes://server-cacert"),
    routes="https.8000",
)
MINE = {"kubernetes://client": OURS.issue("client"), "kubernetes://client-cacert": THEIRS.pem}
REMOTE = {"kubernetes://server": THEIRS.issue(NAME), "kubernetes://server-cacert": OURS.pem}


def against(cluster: ClusterView = SENDER, inlet: Inlet = INLET, **changes: Any) -> list[str]:
    return obstacles(
        cluster, [inlet], {**MINE, **changes.get("mine", {})}, {**REMOTE, **changes.get("theirs", {})}, NOW
    )


def test_a_handshake_of_two_sides_that_fit_meets_no_obstacle() -> None:
    assert against() == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mine": {"kubernetes://client-cacert": STRANGER.pem}}, "the sender does not trust"),
        ({"theirs": {"kubernetes://server-cacert": STRANGER.pem}}, "the receiver does not trust"),
        ({"theirs": {"kubernetes://server": THEIRS.issue("other.example")}}, "is for other.example, not for mirror"),
        (
            {"theirs": {"kubernetes://server": THEIRS.issue(NAME, until=NOW - timedelta(hours=1))}},
            "the receiver's certificate has expired on 2026-11-23 11:00 UTC",
        ),
        (
            {"mine": {"kubernetes://client": OURS.issue("c", until=NOW - timedelta(hours=1))}},
            "the sender's certificate has expired",
        ),
    ],
)
def test_certificates_that_do_not_fit_are_named(changes: Any, words: str) -> None:
    (found,) = against(**changes)
    assert words in found


def test_a_chain_may_lead_to_its_authority_by_way_of_others() -> None:
    between = Authority("between")
    signed = OURS.sign(between.name, between.key, authority=True)
    client = between.issue("client")
    assert against(mine={"kubernetes://client": client + signed}) == []
    assert against(mine={"kubernetes://client": client}) == [
        "the receiver does not trust who signed the sender's certificate"
    ]


@pytest.mark.parametrize(("wanted", "name"), [("*.testing.example", NAME), (NAME, "*.testing.example"), (NAME, NAME)])
def test_patterns_in_names_stand_for_what_they_cover(wanted: str, name: str) -> None:
    assert against(replace(SENDER, names=(wanted,)), theirs={"kubernetes://server": THEIRS.issue(name)}) == []


def test_modes_names_and_missing_secrets_are_named() -> None:
    plain = ClusterView(http2=True)
    assert against(plain) == ["the sender speaks plain text and the receiver listens for TLS"]
    open_inlet = Inlet(port=8000, tls=False, server_names=(), needs_certificate=False, secrets=(), routes="http.8000")
    assert against(inlet=open_inlet) == ["the sender speaks TLS and the receiver listens for plain text"]
    assert against(plain, open_inlet) == []
    other = ClusterView(http2=True, tls=True, sni="other.example", secrets=SENDER.secrets)
    assert against(other) == [f"the receiver has no listener for the server name 'other.example', only for {NAME}"]
    assert "the sender has not loaded the secret kubernetes://client" in obstacles(SENDER, [INLET], {}, REMOTE, NOW)
    assert "the receiver has not loaded the secret kubernetes://server" in obstacles(SENDER, [INLET], MINE, {}, NOW)
