"""Names of clients in a contract: not every certificate of the authority may send mirrors."""

from typing import Any

import pytest

from pulumi_traffic_mirror.model import (
    GatewayRef,
    GatewayServer,
    MirrorContract,
    MirrorOffer,
    MirrorTls,
    Protocol,
    RouteApi,
    TlsMode,
    ValidationError,
    client_server,
    receiver_server,
    render,
)
from tests.unit.model.samples import HOST, NOW, REASON, plain, receiver

NAMES = ["staging.example", "spiffe://staging/ns/internal-gateway"]


def contract(**changes: Any) -> MirrorContract:
    return MirrorContract(**{"hosts": [HOST], "client_names": NAMES, **changes})


def test_the_receiver_s_gateway_takes_only_these_clients() -> None:
    server = receiver_server(contract(), "mirror-server")
    (rendered,) = plain([render.gateway(GatewayRef(name="edge", namespace="edge"), {"istio": "edge"}, [server])])
    (listener,) = rendered["spec"]["servers"]
    assert listener["tls"] == {"mode": "MUTUAL", "credentialName": "mirror-server", "subjectAltNames": NAMES}


def test_both_sides_agree_on_them_and_a_contract_without_any_is_what_it_was() -> None:
    with pytest.raises(ValidationError) as refusal:
        MirrorOffer.accept(MirrorOffer.of(contract(), "10.0.0.1").to_json(), contract(client_names=[]), now=NOW)
    assert refusal.value.field == "offer.terms.clientNames"
    assert "clientNames" not in contract(client_names=[]).terms


def test_listeners_of_other_clients_are_servers_of_their_own() -> None:
    servers = [
        GatewayServer(hosts=[name], tls=TlsMode.MUTUAL, credential="edge", client_names=clients)
        for name, clients in (("a.example", NAMES), ("b.example", ()))
    ]
    (rendered,) = plain([render.gateway(GatewayRef(name="edge", namespace="edge"), {"istio": "edge"}, servers)])
    assert len(rendered["spec"]["servers"]) == 2


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"transport": MirrorTls(mode=TlsMode.SIMPLE)}, "client_names"),
        ({"transport": REASON}, "client_names"),
        ({"client_names": ["*.example"]}, "client_names[0]"),
        ({"client_names": ["ok.example", "spiffe://"]}, "client_names[1]"),
        ({"client_names": ["spiffe://a b"]}, "client_names[0]"),
        ({"client_names": "ok.example"}, "client_names"),
        ({"client_names": [1]}, "client_names[0]"),
    ],
)
def test_names_that_cannot_be_checked_are_refused(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        contract(**changes)
    assert refusal.value.field == field


@pytest.mark.parametrize(
    ("labels", "names", "field"),
    [({}, NAMES[1:], "gateway.labels"), ({"istio": "edge"}, NAMES, "contract.client_names")],
)
def test_the_gateway_api_takes_no_names_that_nobody_would_compare(
    labels: dict[str, str], names: list[str], field: str
) -> None:
    gateway = GatewayRef(name="edge", namespace="edge", labels=labels)
    with pytest.raises(ValidationError) as refusal:
        receiver(contract=contract(client_names=names), gateway=gateway, api=RouteApi.GATEWAY)
    assert refusal.value.field == field
    assert receiver(contract=contract(client_names=names), gateway=gateway)


def test_the_clients_listener_is_the_contract_s_and_in_plain_text_unless_it_is_told() -> None:
    terms = contract(port=443, protocol=Protocol.HTTP)
    assert client_server(terms) == client_server([HOST], 443, Protocol.HTTP)
    assert client_server(terms, 8443).port == 8443
    encrypted = client_server(terms, tls=TlsMode.SIMPLE, credential="edge")
    assert (encrypted.tls, encrypted.credential) == (TlsMode.SIMPLE, "edge")
    with pytest.raises(ValidationError, match="must name a Secret"):
        client_server(terms, tls=TlsMode.SIMPLE)


def test_a_server_without_mutual_tls_has_no_clients_by_name() -> None:
    with pytest.raises(ValidationError, match="need mutual TLS"):
        GatewayServer(hosts=[HOST], tls=TlsMode.SIMPLE, credential="edge", client_names=NAMES)
