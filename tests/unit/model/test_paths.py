"""Matches by path and of upgraded connections: what they mean, how two are joined, what is rendered for them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulumi_traffic_mirror.model import InClusterMirror, Match, MirroredRoute, Protocol
from pulumi_traffic_mirror.model.rules import run_rules
from tests.unit.model.samples import MIRROR, REASON, Object, mesh, of_kind, route, sending
from tests.unit.model.test_rendering import valid

PATHS = st.lists(st.sampled_from(["api", "orders", "orders-old", "a%20b", "7"]), max_size=3).map(
    lambda parts: "/" + "/".join(parts)
)


def takes(match: Match, path: str) -> bool:
    """Whether a match takes a path, by its definition."""
    below = [prefix for prefix in match.path_prefixes if path == prefix or path.startswith(f"{prefix.rstrip('/')}/")]
    return bool(below) or path in match.exact_paths or not (match.path_prefixes or match.exact_paths)


def http_route(*mirrors: InClusterMirror, **values: Any) -> MirroredRoute:
    return route(protocol=Protocol.HTTP, mirrors=mirrors, **values)


def to_mirror(**values: Any) -> InClusterMirror:
    return InClusterMirror(**{"percent": 100, "service": MIRROR, **values})


def first_entry(objects: list[Object], path: str, method: str = "GET", **headers: str) -> str:
    """Last part of the name of the gateway's entry that takes a request."""

    def holds(test: dict[str, str], value: str) -> bool:
        (kind, wanted), *_ = test.items()
        return {"exact": value == wanted, "prefix": value.startswith(wanted), "regex": True}[kind]

    for entry in of_kind(objects, "VirtualService")["spec"]["http"]:
        for match in entry.get("match", [{}]):
            if match.get("gateways") == ["mesh"]:
                continue
            if (
                holds(match.get("uri", {"prefix": ""}), path)
                and holds(match.get("method", {"prefix": ""}), method)
                and all(name in headers for name in match.get("headers", {}))
                and not any(name in headers for name in match.get("withoutHeaders", {}))
            ):
                return str(entry["name"]).rpartition(".")[2]
    raise AssertionError("no entry takes it")


@pytest.mark.parametrize(
    ("path", "taken"),
    [
        ("/api/orders", True),
        ("/api/orders/", True),
        ("/api/orders/7/items", True),
        ("/api/orders-old", False),
        ("/api/order", False),
        ("/", False),
        ("/health", True),
        ("/health/", False),
    ],
)
def test_prefixes_end_with_a_segment(path: str, taken: bool) -> None:
    match = Match(path_prefixes=["/api/orders/"], exact_paths=["/health"])
    objects = sending(http_route(to_mirror(match=match)))
    assert first_entry(objects, path) == ("mirrored-0" if taken else "primary")
    assert takes(match, path) is taken


def test_the_prefix_of_everything_takes_everything() -> None:
    objects = sending(http_route(to_mirror(match=Match(path_prefixes=["/"]))))
    assert first_entry(objects, "/") == first_entry(objects, "/a/b") == "mirrored-0"
    valid(objects)


def test_only_harmless_methods_of_a_path_are_taken() -> None:
    objects = sending(http_route(to_mirror(match=Match(path_prefixes=["/api"]))))
    assert first_entry(objects, "/api", "POST") == "primary"
    named = sending(http_route(to_mirror(match=Match(path_prefixes=["/api"], http_methods=["POST"]))))
    assert first_entry(named, "/api", "POST") == "mirrored-0"
    waived = sending(http_route(to_mirror(match=Match(path_prefixes=["/api"]), side_effects=REASON)))
    assert first_entry(waived, "/api", "DELETE") == "mirrored-0"


@pytest.mark.parametrize("mirror", [{}, {"side_effects": REASON}, {"match": Match(path_prefixes=["/api"])}])
def test_a_websocket_is_not_mirrored_unless_that_is_waived(mirror: dict[str, Any]) -> None:
    objects = sending(http_route(to_mirror(**mirror)))
    assert first_entry(objects, "/api") == "mirrored-0"
    assert first_entry(objects, "/api", upgrade="websocket") == "primary"
    waived = sending(http_route(to_mirror(**mirror, websockets=REASON)))
    assert first_entry(waived, "/api", upgrade="websocket") == "mirrored-0"


def test_the_waiver_of_websockets_is_on_the_object() -> None:
    objects = sending(http_route(to_mirror(websockets=REASON)))
    notes = of_kind(objects, "VirtualService")["metadata"]["annotations"]
    assert notes["pulumi-traffic-mirror/waiver.greeter-v2.websockets"] == REASON.reason


def test_of_two_mirrors_only_the_one_that_waives_it_gets_websockets() -> None:
    second = InClusterMirror(
        percent=100, service=type(MIRROR)("greeter-v3.hello.svc.cluster.local", 8000), websockets=REASON
    )
    objects = sending(http_route(to_mirror(), second))
    entries = {
        str(entry["name"]).rpartition(".")[2]: [each["destination"]["host"] for each in entry.get("mirrors", [])]
        for entry in of_kind(objects, "VirtualService")["spec"]["http"]
        if "gateway" in entry["name"]
    }
    assert len(entries[first_entry(objects, "/")]) == 2
    assert entries[first_entry(objects, "/", upgrade="websocket")] == ["greeter-v3.hello.svc.cluster.local"]


@given(st.lists(PATHS, max_size=2, unique=True), st.lists(PATHS, min_size=1, max_size=2, unique=True), PATHS, PATHS)
def test_a_joined_match_takes_what_both_take(exact: list[str], prefixes: list[str], other: str, path: str) -> None:
    first, second = Match(exact_paths=exact, path_prefixes=prefixes), Match(path_prefixes=[other])
    joint = first.joined(second)
    assert (joint is not None and takes(joint, path)) == (takes(first, path) and takes(second, path))
    reverse = second.joined(first)
    assert (reverse is not None and takes(reverse, path)) == (joint is not None and takes(joint, path))


def test_a_grpc_method_stays_one_when_joined_with_a_path() -> None:
    rpc = Match(rpc_methods=["api.Orders/List"])
    assert rpc.joined(Match(path_prefixes=["/api.Orders"])) == rpc
    assert rpc.joined(Match(path_prefixes=["/api"])) is None


def test_path_mirrors_break_no_rule() -> None:
    objects = sending(http_route(to_mirror(match=Match(path_prefixes=["/api/orders"], exact_paths=["/health"]))))
    valid(objects)
    assert [str(found) for found in run_rules(mesh(objects)) if found.fails] == []
