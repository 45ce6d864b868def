"""What a ramp has done so far, on disk: readable at any time, whole after any kill."""

import fcntl
import json
import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum, unique
from pathlib import Path
from typing import Any, Final, cast

from ...model import JsonObject, JsonValue
from ..errors import OperationError
from ..private_files import write_file

SCHEMA: Final = 1


@unique
class Phase(StrEnum):
    """Where a ramp is."""

    BASELINE = "measuring before the first step"
    APPLYING = "applying"
    MEASURING = "measuring"
    GOOD = "step is good"
    DONE = "done"
    FAILED = "a gate failed"
    ROLLING_BACK = "rolling back"
    ROLLED_BACK = "rolled back"
    INTERRUPTED = "interrupted"


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


@dataclass(frozen=True, kw_only=True)
class RampState:
    """A ramp so far."""

    stack: str
    key: str
    """Configuration key of the percentage."""

    mirror: str
    steps: tuple[float, ...]
    phase: Phase
    percent: float
    """The share that was applied last."""

    target: float
    """The share that is being applied; the same when none is."""

    good: float
    """The last share that passed every gate, or the one before the ramp."""

    reason: str = ""
    """Why it stopped."""

    history: tuple[JsonObject, ...] = ()
    """What was measured on each step, and how its gates stand."""

    options: JsonObject = field(default_factory=dict[str, JsonValue])
    """With which it was begun, so that it goes on with the same."""

    changed: str = field(default_factory=_now)
    """When, in UTC."""

    def to(self, phase: Phase, **changes: Any) -> "RampState":  # noqa: ANN401 -- fields of this class
        """The state after something happened."""
        return replace(self, phase=phase, changed=_now(), **changes)

    @property
    def left(self) -> tuple[float, ...]:
        """Steps that have not passed yet."""
        return tuple(step for step in self.steps if step > self.good)

    @property
    def history_start(self) -> float:
        """The share before the ramp, below its first step."""
        measured = cast("tuple[dict[str, Any], ...]", self.history)
        return float(measured[0]["percent"]) if measured else 0.0

    @property
    def ended(self) -> bool:
        """Whether nothing more is to be done."""
        return self.phase in (Phase.DONE, Phase.ROLLED_BACK)

    def to_json(self) -> JsonObject:
        """The state as a JSON object."""
        return {"schema": SCHEMA, **asdict(self)}


@dataclass(frozen=True)
class StateFile:
    """The file of one ramp."""

    path: Path

    def read(self) -> RampState | None:
        """Return the state; None when there was no ramp.

        Raises:
            OperationError: The file is damaged, a link, or of another version.
        """
        if self.path.is_symlink():
            raise self._broken("it is a link, which is not followed")
        try:
            found: object = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise self._broken(str(error)) from error
        raw = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
        version = raw.pop("schema", None)
        if version != SCHEMA:
            raise self._broken(f"it has version {version!r}, this program reads {SCHEMA}")
        try:
            raw["phase"] = Phase(raw["phase"])
            raw["steps"], raw["history"] = tuple(raw["steps"]), tuple(raw["history"])
            return RampState(**raw)
        except (KeyError, TypeError, ValueError) as error:
            raise self._broken(str(error)) from error

    def _broken(self, why: str) -> OperationError:
        return OperationError(f"{self.path} cannot be used: {why}", remedy="Move it away to begin anew")

    def write(self, state: RampState) -> None:
        """Write the state, so that a reader sees the old or the new one and never a part.

        Raises:
            OperationError: The file is a link, or cannot be written.
        """
        write_file(self.path, json.dumps(state.to_json(), indent=2))

    @property
    def _lock(self) -> Path:
        return self.path.with_suffix(".lock")

    @contextmanager
    def held(self) -> Generator[None]:
        """Keep other ramps of this file away; the hold ends with this process, however it ends.

        Raises:
            OperationError: Another ramp runs, or its lock is a link.
        """
        from ..recording.own_files import create_file, make_folder  # noqa: PLC0415 -- its package imports Arrow

        if self._lock.is_symlink():
            raise OperationError(f"{self._lock} is a link and is not followed", remedy="Remove it")
        make_folder(self.path.parent)
        with suppress(FileExistsError):
            os.close(create_file(self._lock))
        with self._lock.open("r+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise OperationError(
                    f"A ramp is running on {self.path}", remedy="Wait for its end, or stop it with Ctrl-C"
                ) from None
            yield

    @property
    def running(self) -> bool:
        """Whether a process works on it just now."""
        try:
            with self._lock.open(encoding="utf-8") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False
