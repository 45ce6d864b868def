"""Child processes that must not outlive the provider."""

import contextlib
import subprocess
import threading
from collections.abc import Generator, Mapping, Sequence

_running: set["subprocess.Popen[str]"] = set()
_lock = threading.Lock()


@contextlib.contextmanager
def child(command: Sequence[str], environment: Mapping[str, str]) -> Generator["subprocess.Popen[str]"]:
    """Start a program whose output is read; it is ended with the context, however that is left."""
    process = subprocess.Popen(
        command,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with _lock:
        _running.add(process)
    try:
        yield process
    finally:
        with _lock:
            _running.discard(process)
        if process.poll() is None:
            process.terminate()


def end_children() -> None:
    """Ask every running child to end."""
    with _lock:
        for process in _running:
            process.terminate()
