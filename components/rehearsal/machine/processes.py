"""Long-running programs of the stage: started detached, found again by their records, ended for certain."""

import json
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event
from typing import Final

from ..errors import StageError
from .commands import SHOWN_LINES, last_lines_of
from .files import write_text

MARK_VARIABLE = "TRAFFIC_MIRROR_STAGE"
"""Environment variable that every process of a stage carries, children included; the value is its state directory."""

POLL_SECONDS = 0.05
"""Pause between two looks at a condition: short beside the seconds that it takes to come true."""


@dataclass(frozen=True, kw_only=True)
class ProcessIdentity:
    """A process that cannot be confused with a later one of the same number."""

    pid: int
    start_ticks: int
    """Start time in clock ticks since boot, field 22 of /proc/PID/stat."""
    boot_id: str

    def alive(self) -> bool:
        """Tell whether this very process still runs; a zombie does not."""
        stat = read_stat(self.pid)
        return (
            stat is not None
            and stat.state not in "ZX"
            and stat.start_ticks == self.start_ticks
            and self.boot_id == boot_id()
        )


SPARE_PROCESSOR: Final = {"GOGC": "400", "GOMEMLIMIT": "512MiB"}
"""Go's garbage collector took a quarter of the processor time of an API server that starts (measured); it runs more
seldom for a few hundred megabytes more, and as usual above the limit. Source: pkg.go.dev/runtime."""


@dataclass(frozen=True, kw_only=True)
class ProcessStat:
    """What /proc/PID/stat says, as far as it is needed here."""

    state: str
    start_ticks: int


def marked_environment(state_directory: Path) -> dict[str, str]:
    """Return this process's environment with the mark of a stage, for helpers that run to their end.

    Without it a helper that outlives its killed parent would go on making what the clean-up has just removed.
    """
    return {**os.environ, MARK_VARIABLE: str(state_directory)}


def parse_stat(text: str) -> ProcessStat:
    """Return state and start time from the text of /proc/PID/stat; the program's name may hold anything."""
    fields = text.rpartition(")")[2].split()
    return ProcessStat(state=fields[0], start_ticks=int(fields[19]))


def read_stat(pid: int) -> ProcessStat | None:
    """Return what the kernel says about a process, None if there is no such process."""
    try:
        return parse_stat(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace"))
    except (OSError, IndexError):
        return None


def boot_id() -> str:
    """Return the identity of this boot of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


@dataclass(frozen=True, kw_only=True)
class StageProcess:
    """One started program."""

    name: str
    identity: ProcessIdentity
    argv: tuple[str, ...]
    log: Path
    record: Path

    @property
    def pid(self) -> int:
        """Number of the process, which is also the number of its group."""
        return self.identity.pid

    def running(self) -> bool:
        """Tell whether it runs; collects it if it ended as our own child."""
        alive = self.identity.alive()
        if not alive:
            _collect(self.pid)
        return alive

    def require_running(self) -> None:
        """Raise a StageError with the end of its log if it ended."""
        if not self.running():
            raise StageError(
                f"{self.name} ended by itself, log {self.log}",
                remedy="See its last lines below",
                details=last_lines_of(self.log, SHOWN_LINES),
            )

    def signal_group(self, number: int) -> None:
        """Send a signal to its process group, if it still runs."""
        if self.running():
            try:
                os.killpg(self.pid, number)
            except ProcessLookupError:
                return


class ProcessTable:
    """Starts programs with a log file and a record each.

    Args:
        records: Folder of the records.
        logs: Folder of the logs.
        state_directory: Marks the processes as belonging to this stage.
    """

    def __init__(self, *, records: Path, logs: Path, state_directory: Path) -> None:
        self._records = records
        self._logs = logs
        self._state_directory = state_directory
        records.mkdir(parents=True, exist_ok=True)
        logs.mkdir(parents=True, exist_ok=True)

    @property
    def environment(self) -> dict[str, str]:
        """Environment for helpers of the stage that run to their end."""
        return marked_environment(self._state_directory)

    def start(self, name: str, argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> StageProcess:
        """Start a program in a session of its own, so that it outlives this one and no terminal signal reaches it.

        Args:
            name: Names record and log, e.g. ``"staging-kubelet"``; one running program per name.
            argv: Program and arguments; never a secret.
            env: Variables beside search path, home and mark; the caller's own are not passed on.

        Raises:
            StageError: The program cannot be started.
        """
        log = self._logs / f"{name}.log"
        mark = {MARK_VARIABLE: str(self._state_directory)}
        environment = {
            "PATH": _SEARCH_PATH,
            "HOME": "/root",
            "LANG": "C.UTF-8",
            **SPARE_PROCESSOR,
            **(env or {}),
            **mark,
        }
        try:
            pid = os.posix_spawnp(
                argv[0],
                list(argv),
                environment,
                setsid=True,
                setsigmask=(),
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
                    (os.POSIX_SPAWN_DUP2, 1, 2),
                ],
            )
        except OSError as error:
            raise StageError(
                f"Cannot start {name}: {argv[0]}: {error.strerror}", remedy="Check that it is installed"
            ) from error
        stat = read_stat(pid)
        identity = ProcessIdentity(pid=pid, start_ticks=stat.start_ticks if stat else 0, boot_id=boot_id())
        process = StageProcess(
            name=name, identity=identity, argv=tuple(argv), log=log, record=self._records / f"{name}.json"
        )
        record = {"identity": asdict(identity), "argv": list(argv), "env": dict(env or {})}
        write_text(process.record, json.dumps(record))
        return process

    def stop(self, name: str, *, timeout: float = 10) -> StageProcess:
        """End a program: first by asking, after `timeout` seconds by force; returns its last identity.

        Raises:
            KeyError: None was started under that name.
        """
        process = self.find(name)
        process.signal_group(signal.SIGTERM)
        deadline = time.monotonic() + timeout
        while process.running() and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        process.signal_group(signal.SIGKILL)
        wait_until(lambda: not process.running(), what=f"{name} has ended", timeout=timeout)
        return process

    def restart(self, name: str) -> StageProcess:
        """End a program and start it again with the same command.

        Raises:
            KeyError: None was started under that name.
        """
        process = self.stop(name)
        env = json.loads(process.record.read_text(encoding="utf-8"))["env"]
        return self.start(name, process.argv, env=env)

    def recorded(self) -> tuple[StageProcess, ...]:
        """Return every recorded process, whether or not it still runs."""
        return tuple(self._read(record) for record in sorted(self._records.glob("*.json")))

    def find(self, name: str) -> StageProcess:
        """Return the recorded process `name`.

        Raises:
            KeyError: None was started under that name.
        """
        record = self._records / f"{name}.json"
        if not record.exists():
            raise KeyError(name)
        return self._read(record)

    def _read(self, record: Path) -> StageProcess:
        content = json.loads(record.read_text(encoding="utf-8"))
        return StageProcess(
            name=record.stem,
            identity=ProcessIdentity(**content["identity"]),
            argv=tuple(content["argv"]),
            log=self._logs / f"{record.stem}.log",
            record=record,
        )


_SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def wait_until(
    condition: Callable[[], bool],
    *,
    what: str,
    timeout: float,
    watched: Sequence[StageProcess] = (),
    cancelled: Event | None = None,
) -> None:
    """Wait until a condition holds.

    Args:
        condition: Looked at every `POLL_SECONDS`.
        what: The condition in words, e.g. ``"the API server of staging is ready"``.
        timeout: Seconds until the wait fails.
        watched: Processes without which the condition cannot come true; the first one's log is shown.
        cancelled: Set when the stage is given up meanwhile.

    Raises:
        StageError: The time is over, a watched process ended, or the start was given up.
    """
    deadline = time.monotonic() + timeout
    while not condition():
        if cancelled is not None and cancelled.is_set():
            raise StageError(f"Gave up waiting until {what}", remedy="Start the stage again")
        for process in watched:
            process.require_running()
        if time.monotonic() > deadline:
            log = watched[0].log if watched else None
            raise StageError(
                f"Waited {timeout:.0f} s in vain until {what}" + (f", log {log}" if log else ""),
                remedy="See the last lines of the log below" if log else "Start the stage again",
                details=last_lines_of(log) if log else (),
            )
        time.sleep(POLL_SECONDS)


def _collect(pid: int) -> None:
    """Take the exit code of an ended child, so that no zombie remains; no effect on other processes."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return
