"""The mirror cases of the Gateway API's conformance suite, through the gateway."""

from typing import Any

import pytest

import pulumi_traffic_mirror as tm
from pulumi_traffic_mirror.model import HeaderRules, Protocol

from .lab import Lab, settled
from .report import band, span
from .terms import STAGING, echo

pytestmark = pytest.mark.stage

SOURCE = "Gateway API, conformance/tests/httproute-request-*mirror*.go"
CALLS = 500
RULES = HeaderRules(
    request_set={"x-header-set": "set-overwrites-values"},
    request_add={"x-header-add": "add-appends-values"},
    request_remove=["x-header-remove"],
)
SENT = {"x-header-set": "some-other-value", "x-header-add": "some-other-value", "x-header-remove": "val"}


def mirrors(*versions: str, percent: float = 100) -> list[tm.InClusterMirror]:
    return [tm.InClusterMirror(service=echo(version, Protocol.HTTP), percent=percent) for version in versions]


def values(record: dict[str, Any], name: str) -> list[str]:
    """Return every value of a header; a list in one line counts like several lines."""
    return [part.strip() for key, value in record["headers"] if key == name for part in value.split(",")]


@pytest.mark.parametrize(
    ("name", "versions", "percent"),
    [
        ("G1 one mirror", ["v2"], 100),
        ("G2 one mirror, headers modified", ["v2"], 100),
        ("G3 two mirrors", ["v2", "v3"], 100),
        ("G4 two mirrors, headers modified", ["v2", "v3"], 100),
        ("G5 20 per cent", ["v2"], 20),
        ("G6 fraction 25/50", ["v2"], 50),
        ("G7 35 per cent, headers modified", ["v2"], 35),
    ],
)
def test_http_route(lab: Lab, case: Any, name: str, versions: list[str], percent: float) -> None:
    modified = "modified" in name
    least, most = band(CALLS, percent)
    note = case(name, SOURCE, f"{span(least, most)} of {CALLS} at each mirror" + (", same headers" if modified else ""))
    with lab.route(
        *mirrors(*versions, percent=percent),
        protocol=Protocol.HTTP,
        primary=echo("v1", Protocol.HTTP),
        headers=RULES if modified else None,
    ) as route:
        result = lab.call(route, CALLS, concurrency=10, headers=SENT)
        run = result["run"]
        copies = {
            version: settled(lambda version=version: lab.seen(STAGING, version, run), complete=most)
            for version in versions
        }
        requests = {version: lab.records(STAGING, version, run) for version in ("v1", *versions)}
    note(", ".join(f"{version}: {seen['calls']}" for version, seen in copies.items()), "the servers' own records")
    assert result["versions"] == {"v1": CALLS}, result["failures"]
    assert len(requests["v1"]) == CALLS
    for version, seen in copies.items():
        assert least <= seen["calls"] <= most, version
        assert seen["requests"] == seen["calls"], "a call was mirrored more than once"
    for found in requests.values():
        for record in found:
            if modified:
                assert values(record, "x-header-set") == ["set-overwrites-values"]
                assert values(record, "x-header-add") == ["some-other-value", "add-appends-values"]
                assert values(record, "x-header-remove") == []
            else:
                assert {key: values(record, key) for key in SENT} == {key: [value] for key, value in SENT.items()}
