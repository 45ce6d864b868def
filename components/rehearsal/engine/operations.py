"""The worker's side of an operation: the Automation API, with recovery before and clear failures after."""

import importlib
import runpy
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final, cast

from pulumi import automation

from .backend import pending_operations, recorded_outputs, stale_lock, state_file
from .errors import EngineError, ResourceFailure
from .events import EventCollector
from .installation import ProgramMode
from .messages import Request, Verb, WorkerPlan
from .recovery import adopt_pending
from .results import DeploymentEvent

Emit = Callable[[DeploymentEvent], None]

SHOWN_LINES: Final = 10
"""Lines of the engine's output that an error shows when no event named the cause."""

PROGRAMS_USE: Final = tuple(
    f"pulumi_kubernetes.{name}"
    for name in ("core.v1", "apps.v1", "helm.v3", "meta.v1", "networking.v1", "apiextensions")
)
"""Modules that take a second to import, and that load lazily, which is not safe in several threads."""

CLUSTER_CLIENT: Final = ("kubernetes.client", "kubernetes.config")
"""Modules that ask a cluster; they take half a second to import."""

NO_SUMMARY: Final = automation.UpdateSummary(
    kind="", start_time=datetime.min, message="", environment={}, config={}, result=""
)
"""In place of what the CLI tells of an operation: changes are taken from its events, outputs from the backend."""

READY_SECONDS: Final = 5.0
"""Longest time to reach an API server, and to get its answer."""

READY_RETRIES: Final = 1
"""Second tries of that."""

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
        # While this goes on, stacks can be made and configured: the CLI does that.
        pool = ThreadPoolExecutor(1, thread_name_prefix="imports")
        self._imports = pool.submit(preload, cluster_client=bool(plan.kubeconfigs))
        pool.shutdown(wait=False)

    def run(self, request: Request, emit: Emit) -> dict[str, Any]:
        """Run one operation and return its result.

        Raises:
            EngineError: It failed.
        """
        if request.verb is Verb.OUTPUTS:
            return {"outputs": _outputs(self._stack(request.stack).workspace.stack_outputs(request.stack))}
        if request.verb is Verb.EXPORT:
            return {"deployment": self._stack(request.stack).export_stack().deployment}
        if request.verb is Verb.SECRETS:
            return self._set_secrets(request)
        self._imports.result()
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
                    stack.up(**common, **policies, refresh=request.refresh, show_secrets=False)
                    outputs = recorded_outputs(Path(self._plan.backend), self._plan.project_name, request.stack)
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
            "outputs": {name: {"value": value, "secret": False} for name, value in outputs.items()},
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
        backend = Path(self._plan.backend)
        if stale_lock(backend, request.stack):
            self._stack(request.stack).cancel()
        if pending_operations(backend, self._plan.project_name, request.stack):
            self._remove_half_made(request, emit)

    def _remove_half_made(self, request: Request, emit: Emit) -> None:
        """Make the state tell of what was being created when the engine was killed; before an ``up`` also remove it.

        A half-made Helm release can be neither found nor completed: its name is taken.
        """
        stack = self._stack(request.stack)
        exported = stack.export_stack()
        deployment, adopted = adopt_pending(cast("Mapping[str, Any]", exported.deployment))
        stack.import_stack(automation.Deployment(version=exported.version, deployment=deployment))
        # Whatever of it never came to be is dropped from the state here.
        self._follow(request, emit, lambda on_event: stack.refresh(on_event=on_event, show_secrets=False))
        resources: list[Mapping[str, Any]] = list((stack.export_stack().deployment or {}).get("resources") or [])
        left = {str(resource["urn"]) for resource in resources}
        half_made = [urn for urn in adopted if urn in left]
        if half_made and request.verb is Verb.UP:
            self._follow(
                request, emit, lambda on_event: stack.destroy(target=half_made, on_event=on_event, show_secrets=False)
            )

    def _follow(self, request: Request, emit: Emit, operate: Callable[[Callable[[Any], None]], object]) -> None:
        """Run an operation that belongs to another one, with its events.

        Raises:
            EngineError: It failed.
        """
        collector = EventCollector(request.stack)

        def follow(event: Any) -> None:  # noqa: ANN401 - the Automation API's events are untyped
            ours = collector.take(event)
            if ours:
                emit(ours)

        try:
            operate(follow)
        except automation.CommandError as error:
            raise self._failure(request, collector, str(error)) from None

    @cached_property
    def _command(self) -> automation.PulumiCommand:
        """The CLI, asked for its version once."""
        return automation.PulumiCommand()

    def _stack(self, name: str) -> automation.Stack:
        # Operations of one stack come one after the other.
        if name not in self._stacks:
            inline = self._plan.mode is ProgramMode.INLINE
            workspace = automation.LocalWorkspace(
                work_dir=self._plan.project_folder,
                program=self._program if inline else None,
                pulumi_command=self._command,
            )
            there = state_file(Path(self._plan.backend), self._plan.project_name, name).exists()
            known = automation.Stack.select if there else automation.Stack.create
            self._stacks[name] = _unasked(known(name, workspace))
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


def _unasked(stack: automation.Stack) -> automation.Stack:
    """Spare a stack the three questions that the CLI is asked after each operation, for what nobody here reads."""

    def info(show_secrets: bool = True) -> automation.UpdateSummary:
        del show_secrets
        return NO_SUMMARY

    stack.outputs, stack.info = dict, info
    return stack


def _outputs(found: Mapping[str, automation.OutputValue]) -> dict[str, Any]:
    return {key: {"value": item.value, "secret": item.secret} for key, item in found.items()}


def preload(*, cluster_client: bool) -> None:
    """Import what every program uses, before several of them do so at the same time.

    Args:
        cluster_client: Whether clusters are asked themselves, too.
    """
    for name in (*PROGRAMS_USE, *(CLUSTER_CLIENT if cluster_client else ())):
        if name not in sys.modules:
            importlib.import_module(name)


def require_ready(kubeconfig: Path, stack: str) -> None:
    """Ask an API server whether it answers.

    Without its cluster the engine would wait, and then call a program without changes deployed.

    Raises:
        EngineError: It does not, or not to this user.
    """
    # Untyped, and of no use to those who only read this module's functions.
    api, config = (cast("Any", importlib.import_module(name)) for name in CLUSTER_CLIENT)
    configuration = api.Configuration()
    configuration.retries = READY_RETRIES
    try:
        config.load_kube_config(str(kubeconfig), client_configuration=configuration)
        api.CoreApi(api.ApiClient(configuration)).get_api_versions(_request_timeout=READY_SECONDS)
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
