"""What a change comes from: file and line of a route, a DestinationRule, a filter, or of what else changes."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pulumi_traffic_mirror.cli.app import main
from tests.support.shop import exchange, istio, record, shop, to, written
from tests.support.what_if import needs_programs

pytestmark = [pytest.mark.slow, needs_programs]

ENTRY = {"name": "orders", "route": [to("orders", 100, "one")], "timeout": "5s"}
HEADER = {"operation": "MERGE", "value": {"request_headers_to_add": [{"header": {"key": "x-new", "value": "1"}}]}}


def mesh() -> list[Any]:
    match = {"context": "GATEWAY", "routeConfiguration": {"vhost": {"route": {"name": "orders"}}}}
    patches = [{"applyTo": "HTTP_ROUTE", "match": match, "patch": {"operation": "MERGE", "value": {}}}]
    own = istio("EnvoyFilter", "headers", "ingress", {"configPatches": patches})
    return copy.deepcopy(shop(ENTRY, more=[{**own, "apiVersion": "networking.istio.io/v1alpha3"}]))


def spec(objects: list[Any], kind: str) -> Any:
    return next(each["spec"] for each in objects if each["kind"] == kind)


def of_route(objects: list[Any]) -> None:
    spec(objects, "VirtualService")["http"][0]["timeout"] = "9s"


def of_subset(objects: list[Any]) -> None:
    spec(objects, "DestinationRule")["subsets"][0]["trafficPolicy"] = {
        "connectionPool": {"http": {"maxRequestsPerConnection": 7}}
    }


def of_filter(objects: list[Any]) -> None:
    spec(objects, "EnvoyFilter")["configPatches"][0]["patch"] = HEADER


def of_gateway(objects: list[Any]) -> None:
    spec(objects, "Gateway")["servers"][0]["hosts"] = ["other.example.com"]


@pytest.mark.parametrize(
    ("change", "kind", "expected"),
    [
        (of_route, "settings", ("virtualservice-shop-shop.yaml", '"name": "orders"')),
        (of_subset, "settings", ("destinationrule-shop-orders.yaml", '"name": "one"')),
        (of_filter, "header gained", ("envoyfilter-ingress-headers.yaml", '"applyTo": "HTTP_ROUTE"')),
        (of_gateway, "answered by the proxy", ("gateway-ingress-shop.yaml", '"port": {')),
    ],
)
def test_file_and_line(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    change: Callable[[list[Any]], None],
    kind: str,
    expected: tuple[str, str],
) -> None:
    record(tmp_path / "recording", exchange(0))
    objects = mesh()
    before = written(tmp_path / "a", objects)
    change(objects)
    words = ["what-if", "--recording", str(tmp_path / "recording"), "--json"]
    assert main([*words, "--before", str(before), "--after", str(written(tmp_path / "b", objects))]) == 1
    changes = json.loads(capsys.readouterr().out)["changes"]
    places = next(each["places"] for each in changes if each["kind"] == kind)
    file, line = expected
    found, number = places[-1].rsplit(":", 1)
    assert Path(found).name == file
    assert {Path(each.rsplit(":", 1)[0]).name for each in places} == {file}
    assert line in Path(found).read_text(encoding="utf-8").splitlines()[int(number)]
