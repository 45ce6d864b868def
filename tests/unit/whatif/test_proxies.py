"""Gateways, waypoints and sidecars, and every form in which a state is given: real istiod, real Envoys."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from pulumi_traffic_mirror.cli import whatif
from pulumi_traffic_mirror.cli.app import main
from pulumi_traffic_mirror.operations.manifests import load
from tests.support.shop import deployment, exchange, istio, record, service, shop, thing, to, written
from tests.support.what_if import needs_programs

pytestmark = [pytest.mark.slow, needs_programs]

GATEWAY_API = "gateway.networking.k8s.io/v1"


def native(kind: str, name: str, namespace: str, **spec: Any) -> dict[str, Any]:
    return thing(kind, name, namespace, spec, version=GATEWAY_API)


def everything(*, mirrored: bool, weight: int, header: str, timeout: str) -> list[Mapping[str, Any]]:
    """A gateway of the Gateway API, a waypoint before a Service, and a route inside the mesh."""
    everybody = {"namespaces": {"from": "All"}}
    listener = {"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": everybody}
    mirror = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "next", "port": 80}, "percent": 20}}
    ends = [{"name": "orders", "port": 80, "weight": weight}, {"name": "cart", "port": 80, "weight": 100 - weight}]
    rule = {"filters": [mirror] if mirrored else [], "backendRefs": ends}
    set_header = {
        "type": "RequestHeaderModifier",
        "requestHeaderModifier": {"set": [{"name": "x-bee", "value": header}]},
    }
    to_bee = {"filters": [set_header], "backendRefs": [{"name": "bee", "port": 80}]}
    labels = {"istio.io/dataplane-mode": "ambient", "istio.io/use-waypoint": "wp"}
    tunnel = {"name": "mesh", "port": 15008, "protocol": "HBONE"}
    return shop(
        {"route": [to("cart")]},
        more=[
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "amb", "labels": labels}},
            native("Gateway", "front", "edge", gatewayClassName="istio", listeners=[listener]),
            native("Gateway", "wp", "amb", gatewayClassName="istio-waypoint", listeners=[tunnel]),
            native(
                "HTTPRoute",
                "front",
                "shop",
                parentRefs=[{"name": "front", "namespace": "edge"}],
                hostnames=["gw.example.com"],
                rules=[rule],
            ),
            native(
                "HTTPRoute", "bee", "amb", parentRefs=[{"group": "", "kind": "Service", "name": "bee"}], rules=[to_bee]
            ),
            service("bee", "amb", {"app": "bee"}),
            deployment("bee", "amb", app="bee"),
            istio(
                "VirtualService",
                "inside",
                "shop",
                {"hosts": ["orders.shop.svc.cluster.local"], "http": [{"route": [to("orders")], "timeout": timeout}]},
            ),
        ],
    )


BEFORE = everything(mirrored=False, weight=90, header="1", timeout="1s")
AFTER = everything(mirrored=True, weight=50, header="2", timeout="2s")


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    hosts = ["gw.example.com", "bee.amb.svc.cluster.local", "orders.shop.svc.cluster.local", "shop.example.com"]
    return record(tmp_path / "recording", *(exchange(number, authority=hosts[number % 4]) for number in range(20)))


def test_a_change_at_each_kind_of_proxy(capsys: pytest.CaptureFixture[str], tmp_path: Path, recording: Path) -> None:
    sides = ["--before", str(written(tmp_path / "a", BEFORE)), "--after", str(written(tmp_path / "b", AFTER))]
    assert main(["what-if", *sides, "--recording", str(recording), "--json"]) == 1
    changes = json.loads(capsys.readouterr().out)["changes"]
    assert {(each["kind"], each["proxy"], each["route"], each["requests"]) for each in changes} == {
        ("mirror gained", "gateway edge/front", "HTTPRoute shop/front rules[0]", 5),
        ("copy without a mark", "gateway edge/front", "HTTPRoute shop/front rules[0]", 5),
        ("copy without an end", "gateway edge/front", "HTTPRoute shop/front rules[0]", 5),
        ("other weights", "gateway edge/front", "HTTPRoute shop/front rules[0]", 5),
        ("header changed", "waypoint amb/wp", "HTTPRoute amb/bee rules[0]", 5),
        ("header changed", "sidecars, e.g. in edge", "HTTPRoute amb/bee rules[0]", 5),
        ("settings", "sidecars, e.g. in edge", "VirtualService shop/inside http[0]", 5),
    }
    for each in changes:
        file, line = each["places"][-1].rsplit(":", 1)
        assert Path(file).read_text(encoding="utf-8").splitlines()[int(line) - 1].strip() in ("{", "[")


def exported(objects: Sequence[Mapping[str, Any]], provider: str) -> list[dict[str, Any]]:
    """Objects as resources of a stack."""
    urn = "urn:pulumi:staging::shop::kubernetes:x:{kind}::{name}"
    return [
        {
            "type": f"kubernetes:x:{each['kind']}",
            "urn": urn.format(kind=each["kind"], name=each["metadata"]["name"]),
            "inputs": each,
            "outputs": each,
            "provider": f"urn:pulumi:staging::shop::pulumi:providers:kubernetes::{provider}::id",
        }
        for each in objects
    ]


def test_a_stack_s_export_its_preview_and_a_live_cluster(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack, preview = tmp_path / "stack.json", tmp_path / "preview.json"
    others = exported([service("other", "elsewhere", {"app": "other"})], "testing")
    resources = [*exported(BEFORE, "staging"), *others]
    stack.write_text(json.dumps({"version": 3, "deployment": {"resources": resources}}), encoding="utf-8")
    steps = [{"op": "update", "newState": each} for each in exported(AFTER, "staging")]
    preview.write_text(json.dumps({"config": {}, "steps": steps, "changeSummary": {"update": 1}}), encoding="utf-8")
    folder = written(tmp_path / "live", BEFORE)
    monkeypatch.setattr(whatif, "read_cluster", lambda access, **_: load(access.context, [folder])[0])
    words = ["what-if", "--recording", str(recording), "--json", "--after", str(preview)]
    seen: list[set[str]] = []
    for before in (str(stack), "context:gke"):
        assert main([*words, "--before", before, "--cluster", "staging"]) == 1
        seen.append({each["kind"] for each in json.loads(capsys.readouterr().out)["changes"]})
    assert seen[0] == seen[1] >= {"mirror gained", "other weights", "header changed"}
    words = ["what-if", "--recording", str(recording), "--json", "--before", "context:gke", "--after", "context:gke"]
    route = next(each for each in AFTER if each["kind"] == "HTTPRoute" and each["metadata"]["name"] == "front")
    assert main([*words, "--after", str(written(tmp_path / "route", [route]))]) == 1
    changes = json.loads(capsys.readouterr().out)["changes"]
    assert {each["route"] for each in changes} == {"HTTPRoute shop/front rules[0]"}
    words = ["what-if", "--recording", str(recording), "--json", "--after", str(preview)]
    assert main([*words, "--before", str(stack)]) == 2
    assert "must name one of the clusters of --before: staging, testing" in capsys.readouterr().err


def test_a_sidecar_object_hides_hosts_from_its_namespace(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, recording: Path
) -> None:
    hidden = istio("Sidecar", "own", "edge", {"egress": [{"hosts": ["./*"]}]})
    sides = [
        "--before",
        str(written(tmp_path / "a", BEFORE)),
        "--after",
        str(written(tmp_path / "b", [*BEFORE, hidden])),
    ]
    assert main(["what-if", *sides, "--recording", str(recording), "--json"]) == 1
    result = json.loads(capsys.readouterr().out)
    assert {(each["kind"], each["proxy"], each["after"]) for each in result["changes"]} == {
        ("answered by the proxy", "sidecar in edge", "not routed: the sidecar does not listen for it")
    }
    assert {Path(place.rpartition(":")[0]).name for each in result["changes"] for place in each["places"]} == {
        "sidecar-edge-own.yaml"
    }
    assert result["unseen"] == []
