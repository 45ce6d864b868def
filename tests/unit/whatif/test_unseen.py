"""What decides about requests and cannot be shown is named, so that no verdict is better than its evidence."""

import json
from pathlib import Path
from typing import Any

import pytest

from pulumi_traffic_mirror.cli.app import main
from pulumi_traffic_mirror.operations.cluster_objects import DECIDING
from pulumi_traffic_mirror.operations.manifests import load
from pulumi_traffic_mirror.operations.whatif.messages import MANAGER
from pulumi_traffic_mirror.operations.whatif.unseen import left_out, left_out_beside, runs, undecided, unread
from tests.support.shop import exchange, record, shop, thing, to, written
from tests.support.what_if import needs_programs

FILTERS = "type.googleapis.com/envoy.extensions.filters"
LUA = "lua.v3.Lua"


def program(line: str) -> dict[str, Any]:
    return {"default_source_code": {"inline_string": f"function envoy_on_request(h) {line} end"}}


HEADERS, ASKS = program("h:headers():add('a', 'b')"), program("h:httpCall('auth', {}, '', 1)")


def http(kind: str, **config: Any) -> dict[str, Any]:
    """A filter that is called as Istio calls one that decides nothing."""
    return {"name": "envoy.filters.http.grpc_stats", "typed_config": {"@type": f"{FILTERS}.http.{kind}", **config}}


@pytest.mark.parametrize(
    "kind",
    [
        *("ext_authz.v3.ExtAuthz", "ext_proc.v3.ExternalProcessor", "ratelimit.v3.RateLimit", "rbac.v3.RBAC"),
        *("local_ratelimit.v3.LocalRateLimit", "jwt_authn.v3.JwtAuthentication", "wasm.v3.Wasm", "oauth2.v3.OAuth2"),
        *("grpc_json_transcoder.v3.GrpcJsonTranscoder", "csrf.v3.CsrfPolicy", "bandwidth_limit.v3.BandwidthLimit"),
        *("admission_control.v3.AdmissionControl", "adaptive_concurrency.v3.AdaptiveConcurrency"),
    ],
)
def test_filters_that_do_not_run_are_named_whatever_they_are_called(kind: str) -> None:
    asked = http(kind)
    assert not runs(asked)
    assert list(left_out([asked])) == [asked]


@pytest.mark.parametrize(
    ("given", "seen", "named"),
    [
        (http(LUA, **HEADERS), True, False),
        (http(LUA, **ASKS), False, True),
        (http("fault.v3.HTTPFault"), False, False),
        (http("fault.v3.HTTPFault", abort={"http_status": 503}), False, True),
        (http("ext_proc.v3.ExternalProcessor", observability_mode=True), False, False),
        ({**http("rbac.v3.RBAC"), "disabled": True}, False, False),
        ({"name": "istio.stats", "config_discovery": {"type_urls": [f"{FILTERS}.http.wasm.v3.Wasm"]}}, False, True),
        (
            {
                "name": "istio.stats",
                "typed_config": {
                    "@type": "type.googleapis.com/udpa.type.v1.TypedStruct",
                    "type_url": f"{FILTERS}.http.wasm.v3.Wasm",
                },
            },
            False,
            True,
        ),
    ],
)
def test_forms_of_filters(given: dict[str, Any], seen: bool, named: bool) -> None:
    assert (runs(given), bool(list(left_out([given])))) == (seen, named)


def test_filters_for_connections_are_named() -> None:
    manager = {"name": "http", "typed_config": {"@type": MANAGER}}
    limit = {"name": "limit", "typed_config": {"@type": f"{FILTERS}.network.ratelimit.v3.RateLimit"}}
    assert list(left_out_beside([limit, manager], MANAGER)) == [limit]


KINDS = {kind: version for version, _, kind in DECIDING}


def policy(kind: str, name: str = "one", **spec: Any) -> dict[str, Any]:
    return thing(kind, name, "shop", spec or {"tracing": [{}]}, version=KINDS[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_objects_that_decide_are_named(tmp_path: Path, kind: str) -> None:
    [loaded] = load("a", [written(tmp_path / "a", [policy(kind)])])
    assert unread(loaded) == [f"{kind} shop/one is not read"]


def test_what_turns_on_no_more_than_logs_is_not_named(tmp_path: Path) -> None:
    [loaded] = load("a", [written(tmp_path / "a", [policy("Telemetry", accessLogging=[{}])])])
    assert unread(loaded) == []


def test_those_of_another_group_are_not_named(tmp_path: Path) -> None:
    other = {**policy("AuthorizationPolicy"), "apiVersion": "example.com/v1"}
    assert unread(load("a", [written(tmp_path / "a", [other])])[0]) == []


def test_what_is_not_rendered_is_named(tmp_path: Path) -> None:
    (tmp_path / "Chart.yaml").write_text("name: shop", encoding="utf-8")
    (tmp_path / "templates").mkdir()
    [loaded] = load("a", [tmp_path])
    [said] = unread(loaded)
    assert said.startswith(str(tmp_path))


@pytest.mark.slow
@needs_programs
def test_an_accepted_object_that_changes_is_not_accepted(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    record(tmp_path / "recording", exchange(0))
    one, other = policy("AuthorizationPolicy", action="DENY"), policy("AuthorizationPolicy", action="ALLOW")
    before, after = (
        str(written(tmp_path / name, shop({"route": [to("cart")]}, more=[each])))
        for name, each in (("a", one), ("b", other))
    )
    file = tmp_path / "expected.json"
    words = ["what-if", "--recording", str(tmp_path / "recording"), "--json", "--before", before]
    assert main([*words, "--after", before, "--write-expect", str(file)]) == 2
    assert json.loads(capsys.readouterr().out)["unseen"] == ["AuthorizationPolicy shop/one is not read"]
    assert main([*words, "--after", before, "--expect", str(file)]) == 0
    capsys.readouterr()
    assert main([*words, "--after", after, "--expect", str(file)]) == 2
    assert json.loads(capsys.readouterr().out)["unseen"] == ["AuthorizationPolicy shop/one changes, and is not read"]


def test_what_headers_decide_that_were_not_recorded_is_named() -> None:
    """By routes, filters and programs; path and method are always there."""
    routes = {
        "virtual_hosts": [
            {
                "routes": [
                    {
                        "match": {"headers": [{"name": ":method"}, {"name": "X-User"}, {"name": "accept"}]},
                        "route": {
                            "hash_policy": [{"header": {"header_name": "x-cell"}}],
                            "cors": {"allow_origin_string_match": [{"exact": "https://shop.example"}]},
                        },
                    }
                ]
            }
        ]
    }
    named = ["origin", "x-cell", "x-user"]
    said = [f"what the header {name} decides, which was not recorded" for name in named]
    assert list(undecided([routes], {"accept"})) == said
    assert list(undecided([routes], {"accept", *named})) == []
    (program_,) = undecided([{"http_filters": [http(LUA, **HEADERS)]}], {"accept"})
    assert "Lua" in program_
