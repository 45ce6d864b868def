"""Removing a stage: exactly what its claim says, whatever state it is in, as often as one likes."""

import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import psutil

from .claim import Claim, drop_claim
from .errors import StageError
from .machine.cgroups import remove_cgroups
from .machine.kernel import write_setting
from .machine.network import remove_namespaces
from .machine.processes import MARK_VARIABLE, wait_until

OWNERSHIP_FILE = ".traffic-mirror-stage"
"""Lies in every state directory; a folder without it is never removed."""

LOGS = "logs"
"""Name of the folder of logs in the state directory."""

_END_TIMEOUT = 20.0
"""Seconds until processes that were killed must be gone."""

_NAMESPACES_MOUNT = "/run/netns"


def remove_stage(claim: Claim, *, keep_logs: bool = False) -> None:
    """Remove everything that a claim speaks of, then the claim.

    Args:
        claim: What the stage may have made.
        keep_logs: Leave the folder of logs, for the person who wants to know why a start failed.

    Raises:
        StageError: The kernel keeps something; the claim stays, so that the next attempt goes on.
    """
    end_processes(claim.state_directory)
    remove_cgroups(claim.cgroups)
    remove_namespaces(claim.namespaces)
    _unmount_below(claim.state_directory)
    remove_state(claim.state_directory, keep_logs=keep_logs)
    for setting, value in claim.settings.items():
        write_setting(setting, value)
    if claim.mounted_namespaces:
        _unmount_namespaces()
    for folder in reversed(claim.made_folders):
        # Somebody else may have begun to use it meanwhile.
        with suppress(OSError):
            Path(folder).rmdir()
    drop_claim()


def end_processes(state_directory: Path) -> None:
    """Kill every process that carries the mark of the stage, whoever is its parent now."""

    def all_ended() -> bool:
        marked = marked_processes(state_directory)
        for process in marked:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        return not marked

    wait_until(all_ended, what="the stage's processes have ended", timeout=_END_TIMEOUT)


def marked_processes(state_directory: Path) -> list[psutil.Process]:
    """Return the processes of the stage in a state directory, without this process and those above it."""
    mark = f"{MARK_VARIABLE}={state_directory}".encode()
    own_line = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    return [
        process
        for process in psutil.process_iter()
        if process.pid not in own_line and carries_mark(_environment(process.pid), mark)
    ]


def carries_mark(environment: bytes, mark: bytes) -> bool:
    """Tell whether a process environment, as the kernel shows it, has exactly this variable."""
    return mark in environment.split(b"\0")


def remove_state(state_directory: Path, *, keep_logs: bool) -> None:
    """Remove a state directory; one that is not marked as a stage's is left alone."""
    if not (state_directory / OWNERSHIP_FILE).exists():
        return
    for entry in state_directory.iterdir():
        if entry.name == OWNERSHIP_FILE or (keep_logs and entry.name == LOGS):
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    if not keep_logs:
        # Last, so that a clean-up which was killed half-way is continued by the next one.
        shutil.rmtree(state_directory)


def prepare_state(state_directory: Path) -> None:
    """Make an empty state directory, in place of what an earlier stage left there.

    Raises:
        StageError: The folder has files of somebody else.
    """
    remove_state(state_directory, keep_logs=False)
    try:
        state_directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StageError(
            f"Cannot make the state directory {state_directory}: {error.strerror}",
            remedy="Set TRAFFIC_MIRROR_STAGE_DIR to a folder that can be made",
        ) from error
    if any(state_directory.iterdir()):
        raise StageError(
            f"The state directory {state_directory} has files that are not a stage's",
            remedy="Set TRAFFIC_MIRROR_STAGE_DIR to an empty or new folder",
        )
    (state_directory / OWNERSHIP_FILE).touch()


def mount_points(table: str) -> list[str]:
    """Return the mount points in the text of /proc/PID/mounts, in order."""
    points = (line.split(" ")[1] for line in table.splitlines() if " " in line)
    return [point.replace("\\040", " ") for point in points]


def is_mount_point(path: str) -> bool:
    """Tell whether something is mounted at exactly this path."""
    return path in mount_points(Path("/proc/self/mounts").read_text(encoding="utf-8"))


def _unmount_below(folder: Path) -> None:
    """Unmount what is below a folder. Normally nothing: the nodes' mounts are in namespaces of their own."""
    points = mount_points(Path("/proc/self/mounts").read_text(encoding="utf-8"))
    for point in reversed([point for point in points if Path(point).is_relative_to(folder)]):
        subprocess.run(["umount", "--lazy", point], check=False, capture_output=True)


def _unmount_namespaces() -> None:
    """Take away the mount that the first ``ip netns add`` made, unless somebody else's namespaces are there."""
    folder = Path(_NAMESPACES_MOUNT)
    if is_mount_point(_NAMESPACES_MOUNT) and not any(folder.iterdir()):
        subprocess.run(["umount", _NAMESPACES_MOUNT], check=False, capture_output=True)


def _environment(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""
