"""The client's end of the worker: starts it, sends requests, hands out answers, ends it."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final, cast

from ...model import JsonObject
from ..machine.commands import last_lines_of
from .errors import EngineError, ResourceFailure
from .messages import Request, Verb, WorkerPlan
from .results import DeploymentEvent, EventKind

OnEvent = Callable[[DeploymentEvent], None]

INTERRUPT_SECONDS: Final = 30.0
"""Time that an interrupted operation gets to end in order."""

END_SECONDS: Final = 30.0
"""Time that the worker gets to end when it is closed; it gives the engine 20 s of them."""


class WorkerLink:
    """One worker process, started when it is first needed."""

    def __init__(self, plan: WorkerPlan, folder: Path, prefix: Sequence[str], environment: Mapping[str, str]) -> None:
        """Prepare the link.

        Args:
            plan: What the worker needs to know.
            folder: Where the plan is written.
            prefix: Put before the worker's command line.
            environment: The worker's, and that of all that it starts.
        """
        self._plan = plan
        self._folder = folder
        self._prefix = tuple(prefix)
        self._environment = dict(environment)
        self._log = Path(plan.logs) / "worker.log"
        self._waiting: dict[int, SimpleQueue[JsonObject]] = {}
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def ask(self, request: Request, on_event: OnEvent | None) -> JsonObject:
        """Send a request and return its result; events are handed on meanwhile.

        Raises:
            EngineError: The operation failed, or the worker ended.
            KeyboardInterrupt: The user interrupted; the operation has then been ended.
        """
        answers: SimpleQueue[JsonObject] = SimpleQueue()
        with self._lock:
            process = self._started()
            self._waiting[request.id] = answers
            _send(process, request)
        try:
            while True:
                answer = answers.get()
                if "event" in answer:
                    if on_event:
                        on_event(_event(cast("dict[str, str]", answer["event"])))
                elif "result" in answer:
                    return cast("JsonObject", answer["result"])
                else:
                    raise _error(request, cast("dict[str, Any]", answer["failure"]))
        except KeyboardInterrupt:
            self._interrupt(answers)
            raise
        finally:
            self._waiting.pop(request.id, None)

    def close(self) -> bool:
        """End the worker with all that it runs; return whether there was one."""
        process, self._process = self._process, None
        if process is None:
            return False
        if process.stdin:
            process.stdin.close()
        try:
            process.wait(timeout=END_SECONDS)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if process.stdout:
            process.stdout.close()
        return True

    def interrupt(self) -> None:
        """Send Ctrl-C to every engine that runs."""
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                _send(self._process, Request(id=0, verb=Verb.INTERRUPT))

    def _interrupt(self, answers: "SimpleQueue[JsonObject]") -> None:
        """End the operation in order; whoever presses Ctrl-C again, or waits too long, ends it at once."""
        try:
            self.interrupt()
            while "event" in answers.get(timeout=INTERRUPT_SECONDS):
                pass
        except (Empty, KeyboardInterrupt):
            self.close()

    def _started(self) -> "subprocess.Popen[str]":
        if self._process is not None and self._process.poll() is None:
            return self._process
        plan = self._folder / "worker.json"
        self._plan.write(plan)
        with self._log.open("a", encoding="utf-8") as log:
            self._process = subprocess.Popen(
                [*self._prefix, sys.executable, "-u", "-P", "-m", f"{__package__}.worker", str(plan)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=self._environment,
                start_new_session=True,
            )
        threading.Thread(target=self._dispatch, args=(self._process,), daemon=True).start()
        return self._process

    def _dispatch(self, process: "subprocess.Popen[str]") -> None:
        """Hand each answer to whom it is for; when the worker is gone, tell all who wait."""
        if process.stdout:
            for line in process.stdout:
                answer: JsonObject = json.loads(line)
                queue = self._waiting.get(cast("int", answer["id"]))
                if queue is not None:
                    queue.put(answer)
        gone: JsonObject = {
            "problem": "The process that runs the engine ended",
            "remedy": f"Read {self._log}, then run it again",
            "log": str(self._log),
            "details": list(last_lines_of(self._log)),
        }
        for queue in list(self._waiting.values()):
            queue.put({"failure": gone})


def _send(process: "subprocess.Popen[str]", request: Request) -> None:
    if process.stdin:
        process.stdin.write(request.line())
        process.stdin.flush()


def _event(content: Mapping[str, str]) -> DeploymentEvent:
    return DeploymentEvent(
        stack=content["stack"],
        kind=EventKind(content["kind"]),
        operation=content["operation"],
        type=content["type"],
        name=content["name"],
        message=content["message"],
    )


def _error(request: Request, failure: Mapping[str, Any]) -> EngineError:
    failures: list[dict[str, str]] = failure.get("failures") or []
    return EngineError(
        str(failure["problem"]),
        remedy=str(failure["remedy"]),
        stack=str(failure.get("stack") or request.stack),
        failures=tuple(ResourceFailure(resource=item["resource"], message=item["message"]) for item in failures),
        log=Path(failure["log"]) if failure.get("log") else None,
        details=tuple(failure.get("details") or ()),
    )
