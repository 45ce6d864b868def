"""The worker's side of an operation: the Automation API, with recovery before and clear failures after."""

import importlib
import runpy
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from pulumi import automation

from ..standin_provider.cluster import Cluster
from ..standin_provider.settings import Settings
from .errors import EngineError, ResourceFailure
from .events import EventCollector
from .installation import ProgramMode
from .messages import Request, Verb, WorkerPlan
from .recovery import pending_operations, stale_lock
from .results import DeploymentEvent

Emit = Callable[[DeploymentEvent], None]

SHOWN_LINES: Final = 10
"""Lines of the engine's output that an error shows when no event named the cause."""

_GENERAL_FAILURES: Final = frozenset({"update failed", "preview failed"})
"""What the engine adds to every cause."""

_program_lock = threading.Lock()
"""Modules that load lazily, and ``__main__`` itself, are shared by all stacks: one program at a time is read."""


class Operations:
    """Runs operations on the stacks of one project; several at a time."""

    def __init__(self, plan: WorkerPlan) -> None:
        """Work as ``plan`` says."""
        self._plan = plan
        self._stacks: dict[str, automation.Stack] = {}
        self._repaired: set[str] = set()
        self._lock = threading.Lock()

    def run(self, request: Request, emit: Emit) -> dict[str, Any]:
        """Run one operation and return its result.

        Raises:
            EngineError: It failed.
        """
        if request.verb is Verb.OUTPUTS:
            return {"outputs": _outputs(self._stack(request.stack).outputs())}
        if request.verb is Verb.EXPORT:
            return {"deployment": self._stack(request.stack).export_stack().deployment}
        if request.verb is Verb.SECRETS:
            return self._set_secrets(request)
        for path in self._plan.kubeconfigs:
            require_ready(Path(path), request.stack)
        self._repair(request, emit)
        return self._deploy(request, emit)

    def _deploy(self, request: Request, emit: Emit) -> dict[str, Any]:
        collector = EventCollector(request.stack)
        stack = self._stack(request.stack)
        outputs: dict[str, Any] = {}
        begun = time.monotonic()

        def follow(event: Any) -> None:  # noqa: ANN401 - the Automation API's events are untyped
            ours = collector.take(event)
            if ours:
                emit(ours)

        with Path(request.log).open("a", encoding="utf-8", buffering=1) as log:

            def write(line: str) -> None:
                log.write(f"{line}\n")

            common: dict[str, Any] = {"on_output": write, "on_error": write, "on_event": follow, "color": "never"}
            policies: dict[str, Any] = {
                "policy_packs": list(request.policy_packs) or None,
                "policy_pack_configs": list(request.policy_configs) or None,
            }
            try:
                if request.verb is Verb.UP:
                    made = stack.up(**common, **policies, refresh=request.refresh, show_secrets=False)
                    outputs = _outputs(made.outputs)
                elif request.verb is Verb.PREVIEW:
                    stack.preview(**common, **policies, refresh=request.refresh)
                elif request.verb is Verb.REFRESH:
                    stack.refresh(**common, show_secrets=False)
                else:
                    stack.destroy(**common, refresh=request.refresh, show_secrets=False)
            except automation.CommandError as error:
                raise self._failure(request, collector, str(error)) from None
        return {
            "changes": collector.changes,
            "changed": sorted(collector.changed),
            "outputs": outputs,
            "seconds": time.monotonic() - begun,
        }

    @staticmethod
    def _failure(request: Request, collector: EventCollector, text: str) -> EngineError:
        causes = [item for item in collector.failures if item.message not in _GENERAL_FAILURES]
        failures = tuple(dict.fromkeys(causes))
        first = failures[0] if failures else ResourceFailure(resource="", message=f"{request.verb} failed")
        problem = f"{first.resource}: {first.message}" if first.resource else first.message
        lines = () if failures else tuple(line for line in text.splitlines() if line.strip())[-SHOWN_LINES:]
        return EngineError(
            f"Stack {request.stack}, {request.verb}: {problem.rstrip('.')}",
            remedy=f"Read {request.log}, repair the cause and run it again",
            stack=request.stack,
            failures=failures,
            log=Path(request.log),
            details=lines,
        )

    def _repair(self, request: Request, emit: Emit) -> None:
        """Deal with what a killed run left: its lock, and operations of which nobody knows the end."""
        with self._lock:
            if request.stack in self._repaired:
                return
            self._repaired.add(request.stack)
        backend = Path(self._plan.backend)
        if stale_lock(backend, request.stack):
            self._stack(request.stack).cancel()
        if pending_operations(backend, self._plan.project_name, request.stack):
            cleared = Request(id=request.id, verb=Verb.REFRESH, stack=request.stack, log=request.log)
            self._clear_pending(cleared, emit)

    def _clear_pending(self, request: Request, emit: Emit) -> None:
        collector = EventCollector(request.stack)

        def follow(event: Any) -> None:  # noqa: ANN401 - the Automation API's events are untyped
            ours = collector.take(event)
            if ours:
                emit(ours)

        try:
            self._stack(request.stack).refresh(clear_pending_creates=True, on_event=follow, show_secrets=False)
        except automation.CommandError as error:
            raise self._failure(request, collector, str(error)) from None

    def _stack(self, name: str) -> automation.Stack:
        with self._lock:
            if name not in self._stacks:
                inline = self._plan.mode is ProgramMode.INLINE
                workspace = automation.LocalWorkspace(
                    work_dir=self._plan.project_folder, program=self._program if inline else None
                )
                self._stacks[name] = automation.Stack.create_or_select(name, workspace)
            return self._stacks[name]

    def _program(self) -> None:
        with _program_lock:
            runpy.run_path(str(Path(self._plan.project_source) / "__main__.py"), run_name="__main__")

    def _set_secrets(self, request: Request) -> dict[str, Any]:
        self._stack(request.stack)
        for key, value in request.secrets.items():
            # The Automation API would put the value among the arguments, where every user can read it.
            done = subprocess.run(
                ["pulumi", "--non-interactive", "config", "set", "--secret", key, "--stack", request.stack],
                cwd=self._plan.project_folder,
                input=value,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                raise EngineError(
                    f"Cannot set the secret {key} of stack {request.stack}: {done.stderr.strip()}",
                    remedy="Check the key",
                    stack=request.stack,
                )
        return {}


def _outputs(found: Mapping[str, automation.OutputValue]) -> dict[str, Any]:
    return {key: {"value": item.value, "secret": item.secret} for key, item in found.items()}


def preload() -> None:
    """Import what every program uses, before several of them do so at the same time."""
    for name in ("pulumi_kubernetes", "pulumi_kubernetes.core.v1", "pulumi_kubernetes.apps.v1"):
        if name not in sys.modules:
            importlib.import_module(name)


def require_ready(kubeconfig: Path, stack: str) -> None:
    """Ask an API server whether it is ready.

    Without its cluster the engine would wait, and then call a program without changes deployed.

    Raises:
        EngineError: It is not, or does not answer.
    """
    try:
        Cluster(Settings(kubeconfig=str(kubeconfig))).require_ready()
    except Exception as error:
        raise EngineError(
            f"The cluster of {kubeconfig} cannot be used: {error}",
            remedy="Check that the cluster runs and that the kubeconfig belongs to it",
            stack=stack,
        ) from None


def failure_message(error: EngineError) -> dict[str, Any]:
    """Return what is sent of a failure."""
    return {
        "problem": error.problem,
        "remedy": error.remedy,
        "stack": error.stack,
        "failures": [asdict(item) for item in error.failures],
        "log": str(error.log) if error.log else "",
        "details": list(error.details),
    }
