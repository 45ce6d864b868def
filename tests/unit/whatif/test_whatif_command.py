"""The command from manifests and a recording to its verdict: real istiod in memory, real Envoys."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from pulumi_traffic_mirror.cli.app import main
from pulumi_traffic_mirror.operations.recording import Part
from tests.support.shop import deployment, exchange, istio, record, shop, to, written
from tests.support.what_if import needs_programs

pytestmark = [pytest.mark.slow, needs_programs]

ORDERS = {
    "name": "orders",
    "match": [{"uri": {"prefix": "/orders"}}],
    "route": [to("orders", 90, "one"), to("orders", 10, "two")],
}
CART = {"match": [{"uri": {"prefix": "/cart"}}], "rewrite": {"uri": "/v1/cart"}, "route": [to("cart")]}
REST = {"route": [to("cart")]}
MIRROR = {"mirrors": [{**to("next"), "percentage": {"value": 10.0}}]}


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    paths = ["/orders/7", "/orders/8?full=1", "/cart/7", "/"]
    agent = ("user-agent", "curl/8")
    return record(
        tmp_path / "recording",
        *(exchange(number, paths[number % 4]) for number in range(20)),
        exchange(20, "/orders", "POST", request=Part(headers=(agent, ("cookie", "REDACTED")), body_size=100)),
        exchange(21, "/", authority="elsewhere.example.com"),
    )


def told(
    capsys: pytest.CaptureFixture[str], folder: Path, states: Mapping[str, Sequence[Mapping[str, Any]]], *more: str
) -> tuple[int, Any]:
    """Exit code and JSON of the command."""
    words = ["what-if", "--recording", str(folder / "recording"), "--json", *more]
    for name, objects in states.items():
        words += [f"--{name}", str(written(folder / name, objects))]
    code = main(words)
    said = capsys.readouterr()
    return code, json.loads(said.out) if said.out else said.err


@pytest.mark.usefixtures("recording")
def test_a_state_and_itself(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    objects = shop(ORDERS, CART, REST)
    code, result = told(capsys, tmp_path, {"before": objects, "after": objects})
    assert (code, result["changes"]) == (0, [])
    assert result["requests"]["sent"] == 21
    assert result["requests"]["untaken"] == {"elsewhere.example.com": 1}


@pytest.mark.usefixtures("recording")
def test_a_mirror_and_a_rewrite(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    changed = shop({**ORDERS, **MIRROR}, {**CART, "rewrite": {"uri": "/v2/cart"}}, REST)
    page, comment = tmp_path / "page.html", tmp_path / "comment.md"
    options = ("--html", str(page), "--markdown", str(comment))
    code, result = told(capsys, tmp_path, {"before": shop(ORDERS, CART, REST), "after": changed}, *options)
    assert code == 1
    found = {each["kind"]: each for each in result["changes"]}
    unsafe = {f"copy {each}" for each in ("without an end", "without a mark", "with credentials")}
    assert set(found) == {"mirror gained", "rewritten"} | unsafe
    gained = found["mirror gained"]
    assert (gained["requests"], gained["after"]) == (11, "10 % to next.shop.svc.cluster.local:80")
    assert gained["route"] == "VirtualService shop/shop orders"
    file, line = gained["places"][-1].rsplit(":", 1)
    text = Path(file).read_text(encoding="utf-8").splitlines()
    assert '"name": "orders"' in "".join(text[int(line) - 1 : int(line) + 2])
    assert found["copy with credentials"]["after"].endswith("carries cookie")
    assert found["rewritten"]["route"] == "VirtualService shop/shop http[1]"
    for written_to in (page, comment):
        assert "next.shop.svc.cluster.local:80" in written_to.read_text(encoding="utf-8")


@pytest.mark.parametrize("told_by", ["istiod", "option"])
def test_services_of_another_domain(capsys: pytest.CaptureFixture[str], tmp_path: Path, told_by: str) -> None:
    called = "cart.shop.svc.corp.internal"
    record(tmp_path / "recording", *(exchange(number, f"/{number}", authority=called) for number in range(5)))
    plane = deployment("istiod", "istio-system", app="istiod")
    plane["metadata"]["labels"] = {"app": "istiod"}
    plane["spec"]["template"]["spec"]["containers"][0]["args"] = ["discovery", "--domain=corp.internal"]
    beside = [plane] if told_by == "istiod" else []

    def state(entry: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        spec = {"hosts": ["cart.shop.svc.cluster.local"], "http": [entry]}
        objects = [*shop(REST), istio("VirtualService", "cart", "shop", spec)]
        return [*json.loads(json.dumps(objects).replace("cluster.local", "corp.internal")), *beside]

    options = [] if beside else ["--cluster-domain", "corp.internal"]
    states = {"before": state(REST), "after": state({**REST, **MIRROR})}
    code, result = told(capsys, tmp_path, states, *options)
    assert (code, result["requests"]["untaken"]) == (1, {})
    [gained] = [each for each in result["changes"] if each["kind"] == "mirror gained"]
    assert (gained["requests"], gained["after"]) == (5, "10 % to next.shop.svc.corp.internal:80")


@pytest.mark.usefixtures("recording")
def test_what_is_expected_passes_and_what_is_stale_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    before, after = shop(ORDERS, CART, REST), shop(ORDERS, {**CART, "rewrite": {"uri": "/v2/cart"}}, REST)
    file = tmp_path / "expected.json"
    states = [*("--before", str(written(tmp_path / "a", before))), *("--after", str(written(tmp_path / "b", after)))]
    words = ["what-if", "--recording", str(tmp_path / "recording"), "--json"]
    assert main([*words, *states, "--write-expect", str(file)]) == 1
    assert f"is in {file}: review it" in capsys.readouterr().err
    assert main([*words, *states, "--expect", str(file)]) == 0
    capsys.readouterr()
    assert main([*words, *states[:2], "--after", states[1], "--expect", str(file)]) == 0
    [stale] = json.loads(capsys.readouterr().out)["stale_expectations"]
    assert "path /v1" in stale


@pytest.mark.usefixtures("recording")
def test_one_state_alone_tells_what_its_mirrors_copy(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    safe = {"request": {"set": {"x-traffic-mirror": "mirror"}, "remove": ["cookie"]}}
    bounded = {**ORDERS, **MIRROR, "timeout": "5s", "headers": safe}
    code, result = told(capsys, tmp_path, {"after": shop(bounded, CART, REST)})
    flows = {each["endpoint"]: each for each in result["flows"]}
    assert set(flows) == {"GET /orders/{id}", "POST /orders"}
    assert flows["GET /orders/{id}"]["requests"] == 10
    assert flows["GET /orders/{id}"]["share"] == pytest.approx(0.1)
    assert flows["POST /orders"]["request_ids"] == ["id-20"]
    assert flows["POST /orders"]["callers"] == {"curl": 1}
    assert result["copies"] == pytest.approx(1.1)
    assert code == 0


@pytest.mark.usefixtures("recording")
def test_a_refused_object_is_a_refusal(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    wrong = shop({**ORDERS, "route": [to("orders", 90, "one"), to("orders", -1, "two")]}, CART, REST)
    code, result = told(capsys, tmp_path, {"before": shop(ORDERS, CART, REST), "after": wrong})
    assert code == 1
    assert "VirtualService shop/shop" in result["refused"]
    assert result["changes"] == []  # what was there before stays


@pytest.mark.usefixtures("recording")
def test_a_filter_that_asks_somebody_else_cannot_be_seen(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    asks = {
        "name": "envoy.filters.http.ext_authz",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
            "grpc_service": {"envoy_grpc": {"cluster_name": "outbound|80||cart.shop.svc.cluster.local"}},
        },
    }
    match = {
        "context": "GATEWAY",
        "listener": {"filterChain": {"filter": {"name": "envoy.filters.network.http_connection_manager"}}},
    }
    patch = {"applyTo": "HTTP_FILTER", "match": match, "patch": {"operation": "INSERT_FIRST", "value": asks}}
    envoy_filter = istio("EnvoyFilter", "authz", "ingress", {"configPatches": [patch]})
    envoy_filter["apiVersion"] = "networking.istio.io/v1alpha3"
    objects = shop(ORDERS, CART, REST, more=[envoy_filter])
    code, result = told(capsys, tmp_path, {"before": objects, "after": objects})
    assert (code, result["changes"]) == (2, [])
    unseen = ["gateway ingress/app=ingress: filter envoy.filters.http.ext_authz"]
    assert result["unseen"] == unseen
    file = tmp_path / "expected.json"
    words = ["what-if", "--recording", str(tmp_path / "recording"), "--json", "--write-expect", str(file)]
    words += ["--before", str(tmp_path / "before"), "--after", str(tmp_path / "after")]
    for more, code in (([], 2), (["--expect", str(file)], 0), (["--expect", str(file)], 0)):
        assert main([*words, *more]) == code
        assert json.loads(capsys.readouterr().out)["accepted"] == (unseen if more else [])


@pytest.mark.usefixtures("recording")
def test_the_mesh_s_configuration_counts(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def configured(attempts: int) -> list[Mapping[str, Any]]:
        mesh = json.dumps({"defaultHttpRetryPolicy": {"attempts": attempts}})
        config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "istio", "namespace": "istio-system"}}
        return shop(ORDERS, CART, REST, more=[{**config, "data": {"mesh": mesh}}])

    code, result = told(capsys, tmp_path, {"before": configured(2), "after": configured(5)})
    assert code == 1
    assert {each["kind"] for each in result["changes"]} == {"settings"}
    assert {each["after"] for each in result["changes"]} == {"route.retry_policy changed"}


def test_a_recording_of_another_cluster(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    record(tmp_path / "recording", exchange(0, authority="elsewhere.example.com"))
    objects = shop(REST)
    code, result = told(capsys, tmp_path, {"before": objects, "after": objects})
    assert code == 2
    assert "another cluster" in result["headline"]
