"""The claim: what a stage is about to make on the machine, written before it makes anything.

Whoever comes after a crash reads it and removes exactly that. It lies in /run, because everything that it speaks
of (namespaces, control groups, processes, mounts) ends with the boot, as the file does.
"""

import json
import os
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final

from .errors import StageError
from .machine.files import write_text
from .machine.processes import boot_id
from .places import RUNTIME_DIRECTORY
from .queueing import Holder, Patience, outlive_holder, read_holder, wait_for_lock, write_holder

_LOCK = "lock"
_CLAIM = "claim.json"

BUILDS: Final = "installs and builds what the stage needs"
RUNS: Final = "has the stage"
"""What the holder of the stage's lock does, in its lock file."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What one stage may have made."""

    state_directory: Path
    boot_id: str
    namespaces: tuple[str, ...]
    cgroups: tuple[str, ...]
    made_folders: tuple[str, ...] = ()
    """Folders of the machine that did not exist, to be removed if they are empty again; outermost first."""
    mounted_namespaces: bool = False
    """Whether /run/netns was no mount point before, so that the mount there is ours."""
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    """Kernel settings that are changed, with the value before."""
    kept: bool = False
    """Whether the stage was left running on purpose."""


class StageLock:
    """Held by the one process that may change the stage; it is free again however that process ends."""

    def __init__(self, directory: Path = RUNTIME_DIRECTORY) -> None:
        self._directory = directory
        self._descriptor: int | None = None

    def acquire(self, patience: Patience | None = None) -> None:
        """Take the lock.

        Args:
            patience: How to wait for a rehearsal that builds; None: never wait. One that has its clusters already is
                refused at once, since it ends when somebody is done looking at it.

        Raises:
            StageError: Another process holds it, or did not give it back in time.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            _take(descriptor, patience)
            write_holder(descriptor, RUNS)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    @contextmanager
    def building(self) -> Generator[None]:
        """Tell others that come meanwhile that they may wait: what they need is being built."""
        self._tell(BUILDS)
        yield
        self._tell(RUNS)

    def _tell(self, doing: str) -> None:
        if self._descriptor is not None:
            write_holder(self._descriptor, doing)

    def release(self) -> None:
        """Give the lock back; no effect without it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def lock_holder(directory: Path = RUNTIME_DIRECTORY, *, pause: Callable[[float], None] = time.sleep) -> Holder | None:
    """Return who holds the stage's lock just now, None if nobody does.

    Args:
        directory: Where the lock is.
        pause: Sleeps so many seconds; a child that still has the lock of a dead process is waited for.
    """
    try:
        descriptor = os.open(directory / _LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return None if outlive_holder(descriptor, pause=pause) else read_holder(descriptor)
    finally:
        os.close(descriptor)


def _take(descriptor: int, patience: Patience | None) -> None:
    if outlive_holder(descriptor):
        return
    holder = read_holder(descriptor)
    if patience is None or holder.doing != BUILDS:
        raise StageError(
            f"Another rehearsal is running on this machine ({holder})",
            remedy="Wait until it ends, or end it with Ctrl-C there",
        )
    wait_for_lock(descriptor, patience)


def read_claim(directory: Path = RUNTIME_DIRECTORY) -> Claim | None:
    """Return the claim of the stage that runs or ran, None if there is none of this boot.

    Raises:
        StageError: Another release wrote it, or it is damaged.
    """
    path = directory / _CLAIM
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        claim = Claim(**(content | {name: tuple(content[name]) for name in ("namespaces", "cgroups", "made_folders")}))
        claim = replace(claim, state_directory=Path(claim.state_directory))
    except FileNotFoundError:
        return None
    except (KeyError, TypeError, ValueError) as error:
        raise StageError(
            f"{path} cannot be read: another release wrote it, or it is damaged ({error})",
            remedy="Run `traffic-mirror rehearse down` of the release that made the stage, or restart the machine",
        ) from error
    return claim if claim.boot_id == boot_id() else None


def write_claim(claim: Claim, directory: Path = RUNTIME_DIRECTORY) -> None:
    """Write the claim in one step; must be done before anything in it is made."""
    content = asdict(claim) | {"state_directory": str(claim.state_directory)}
    write_text(directory / _CLAIM, json.dumps(content, indent=2))


def drop_claim(directory: Path = RUNTIME_DIRECTORY) -> None:
    """Remove the claim; must be done after everything in it is gone."""
    (directory / _CLAIM).unlink(missing_ok=True)
