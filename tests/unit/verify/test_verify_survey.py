"""A survey waits as long as something may still come, and no longer."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from pulumi_traffic_mirror.operations.verify import survey
from pulumi_traffic_mirror.operations.verify.facts import Wanted
from pulumi_traffic_mirror.operations.verify.places import GatewayPlace, Workload
from pulumi_traffic_mirror.operations.verify.plan import Plan, Target
from pulumi_traffic_mirror.operations.verify.proxy import MirrorPolicy, ProxyView, RouteView
from pulumi_traffic_mirror.operations.verify.request import Request
from pulumi_traffic_mirror.operations.verify.survey import POLL_SECONDS, STILL_SECONDS, Side, Survey

CLUSTER = "outbound|8000||v2.hello.svc.cluster.local"
PODS = Workload(namespace="hello", labels=(("app", "v2"),), containers=("greeter",))
PLAN = Plan(
    route="VirtualService hello/greeter",
    sender="staging",
    request=Request(authority="hello.example:8000"),
    gateway=GatewayPlace(name="gate", pods=PODS, addresses=("192.0.2.1",), port=8000),
    primaries=("outbound|8000||v1",),
    targets=(
        Target(wanted=Wanted(name="v2", cluster=CLUSTER, percent=25, across=False, receiver="staging"), workload=PODS),
    ),
)


class Clock:
    """Goes on by sleeping only."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(survey, "time", made)
    return made


@dataclass
class Pods:
    """Pods whose log grows by what each reading is given, and then stays."""

    grows: list[int]
    lines: list[str] = field(default_factory=list[str])

    def log_lines(self, _: object, *, since_seconds: int) -> Iterator[str]:
        assert since_seconds > 0
        for _ in range(self.grows.pop(0) if self.grows else 0):
            entry = {"event": "call", "method": "SayHello", "name": f"run-{len(self.lines)}"}
            self.lines.append(json.dumps(entry, separators=(",", ":")))
        return iter(self.lines)


def looking_at(pods: Pods) -> Survey:
    side = Side(access=cast("Any", None), objects=cast("Any", None), pods=cast("Any", pods))
    object.__setattr__(side, "select", lambda *_: None)
    made = Survey(plan=PLAN, sides={"staging": side})
    made._started = 0.0
    return made


@pytest.mark.parametrize(
    ("grows", "calls", "seconds"),
    [
        pytest.param([10], 10, 0, id="all at once"),
        pytest.param([4, 0, 3, 0, 0, 3], 10, 5 * POLL_SECONDS, id="late"),
        pytest.param([4, 2], 6, POLL_SECONDS + STILL_SECONDS, id="never all"),
        pytest.param([1] * 100, 10, 9 * POLL_SECONDS, id="one by one"),
        pytest.param([1, 0, 0] * 100, 8, 5.25, id="too late"),
    ],
)
def test_logs_are_read_until_all_copies_are_there_or_nothing_comes(
    grows: list[int], calls: int, seconds: float, clock: Clock
) -> None:
    found = looking_at(Pods(grows=grows)).arrivals("run", {"v2": 10}, timeout_seconds=5)
    assert found["v2"].calls == calls
    assert clock.now == pytest.approx(seconds)


def view(*policies: MirrorPolicy) -> ProxyView:
    @dataclass
    class View:
        def route(self, *_: object, **__: object) -> RouteView:
            return RouteView(name="r", cluster="c", policies=policies)

    return cast("ProxyView", View())


def at(percent: float) -> ProxyView:
    return view(MirrorPolicy(cluster=CLUSTER, percent=percent, suffixed=False))


def test_calls_wait_until_every_proxy_copies_what_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [[view(), view()], [at(5), at(25)], [at(25), at(25)]]
    monkeypatch.setattr(Survey, "senders", lambda _: answers.pop(0))
    looking_at(Pods(grows=[])).await_shares(60)
    assert answers == []


def test_a_share_that_never_comes_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def views(_: Survey) -> list[ProxyView]:
        asked.append(1)
        return [at(5)]

    monkeypatch.setattr(Survey, "senders", views)
    looking_at(Pods(grows=[])).await_shares(0.1)
    assert asked
    asked.clear()
    looking_at(Pods(grows=[])).await_shares(0)
    assert not asked


@pytest.mark.parametrize(("method", "kind"), [("POST", "application/grpc"), ("GET", None)])
def test_only_grpc_calls_meet_routes_as_grpc(method: str, kind: str | None) -> None:
    assert Request(authority="hello.example", path="/orders", method=method).at_proxy.get("content-type") == kind
