"""The engine, as the rest of the rehearsal sees it."""

import fcntl
import itertools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, cast

from ...model import JsonObject, JsonValue
from ..errors import StageError
from .home import EngineHome
from .installation import Installation
from .link import OnEvent, WorkerLink
from .messages import Request, Verb, WorkerPlan
from .packs import runnable_pack
from .project import Project
from .recovery import end_leftovers
from .results import Outcome, Output

_LOCK: Final = "engine.lock"


class Engine:
    """Deploys the stacks of one project. Operations of different stacks may run at the same time.

    Use it as a context manager: leaving it ends every process that it started. One state directory serves one
    engine at a time; the state in it stays for the next one, which also repairs what a killed one left.
    """

    def __init__(
        self,
        project_dir: Path,
        state_dir: Path,
        installation: Installation,
        *,
        command_prefix: Sequence[str] = (),
        no_proxy: Sequence[str] = (),
        kubeconfigs: Sequence[Path] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare everything; no process is started yet.

        Args:
            project_dir: Folder of ``Pulumi.yaml`` and ``__main__.py``; nothing is written there.
            state_dir: Folder for home, backend, logs and passphrase; made if absent.
            installation: Which Pulumi to use; see :func:`discover`.
            command_prefix: Put before the engine's command line, e.g. to enter a network namespace.
            no_proxy: Addresses and networks that no proxy may see, e.g. ``("198.18.0.0/15",)``.
            kubeconfigs: Clusters that must be ready before each operation.
            environment: Environment to start from; ``None``: this process's.

        Raises:
            StageError: Another engine uses the state directory.
            ValidationError: The folder holds no Pulumi program.
        """
        self._installation = installation
        self._home = EngineHome(root=state_dir.absolute())
        self._project = Project(source=project_dir.absolute(), folder=self._home.project)
        self._project.require()
        self._claim = _claim(self._home.root)
        end_leftovers(self._home.pulumi)
        self._home.prepare(installation)
        self._project.prepare(installation.mode)
        base = os.environ if environment is None else environment
        self.environment = self._home.environment(installation, no_proxy=no_proxy, base=base)
        """Environment of everything that the engine starts; also right for the CLI by hand."""
        plan = WorkerPlan(
            project_source=str(self._project.source),
            project_folder=str(self._project.folder),
            project_name=self._project.name,
            backend=str(self._home.backend),
            logs=str(self._home.logs),
            mode=installation.mode,
            kubeconfigs=tuple(str(path) for path in kubeconfigs),
        )
        self._worker = WorkerLink(plan, self._home.root, command_prefix, self.environment)
        self._numbers = itertools.count(1)
        self._secrets: dict[str, dict[str, str]] = {}

    @property
    def installation(self) -> Installation:
        """Which Pulumi is used."""
        return self._installation

    @property
    def project_folder(self) -> Path:
        """Folder in which the CLI finds the project and its stacks' configuration."""
        return self._project.folder

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def set_config(
        self, stack: str, values: Mapping[str, JsonValue], *, secrets: Mapping[str, str] | None = None
    ) -> None:
        """Set a stack's configuration: that of the project's own file, with ``values`` in place of its own.

        With secrets the stack is made if absent; for that no cluster is needed.

        Args:
            stack: Name of the stack.
            values: Values by key, structured or not; a key without a namespace is the project's.
            secrets: Values that are stored encrypted; those that are stored already are kept as they are.

        Raises:
            EngineError: A secret cannot be stored.
        """
        stored = self._secrets.get(stack, {})
        kept = {key for key, value in (secrets or {}).items() if stored.get(key) == value}
        self._project.configure(stack, values, kept)
        new = {key: value for key, value in (secrets or {}).items() if key not in kept}
        if new:
            self._ask(Request(id=next(self._numbers), verb=Verb.SECRETS, stack=stack, secrets=new))
        self._secrets[stack] = dict(secrets or {})

    def up(
        self,
        stack: str,
        *,
        refresh: bool = False,
        policy_packs: Sequence[Path] = (),
        policy_config: Path | None = None,
        on_event: OnEvent | None = None,
    ) -> Outcome:
        """Deploy a stack.

        Args:
            stack: Name of the stack; made if absent.
            refresh: Read the cluster first, so that drift is repaired.
            policy_packs: Folders of policy packs that must agree.
            policy_config: JSON file with the packs' configuration.
            on_event: Called with each event, by the thread that called ``up``.

        Raises:
            EngineError: It failed; what was made is recorded, and the next ``up`` goes on from there.
        """
        packs = self._packs(policy_packs, policy_config)
        return self._deploy(Verb.UP, stack, on_event, refresh=refresh, **packs)

    def preview(
        self,
        stack: str,
        *,
        refresh: bool = False,
        policy_packs: Sequence[Path] = (),
        policy_config: Path | None = None,
        on_event: OnEvent | None = None,
    ) -> Outcome:
        """Tell what :meth:`up` would change; same arguments and errors."""
        packs = self._packs(policy_packs, policy_config)
        return self._deploy(Verb.PREVIEW, stack, on_event, refresh=refresh, **packs)

    def refresh(self, stack: str, *, on_event: OnEvent | None = None) -> Outcome:
        """Record the live state of every resource.

        Raises:
            EngineError: It failed.
        """
        return self._deploy(Verb.REFRESH, stack, on_event)

    def destroy(self, stack: str, *, on_event: OnEvent | None = None) -> Outcome:
        """Delete every resource of a stack.

        Raises:
            EngineError: It failed; what is left is recorded.
        """
        return self._deploy(Verb.DESTROY, stack, on_event)

    def outputs(self, stack: str) -> dict[str, Output]:
        """Return the outputs of a stack.

        Raises:
            EngineError: The engine cannot tell.
        """
        return _outputs(self._ask(Request(id=next(self._numbers), verb=Verb.OUTPUTS, stack=stack)))

    def export(self, stack: str) -> JsonObject:
        """Return the recorded state of a stack; secrets stay encrypted.

        Raises:
            EngineError: The engine cannot tell.
        """
        result = self._ask(Request(id=next(self._numbers), verb=Verb.EXPORT, stack=stack))
        return cast("JsonObject", result["deployment"])

    def interrupt(self) -> None:
        """End every running operation in order; each then raises its error. Twice: end them at once.

        For a caller whose threads run operations: only the main thread gets a Ctrl-C.
        """
        self._worker.interrupt()

    def close(self) -> None:
        """End the worker with all that it runs, and free the state directory."""
        if self._worker.close():
            end_leftovers(self._home.pulumi)
            self._home.remove_temporary()
        if self._claim >= 0:
            os.close(self._claim)
            self._claim = -1

    def _packs(self, packs: Sequence[Path], config: Path | None) -> dict[str, tuple[str, ...]]:
        paths = [runnable_pack(pack, self._home.root) for pack in packs]
        configs = tuple(str(config.absolute()) for _ in paths) if config else ()
        return {"policy_packs": tuple(str(path) for path in paths), "policy_configs": configs}

    def _deploy(
        self,
        verb: Verb,
        stack: str,
        on_event: OnEvent | None,
        **details: Any,  # noqa: ANN401 - further fields of Request
    ) -> Outcome:
        log = self._home.logs / f"{stack}-{verb}.log"
        log.write_text("", encoding="utf-8")
        request = Request(id=next(self._numbers), verb=verb, stack=stack, log=str(log), **details)
        result = self._ask(request, on_event)
        return Outcome(
            stack=stack,
            changes=cast("dict[str, int]", result["changes"]),
            changed=tuple(cast("list[str]", result["changed"])),
            outputs=_outputs(result),
            seconds=float(cast("float", result["seconds"])),
            log=log,
        )

    def _ask(self, request: Request, on_event: OnEvent | None = None) -> JsonObject:
        if not self._project.configured(request.stack):
            self._project.configure(request.stack, None)
        self._home.temporary.mkdir(exist_ok=True)
        return self._worker.ask(request, on_event)


def in_use(state_dir: Path) -> bool:
    """Tell whether an engine works with a state directory just now."""
    try:
        with (state_dir / _LOCK).open(encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _claim(folder: Path) -> int:
    """Take the state directory for this process; the claim ends with it, however it ends."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise StageError(
            f"Another engine uses {folder}", remedy="Wait until it ends, or choose another state directory"
        ) from None
    return descriptor


def _outputs(result: JsonObject) -> dict[str, Output]:
    found = cast("dict[str, dict[str, Any]]", result.get("outputs") or {})
    return {key: Output(value=item["value"], secret=bool(item["secret"])) for key, item in found.items()}
