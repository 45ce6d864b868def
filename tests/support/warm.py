"""The command line in a process that stays: importing a Kubernetes client anew for each command takes seconds."""

import json
import select
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

SERVER = """
import contextlib, io, json, sys
from pulumi_traffic_mirror.cli import main
for line in sys.stdin:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(json.loads(line))
    print(json.dumps([code, out.getvalue(), err.getvalue()]), flush=True)
"""


class WarmCommands:
    """Runs ``traffic-mirror`` with different words, one after another, in one process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, words: Sequence[str], *, timeout: float) -> subprocess.CompletedProcess[str]:
        """Run a command and return what came of it.

        Args:
            words: Words after the program's name.
            timeout: Bound on it, in seconds.
        """
        asks, answers = self._process.stdin, self._process.stdout
        assert asks is not None
        assert answers is not None
        asks.write(json.dumps(list(words)) + "\n")
        asks.flush()
        if not select.select([answers], [], [], timeout)[0]:
            self._process.kill()
            raise subprocess.TimeoutExpired(list(words), timeout)
        code, out, err = json.loads(answers.readline())
        return subprocess.CompletedProcess(list(words), code, out, err)


@contextmanager
def warm_commands(prefix: Sequence[str], *, cwd: Path, env: Mapping[str, str] | None = None) -> Generator[WarmCommands]:
    """Start the process, and end it with the context.

    Args:
        prefix: What starts a program where the command shall run, e.g. in a network namespace.
        cwd: The checkout.
        env: Its environment; None for this process'.
    """
    command = [*prefix, sys.executable, "-c", SERVER]
    with subprocess.Popen(
        command, cwd=cwd, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            yield WarmCommands(process)
        finally:
            process.kill()
