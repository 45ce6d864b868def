"""A planted change of each kind, between two states that differ in nothing else, through two real Envoys."""

from pathlib import Path
from typing import Any

import pytest

from pulumi_traffic_mirror.operations.outcome import Outcome
from pulumi_traffic_mirror.operations.whatif import Expectations, Kind, Result, State, what_if
from pulumi_traffic_mirror.operations.whatif.choosing import Request
from pulumi_traffic_mirror.operations.whatif.state import Cluster
from tests.support.what_if import V2, cluster_name, door, recorded, request, route, state, weighted

pytestmark = pytest.mark.slow

SUBSET = cluster_name("v1", "blue")
FIRST, SECOND = "v1.shop.svc.cluster.local:80", "v2.shop.svc.cluster.local:80"
BLUE = f"{FIRST} subset blue"


def mirror(cluster: str = V2, percent: int = 100, **values: Any) -> dict[str, Any]:
    share = {"default_value": {"numerator": percent, "denominator": "HUNDRED"}}
    return {"request_mirror_policies": [{"cluster": cluster, "runtime_fraction": share, **values}]}


def marked(**header: str) -> dict[str, Any]:
    """Sets a header on copies, and takes credentials away."""
    name, value = header.popitem() if header else ("x-traffic-mirror", "mirror")
    append = {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
    return {"request_headers_mutations": [{"append": append}, {"remove": "authorization"}]}


BOUNDED = {
    V2: Cluster(reachable=True, settings={"common_http_protocol_options": {"max_stream_duration": "10s"}}),
    SUBSET: Cluster(reachable=True, settings={}),
}
SAFE = mirror(**marked())


def one(*routes: Any, **values: Any) -> State:
    return state(door(list(routes), **values), clusters=BOUNDED)


def added(name: str, to: str = "request") -> dict[str, Any]:
    return {**route("a"), f"{to}_headers_to_add": [{"header": {"key": name, "value": "1"}}]}


PLANTED: dict[Kind, tuple[State, State, str, str]] = {
    Kind.CLUSTER: (one(route("a")), one(route("a", cluster=V2)), FIRST, SECOND),
    Kind.SUBSET: (one(route("a")), one(route("a", cluster=SUBSET)), FIRST, BLUE),
    Kind.WEIGHT: (
        one(route("a", **weighted(v1=90, v2=10))),
        one(route("a", **weighted(v1=50, v2=50))),
        f"{FIRST} 90 %, {SECOND} 10 %",
        f"{FIRST} 50 %, {SECOND} 50 %",
    ),
    Kind.ANSWER: (
        one(route("a")),
        one({"name": "a", "match": {"prefix": "/"}, "redirect": {"path_redirect": "/new"}}),
        FIRST,
        "301 to http://shop.example.com/new (direct_response)",
    ),
    Kind.REWRITE: (one(route("a")), one(route("a", prefix_rewrite="/v2/")), "path /…", "path /v2…"),
    Kind.HEADER_GAINED: (one(route("a")), one(added("x-new")), "no x-new", "x-new"),
    Kind.HEADER_LOST: (
        one(route("a")),
        one({**route("a"), "request_headers_to_remove": ["user-agent"]}),
        "user-agent",
        "no user-agent",
    ),
    Kind.HEADER_CHANGED: (
        one(route("a")),
        one(
            {
                **route("a"),
                "request_headers_to_add": [
                    {"header": {"key": "user-agent", "value": "b"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
                ],
            }
        ),
        "user-agent",
        "user-agent with another value",
    ),
    Kind.RESPONSE_HEADER: (one(route("a")), one(added("x-new", "response")), "no x-new", "x-new"),
    Kind.MIRROR_GAINED: (one(route("a")), one(route("a", **SAFE)), "no copy", f"100 % to {SECOND}"),
    Kind.MIRROR_LOST: (one(route("a", **SAFE)), one(route("a")), f"100 % to {SECOND}", "no copy"),
    Kind.MIRROR_SHARE: (
        one(route("a", **mirror(percent=10, **marked()))),
        one(route("a", **mirror(percent=20, **marked()))),
        f"10 % to {SECOND}",
        f"20 % to {SECOND}",
    ),
    Kind.MIRROR_TARGET: (
        one(route("a", **SAFE)),
        one(route("a", timeout="9s", **mirror(SUBSET, **marked()))),
        f"100 % to {SECOND}",
        f"100 % to {BLUE}",
    ),
    Kind.COPY_CHANGED: (
        one(route("a", **SAFE)),
        one(route("a", **mirror(**{**marked(), "host_rewrite_literal": "other.example.com"}))),
        f"copy to {SECOND}: host shop.example.com-shadow",
        f"copy to {SECOND}: host other.example.com",
    ),
    Kind.CREDENTIALS: (
        one(route("a", **SAFE)),
        one(route("a", **mirror(request_headers_mutations=marked()["request_headers_mutations"][:1]))),
        "",
        f"copy to {SECOND} carries authorization",
    ),
    Kind.UNMARKED: (
        one(route("a", **SAFE)),
        one(route("a", **mirror(disable_shadow_host_suffix_append=True, **marked(x_other="1")))),
        "",
        f"copy to {SECOND} carries no mark",
    ),
    Kind.UNBOUNDED: (
        one(route("a", **SAFE)),
        state(door([route("a", **SAFE)])),
        "",
        f"nothing ends a copy to {SECOND}",
    ),
    Kind.SETTINGS: (
        one(route("a", timeout="5s")),
        one(route("a", timeout="9s")),
        "route.timeout 5s",
        "route.timeout 9s",
    ),
}
ACCOMPANIED = {
    Kind.CREDENTIALS: {Kind.COPY_CHANGED},
    Kind.UNMARKED: {Kind.COPY_CHANGED},
    Kind.UNBOUNDED: {Kind.SETTINGS},
    Kind.MIRROR_TARGET: {Kind.SETTINGS},
}
"""What else such a change is."""

REQUESTS = (
    request(0, headers=(("user-agent", "curl"), ("authorization", "made-up"))),
    request(1, "/orders/7", "POST", headers=(("user-agent", "curl"),)),
)


async def asked(envoy: Path, before: State, after: State, *requests: Request, **values: Any) -> Result:
    return await what_if(envoy, before, after, recorded(*(requests or REQUESTS)), **values)


def test_every_kind_is_planted() -> None:
    assert set(PLANTED) == set(Kind)


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", PLANTED)
async def test_a_planted_change_is_told(envoy: Path, kind: Kind) -> None:
    before, after, was, now = PLANTED[kind]
    result = await asked(envoy, before, after)
    found = {each.subject.difference.kind: each for each in result.changes}
    assert found.keys() == {kind} | ACCOMPANIED.get(kind, set())
    assert (found[kind].subject.difference.before, found[kind].subject.difference.after) == (was, now)
    assert found[kind].subject.route == "VirtualService shop/shop a"
    assert found[kind].requests == (1 if kind is Kind.CREDENTIALS else 2)
    assert result.verdict is Outcome.FAILS
    again = await asked(envoy, before, after, expected=Expectations.of(result))
    assert again.verdict is Outcome.HOLDS


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", PLANTED)
async def test_a_state_differs_from_itself_in_nothing(envoy: Path, kind: Kind) -> None:
    result = await asked(envoy, PLANTED[kind][1], PLANTED[kind][1])
    assert (list(result.changes), result.verdict) == ([], Outcome.HOLDS)
