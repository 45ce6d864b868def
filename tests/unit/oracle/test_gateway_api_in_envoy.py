"""Requests through a real Envoy with what istiod in memory renders: both APIs copy the same requests, and no others."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pulumi_traffic_mirror.model import Match, Protocol, RouteApi, client_server, render
from pulumi_traffic_mirror.operations.manifests import load
from pulumi_traffic_mirror.operations.oracle import Oracle
from pulumi_traffic_mirror.operations.whatif.run import passages_of, run_states
from pulumi_traffic_mirror.operations.whatif.state import State, read_state
from pulumi_traffic_mirror.rehearsal.toolchain import OracleFiles
from tests.support.oracle import start_oracle
from tests.support.what_if import recorded, request
from tests.unit.model.samples import GATEWAY, HOST, MIRROR, REASON, in_cluster, service
from tests.unit.model.test_gateway_api import SERVICE, route
from tests.unit.oracle.test_gateway_api_rendering import CLASS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_800)]

READS = Match(path_prefixes=["/api"], http_methods=["GET"])
TOKEN = ("authorization", "Bearer of-nobody")
AIM = ("x-traffic-mirror-to-hello.greeter.greeter-v2", "outbound|8000||greeter.hello.svc.cluster.local")
SENT: list[tuple[str, dict[str, Any], int]] = [
    ("one that matches", {"path": "/api/7"}, 1),
    ("one with a credential", {"path": "/api/7", "headers": (TOKEN,)}, 1),
    (
        "one with a forged aim",
        {"path": "/api/7", "headers": (AIM,)},
        1,
    ),
    ("a write", {"path": "/api/7", "method": "POST"}, 0),
    ("another path", {"path": "/apiary"}, 0),
    ("a copy", {"path": "/api/7", "headers": (("x-traffic-mirror", "mirror"),)}, 0),
    ("a WebSocket", {"path": "/api/7", "headers": (("upgrade", "websocket"), ("connection", "Upgrade"))}, 0),
]


@pytest.fixture(scope="module")
def oracle(oracle_files: OracleFiles) -> Iterator[Oracle]:
    with start_oracle(oracle_files) as started:
        yield started


def read(folder: Path, oracle: Oracle, api: RouteApi, **mirror: Any) -> State:
    """What istiod renders for the proxies of a mirrored service."""
    given = route(api=api, protocol=Protocol.HTTP, mirrors=[in_cluster(match=READS, percent=100, **mirror)])
    servers, native = [client_server([HOST], 8000, Protocol.HTTP)], api is RouteApi.GATEWAY
    labels = {"gateway.networking.k8s.io/gateway-name": "internal-gateway", "istio": "internal-gateway"}
    kept = dict(list(labels.items())[:1]) if native else {"istio": "internal-gateway"}
    front = service("internal-gateway", "istio-system", selector=kept)
    gateway = render.native_gateway(GATEWAY, servers) if native else render.gateway(GATEWAY, {**kept}, servers)
    routes = render.native_routes(given) if native else [render.virtual_service(given)]
    patches = render.native_filter(given) if native else render.envoy_filter(given)
    services = [service(), service("greeter-v2"), front]
    for each in services:
        each["spec"]["ports"] = [{"name": "http", "port": 8000, "targetPort": 8000}]
    objects = [*services, CLASS, gateway, *render.destination_rules(given), *routes, patches]
    file = folder / f"{api.value}.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [each for each in objects if each]}))
    [loaded] = load("staging", [file])
    return read_state(loaded, oracle)


@pytest.mark.asyncio
@pytest.mark.parametrize("mirror", [{}, {"scrub": REASON}], ids=["by an overlay", "by a RequestMirror"])
async def test_both_apis_copy_the_same_requests(
    envoy: Path, oracle: Oracle, tmp_path: Path, mirror: dict[str, Any]
) -> None:
    states = [read(tmp_path, oracle, api, **mirror) for api in RouteApi]
    asked = [request(number, authority=f"{HOST}:8000", **given) for number, (_, given, _) in enumerate(SENT)]
    passages, untaken = passages_of(recorded(*asked), states)
    assert not untaken
    for state, run in zip(states, await run_states(envoy, states, passages), strict=True):
        assert not state.refused
        # The two gateways are called otherwise, so each is asked at the other's place as well, where none listens.
        found = [outcome for place in range(len(passages)) if (outcome := run.fate(place).outcome)]
        assert len(found) == len(SENT)
        for outcome, (what, _, copies) in zip(found, SENT, strict=True):
            assert outcome.primary, what
            assert outcome.primary.cluster == SERVICE.cluster_name, what
            assert [each.cluster for each in outcome.copies] == [MIRROR.cluster_name] * copies, what
            for copy in outcome.copies:
                names = {name.lower() for name, _ in copy.headers}
                assert ("authorization" in names) == (bool(mirror) and what == "one with a credential"), what
                assert ("x-traffic-mirror" in names) != bool(mirror), what
