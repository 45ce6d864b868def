"""The embedded stage: two real clusters on one Linux machine, started, described, ended."""

import atexit
import copy
import errno
import json
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from ..model import JsonObject
from .claim import Claim, StageLock, read_claim, write_claim
from .cleanup import LOGS, marked_processes, prepare_state, remove_stage, remove_state
from .cluster.addresses import FABRIC_NAMESPACE, ClusterAddresses, plan_addresses
from .cluster.cluster import publish_hosts
from .cluster.commands import import_image, in_network
from .cluster.files import ClusterFolder
from .cluster.image_store import discard_unfinished
from .errors import StageError
from .images import python_app_image
from .machine.commands import MOVING_SECONDS, PROXY_VARIABLES, run
from .machine.files import write_text
from .machine.interruption import RaisingSignals, deferred_signals
from .machine.processes import MARK_VARIABLE, ProcessTable
from .machine.requirements import check_machine
from .places import cache_directory, state_directory
from .plan import StartPlan, make_claim, make_plan, plan_installation
from .progress import Progress, SilentProgress
from .queueing import Patience
from .stage_start import StageParts, install, start_clusters
from .stage_values import GATEWAY_VALUES, ISTIOD_VALUES
from .toolchain import ISTIO_HUB, ISTIO_VERSION
from .toolchain.cache import INSTALL_LOCK, locked

ROLES = ("staging", "testing")
"""The two clusters of a rehearsal: the first owns the traffic, the second receives copies."""

_DESCRIPTION_FILE = "stage.json"


@dataclass(kw_only=True)
class Stage:
    """A running stage. Made by `up` or `attach`; ended by `down`, by leaving a ``with`` block, or by a signal.

    Processes of this machine cannot reach the clusters' addresses: run clients with `run_in_fabric`.
    """

    root: Path
    """The state directory."""
    clusters: tuple[ClusterAddresses, ...]
    images: Mapping[str, str]
    """Image references by name: `pause`, `pilot`, `proxyv2`, `greeter`."""
    charts: Path
    """Istio's charts: folders `base`, `istio-control/istio-discovery`, `gateway`."""
    claim: Claim
    progress: Progress = field(default_factory=SilentProgress)
    hub: str = ISTIO_HUB
    """Repository of Istio's images, for the charts."""
    istio_version: str = ISTIO_VERSION
    """Version that istiod reports, and the tag of Istio's images."""
    _lock: StageLock = field(default_factory=StageLock)
    _signals: RaisingSignals = field(default_factory=RaisingSignals)
    _ended: bool = False

    @classmethod
    def prepare(cls, progress: Progress) -> StageParts:
        """Install and build what a stage needs and this machine does not have; nothing is started.

        Args:
            progress: Shows every step. Another process that installs or builds is waited for.

        Raises:
            ValidationError: The machine cannot hold the stage.
            StageError: Something could not be fetched or built; what is finished is kept.
        """
        check_machine()
        return _install(plan_installation(state_directory(), cache_directory()), progress)

    @classmethod
    def up(
        cls,
        progress: Progress,
        *,
        roles: Sequence[str] = ROLES,
        meanwhile: Callable[["Stage"], None] = lambda _: None,
    ) -> "Stage":
        """Build what is missing, remove what a crashed stage left, start the clusters, and return them ready.

        Waits for another rehearsal that builds just now; one that has its clusters already is an error.

        Args:
            progress: Shows every step, and first what will change on the machine.
            roles: One cluster per name, started in parallel.
            meanwhile: Called while they start, in a thread: networks, programs and the paths of kubeconfigs are there,
                API servers are not yet. Must end by itself; what it raises ends the start.

        Raises:
            ValidationError: The machine cannot hold the stage.
            StageError: Another stage runs, or a step failed; nothing is left behind but the logs.
        """
        check_machine()
        clusters = plan_addresses(roles)
        lock, signals = StageLock(), RaisingSignals()
        lock.acquire(Patience(progress=progress))
        try:
            signals.install()
            return cls._up(progress, clusters, lock, signals, meanwhile)
        except BaseException as error:
            signals.restore()
            lock.release()
            if isinstance(error, OSError):
                raise machine_refused(error) from error
            raise

    @classmethod
    def _up(
        cls,
        progress: Progress,
        clusters: tuple[ClusterAddresses, ...],
        lock: StageLock,
        signals: RaisingSignals,
        meanwhile: Callable[["Stage"], None],
    ) -> "Stage":
        _remove_leftovers(progress)
        plan = make_plan(state_directory(), cache_directory(), clusters)
        for sentence in plan.sentences():
            progress.note(sentence)
        with lock.building():
            parts = _install(plan, progress)
        prepare_state(plan.state_directory)
        claim = make_claim(plan)
        stage = cls(
            root=plan.state_directory,
            clusters=clusters,
            images={name: image.reference for name, image in parts.images.items()},
            charts=parts.toolchain.charts,
            claim=claim,
            progress=progress,
            _lock=lock,
            _signals=signals,
        )
        write_claim(claim)
        atexit.register(stage.down)
        stage._start(parts, meanwhile)
        return stage

    def _start(self, parts: StageParts, meanwhile: Callable[["Stage"], None]) -> None:
        try:
            start_clusters(
                self.claim, self.clusters, parts, self.processes, self.progress, meanwhile=lambda: meanwhile(self)
            )
            self._write_description()
        except BaseException:
            self._end(keep_logs=True)
            raise

    @classmethod
    def attach(cls, progress: Progress | None = None) -> "Stage":
        """Return the stage that was kept running.

        Raises:
            StageError: There is none.
        """
        claim = read_claim()
        if claim is None or not claim.kept or not _alive(claim):
            raise StageError("No stage was kept running", remedy="Start one with: traffic-mirror rehearse --keep")
        text = (claim.state_directory / _DESCRIPTION_FILE).read_text(encoding="utf-8")
        content = json.loads(text)
        return cls(
            root=claim.state_directory,
            clusters=plan_addresses(content["roles"]),
            images=content["images"],
            charts=Path(content["charts"]),
            claim=claim,
            progress=progress or SilentProgress(),
        )

    @classmethod
    def end(cls, progress: Progress) -> bool:
        """Remove a kept stage, or what a crashed one left; returns whether there was any.

        Raises:
            StageError: A rehearsal is running just now.
        """
        lock = StageLock()
        lock.acquire()
        try:
            with deferred_signals(progress):
                claim = read_claim()
                if claim is not None:
                    with progress.step("remove the stage"):
                        remove_stage(claim)
                discard_unfinished()
                remove_state(state_directory(), keep_logs=False)
        finally:
            lock.release()
        return claim is not None

    def down(self) -> None:
        """Remove the stage and everything that it made; no effect when it is gone or kept."""
        self._end(keep_logs=False)

    def _end(self, *, keep_logs: bool) -> None:
        if self._ended:
            return
        try:
            with deferred_signals(self.progress), self.progress.step("remove the stage"):
                processes = self.processes.recorded()
                remove_stage(self.claim, keep_logs=keep_logs)
                # Ended children of this process stay as zombies until somebody asks for them.
                for process in processes:
                    process.running()
        finally:
            self._let_go()

    def keep(self) -> None:
        """Leave the stage running when this process ends; `attach` finds it, `end` removes it."""
        self.claim = replace(self.claim, kept=True)
        write_claim(self.claim)
        self._let_go()

    def _let_go(self) -> None:
        self._ended = True
        atexit.unregister(self.down)
        self._signals.restore()
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()

    @property
    def roles(self) -> tuple[str, ...]:
        """Names of the clusters."""
        return tuple(cluster.role for cluster in self.clusters)

    @property
    def kubeconfigs(self) -> dict[str, Path]:
        """Kubeconfig of each cluster by role, readable by root only; its one context is named after the role."""
        return {role: self.folder(role).kubeconfig for role in self.roles}

    @property
    def gateway_addresses(self) -> dict[str, str]:
        """Address that every Service of type LoadBalancer of a cluster gets, by role."""
        return {cluster.role: str(cluster.gateway) for cluster in self.clusters}

    @property
    def istiod_values(self) -> JsonObject:
        """Chart values that istiod needs here; see `stage_values`."""
        return copy.deepcopy(ISTIOD_VALUES)

    @property
    def gateway_values(self) -> JsonObject:
        """Chart values that a gateway needs here; see `stage_values`."""
        return copy.deepcopy(GATEWAY_VALUES)

    @property
    def bin(self) -> Path:
        """Folder with every built program: kubectl, helm, pulumi and those of the clusters."""
        return self.root / "bin"

    @property
    def logs(self) -> Path:
        """Folder with one log per program, ``<role>-<program>.log``."""
        return self.root / LOGS

    @property
    def processes(self) -> ProcessTable:
        """The stage's programs, named ``<role>-<program>``."""
        return ProcessTable(records=self.root / "processes", logs=self.logs, state_directory=self.root)

    def folder(self, role: str) -> ClusterFolder:
        """Return where one cluster keeps its files."""
        return ClusterFolder(root=self.root / "clusters" / role)

    def publish_hosts(self, role: str, entries: Mapping[str, str]) -> None:
        """Make the names outside the cluster `role` resolve there, within about a second; replaces earlier ones.

        Args:
            role: The cluster whose pods ask.
            entries: Address of each name.
        """
        publish_hosts(self.folder(role), entries)

    def add_python_app(self, name: str, *, source: Path, entry: str) -> str:
        """Build the image of a Python application, give it to every cluster, and return its reference.

        Args:
            name: Image name without tag, e.g. ``"stage.local/recorder"``; the tag follows the content.
            source: Folder with the application's files and its `requirements.txt`.
            entry: Path of the script in the image, below ``/app``.

        Raises:
            StageError: A package could not be fetched, or a cluster refused the image.
        """
        image = python_app_image(
            name, tag=None, source=source, entry=entry, cache=cache_directory(), progress=self.progress
        )
        for role in self.roles:
            run(
                import_image(self.folder(role), image.archive),
                what=f"import the image {image.reference} into {role}",
                env=self.processes.environment,
                timeout=MOVING_SECONDS,
            )
        return image.reference

    def fabric_command(self, argv: Sequence[str]) -> list[str]:
        """Return a command that runs `argv` where every address of the stage can be reached, without any proxy.

        The process belongs to the stage: it is ended with it.
        """
        unset = [word for name in PROXY_VARIABLES for word in ("-u", name)]
        return in_network(FABRIC_NAMESPACE, ["env", *unset, f"{MARK_VARIABLE}={self.root}", *argv])

    def run_in_fabric(
        self,
        argv: Sequence[str],
        *,
        timeout: float,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program where every address of the stage can be reached and return its output.

        Args:
            argv: Program and arguments; programs of `bin` are found by name.
            timeout: Seconds until it is killed.
            env: Variables beside this process's.
            cwd: Working directory.
            check: Raise an error when it fails.

        Raises:
            subprocess.CalledProcessError: It failed and `check` is set.
            subprocess.TimeoutExpired: It took too long.
        """
        environment = {**os.environ, "PATH": f"{self.bin}:{os.environ.get('PATH', '')}", **(env or {})}
        return subprocess.run(
            self.fabric_command(argv),
            env=environment,
            cwd=cwd,
            capture_output=True,
            text=True,
            check=check,
            timeout=timeout,
        )

    def kubectl(self, role: str, *arguments: str, timeout: float = 60) -> str:
        """Run kubectl against one cluster and return its output.

        Raises:
            subprocess.CalledProcessError: It failed.
        """
        command = [str(self.bin / "kubectl"), f"--kubeconfig={self.kubeconfigs[role]}", *arguments]
        return self.run_in_fabric(command, timeout=timeout).stdout

    def _write_description(self) -> None:
        content = {"roles": list(self.roles), "images": dict(self.images), "charts": str(self.charts)}
        write_text(self.root / _DESCRIPTION_FILE, json.dumps(content, indent=2))


def _install(plan: StartPlan, progress: Progress) -> StageParts:
    """Install and build one process at a time: Debian's package manager refuses a second one."""
    with locked(plan.cache, "installs and builds", progress, file=INSTALL_LOCK):
        return install(plan, progress)


def _remove_leftovers(progress: Progress) -> None:
    """Remove a crashed stage; refuse if one was kept on purpose and still runs."""
    discard_unfinished()
    claim = read_claim()
    if claim is None:
        return
    if claim.kept and _alive(claim):
        raise StageError(
            "A stage that was kept is running on this machine",
            remedy="End it with: traffic-mirror rehearse down",
        )
    with progress.step("remove what an earlier stage left"):
        remove_stage(claim)


def machine_refused(error: OSError) -> StageError:
    """Return the error for a person, in place of one that the system gave: a full disk, a read-only folder."""
    where = f" at {error.filename}" if error.filename else ""
    full = error.errno == errno.ENOSPC
    return StageError(
        f"The system refused a step of the start: {error.strerror or error}{where}",
        remedy="Free some disk space and start again" if full else "Repair the cause and start again",
    )


def _alive(claim: Claim) -> bool:
    return bool(marked_processes(claim.state_directory))
