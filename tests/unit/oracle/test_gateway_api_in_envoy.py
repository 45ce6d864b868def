"""Requests through a real Envoy with what istiod in memory renders: both APIs copy the same requests, and no others."""

import json
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from pulumi_traffic_mirror.model import Match, Protocol, RouteApi, client_server, render
from pulumi_traffic_mirror.operations.manifests import load
from pulumi_traffic_mirror.operations.oracle import Oracle
from pulumi_traffic_mirror.operations.whatif.fates import Outcome
from pulumi_traffic_mirror.operations.whatif.run import passages_of, run_states
from pulumi_traffic_mirror.operations.whatif.state import State, read_state
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


PODS: Any = {"gateway.networking.k8s.io/gateway-name": "internal-gateway"}
"""Labels of the gateway's pods, which both Gateways are for."""


def written(api: RouteApi, **mirror: Any) -> dict[str, list[Any]]:
    """A mirrored service and its gateway in one API, by what the objects are for."""
    given = route(api=api, protocol=Protocol.HTTP, mirrors=[in_cluster(match=READS, percent=100, **mirror)])
    servers, native = [client_server([HOST], 8000, Protocol.HTTP)], api is RouteApi.GATEWAY
    patches = render.native_filter(given) if native else render.envoy_filter(given)
    return {
        "gateway": [render.native_gateway(GATEWAY, servers) if native else render.gateway(GATEWAY, PODS, servers)],
        "routes": render.native_routes(given) if native else [render.virtual_service(given)],
        "filter": [patches] if patches else [],
        "rules": [*render.destination_rules(given)],
    }


def read(folder: Path, oracle: Oracle, name: str, objects: Iterable[Any]) -> State:
    """What istiod renders for the proxies."""
    services = [service(), service("greeter-v2"), service("internal-gateway", "istio-system", selector=PODS)]
    for each in services:
        each["spec"]["ports"] = [{"name": "http", "port": 8000, "targetPort": 8000}]
    file = folder / f"{name}.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [*services, CLASS, *objects]}))
    [loaded] = load("staging", [file])
    return read_state(loaded, oracle)


async def told(envoy: Path, states: Sequence[State]) -> list[list[tuple[str, int, Outcome]]]:
    """For each state what became of every request that is sent, wherever it is taken."""
    asked = [request(number, authority=f"{HOST}:8000", **given) for number, (_, given, _) in enumerate(SENT)]
    passages, untaken = passages_of(recorded(*asked), states)
    assert not untaken
    found: list[list[tuple[str, int, Outcome]]] = []
    for state, run in zip(states, await run_states(envoy, states, passages), strict=True):
        assert not state.refused
        outcomes: list[tuple[str, int, Outcome]] = []
        for place, passage in enumerate(passages):
            # Gateways of the two APIs are called otherwise: each request is tried at the other's place as well.
            if outcome := run.fate(place).outcome:
                what, _, copies = SENT[asked.index(passage.request)]
                outcomes.append((what, copies, outcome))
        assert {what for what, _, _ in outcomes} == {what for what, _, _ in SENT}
        found.append(outcomes)
    return found


@pytest.mark.asyncio
@pytest.mark.parametrize("mirror", [{}, {"scrub": REASON}], ids=["by an overlay", "by a RequestMirror"])
async def test_both_apis_copy_the_same_requests(
    envoy: Path, oracle: Oracle, tmp_path: Path, mirror: dict[str, Any]
) -> None:
    states = [read(tmp_path, oracle, api, chain(*written(api, **mirror).values())) for api in RouteApi]
    for outcomes in await told(envoy, states):
        for what, copies, outcome in outcomes:
            check(what, copies, outcome, scrubbed=not mirror)


def check(what: str, copies: int, outcome: Outcome, *, scrubbed: bool) -> None:
    assert outcome.primary, what
    assert outcome.primary.cluster == SERVICE.cluster_name, what
    assert [each.cluster for each in outcome.copies] == [MIRROR.cluster_name] * copies, what
    for copy in outcome.copies:
        names = {name.lower() for name, _ in copy.headers}
        assert ("authorization" in names) == (not scrubbed and what == "one with a credential"), what
        assert ("x-traffic-mirror" in names) == scrubbed, what


MOVING = {
    # What is there besides both DestinationRules, by API, after each step from one to the other and back.
    "the other's filter is made": {"istio": ("gateway", "routes", "filter"), "gateway": ("filter",)},
    "all of the other is made": {"istio": ("gateway", "routes", "filter"), "gateway": ("gateway", "routes", "filter")},
    "the first's routes are gone": {"istio": ("gateway", "filter"), "gateway": ("gateway", "routes", "filter")},
    "and back: the other's filter is made": {"istio": ("filter",), "gateway": ("gateway", "routes", "filter")},
    "and back: the first's routes are gone": {
        "istio": ("gateway", "routes", "filter"),
        "gateway": ("gateway", "filter"),
    },
}


@pytest.mark.asyncio
async def test_a_move_between_the_apis_copies_each_request_once_and_scrubbed(
    envoy: Path, oracle: Oracle, tmp_path: Path
) -> None:
    """An engine makes what is new first, what others need before these, and deletes last, the other way round."""
    both = {api.value: written(api) for api in RouteApi}
    states: list[State] = []
    for number, there in enumerate(MOVING.values()):
        parts = [each for api, names in there.items() for name in names for each in both[api][name]]
        states.append(read(tmp_path, oracle, str(number), [*both["istio"]["rules"], *parts]))
    for step, outcomes in zip(MOVING, await told(envoy, states), strict=True):
        for what, copies, outcome in outcomes:
            check(f"{step}: {what}", copies, outcome, scrubbed=True)
