"""The process that runs the engine, inside the stage's network: ``python -m … PLAN``, JSON lines on its pipes."""

import json
import os
import signal
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, TextIO

import psutil

from .errors import EngineError, without_traceback
from .messages import Request, Verb, WorkerPlan
from .operations import Operations, failure_message
from .recovery import end_processes

STACKS_AT_ONCE: Final = 8
GRACE_SECONDS: Final = 20.0
"""Time that the engine gets to end what it does when its client is gone."""


class Worker:
    """Answers requests until its client closes the pipe."""

    def __init__(self, plan: WorkerPlan, answers: TextIO) -> None:
        """Work as ``plan`` says and write to ``answers``."""
        self._operations = Operations(plan)
        self._answers = answers
        self._write_lock = threading.Lock()

    def serve(self, requests: TextIO) -> None:
        """Run what is asked for; return when ``requests`` ends."""
        with ThreadPoolExecutor(max_workers=STACKS_AT_ONCE) as pool:
            for line in requests:
                request = Request.parse(line)
                if request.verb is Verb.INTERRUPT:
                    interrupt_engines()
                else:
                    pool.submit(self._run, request)
            self._end()

    def _run(self, request: Request) -> None:
        try:
            result = self._operations.run(request, lambda event: self._send({"id": request.id, "event": asdict(event)}))
            self._send({"id": request.id, "result": result})
        except EngineError as error:
            self._send({"id": request.id, "failure": failure_message(error)})
        except Exception as error:
            # Whatever broke, the client must get an answer: it waits for one.
            text = without_traceback(f"{type(error).__name__}: {error}")
            failure = EngineError(f"Stack {request.stack}, {request.verb}: {text}", remedy="Read the engine's log")
            self._send({"id": request.id, "failure": failure_message(failure)})

    def _send(self, message: Mapping[str, Any]) -> None:
        with self._write_lock:
            try:
                self._answers.write(json.dumps(message) + "\n")
                self._answers.flush()
            except BrokenPipeError:
                return

    @staticmethod
    def _end() -> None:
        """End what still runs: nobody is there any more who wants it."""
        engines = interrupt_engines()
        _, alive = psutil.wait_procs(engines, timeout=GRACE_SECONDS)
        end_processes([child for engine in alive for child in (*engine.children(recursive=True), engine)])


def interrupt_engines() -> list[psutil.Process]:
    """Send Ctrl-C to every engine that this process runs, and return them.

    The engine then cancels its resource operations in order; on a second Ctrl-C it ends at once.
    """
    found = [child for child in psutil.Process().children() if child.is_running()]
    for child in found:
        child.send_signal(signal.SIGINT)
    return found


def main() -> int:
    """Serve one client."""
    plan = WorkerPlan.read(Path(sys.argv[1]))
    # What a program prints must not mix with the answers, so it goes to the log with the errors.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.chdir(plan.project_source)
    sys.path.insert(0, plan.project_source)
    worker = Worker(plan, answers)
    worker.serve(sys.stdin)
    return 0


if __name__ == "__main__":
    sys.exit(main())
