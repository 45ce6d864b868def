"""Ends are found in live objects and in configurations, and what has ended leaves the configuration by a deployment."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pulumi_traffic_mirror.cli import branch, expire
from pulumi_traffic_mirror.cli.app import main
from pulumi_traffic_mirror.model import (
    Destination,
    Expiry,
    GatewayHosts,
    InClusterMirror,
    IstioBehaviour,
    IstioVersion,
    JsonValue,
    OverlayRoute,
    render,
)
from pulumi_traffic_mirror.model.rules import ClusterObjects
from pulumi_traffic_mirror.operations.errors import OperationError
from pulumi_traffic_mirror.operations.expiry.ends import State, configured_ends, ended, live_ends, state_of
from tests.unit.model.samples import plain

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY = timedelta(hours=24)
V2 = "outbound|8000||greeter-v2.hello.svc.cluster.local"
PREFIX = "pulumi-traffic-mirror"


def routes(percent: float | None, ends: str) -> dict[str, Any]:
    mirror = {"destination": {"host": "greeter-v2.hello.svc.cluster.local", "port": {"number": 8000}}}
    entry: dict[str, Any] = {"route": [{"destination": {"host": "greeter.hello.svc.cluster.local"}}]}
    if percent is not None:
        entry["mirrors"] = [{**mirror, "percentage": {"value": percent}}]
    notes = {f"{PREFIX}/mirror.v2": V2, f"{PREFIX}/expires.v2": ends}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "greeter", "namespace": "hello", "annotations": notes},
        "spec": {"hosts": ["grpc-hello.staging.example"], "gateways": ["istio-system/gateway"], "http": [entry]},
    }


def deployment(ends: str) -> dict[str, Any]:
    meta = {"name": "alices-bug", "namespace": "hello", "annotations": {f"{PREFIX}/expires": ends}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": {}}


@pytest.mark.parametrize(
    ("ends", "state"),
    [
        ("2026-11-23T11:59:59Z", State.ENDED),
        ("2026-11-23T12:00:00Z", State.SOON),
        ("2026-11-24T11:00:00Z", State.SOON),
        ("2026-11-25T11:00:00Z", State.LATER),
        ("tomorrow", State.UNREADABLE),
        ("2026-11-25T11:00:00", State.UNREADABLE),
    ],
)
def test_an_end_stands_as_the_clock_says(ends: str, state: State) -> None:
    assert state_of(ends, NOW, DAY) is state


@pytest.mark.parametrize(("percent", "still"), [(50, True), (0, False), (None, False)])
def test_a_live_mirror_that_ended_and_still_gets_copies_is_told_from_one_at_rest(
    percent: float | None, still: bool
) -> None:
    objects = [routes(percent, "2026-11-22T00:00:00Z"), deployment("2026-11-30T00:00:00Z")]
    mirror, branch_ = live_ends(ClusterObjects(name="staging", objects=objects), NOW, DAY)
    assert (mirror.name, mirror.where, mirror.state, mirror.copies_still) == (
        "v2",
        "VirtualService hello/greeter",
        State.ENDED,
        still,
    )
    assert (branch_.name, branch_.state, branch_.percent) == ("alices-bug", State.LATER, None)


def test_the_ends_of_an_overlay_s_mirrors_are_found_with_their_share() -> None:
    mirror = InClusterMirror(
        name="next",
        service=Destination("next.labs.svc.cluster.local", 80),
        percent=10,
        expires=Expiry.parse("2026-11-22T00:00:00Z"),
    )
    istio = IstioBehaviour(version=IstioVersion(1, 31))
    on = [GatewayHosts(hosts=["shop.example.com"])]
    route = OverlayRoute(name="shop", namespace="web", on=on, mirrors=[mirror], istio=istio)
    cluster = ClusterObjects(name="staging", objects=plain([*render.overlay_filters(route).values()]))
    (end,) = live_ends(cluster, NOW, DAY)
    assert (end.name, end.where, end.percent) == ("next", "EnvoyFilter istio-system/web-shop-overlay", 10)
    assert end.copies_still


def test_ends_in_lists_of_a_configuration_are_removed_from_the_last_on() -> None:
    over = {"expires": "2026-11-22"}
    mirrors = [{"name": "next", **over}, {"percent": 1}, *[dict(over) for _ in range(9)]]
    found = configured_ends({"traffic-mirror:mirrors": {"overlay": {"shop": {"mirrors": mirrors}}}}, NOW, DAY)
    base = "traffic-mirror:mirrors.overlay.shop.mirrors"
    assert [end.key for end in ended(found)] == [f"{base}[{index}]" for index in (*range(10, 1, -1), 0)]
    assert {end.name for end in found if end.key == f"{base}[0]"} == {"next"}


CONFIG: dict[str, JsonValue] = {
    "traffic-mirror:role": "staging",
    "traffic-mirror:mirrors": {
        "inCluster": {"percent": 50, "expires": "2026-11-22"},
        "crossCluster": {"percent": 10, "expires": "2026-11-23T11:00:00Z", "testingStack": "testing"},
    },
    "traffic-mirror:branches": {
        "old": {"started": "2026-11-20T10:00Z", "image": "x"},
        "new": {"started": "2026-11-23T10:00Z", "hours": 100, "image": "x"},
        "broken": {"started": "2026-11-23T10:00", "image": "x"},
    },
}


def test_ends_of_a_configuration_are_found_by_their_keys() -> None:
    found = {end.key.partition(":")[2]: end.state for end in configured_ends(CONFIG, NOW, DAY)}
    assert found == {
        "branches.old": State.ENDED,
        "mirrors.inCluster": State.ENDED,
        "mirrors.crossCluster": State.ENDED,
        "branches.broken": State.UNREADABLE,
        "branches.new": State.LATER,
    }


class Stack:
    """Stands for a stack: keeps its configuration and what was done."""

    def __init__(self, config: Mapping[str, JsonValue], *, fails: bool = False) -> None:
        self.values: dict[str, Any] = dict(config)
        self.fails = fails
        self.done: list[tuple[str, object]] = []

    def config(self) -> dict[str, JsonValue]:
        return self.values

    def remove(self, key: str) -> None:
        self.done.append(("remove", key))

    def set_object(self, key: str, value: Mapping[str, JsonValue]) -> None:
        self.done.append((f"set {key}", dict(value)))

    def up(self, tell: object, *, timeout_seconds: float) -> dict[str, int]:
        del tell
        assert timeout_seconds == 600
        self.done.append(("up", None))
        if self.fails:
            raise OperationError("Stack staging cannot be deployed", remedy="Correct that")
        return {}


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Stack:
    made = Stack(CONFIG)
    for module in (expire, branch):
        monkeypatch.setattr(module, "open_stack", lambda *_: made)
    return made


def test_applying_removes_what_ended_and_deploys_once(stack: Stack) -> None:
    stack.values.pop("traffic-mirror:branches")
    assert main(["expire", "--stack", "staging", "--apply"]) == 0
    assert stack.done == [
        ("remove", "traffic-mirror:mirrors.inCluster"),
        ("remove", "traffic-mirror:mirrors.crossCluster"),
        # The program wants it said that nothing is mirrored to testing.
        ("set traffic-mirror:mirrors.crossCluster", {"absent": True}),
        ("up", None),
    ]


def test_a_dry_run_changes_nothing_and_says_what_it_would(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["expire", "--stack", "staging", "--apply", "--dry-run"]) == 1
    assert stack.done == []
    assert "would be removed" in capsys.readouterr().out


def test_listing_fails_while_something_has_ended(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["expire", "--stack", "staging", "--json"]) == 1
    assert len(json.loads(capsys.readouterr().out)["ends"]) == 5
    stack.values = {"traffic-mirror:branches": {"new": {"started": "2999-01-01T00:00Z"}}}
    assert main(["expire", "--stack", "staging"]) == 0


def test_a_deployment_that_fails_says_what_is_changed_already(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    stack.fails = True
    assert main(["expire", "--stack", "staging", "--apply"]) == 2
    assert "The configuration is changed already" in capsys.readouterr().err


@pytest.mark.parametrize(("words", "said"), [([], "--stack = None"), (["--cluster", "x", "--apply"], "--apply = True")])
def test_what_is_missing_is_named(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["expire", *words]) == 2
    assert said in capsys.readouterr().err


def test_a_branch_is_written_down_with_its_start_and_deployed(stack: Stack) -> None:
    words = ["--image", "r/g@sha256:0", "--header", "X-User=alice", "--env", "A=b", "--hours", "2"]
    assert main(["branch", "start", "alices-bug", *words]) == 0
    (key, entry), (verb, _) = stack.done
    assert (key, verb) == ("set branches.alices-bug", "up")
    assert isinstance(entry, dict)
    assert entry["headers"] == {"x-user": "alice"}
    assert entry["env"] == {"A": "b"}
    assert entry["hours"] == 2
    assert datetime.fromisoformat(str(entry["started"])).tzinfo is not None


def test_headers_and_environment_come_from_files_that_are_not_shown(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    headers, environment = tmp_path / "headers.json", tmp_path / "env.json"
    headers.write_text('{"X-Session": "s3same"}', encoding="utf-8")
    environment.write_text('{"DATABASE": "s3cret"}', encoding="utf-8")
    given = ["--header-file", str(headers), "--env-file", str(environment), "--env", "A=b"]
    for form in ([], ["--json"]):
        assert main(["branch", "start", "bug", "--image", "r/g@sha256:0", *given, *form]) == 0
        shown = capsys.readouterr()
        assert "s3same" not in shown.out + shown.err
        assert "s3cret" not in shown.out + shown.err
        assert "x-session" in shown.out
    (_, entry), _ = stack.done[-2:]
    assert isinstance(entry, dict)
    assert (entry["headers"], entry["env"]) == ({"x-session": "s3same"}, {"A": "b", "DATABASE": "s3cret"})
    headers.write_text('["s3same"]', encoding="utf-8")
    assert main(["branch", "start", "bug", "--image", "r/g@sha256:0", *given]) == 2
    assert "s3same" not in capsys.readouterr().err


def test_a_branch_that_cannot_be_deployed_leaves_the_configuration(stack: Stack) -> None:
    stack.fails = True
    assert main(["branch", "start", "b", "--image", "x", "--header", "x-user=alice"]) == 2
    assert stack.done[-1] == ("remove", "branches.b")


def test_a_branch_whose_configuration_is_refused_half_way_leaves_nothing_of_it(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(key: str, value: object) -> None:
        raise OperationError(f"Stack staging does not take {key}: {value}", remedy="Correct that")

    monkeypatch.setattr(stack, "set_object", refuses)
    assert main(["branch", "start", "b", "--image", "x", "--header", "x-user=alice"]) == 2
    assert stack.done == [("remove", "branches.b")]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["start", "new", "--image", "x", "--header", "x-user=alice"],
            "NAME = 'new': must be new; staging has a branch",
        ),
        (["start", "b", "--image", "x", "--header", "x-user=alice", "--hours", "337"], "--hours = 337"),
        (["start", "B", "--image", "x", "--header", "x-user=alice"], "NAME = 'B'"),
        (["start", "b", "--image", "x"], "--header = '(none)': must be given"),
        (["start", "b", "--image", "x", "--header", "alice"], "--header = 'alice': must be NAME=VALUE"),
        (["stop", "other"], "NAME = 'other': must be a branch of staging; there are: old, broken, new"),
    ],
)
def test_bad_branches_are_refused(
    words: list[str], said: str, stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["branch", *words]) == 2
    assert said in capsys.readouterr().err
    assert stack.done == []


def test_branches_are_listed_and_stopped(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["branch", "list"]) == 0
    assert "new" in capsys.readouterr().out
    assert main(["branch", "stop", "new", "--dry-run", "--json"]) == 0
    assert stack.done == []
    assert '{"name": "new", "removed": false}' in capsys.readouterr().out
    assert main(["branch", "stop", "new"]) == 0
    assert stack.done == [("remove", "branches.new"), ("up", None)]


def test_there_must_be_a_project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["expire", "--stack", "staging", "--project", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "must be a folder with Pulumi.yaml. Run the command in such a folder, or name one with --project" in said


def test_pulumi_must_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: x\nruntime: python\n", encoding="utf-8")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["expire", "--stack", "staging", "--project", str(tmp_path)]) == 2
    assert "Pulumi is not on the search path" in capsys.readouterr().err


def test_an_unknown_context_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text('{"apiVersion": "v1", "kind": "Config", "clusters": [], "contexts": [], "users": []}')
    assert main(["expire", "--cluster", str(kubeconfig), "--context", "elsewhere"]) == 2
    said = capsys.readouterr().err
    assert "The kubeconfig of elsewhere" in said
    assert "Give the path of a kubeconfig file and the name of a context in it" in said
