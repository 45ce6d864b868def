"""A rehearsal on two clusters that exist. What it deploys is remembered until it is removed again."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from ..operations.jobs import unwrapped
from ..operations.verify.report import Report
from .deployer import EngineDeployer
from .engine import PROVIDER, Engine, Installation, discover, in_use
from .errors import StageError
from .leftovers import IstioLeftovers
from .machine.files import write_text
from .machine.interruption import RaisingSignals, deferred_signals
from .ownership import OwnFolder
from .places import cache_directory
from .progress import Progress
from .rehearse import ClusterPair, Rehearsal, Stopwatch
from .scenario import RehearsalCluster, RehearsalOptions
from .toolchain.recipes import GO_PARTS

_RECORD: Final = "clusters.json"
_ENGINE: Final = "engine"

STATE_VARIABLE: Final = "TRAFFIC_MIRROR_REHEARSAL_DIR"
"""Environment variable that overrides where stacks on clusters that exist are remembered."""


def rehearsal_directory() -> Path:
    """Return the folder that remembers stacks on clusters that exist."""
    chosen = os.environ.get(STATE_VARIABLE)
    if chosen:
        return Path(chosen).absolute()
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "traffic-mirror" / "rehearsal"


def _own(folder: Path) -> OwnFolder:
    known = re.compile(f"{re.escape(_RECORD)}|{_ENGINE}")
    return OwnFolder(
        path=folder, variable=STATE_VARIABLE, mark=".traffic-mirror-rehearsal", known=known, always=_ENGINE
    )


def rehearse_on_clusters(
    options: RehearsalOptions, staging: RehearsalCluster, testing: RehearsalCluster, project: Path, progress: Progress
) -> Report:
    """Deploy to two clusters that exist, rehearse on them, and remove the stacks unless they are to be kept.

    Args:
        options: What to rehearse.
        staging: The cluster that owns the traffic.
        testing: The cluster that gets copies.
        project: Folder of the Pulumi program.
        progress: Told what is being done.

    Raises:
        StageError: Pulumi is missing, a deployment failed, or stacks on other clusters are still there.
        OperationError: Nothing can be told.
    """
    watch = Stopwatch(progress)
    folder = rehearsal_directory()
    record = _Record(folder, project, staging, testing)
    _own(folder).take()
    record.check()
    installation = _installation()
    record.look()
    with ExitStack() as clean_up:
        signals = RaisingSignals()
        signals.install()
        clean_up.callback(signals.restore)
        engine = clean_up.enter_context(_engine(folder, project, installation, staging, testing))
        record.write()
        deployer = EngineDeployer(engine, progress)
        if not options.keep:
            clean_up.callback(_remove, engine, record, progress)
        report = Rehearsal(options, _pair(staging, testing, installation), deployer, watch).run()
    if options.keep:
        progress.note("The stacks stay; remove them with: traffic-mirror rehearse down")
    return report


def end_on_clusters(progress: Progress) -> bool:
    """Remove the stacks that were kept on clusters that exist; return whether there were any.

    Args:
        progress: Told what is being done.

    Raises:
        StageError: They cannot be removed.
    """
    folder = rehearsal_directory()
    record = _Record.read(folder)
    if record is None:
        return False
    with _engine(folder, record.project, _installation(), record.staging, record.testing) as engine:
        _remove(engine, record, progress)
    return True


def describe_clusters() -> tuple[str, ...]:
    """Return lines about the stacks that were kept on clusters that exist; none when there are none."""
    record = _Record.read(rehearsal_directory())
    if record is None:
        return ()
    clusters = [f"{cluster.role}: {cluster.kubeconfig} {cluster.context}".rstrip() for cluster in record.clusters]
    if in_use(rehearsal_directory() / _ENGINE):
        return ("A rehearsal is running on clusters that exist", *clusters)
    return ("Stacks are on clusters that exist; remove them with: traffic-mirror rehearse down", *clusters)


class _Record:
    """Which stacks are where: written before anything is deployed, gone when everything is removed."""

    def __init__(
        self,
        folder: Path,
        project: Path,
        staging: RehearsalCluster,
        testing: RehearsalCluster,
        before: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.folder = folder
        self.project = project.absolute()
        self.staging = staging
        self.testing = testing
        self.before = before or {}
        """What of Istio each cluster had before, by its role; see :class:`IstioLeftovers`."""

    @classmethod
    def read(cls, folder: Path) -> "_Record | None":
        """The record of stacks that are still there; None where there are none.

        Raises:
            StageError: Another release wrote it, or it is damaged.
        """
        if not _own(folder).ours:
            return None
        try:
            raw: dict[str, Any] = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
            clusters = RehearsalCluster(**raw["staging"]), RehearsalCluster(**raw["testing"])
            return cls(folder, Path(raw["project"]), *clusters, raw.get("before"))
        except FileNotFoundError:
            return None
        except (KeyError, TypeError, ValueError) as error:
            raise StageError(
                f"{folder / _RECORD} cannot be read: another release wrote it, or it is damaged ({error})",
                remedy="Remove the stacks with the release that deployed them: traffic-mirror rehearse down; or delete "
                f"{folder} if the clusters are gone for good",
            ) from error

    @property
    def clusters(self) -> tuple[RehearsalCluster, RehearsalCluster]:
        return self.staging, self.testing

    def write(self) -> None:
        content = {
            "project": str(self.project),
            "staging": asdict(self.staging),
            "testing": asdict(self.testing),
            "before": self.before,
        }
        write_text(self.folder / _RECORD, json.dumps(content, indent=2))

    def look(self) -> None:
        """Look what of Istio is in the clusters, unless an earlier rehearsal whose stacks are still there did so."""
        earlier = _Record.read(self.folder)
        self.before = (
            earlier.before if earlier else {cluster.role: _leftovers(cluster).found() for cluster in self.clusters}
        )

    def check(self) -> None:
        """Refuse to go on with the state of stacks that are elsewhere."""
        before = _Record.read(self.folder)
        if before is None:
            return
        places = [(cluster.kubeconfig, cluster.context) for cluster in before.clusters]
        if places != [(cluster.kubeconfig, cluster.context) for cluster in self.clusters]:
            raise StageError(
                f"A rehearsal on other clusters left its stacks there: {places[0][0]} and {places[1][0]}",
                remedy="Remove them with: traffic-mirror rehearse down",
            )


def _leftovers(cluster: RehearsalCluster) -> IstioLeftovers:
    return IstioLeftovers(cluster.access)


def _installation() -> Installation:
    return discover(_built("pulumi"), _built(PROVIDER))


def _built(name: str) -> Path | None:
    """Return a program that an embedded stage has built on this machine before, if one has."""
    paths = (cache_directory() / part.key() / "bin" / name for part in GO_PARTS)
    return next((path for path in paths if path.is_file()), None)


def _engine(
    folder: Path, project: Path, installation: Installation, staging: RehearsalCluster, testing: RehearsalCluster
) -> Engine:
    # The engine asks a kubeconfig's current context whether the cluster is ready, so others are left out.
    ready = tuple(Path(cluster.kubeconfig) for cluster in (staging, testing) if not cluster.context)
    return Engine(project, folder / _ENGINE, installation, kubeconfigs=ready)


def _remove(engine: Engine, record: _Record, progress: Progress) -> None:
    """Remove both stacks, then what Istio leaves of itself, and at last what remembers them.

    Nothing of staging needs testing while it goes: mirrors without a receiver fail within their brakes.
    """

    def remove(cluster: RehearsalCluster) -> None:
        with progress.step(f"{cluster.role}: remove"):
            engine.destroy(cluster.role)
            if cluster.role in record.before:
                _leftovers(cluster).remove(record.before[cluster.role], progress)

    with deferred_signals(progress):
        try:
            with ThreadPoolExecutor(2) as pool:
                removals = [pool.submit(remove, cluster) for cluster in record.clusters]
            for removal in removals:
                removal.result()
        except Exception:
            progress.note(
                f"What is left is remembered in {record.folder}; remove it with: traffic-mirror rehearse down, "
                "or delete that folder if the clusters are gone for good"
            )
            raise
        engine.close()
        _own(record.folder).remove(progress)


def _pair(staging: RehearsalCluster, testing: RehearsalCluster, installation: Installation) -> ClusterPair:
    engine, provider, *_ = installation.describe()
    return ClusterPair(
        staging=staging,
        testing=testing,
        wrap=unwrapped,
        facts={
            "Staging": f"{staging.kubeconfig} {staging.context}".strip(),
            "Testing": f"{testing.kubeconfig} {testing.context}".strip(),
            "Engine": engine,
            "Provider": provider,
        },
    )
