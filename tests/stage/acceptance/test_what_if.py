"""What-if before the real cluster: for planted changes it says of every path what the proxies then do."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pulumi_traffic_mirror.model import Protocol
from pulumi_traffic_mirror.operations.manifests import Loaded, laid_over, load
from pulumi_traffic_mirror.operations.recording.exchange import value_of
from pulumi_traffic_mirror.operations.whatif import Recorded, State, read_state
from pulumi_traffic_mirror.operations.whatif.choosing import Request
from pulumi_traffic_mirror.operations.whatif.comparing import copies_of
from pulumi_traffic_mirror.operations.whatif.fates import Arrival, Outcome
from pulumi_traffic_mirror.operations.whatif.run import passages_of, run_states
from pulumi_traffic_mirror.rehearsal.places import cache_directory
from pulumi_traffic_mirror.rehearsal.progress import SilentProgress
from pulumi_traffic_mirror.rehearsal.toolchain import ensure_envoy
from tests.support.oracle import start_oracle

from .lab import Lab, settled
from .overlays import HOST, HTTP, settled_dump
from .proxies import Proxy
from .terms import GATEWAY, NAMESPACE, PORTS, STAGING, echo, hosts

pytestmark = pytest.mark.stage

CALLS = 100
"""Of each path; a share of a tenth of them is none once in 40,000 times."""
DEVIATIONS = 5
"""Standard deviations by which a count may miss its share."""
VERSIONS = ("v1", "v2", "v3")
PATHS = ("/api/orders/7", "/api/cart/7?x=1", "/api/old", "/else")
OLD, NEW = "x-old", "x-new"

KINDS = (
    ("networking.istio.io/v1", ("VirtualService", "DestinationRule", "ServiceEntry", "Gateway")),
    ("networking.istio.io/v1alpha3", ("EnvoyFilter",)),
    ("v1", ("Service", "Namespace")),
    ("apps/v1", ("Deployment",)),
)


GRPC = Protocol.GRPC
GRPC_STATUS = {"0": "OK", "12": "UNIMPLEMENTED", "14": "UNAVAILABLE"}
"""What clients call them."""


def to(version: str, weight: int | None = None, protocol: Protocol = HTTP) -> dict[str, Any]:
    destination = {"destination": {"host": str(echo(version, protocol).host), "port": {"number": PORTS[protocol]}}}
    return destination | ({"weight": weight} if weight is not None else {})


def copied(version: str, percent: float, protocol: Protocol = HTTP) -> dict[str, Any]:
    return {"mirrors": [{**to(version, None, protocol), "percentage": {"value": percent}}]}


ORDERS = {"match": [{"uri": {"prefix": "/api/orders"}}], "route": [to("v1", 90), to("v2", 10)]}
CART = {"match": [{"uri": {"prefix": "/api/cart"}}], "rewrite": {"uri": "/v2/cart"}, "route": [to("v1")]}
MOVED = {"match": [{"uri": {"exact": "/api/old"}}], "redirect": {"uri": "/api/orders"}}
REST = {"route": [to("v1")], **copied("v3", 100.0)}
BASE = [ORDERS, CART, MOVED, REST]

CHANGES: Mapping[str, list[dict[str, Any]]] = {
    "nothing": BASE,
    "another cluster": [ORDERS, {**CART, "route": [to("v2")]}, MOVED, REST],
    "other weights": [{**ORDERS, "route": [to("v1", 50), to("v2", 50)]}, CART, MOVED, REST],
    "another redirect": [ORDERS, CART, {**MOVED, "redirect": {"uri": "/api/new", "redirectCode": 308}}, REST],
    "a path without a route": [ORDERS, CART, MOVED],
    "another rewrite": [ORDERS, {**CART, "rewrite": {"uri": "/v3/cart", "authority": "other.example"}}, MOVED, REST],
    "a header more": [ORDERS, {**CART, "headers": {"request": {"set": {NEW: "1"}}}}, MOVED, REST],
    "a header less": [ORDERS, {**CART, "headers": {"request": {"remove": [OLD]}}}, MOVED, REST],
    "a mirror more": [ORDERS, {**CART, **copied("v3", 100.0)}, MOVED, REST],
    "a mirror's share": [ORDERS, CART, MOVED, {**REST, **copied("v3", 25.0)}],
    "a mirror's target": [ORDERS, CART, MOVED, {**REST, **copied("v2", 100.0)}],
}


HELLO = {
    "match": [{"uri": {"exact": "/helloworld.Greeter/SayHello"}}],
    "route": [to("v1", 90, GRPC), to("v2", 10, GRPC)],
}
OTHERS = {"match": [{"uri": {"prefix": "/shop.Orders/"}}], "route": [to("v1", None, GRPC)]}

CALLS_OF_GRPC: Mapping[str, list[dict[str, Any]]] = {
    "another cluster": [HELLO, {**OTHERS, "route": [to("v2", None, GRPC)]}],
    "other weights": [{**HELLO, "route": [to("v1", 50, GRPC), to("v2", 50, GRPC)]}, OTHERS],
    "a header more": [HELLO, {**OTHERS, "headers": {"request": {"set": {NEW: "1"}}}}],
    "a mirror more": [HELLO, {**OTHERS, **copied("v3", 100.0, GRPC)}],
    "a mirror's share": [{**HELLO, **copied("v3", 25.0, GRPC)}, OTHERS],
}
"""Changes of routes for gRPC; a third method has no route."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """How callers come.

    Attributes:
        name: For people.
        host: The authority.
        protocol: What they speak.
        paths: What they ask for.
        inside: Whether they have a sidecar, and no gateway is before the servers.
    """

    name: str
    host: str
    protocol: Protocol
    paths: Sequence[str]
    inside: bool = False

    def proxy(self, lab: Lab) -> Proxy:
        """The proxy that decides."""
        return lab.caller if self.inside else lab.gateway

    def call(self, lab: Lab, path: str) -> dict[str, Any]:
        """Make the calls of one path."""
        port = PORTS[self.protocol]
        address = f"{self.host if self.inside else lab.stage.gateway_addresses[STAGING]}:{port}"
        given: dict[str, Any] = {"authority": "" if self.inside else f"{self.host}:{port}", "headers": {OLD: "1"}}
        if self.protocol is GRPC:
            given |= {"protocol": "grpc", "rpc": path[1:], "kind": "unary", "messages": 1, "message_bytes": 0}
        else:
            given |= {"protocol": "http1", "method": "GET", "path": path, "body_bytes": 0}
        return lab.run_job(lab.job_to(address, CALLS, **given), inside=self.inside)

    def request(self, path: str, number: int) -> Request:
        """A recorded request."""
        grpc = self.protocol is GRPC
        return Request(
            number=number,
            request_id=str(number),
            source="",
            started_at=datetime(2026, 1, 2, tzinfo=UTC),
            method="POST" if grpc else "GET",
            scheme="http",
            authority=f"{self.host}:{PORTS[self.protocol]}",
            path=path,
            headers=((OLD, "1"), *((("content-type", "application/grpc"), ("te", "trailers")) if grpc else ())),
            is_grpc=grpc,
        )


AT_THE_GATEWAY = Way(name="gateway", host=HOST, protocol=HTTP, paths=PATHS)
BY_GRPC = Way(
    name="gRPC",
    host=hosts(GRPC)[0],
    protocol=GRPC,
    paths=("/helloworld.Greeter/SayHello", "/shop.Orders/Get", "/else.Other/Get"),
)
BESIDE_THE_CALLER = Way(name="sidecar", host=str(echo("v1", HTTP).host), protocol=HTTP, paths=PATHS, inside=True)


def route(way: Way, entries: list[dict[str, Any]], turn: str) -> dict[str, Any]:
    """The VirtualService; names of its entries tell which one a proxy has."""
    named = [{"name": f"turn-{turn}-{index}", **entry} for index, entry in enumerate(entries)]
    gateways = {} if way.inside else {"gateways": [str(GATEWAY)]}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "planted", "namespace": NAMESPACE},
        "spec": {"hosts": [way.host], **gateways, "http": named},
    }


def live(lab: Lab, folder: Path) -> Loaded:
    """Every object of the cluster that matters."""
    found = [
        {**each, "apiVersion": version, "kind": kind}
        for version, kinds in KINDS
        for kind in kinds
        for each in lab.outpost.ask("find", STAGING, version, kind, "", "")
    ]
    file = folder / "live.json"
    file.write_text(json.dumps(found), encoding="utf-8")
    return load(STAGING, [file])[0]


Row = tuple[tuple[str, ...], tuple[tuple[Any, ...], ...]]
"""Statuses of a path, and every different request that arrived: version, path, host, and headers that were changed."""


async def told(envoy: Path, state: State, way: Way) -> tuple[dict[str, Row], dict[tuple[str, str], float]]:
    """What what-if says: a row for each path, and the share of its requests that each version gets."""
    requests = [way.request(path, number) for number, path in enumerate([*way.paths] * CALLS)]
    passages, _ = passages_of(Recorded(requests=tuple(requests), copies=0, damage=()), [state])
    [run] = await run_states(envoy, [state], passages)
    assert not run.made.unseen
    rows: dict[str, Row] = {}
    shares: dict[tuple[str, str], float] = {}
    for path in way.paths:
        fates = [run.fate(place) for place, passage in enumerate(passages) if passage.request.path == path]
        arrived = {_arrival(each.outcome.primary) for each in fates if each.outcome and each.outcome.primary}
        for each in fates[:1]:
            destinations = each.route.destinations if each.route else dict[str, float]()
            shares |= {(path, _version(name)): share for name, share in destinations.items()}
            for name, copy in copies_of(each).items():
                arrived.add(_arrival(copy.arrival))
                shares[path, _version(name)] = copy.share
        statuses = {_status(each.outcome) for each in fates if each.outcome}
        rows[path] = (tuple(sorted(statuses)), tuple(sorted(arrived)))
    return rows, shares


def _status(outcome: Outcome) -> str:
    """The status as clients of HTTP and of gRPC call it."""
    told = value_of(outcome.headers, "grpc-status")
    return GRPC_STATUS.get(told, told) if told else str(outcome.status)


def _version(cluster: str) -> str:
    return cluster.partition("echo-")[2].partition(".")[0]


def _arrival(arrival: Arrival) -> tuple[Any, ...]:
    names = {name for name, _ in arrival.headers}
    return (_version(arrival.cluster), arrival.path, arrival.host, OLD in names, NEW in names)


def done(lab: Lab, way: Way) -> tuple[dict[str, Row], dict[tuple[str, str], int]]:
    """What the cluster does, in the same form: rows, and how many requests of a path each version got."""
    rows: dict[str, Row] = {}
    counts: dict[tuple[str, str], int] = {}
    for path in way.paths:
        result = way.call(lab, path)
        arrived: set[tuple[Any, ...]] = set()
        for version in VERSIONS:
            settled(lambda version=version, run=result["run"]: lab.seen(STAGING, version, run), complete=CALLS)
            records = lab.records(STAGING, version, result["run"])
            counts[path, version] = len(records)
            for each in records:
                names = {name for name, _ in each["headers"]}
                arrived.add((version, each["path"], each["authority"], OLD in names, NEW in names))
        rows[path] = (tuple(sorted(result["statuses"])), tuple(sorted(arrived)))
    return rows, counts


@contextmanager
def in_place(lab: Lab, way: Way, turn: str, entries: list[dict[str, Any]]) -> Iterator[None]:
    with lab.applied(STAGING, [route(way, entries, turn)]):
        settled_dump(way.proxy(lab), f"turn-{turn}-0")
        yield


def some(*names: str) -> Mapping[str, list[dict[str, Any]]]:
    return {name: CHANGES[name] for name in names}


@pytest.mark.usefixtures("oracle_files")
@pytest.mark.timeout(400)
@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("way", "changes"),
    [
        pytest.param(AT_THE_GATEWAY, CHANGES, id="gateway"),
        pytest.param(BY_GRPC, CALLS_OF_GRPC, id="grpc"),
        pytest.param(
            BESIDE_THE_CALLER,
            some("another cluster", "other weights", "a path without a route", "another rewrite", "a mirror's share"),
            id="sidecar",
        ),
    ],
)
async def test_what_is_told_is_what_the_cluster_does(
    lab: Lab,
    case: Any,
    tmp_path: Path,
    way: Way,
    changes: Mapping[str, list[dict[str, Any]]],
) -> None:
    note = case(
        f"What-if of {len(changes)} states, {way.name}",
        "what-if",
        "every path: answers, who gets it, as what, and shares",
    )
    envoy = ensure_envoy(cache_directory(), SilentProgress())
    base, wrong = live(lab, tmp_path), list[str]()
    with start_oracle() as oracle:
        for number, (name, entries) in enumerate(changes.items()):
            turn = f"{way.name}-{number}".lower()
            file = tmp_path / f"{turn}.json"
            file.write_text(json.dumps(route(way, entries, turn)), encoding="utf-8")
            rows, shares = await told(envoy, read_state(laid_over(base, load(STAGING, [file])[0]), oracle), way)
            with in_place(lab, way, turn, entries):
                real, counts = done(lab, way)
            wrong += [
                f"{name}, {path}: told {rows[path]}, done {real[path]}"
                for path in way.paths
                if rows[path] != real[path]
            ]
            for (path, version), count in counts.items():
                share = shares.get((path, version), 0.0)
                if abs(count - CALLS * share) > DEVIATIONS * (CALLS * share * (1 - share)) ** 0.5:
                    wrong.append(f"{name}, {path}: {share:.0%} to {version} told, {count} of {CALLS} came")
    note(f"{len(wrong)} differences in {len(changes)} states of {len(way.paths)} paths", "the servers' own records")
    assert not wrong, "\n".join(wrong)
