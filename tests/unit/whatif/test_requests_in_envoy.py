"""Requests of every form through real Envoys: what is drawn, what cannot be sent, what nobody answers."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from pulumi_traffic_mirror.cli.app import main
from pulumi_traffic_mirror.model import ValidationError
from pulumi_traffic_mirror.operations.errors import OperationError
from pulumi_traffic_mirror.operations.outcome import Outcome
from pulumi_traffic_mirror.operations.recording import Part
from pulumi_traffic_mirror.operations.whatif import Expectations, Kind, what_if, what_is_copied
from pulumi_traffic_mirror.operations.whatif.choosing import Request
from pulumi_traffic_mirror.operations.whatif.run import passages_of, run_states
from pulumi_traffic_mirror.operations.whatif.state import Cluster, State
from tests.support.shop import exchange, record
from tests.support.what_if import V1, V2, door, recorded, request, route, state, weighted

pytestmark = pytest.mark.slow


async def fates(envoy: Path, given: State, *requests: Request) -> list[Any]:
    passages, _ = passages_of(recorded(*requests), [given])
    [run] = await run_states(envoy, [given], passages)
    return [run.fate(place).outcome for place in range(len(passages))]


@pytest.mark.asyncio
async def test_draws_fill_weights_as_they_are_written(envoy: Path) -> None:
    split = state(door([route("a", **weighted(v1=90, v2=10))]))
    found = await fates(envoy, split, *(request(number) for number in range(200)))
    assert sum(each.primary.cluster == V2 for each in found) == 20


@pytest.mark.asyncio
async def test_only_draws_between_two_weights_go_elsewhere(envoy: Path) -> None:
    requests = [request(number) for number in range(200)]
    before = await fates(envoy, state(door([route("a", **weighted(v1=90, v2=10))])), *requests)
    after = await fates(envoy, state(door([route("a", **weighted(v1=3, v2=1))])), *requests)
    assert sum(was.primary.cluster != now.primary.cluster for was, now in zip(before, after, strict=True)) == 30


@pytest.mark.asyncio
async def test_forms_of_requests(envoy: Path) -> None:
    requests = [
        request(0, method="HEAD"),
        request(1, "/a.B/C", "POST", headers=(("content-type", "application/grpc"), ("te", "trailers")), is_grpc=True),
        request(2, headers=(("upgrade", "websocket"), ("connection", "Upgrade"))),
        request(3, "/%C3%BC?q=%20", "OPTIONS"),
        request(4, method="POST", headers=(("content-length", "100"), ("transfer-encoding", "chunked"))),
    ]
    found = await fates(envoy, state(door([route("a")])), *requests)
    assert [(each.status, each.primary.method) for each in found] == [
        (200, "HEAD"),
        (200, "POST"),
        (200, "GET"),
        (200, "OPTIONS"),
        (200, "POST"),
    ]
    assert dict(found[1].headers)["grpc-status"] == "0"
    assert dict(found[2].primary.headers)["upgrade"] == "websocket"
    assert found[3].primary.path == "/%C3%BC?q=%20"


@pytest.mark.asyncio
@pytest.mark.parametrize(("path", "method"), [("/a b", "GET"), ("/", "G T")])
async def test_what_is_no_http_cannot_be_told(envoy: Path, path: str, method: str) -> None:
    given = state(door([route("a")]))
    result = await what_if(envoy, given, given, recorded(request(), request(1, path, method)))
    assert (result.verdict, sum(result.counted.unsent.values())) == (Outcome.UNKNOWN, 1)


@pytest.mark.asyncio
async def test_nobody_to_send_to(envoy: Path) -> None:
    empty = state(door([route("a")]), clusters={V1: Cluster(reachable=False, settings={})})
    missing = state(door([route("a", cluster="gone")]))
    [unreachable], [unknown] = await fates(envoy, empty, request()), await fates(envoy, missing, request())
    assert (unreachable.status, unreachable.details) == (503, "no_healthy_upstream")
    assert (unknown.status, unknown.details) == (503, "cluster_not_found")


@pytest.mark.asyncio
async def test_a_door_that_is_not_there_before(envoy: Path) -> None:
    result = await what_if(envoy, state(), state(door([route("a")])), recorded(request()))
    [change] = result.changes
    assert (change.subject.difference.kind, change.subject.difference.before) == (
        Kind.ANSWER,
        "nowhere: no proxy listens",
    )


@pytest.mark.asyncio
async def test_tls_is_off_and_redirects_to_it_are_not(envoy: Path) -> None:
    plain, tls = door([route("a")]), door([route("a")], port=443, tls=True)
    for each in (plain, tls):
        each.routes["virtual_hosts"][0]["require_tls"] = "ALL"
    [to_tls], [within] = (
        await fates(envoy, state(plain), request()),
        await fates(envoy, state(tls), request(scheme="https")),
    )
    assert (to_tls.status, within.status) == (301, 200)


@pytest.mark.asyncio
async def test_what_envoy_refuses_is_said(envoy: Path) -> None:
    wrong = door([{"name": "a", "match": {"prefix": "/"}, "route": {"cluster": V1, "prefix_rewrite": 7}}])
    with pytest.raises(OperationError, match="Envoy refuses what istiod renders"):
        await what_if(envoy, state(wrong), state(wrong), recorded(request()))


@pytest.mark.asyncio
async def test_a_cluster_s_own_filters_run(envoy: Path) -> None:
    """By them in-cluster mirrors are marked where no route can do it."""
    kind = "type.googleapis.com/envoy.extensions.filters.http"
    mutation = {
        "@type": f"{kind}.header_mutation.v3.HeaderMutation",
        "mutations": {"request_mutations": [{"append": {"header": {"key": "x-traffic-mirror", "value": "mirror"}}}]},
    }
    filters = [
        {"name": "mark", "typed_config": mutation},
        {"name": "codec", "typed_config": {"@type": f"{kind}.upstream_codec.v3.UpstreamCodec"}},
        {"name": "somebody.elses", "typed_config": {}},
    ]
    options = {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {"http_filters": filters}}
    marking = Cluster(reachable=True, settings={"typed_extension_protocol_options": options})
    given = state(door([route("a", timeout="5s", request_mirror_policies=[{"cluster": V2}])]), clusters={V2: marking})
    [fate] = await fates(envoy, given, request())
    assert dict(fate.copies[0].headers)["x-traffic-mirror"] == "mirror"
    result = await what_if(envoy, given, given, recorded(request()))
    assert result.unseen == ["v2.shop.svc.cluster.local:80: filter somebody.elses"]


@pytest.mark.asyncio
async def test_copies_are_counted_by_share_and_caller(envoy: Path) -> None:
    share = {"default_value": {"numerator": 250_000, "denominator": "MILLION"}}
    given = state(
        door([route("a", timeout="5s", request_mirror_policies=[{"cluster": V2, "runtime_fraction": share}])])
    )
    requests = [request(number, f"/orders/{number}", size=1_000) for number in range(8)]
    copies = await what_is_copied(envoy, given, recorded(*requests))
    [(flow, copied)] = copies.flows.items()
    assert (flow.endpoint, flow.share, copies.copies) == ("GET /orders/{id}", 0.25, 2.0)
    assert copied.callers == {"curl": 8}
    assert 8 * 1_000 < copied.bytes < 8 * 2_000
    assert copies.result.verdict is Outcome.HOLDS


def test_a_file_that_is_no_expectation_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "expected.json"
    for text in ("", "[]", '{"expected": [{}], "unseen": []}', json.dumps({"expected": [], "unseen": 7})):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(ValidationError, match="--write-expect"):
            Expectations.read(file)


def test_what_is_not_built_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAFFIC_MIRROR_CACHE", str(tmp_path))
    record(tmp_path / "recording", exchange(0, request=dataclasses.replace(Part(), body_size=1)))
    assert main(["what-if", "--after", str(tmp_path), "--recording", str(tmp_path / "recording")]) == 2
    assert "python -m pulumi_traffic_mirror.rehearsal.toolchain" in capsys.readouterr().err
