"""The ramp itself: apply a step, measure, judge, go on; or go back and say why."""

import os
import signal
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum, unique
from itertools import pairwise
from types import FrameType
from typing import Final, Protocol, cast

from ...model import JsonObject, JsonValue, Percent, ValidationError
from ..errors import OperationError
from .countdown import Countdown
from .gates import GateResult, Gates, Measurement, judge_step
from .state import Phase, RampState, StateFile

DEFAULT_STEPS: Final = (1.0, 5.0, 25.0, 50.0, 100.0)

Tell = Callable[[str], None]
"""Takes one line about what is being done."""


class Applies(Protocol):
    """Puts a share in force, by a deployment."""

    def __call__(self, percent: float, begun: Callable[[], None]) -> None:
        """Deploy with this share; return when it is deployed.

        Args:
            percent: The share.
            begun: To be called when deploying begins. What comes before it, such as an installation of plugins, does
                not count for the ramp's time.

        Raises:
            OperationError: The deployment failed.
        """
        ...


class Measures(Protocol):
    """Measures while a share is in force."""

    def __call__(self, percent: float, tell: Tell) -> Measurement:
        """Measure.

        Raises:
            OperationError: It cannot be measured.
        """
        ...


@unique
class Retreat(StrEnum):
    """Where to go when a gate fails."""

    LAST_GOOD = "last-good"
    ZERO = "zero"


@dataclass(frozen=True, kw_only=True)
class RampJob:
    """What to ramp.

    Raises:
        ValidationError: The steps do not rise, or a value is out of its range.
    """

    stack: str
    key: str
    """Configuration key of the percentage, e.g. ``mirrors.crossCluster.percent``."""

    mirror: str
    """Name of the mirror on its routes."""

    start: float
    """The share that is in force before the ramp."""

    steps: Sequence[float] = DEFAULT_STEPS
    gates: Gates = field(default_factory=Gates)
    retreat: Retreat = Retreat.LAST_GOOD
    options: JsonObject = field(default_factory=dict[str, JsonValue])
    """Kept in the state, for whoever goes on with the ramp."""

    def __post_init__(self) -> None:
        steps = tuple(float(Percent(step, field=f"steps[{index}]")) for index, step in enumerate(self.steps))
        if not steps or any(later <= earlier for earlier, later in pairwise(steps)):
            raise ValidationError(
                field="steps",
                value=list(self.steps),
                rule="must rise, each above the one before",
                remedy="Use 1,5,25,50,100",
            )
        if steps[-1] <= self.start:
            raise ValidationError(
                field="steps",
                value=list(self.steps),
                rule=f"must go above {self.start:g} %, which is in force already",
                remedy="Choose higher steps, or set the percentage in the configuration",
            )
        object.__setattr__(self, "steps", steps)

    def new_state(self) -> RampState:
        """The state of a ramp that begins."""
        return RampState(
            stack=self.stack,
            key=self.key,
            mirror=self.mirror,
            steps=tuple(self.steps),
            phase=Phase.BASELINE,
            percent=self.start,
            target=self.start,
            good=self.start,
            options=self.options,
        )


class Interrupted(BaseException):
    """Somebody ended the ramp, or its time was over; the state says where it stands.

    Attributes:
        number: Number of the signal.
        expired: Whether it was the time.
    """

    def __init__(self, number: int, *, expired: bool = False) -> None:
        self.number = number
        self.expired = expired
        super().__init__("its time was over" if expired else f"ended by signal {number}")


def ramp(
    job: RampJob,
    apply: Applies,
    measure: Measures,
    file: StateFile,
    tell: Tell,
    *,
    state: RampState | None = None,
    timeout_seconds: float = 0.0,
) -> RampState:
    """Ramp a mirror up and return the state in which it ends.

    Args:
        job: What to ramp.
        apply: Puts a share in force.
        measure: Measures a step.
        file: Where the state is kept, from before each step to after it.
        tell: Told what is being done.
        state: Where an interrupted ramp stands, to go on from there; None to begin.
        timeout_seconds: Bound on the whole ramp, without what comes before each deployment; 0 for none.

    Raises:
        OperationError: A deployment or a measurement failed; what was applied stays, and the state says so.
        Interrupted: A signal or the time ended it, at the earliest when a running deployment was through.
    """
    with file.held(), _signals(timeout_seconds) as deferred:
        return _Ramp(job=job, apply=apply, measure=measure, file=file, tell=tell, signals=deferred).run(state)


@dataclass(kw_only=True)
class _Ramp:
    job: RampJob
    apply: Applies
    measure: Measures
    file: StateFile
    tell: Tell
    signals: "_Signals"
    _state: RampState = field(init=False)

    def __post_init__(self) -> None:
        self._state = self.job.new_state()

    def run(self, state: RampState | None) -> RampState:
        going_on = state is not None
        if state is not None:
            self._state = state
        try:
            if going_on:
                # Whatever an interruption left half done, the last good share is where it goes on from.
                self._put(self._state.good)
            self._save(self._state.to(Phase.BASELINE))
            self.tell(f"measuring at {self._state.good:g} %, before the next step")
            first = before = self.measure(self._state.good, self.tell)
            self._note(before, ())
            for step in self._state.left:
                self._put(step)
                self._save(self._state.to(Phase.MEASURING))
                self.tell(f"measuring at {step:g} %")
                now = self.measure(step, self.tell)
                results = judge_step(before, first, now, self.job.gates)
                self._note(now, results)
                failed = [result for result in results if not result.passes]
                if failed:
                    return self._back(step, failed)
                before = now
                self._save(self._state.to(Phase.GOOD, good=step))
                self.tell(f"{step:g} % is good")
        except BaseException as error:
            if isinstance(error, Interrupted) and self._state.ended:
                # It came while the share was taken back, after which there is nothing to interrupt.
                return self._state
            self._save(self._state.to(Phase.INTERRUPTED, reason=str(error).splitlines()[0] if str(error) else ""))
            raise
        return self._save(self._state.to(Phase.DONE))

    def _put(self, percent: float) -> None:
        """Put a share in force. A signal waits until the deployment is through, so that the state tells the truth."""
        self._save(self._state.to(Phase.APPLYING, target=percent))
        self.tell(f"deploying {percent:g} %")
        with self.signals.deferred():
            self._deploy(percent)
            self._save(self._state.to(Phase.APPLYING, percent=percent))

    def _deploy(self, percent: float) -> None:
        with self.signals.countdown.standing_still() as begun:
            self.apply(percent, begun)

    def _back(self, step: float, failed: Sequence[GateResult]) -> RampState:
        reason = f"at {step:g} %: " + "; ".join(f"{result.name}: {result.detail}" for result in failed)
        target = 0.0 if self.job.retreat is Retreat.ZERO else self._state.good
        self.tell(f"a gate failed {reason}; going back to {target:g} %")
        self._save(self._state.to(Phase.FAILED, reason=reason))
        self._save(self._state.to(Phase.ROLLING_BACK, target=target))
        with self.signals.deferred():
            self._deploy(target)
            return self._save(self._state.to(Phase.ROLLED_BACK, percent=target, good=target))

    def _note(self, measured: Measurement, results: Sequence[GateResult]) -> None:
        gates: list[JsonValue] = [result.to_json() for result in results]
        entry: JsonObject = {**measured.to_json(), "gates": gates}
        self._state = replace(self._state, history=(*self._state.history, entry))

    def _save(self, state: RampState) -> RampState:
        self._state = state
        self.file.write(state)
        return state


class _Signals:
    """Turns SIGINT and SIGTERM into an exception, at once or when a deployment is through."""

    def __init__(self, timeout_seconds: float) -> None:
        self._deferring = False
        self._pending = 0
        self._expired = False
        self.countdown = Countdown(timeout_seconds, self._expire)

    def _expire(self) -> None:
        """The time is over; called in a thread of its own, and told to the main one."""
        self._expired = True
        os.kill(os.getpid(), signal.SIGTERM)

    def arrive(self, number: int, _frame: FrameType | None) -> None:
        self._pending = number
        if not self._deferring:
            raise Interrupted(number, expired=self._expired)

    @contextmanager
    def deferred(self) -> Generator[None]:
        self._deferring = True
        try:
            yield
        except OperationError as error:
            # Ctrl-C on a terminal reaches the engine too, which then cancels the deployment.
            if self._pending:
                raise Interrupted(self._pending, expired=self._expired) from error
            raise
        finally:
            self._deferring = False
        if self._pending:
            raise Interrupted(self._pending, expired=self._expired)


@contextmanager
def _signals(timeout_seconds: float) -> Generator[_Signals]:
    if threading.current_thread() is not threading.main_thread():
        yield _Signals(0)
        return
    signals = _Signals(timeout_seconds)
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, signals.arrive) for number in numbers}
    signals.countdown.run()
    try:
        yield signals
    finally:
        signals.countdown.stop()
        for number, handler in before.items():
            signal.signal(number, cast("signal.Handlers", handler))
