"""Work inside a network namespace without leaving this process: one thread enters it, the others stay."""

import ctypes
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ..errors import StageError

NAMESPACES = Path("/run/netns")
"""Where `ip netns` names namespaces."""

_CLONE_NEWNET = 0x40000000
"""Kind of a network namespace for setns(2), from linux/sched.h. `os.setns` came only with Python 3.12."""

Result = TypeVar("Result")


def call_inside(namespace: str, function: Callable[[], Result]) -> Result:
    """Run `function` in a thread of its own inside a network namespace and return its result.

    Every socket that it opens belongs to the namespace. Errors of the function are raised here.

    Args:
        namespace: Name as `ip netns` shows it.
        function: What to run; must not rely on thread-local state of the caller.

    Raises:
        StageError: There is no such namespace.
    """
    outcome: list[Result] = []
    failure: list[BaseException] = []

    def enter_and_run() -> None:
        try:
            _enter(namespace)
            outcome.append(function())
        except BaseException as error:  # raised again by the caller's thread
            failure.append(error)

    thread = threading.Thread(target=enter_and_run, name=f"inside-{namespace}", daemon=True)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]


def _enter(namespace: str) -> None:
    """Move the calling thread into a namespace; there is no way back, so the thread must end after its work."""
    try:
        descriptor = os.open(NAMESPACES / namespace, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise StageError(f"There is no network namespace {namespace}", remedy="Start the stage first") from error
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(descriptor, _CLONE_NEWNET) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
    finally:
        os.close(descriptor)
