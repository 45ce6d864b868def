"""A ramp goes up while every gate passes, goes back when one fails, and can be killed at any moment."""

import json
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pulumi_traffic_mirror.model import ValidationError
from pulumi_traffic_mirror.operations.errors import OperationError
from pulumi_traffic_mirror.operations.ramp.countdown import Countdown
from pulumi_traffic_mirror.operations.ramp.gates import MEBIBYTE, Gates, Measurement, judge_step
from pulumi_traffic_mirror.operations.ramp.run import Interrupted, RampJob, Retreat, ramp
from pulumi_traffic_mirror.operations.ramp.state import Phase, StateFile
from pulumi_traffic_mirror.operations.verify.run import read_allocated

BEFORE = Measurement(
    percent=0, calls=1000, failed=0, p95_seconds=0.02, seconds=10, memory_bytes=100 * MEBIBYTE, copies=100
)
NOW = replace(BEFORE, percent=25)
GATES = Gates()


def failed(now: Measurement, before: Measurement = BEFORE, first: Measurement = BEFORE) -> list[str]:
    return [result.name for result in judge_step(before, first, now, GATES) if not result.passes]


def test_a_step_like_the_one_before_passes_every_gate() -> None:
    results = judge_step(BEFORE, BEFORE, NOW, GATES)
    assert [result.name for result in results if result.passes] == [
        "primary success",
        "primary latency",
        "mirror errors",
        "copies in flight",
        "proxy memory",
        "copies arrive",
    ]


@pytest.mark.parametrize(
    ("now", "gate"),
    [
        (replace(NOW, failed=20), "primary success"),
        (replace(NOW, p95_seconds=0.046), "primary latency"),
        (replace(NOW, copy_errors=2), "mirror errors"),
        (replace(NOW, copies_unanswered=2), "mirror errors"),
        (replace(NOW, copy_errors=1, copies_unanswered=1), "mirror errors"),
        (replace(NOW, in_flight=11), "copies in flight"),
        (replace(NOW, memory_bytes=165 * MEBIBYTE), "proxy memory"),
        (replace(NOW, arrived=False, trouble="time-out"), "copies arrive"),
        (replace(NOW, calls=0), "calls"),
    ],
)
def test_each_gate_fails_for_its_own_reason(now: Measurement, gate: str) -> None:
    assert failed(now) == [gate]


def test_copies_of_which_nobody_can_tell_are_not_said_to_arrive() -> None:
    *_, gate = judge_step(BEFORE, BEFORE, replace(NOW, arrived=False), GATES)
    assert (gate.name, gate.passes) == ("copies arrive", False)
    assert "not enough evidence" in gate.detail


@pytest.mark.parametrize(
    "now",
    [
        replace(NOW, failed=1),
        replace(NOW, p95_seconds=0.044),
        replace(NOW, copy_errors=1),
        replace(NOW, in_flight=10),
        replace(NOW, copies=0, in_flight=1),
        replace(NOW, memory_bytes=164 * MEBIBYTE),
        replace(NOW, memory_bytes=0),
    ],
)
def test_what_is_within_its_bound_passes(now: Measurement) -> None:
    assert failed(now) == []


def test_a_primary_that_failed_before_the_step_is_not_blamed_on_it() -> None:
    assert failed(replace(NOW, failed=100), before=replace(BEFORE, failed=100)) == []


def test_memory_is_held_against_the_beginning_and_latency_against_the_step_before() -> None:
    grown = replace(NOW, memory_bytes=170 * MEBIBYTE, p95_seconds=0.06)
    before = replace(BEFORE, memory_bytes=160 * MEBIBYTE, p95_seconds=0.05)
    assert failed(grown, before=before) == ["proxy memory"]


def test_nothing_passes_without_calls_before() -> None:
    assert failed(NOW, before=replace(BEFORE, calls=0)) == ["calls"]


def test_memory_is_read_from_the_admin_page() -> None:
    assert read_allocated('2026 warn something\n{\n "allocated": "12345",\n "heap_size": "9"\n}') == 12345
    assert read_allocated("nothing") == 0


@dataclass
class World:
    """Deploys and measures without clusters."""

    folder: Path
    slow_from: float = 1000.0
    applied: list[float] = field(default_factory=list[float])
    measured: list[float] = field(default_factory=list[float])
    on_apply: Callable[[float], object] = lambda _: None
    on_measure: Callable[[float], object] = lambda _: None

    @property
    def file(self) -> StateFile:
        return StateFile(self.folder / "state" / "ramp.json")

    def apply(self, percent: float, begun: Callable[[], None]) -> None:
        begun()
        self.on_apply(percent)
        self.applied.append(percent)

    def measure(self, percent: float, tell: Callable[[str], None]) -> Measurement:
        tell("calls")
        self.measured.append(percent)
        self.on_measure(percent)
        return replace(NOW, percent=percent, in_flight=1000 if percent >= self.slow_from else 0)

    def run(self, job: RampJob, *, resume: bool = False) -> Phase:
        state = self.file.read() if resume else None
        return ramp(job, self.apply, self.measure, self.file, lambda _: None, state=state).phase


def job(**changes: object) -> RampJob:
    values: dict[str, object] = {"stack": "staging", "key": "mirrors.crossCluster.percent", "mirror": "testing"}
    return RampJob(**{**values, "start": 0.0, **changes})  # pyright: ignore[reportArgumentType] -- tests vary them


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(folder=tmp_path)


def test_a_faithful_mirror_goes_through_all_steps(world: World) -> None:
    assert world.run(job()) is Phase.DONE
    assert world.applied == [1, 5, 25, 50, 100]
    assert world.measured == [0, 1, 5, 25, 50, 100]
    state = world.file.read()
    assert state is not None
    assert (state.phase, state.percent, state.good, state.left) == (Phase.DONE, 100, 100, ())
    assert [entry["percent"] for entry in state.history] == [0, 1, 5, 25, 50, 100]


def test_a_failed_gate_goes_back_to_the_last_good_share_and_says_why(world: World) -> None:
    world.slow_from = 25
    assert world.run(job()) is Phase.ROLLED_BACK
    assert world.applied == [1, 5, 25, 5]
    state = world.file.read()
    assert state is not None
    assert (state.percent, state.good) == (5, 5)
    assert state.reason.startswith("at 25 %: copies in flight: 1,000, which are")


def test_a_failed_gate_can_go_back_to_nothing(world: World) -> None:
    world.slow_from = 25
    world.run(job(retreat=Retreat.ZERO))
    assert world.applied[-1] == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_measuring_leaves_the_step_and_a_readable_state(world: World, number: int) -> None:
    world.on_measure = lambda percent: os.kill(os.getpid(), number) if percent == 25 else None
    with pytest.raises(Interrupted) as caught:
        world.run(job())
    assert caught.value.number == number
    state = world.file.read()
    assert state is not None
    assert (state.phase, state.percent, state.good, state.left) == (Phase.INTERRUPTED, 25, 5, (25, 50, 100))
    assert signal.getsignal(number) is not None


def test_a_signal_while_deploying_waits_for_its_end(world: World) -> None:
    world.on_apply = lambda percent: os.kill(os.getpid(), signal.SIGTERM) if percent == 5 else None
    with pytest.raises(Interrupted):
        world.run(job())
    assert world.applied == [1, 5]
    state = world.file.read()
    assert state is not None
    assert (state.phase, state.percent, state.good) == (Phase.INTERRUPTED, 5, 1)


def test_a_signal_while_going_back_does_not_hide_why(world: World) -> None:
    world.slow_from = 25
    world.on_apply = lambda percent: os.kill(os.getpid(), signal.SIGINT) if 25 in world.applied else None
    assert world.run(job()) is Phase.ROLLED_BACK
    state = world.file.read()
    assert state is not None
    assert (state.phase, state.percent, state.reason[:23]) == (Phase.ROLLED_BACK, 5, "at 25 %: copies in flig")


def test_a_deployment_that_a_signal_cancelled_is_an_interruption(world: World) -> None:
    def cancelled(percent: float) -> None:
        if percent == 5:
            os.kill(os.getpid(), signal.SIGINT)
            raise OperationError("the update was cancelled", remedy="try again")

    world.on_apply = cancelled
    with pytest.raises(Interrupted):
        world.run(job())
    state = world.file.read()
    assert state is not None
    assert (state.phase, state.percent, state.target, state.good) == (Phase.INTERRUPTED, 1, 5, 1)


def test_a_ramp_ends_when_its_time_is_over(world: World) -> None:
    endless = threading.Event()
    world.on_measure = lambda percent: endless.wait(30) if percent == 5 else None
    with pytest.raises(Interrupted) as caught:
        ramp(job(), world.apply, world.measure, world.file, lambda _: None, timeout_seconds=0.3)
    assert caught.value.expired
    state = world.file.read()
    assert state is not None
    assert (state.phase, state.percent, state.reason) == (Phase.INTERRUPTED, 5, "its time was over")


@dataclass
class FakeTime:
    """A clock that the test moves; what waits on it is called when it is moved past."""

    now: float = 0.0
    timers: "list[FakeTimer]" = field(default_factory=list["FakeTimer"])

    def timer(self, seconds: float, expire: Callable[[], None]) -> Any:
        self.timers.append(FakeTimer(self.now + seconds, expire))
        return self.timers[-1]

    def pass_by(self, seconds: float) -> None:
        self.now += seconds
        for timer in self.timers:
            if timer.runs and timer.end <= self.now:
                timer.runs = False
                timer.expire()


@dataclass
class FakeTimer:
    end: float
    expire: Callable[[], None]
    runs: bool = False
    daemon: bool = False

    def start(self) -> None:
        self.runs = True

    def cancel(self) -> None:
        self.runs = False


@pytest.fixture
def fake_time(monkeypatch: pytest.MonkeyPatch) -> FakeTime:
    """The ramp's time, moved by the test."""
    made = FakeTime()
    new = partial(Countdown, clock=lambda: made.now, timer=made.timer)
    monkeypatch.setattr("pulumi_traffic_mirror.operations.ramp.run.Countdown", new)
    return made


def test_what_comes_before_a_deployment_does_not_count_for_the_ramps_time(world: World, fake_time: FakeTime) -> None:
    def apply(percent: float, begun: Callable[[], None]) -> None:
        fake_time.pass_by(1000)  # the engine installs its plugins
        begun()
        fake_time.pass_by(1)
        world.applied.append(percent)

    world.on_measure = lambda _: fake_time.pass_by(1)
    state = ramp(job(), apply, world.measure, world.file, lambda _: None, timeout_seconds=12)
    assert state.phase is Phase.DONE
    with pytest.raises(Interrupted) as caught:
        ramp(job(), apply, world.measure, world.file, lambda _: None, timeout_seconds=10.5)
    assert caught.value.expired
    assert world.applied == [1, 5, 25, 50, 100] * 2


def test_time_counts_again_after_a_deployment_that_did_not_begin(fake_time: FakeTime) -> None:
    over: list[float] = []
    countdown = Countdown(5, lambda: over.append(fake_time.now), clock=lambda: fake_time.now, timer=fake_time.timer)
    countdown.run()
    countdown.run()
    fake_time.pass_by(3)
    with countdown.standing_still():
        fake_time.pass_by(100)
    fake_time.pass_by(1)
    assert over == []
    fake_time.pass_by(1)
    assert over == [105]


def test_an_interrupted_ramp_goes_on_from_its_last_good_step(world: World) -> None:
    world.on_measure = lambda percent: os.kill(os.getpid(), signal.SIGINT) if percent == 25 else None
    with pytest.raises(Interrupted):
        world.run(job())
    world.on_measure = lambda _: None
    world.applied.clear()
    assert world.run(job(), resume=True) is Phase.DONE
    assert world.applied == [5, 25, 50, 100]


def test_the_state_is_on_disk_before_a_deployment_begins(world: World) -> None:
    seen: list[tuple[str, float, float]] = []

    def look(_: float) -> None:
        raw = json.loads(world.file.path.read_text())
        seen.append((raw["phase"], raw["percent"], raw["target"]))

    world.on_apply = look
    world.run(job(steps=[5, 100]))
    assert seen == [("applying", 0, 5), ("applying", 5, 100)]


def test_a_deployment_that_fails_keeps_the_share_before_it(world: World) -> None:
    def refuse(percent: float) -> None:
        if percent == 5:
            raise OperationError("the stack is locked", remedy="wait")

    world.on_apply = refuse
    with pytest.raises(OperationError):
        world.run(job())
    state = world.file.read()
    assert state is not None
    assert (state.phase, state.percent, state.target, state.good) == (Phase.INTERRUPTED, 1, 5, 1)
    assert state.reason.startswith("the stack is locked")


def test_one_ramp_at_a_time(world: World) -> None:
    def second(percent: float) -> None:
        if percent == 1:
            assert world.file.running
            with pytest.raises(OperationError, match="A ramp is running"):
                ramp(job(), world.apply, world.measure, world.file, lambda _: None)

    world.on_apply = second
    world.run(job(steps=[1]))
    assert not world.file.running


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema": 2}', '{"schema": 1, "phase": "done"}'])
def test_a_damaged_state_is_said(world: World, content: str) -> None:
    world.file.path.parent.mkdir()
    world.file.path.write_text(content)
    with pytest.raises(OperationError, match="cannot be used"):
        world.file.read()


@pytest.mark.parametrize(
    "changes",
    [{"steps": []}, {"steps": [5, 5]}, {"steps": [25, 5]}, {"steps": [5, 101]}, {"start": 100.0}],
)
def test_steps_that_do_not_rise_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        job(**changes)


@pytest.mark.parametrize(
    "changes",
    [{"latency_ratio": 0.5}, {"copy_error_percent": 101}, {"in_flight_seconds": 0}, {"memory_growth_bytes": 1}],
)
def test_gates_that_make_no_sense_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Gates(**changes)  # pyright: ignore[reportArgumentType] -- tests vary them
