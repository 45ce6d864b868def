"""Who reaches a mirror's route at testing's gateway, and how often: as istiod renders it, in a real Envoy."""

import asyncio
import base64
import json
import ssl
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from pulumi_traffic_mirror.model import (
    MirrorContract,
    MirrorReceiverRoute,
    Protocol,
    RouteApi,
    Waiver,
    client_server,
    receiver_server,
    render,
)
from pulumi_traffic_mirror.operations.oracle import Oracle, question_of
from pulumi_traffic_mirror.operations.whatif.state import Door, doors_of
from tests.support.certificates import make_certificates
from tests.support.loopback_envoy import running_envoy
from tests.unit.model.samples import GATEWAY, HOST, REASON, contract, receiver, service
from tests.unit.oracle.test_gateway_api_rendering import CLASS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_800)]

SPIFFE = "spiffe://staging.example/ns/gateways/sa/edge"
SOMEBODY = "spiffe://other.example/ns/shop/sa/till"
DNS = "staging-gateway.example"
LABELS = {
    RouteApi.ISTIO: {"istio": "internal-gateway"},
    RouteApi.GATEWAY: {"gateway.networking.k8s.io/gateway-name": "internal-gateway"},
}
FILES = {"tls.crt": "certificate.pem", "tls.key": "key.pem", "ca.crt": "ca.pem"}
CLIENTS = {"staging": SPIFFE, "somebody": SOMEBODY, "by-name": DNS}
HEADERS = {"host": f"{HOST}:8000"}
TYPES = "type.googleapis.com/envoy.extensions"
DECIDES = ("envoy.filters.http.rbac", "traffic-mirror.", "envoy.filters.http.router")


def of(names: list[str], api: RouteApi = RouteApi.ISTIO, rate: int | Waiver = REASON) -> MirrorReceiverRoute:
    terms = contract(protocol=Protocol.HTTP, client_names=names)
    return receiver(contract=terms, gateway=replace(GATEWAY, labels=LABELS[api]), api=api, max_per_second=rate)


def doors(oracle: Oracle, folder: Path, given: MirrorReceiverRoute) -> list[Door]:
    """The gateway's listeners: for mirrors, and one in plain text for the same hosts on another port."""
    native = given.api is RouteApi.GATEWAY
    terms: MirrorContract = given.contract
    servers = [receiver_server(terms, "mirror-server"), client_server([HOST], 8080, Protocol.HTTP)]
    labels: Any = dict(given.gateway.labels)
    front = service("internal-gateway", "istio-system", selector=labels)
    front["spec"]["ports"] = [{"name": f"http-{port}", "port": port, "targetPort": port} for port in (8000, 8080)]
    gateway = (
        render.native_gateway(GATEWAY, servers)
        if native
        else render.gateway(GATEWAY, {**given.gateway.labels}, servers)
    )
    route = render.native_receiver(given) if native else render.receiver_virtual_service(given)
    if native:
        del route["spec"]["parentRefs"][0]["port"]  # pyright: ignore -- plain JSON
    bounds = [render.receiver_authorization(given), render.receiver_rate_limit(given)]
    bounds.append(render.receiver_envoy_filter(given))
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "mirror-server", "namespace": "istio-system"},
        "data": {key: base64.b64encode((folder / file).read_bytes()).decode() for key, file in FILES.items()},
    }
    objects = [service(), front, CLASS, secret, gateway, route, *bounds]
    question = question_of([each for each in objects if each])
    (proxy,) = [each for each in question.proxies if each.kind == "router"]
    answer = oracle.ask(replace(question, rendered=frozenset([proxy.name])))
    refused = [each for each in answer.get("objects", []) if each.get("refused") or each.get("pruned")]
    assert not refused, refused
    fact: Any = answer.get("proxies", {})[proxy.name]
    return list(doors_of(proxy, fact["rendered"]))


def configured(found: list[Door], folder: Path) -> dict[str, Any]:
    """An Envoy with what decides at the gateway; whatever gets through is answered 200."""
    listeners: list[dict[str, Any]] = []
    for door in found:
        hosts: list[dict[str, Any]] = json.loads(json.dumps(door.routes["virtual_hosts"]))
        for route in [route for host in hosts for route in host["routes"] if route.pop("route", None)]:
            route["direct_response"] = {"status": 200}
        kept = [each for each in door.manager["http_filters"] if each["name"].startswith(DECIDES)]
        manager = {
            "@type": door.manager["@type"],
            "stat_prefix": "in",
            "route_config": {"virtual_hosts": hosts, "ignore_port_in_host_matching": True},
            "http_filters": kept,
        }
        chain: dict[str, Any] = {"filters": [{"name": "http", "typed_config": manager}]}
        if door.tls:
            chain["transport_socket"] = server_side(folder)
        listeners.append(
            {
                "name": "tls" if door.tls else "plain",
                "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
                "filter_chains": [chain],
                "listener_filters": [
                    {
                        "name": "envoy.filters.listener.tls_inspector",
                        "typed_config": {"@type": f"{TYPES}.filters.listener.tls_inspector.v3.TlsInspector"},
                    }
                ],
            }
        )
    admin = {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}}
    return {"admin": admin, "static_resources": {"listeners": listeners}}


def server_side(folder: Path) -> dict[str, Any]:
    """TLS that asks for a certificate of the authority, whatever its name."""
    pair = {
        "certificate_chain": {"filename": str(folder / "certificate.pem")},
        "private_key": {"filename": str(folder / "key.pem")},
    }
    context = {
        "@type": f"{TYPES}.transport_sockets.tls.v3.DownstreamTlsContext",
        "require_client_certificate": True,
        "common_tls_context": {
            "tls_certificates": [pair],
            "validation_context": {"trusted_ca": {"filename": str(folder / "ca.pem")}},
        },
    }
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}


async def asked(
    oracle: Oracle, envoy: Path, folder: Path, given: MirrorReceiverRoute, *, times: int = 1
) -> dict[str, list[int]]:
    """Statuses of requests for the mirrors' host: in plain text, and with each client's certificate, by who asks."""
    make_certificates(folder, "testing.example", CLIENTS)
    found: dict[str, list[int]] = {}
    async with running_envoy(envoy, folder, configured(doors(oracle, folder, given), folder)) as proxy:
        async with httpx.AsyncClient(trust_env=False) as client:
            listening = (await client.get(f"{proxy.admin}/listeners?format=json")).json()["listener_statuses"]
        ports = {each["name"]: each["local_address"]["socket_address"]["port_value"] for each in listening}
        for who in ("nobody", *CLIENTS):
            plain = who == "nobody"
            context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
            if not plain:
                context.load_cert_chain(folder / f"{who}-certificate.pem", folder / f"{who}-key.pem")
                context.check_hostname = False
            port, scheme = ports["plain" if plain else "tls"], "http" if plain else "https"
            for name in ("", "elsewhere.example"):
                extensions = {} if plain else {"sni_hostname": name or str(given.contract.mirror_host)}
                async with httpx.AsyncClient(trust_env=False, verify=context) as client:
                    where = f"{scheme}://127.0.0.1:{port}/"
                    sent = (client.get(where, headers=HEADERS, extensions=extensions) for _ in range(times))
                    answers = await asyncio.gather(*sent)
                found[f"{who} as {name}" if name else who] = [each.status_code for each in answers]
    return found


@pytest.mark.asyncio
@pytest.mark.parametrize("api", list(RouteApi))
async def test_only_the_contract_s_clients_reach_the_mirrors_route(
    oracle: Oracle, envoy: Path, tmp_path: Path, api: RouteApi
) -> None:
    got = await asked(oracle, envoy, tmp_path, of([SPIFFE], api))
    assert got.pop("staging") == got.pop("staging as elsewhere.example") == [200]
    assert set(map(tuple, got.values())) == {(403,)}


@pytest.mark.asyncio
async def test_without_names_every_client_with_a_certificate_does(oracle: Oracle, envoy: Path, tmp_path: Path) -> None:
    got = await asked(oracle, envoy, tmp_path, of([]))
    assert got.pop("nobody") == got.pop("nobody as elsewhere.example") == [403]
    assert set(map(tuple, got.values())) == {(200,)}


@pytest.mark.asyncio
async def test_names_that_no_policy_compares_are_the_listener_s_which_must_be_used(
    oracle: Oracle, envoy: Path, tmp_path: Path
) -> None:
    """The listener here takes every certificate of the authority; a real one takes those of its names."""
    got = await asked(oracle, envoy, tmp_path, of([DNS, SPIFFE]))
    assert {who for who, statuses in got.items() if statuses == [200]} == set(CLIENTS)


@pytest.mark.asyncio
@pytest.mark.parametrize("api", list(RouteApi))
async def test_more_copies_a_second_than_are_let_through_are_answered_429(
    oracle: Oracle, envoy: Path, tmp_path: Path, api: RouteApi
) -> None:
    got = await asked(oracle, envoy, tmp_path, of([SPIFFE], api, rate=5), times=60)
    counts = {who: [statuses.count(status) for status in (200, 429, 403)] for who, statuses in got.items()}
    # However slow the machine is: what is refused before spends nothing, and the bucket was full once.
    through, limited, refused = counts["staging"]
    assert through >= 5
    assert limited > 0
    assert refused == 0
    assert counts["somebody"] == [0, 0, 60]
