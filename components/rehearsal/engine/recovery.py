"""What a killed engine leaves behind, and how the next one goes on."""

import contextlib
import json
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

END_SECONDS = 5.0
"""Time that left-over processes get to end in order."""


def stale_lock(backend: Path, stack: str) -> bool:
    """Tell whether a stack is locked in the file backend; the caller owns it, so nobody else works there."""
    locks = backend / ".pulumi" / "locks"
    return any(found.is_file() and stack in found.parts for found in locks.rglob("*")) if locks.is_dir() else False


def pending_operations(backend: Path, project: str, stack: str) -> int:
    """Return how many operations of a stack were begun and never ended."""
    state = backend / ".pulumi" / "stacks" / project / f"{stack}.json"
    try:
        content: dict[str, Any] = json.loads(state.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0
    latest: dict[str, Any] = content.get("checkpoint", {}).get("latest") or {}
    return len(latest.get("pending_operations") or [])


def end_leftovers(pulumi_home: Path) -> int:
    """End every process that an earlier engine with this home left running; return how many there were.

    They are known by ``PULUMI_HOME`` in their environment, which only the engine sets to its own folder.
    """
    found = [process for process in psutil.process_iter() if _belongs(process, pulumi_home)]
    end_processes(found)
    return len(found)


def end_processes(found: Sequence[psutil.Process]) -> None:
    """Ask processes to end, then make them."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in found:
            with contextlib.suppress(psutil.Error):
                process.send_signal(number)
        _, alive = psutil.wait_procs(found, timeout=END_SECONDS)
        if not alive:
            return


def _belongs(process: psutil.Process, pulumi_home: Path) -> bool:
    try:
        mine = process.pid == psutil.Process().pid
        return not mine and process.environ().get("PULUMI_HOME") == str(pulumi_home)
    except (psutil.Error, OSError):
        return False
