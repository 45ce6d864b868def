"""A rehearsal on two clusters that exist. What it deploys is remembered until it is removed again."""

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from ..operations.jobs import unwrapped
from ..operations.report import Report
from .deployer import STAND_IN_PROVIDER, EngineDeployer
from .engine import Engine, Installation, discover
from .errors import StageError
from .files import write_text
from .interruption import RaisingSignals, deferred_signals
from .places import cache_directory
from .progress import Progress
from .rehearse import Place, Stopwatch, rehearse
from .scenario import STAGING, TESTING, RehearsalOptions, Site
from .toolchain.recipes import GO_PARTS

STATE_VARIABLE: Final = "TRAFFIC_MIRROR_REHEARSAL_DIR"
"""Environment variable that overrides where stacks on clusters that exist are remembered."""


def rehearsal_directory() -> Path:
    """Return the folder that remembers stacks on clusters that exist."""
    chosen = os.environ.get(STATE_VARIABLE)
    if chosen:
        return Path(chosen).absolute()
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "traffic-mirror" / "rehearsal"


def rehearse_on_clusters(
    options: RehearsalOptions, staging: Site, testing: Site, project: Path, progress: Progress
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
    record.check()
    installation = _installation()
    with ExitStack() as clean_up:
        signals = RaisingSignals()
        signals.install()
        clean_up.callback(signals.restore)
        engine = clean_up.enter_context(_engine(folder, project, installation, staging, testing))
        record.write()
        deployer = EngineDeployer(engine, progress)
        if not options.keep:
            clean_up.callback(_remove, engine, folder, progress)
        report = rehearse(options, _place(staging, testing, installation), deployer, watch)
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
        _remove(engine, folder, progress)
    return True


def describe_clusters() -> tuple[str, ...]:
    """Return lines about the stacks that were kept on clusters that exist; none when there are none."""
    record = _Record.read(rehearsal_directory())
    if record is None:
        return ()
    sites = [f"{site.role}: {site.kubeconfig} {site.context}".rstrip() for site in (record.staging, record.testing)]
    return ("Stacks are on clusters that exist; remove them with: traffic-mirror rehearse down", *sites)


class _Record:
    """Which stacks are where: written before anything is deployed, gone when everything is removed."""

    def __init__(self, folder: Path, project: Path, staging: Site, testing: Site) -> None:
        self._file = folder / "clusters.json"
        self.project = project.absolute()
        self.staging = staging
        self.testing = testing

    @classmethod
    def read(cls, folder: Path) -> "_Record | None":
        try:
            raw: dict[str, Any] = json.loads((folder / "clusters.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return cls(folder, Path(raw["project"]), Site(**raw["staging"]), Site(**raw["testing"]))

    def write(self) -> None:
        content = {"project": str(self.project), "staging": asdict(self.staging), "testing": asdict(self.testing)}
        write_text(self._file, json.dumps(content, indent=2))

    def check(self) -> None:
        """Refuse to go on with the state of stacks that are elsewhere."""
        before = _Record.read(self._file.parent)
        if before is None:
            return
        places = [(site.kubeconfig, site.context) for site in (before.staging, before.testing)]
        if places != [(site.kubeconfig, site.context) for site in (self.staging, self.testing)]:
            raise StageError(
                f"A rehearsal on other clusters left its stacks there: {places[0][0]} and {places[1][0]}",
                remedy="Remove them with: traffic-mirror rehearse down",
            )


def _installation() -> Installation:
    return discover(_built("pulumi"))


def _built(name: str) -> Path | None:
    """Return a program that an embedded stage has built on this machine before, if one has."""
    paths = (cache_directory() / part.key() / "bin" / name for part in GO_PARTS)
    return next((path for path in paths if path.is_file()), None)


def _engine(folder: Path, project: Path, installation: Installation, staging: Site, testing: Site) -> Engine:
    # The engine asks a kubeconfig's current context whether the cluster is ready, so others are left out.
    ready = tuple(Path(site.kubeconfig) for site in (staging, testing) if not site.context)
    return Engine(project, folder / "engine", installation, helm=_built("helm"), kubeconfigs=ready)


def _remove(engine: Engine, folder: Path, progress: Progress) -> None:
    """Remove both stacks, and then what remembers them.

    Nothing of staging needs testing while it goes: mirrors without a receiver fail within their brakes.
    """

    def remove(role: str) -> None:
        with progress.step(f"{role}: remove"):
            engine.destroy(role)

    with deferred_signals(progress):
        with ThreadPoolExecutor(2) as pool:
            removals = [pool.submit(remove, role) for role in (STAGING, TESTING)]
        for removal in removals:
            removal.result()
        engine.close()
        shutil.rmtree(folder)


def _place(staging: Site, testing: Site, installation: Installation) -> Place:
    engine, provider, *_ = installation.describe()
    return Place(
        staging=staging,
        testing=testing,
        wrap=unwrapped,
        facts={
            "Staging": f"{staging.kubeconfig} {staging.context}".strip(),
            "Testing": f"{testing.kubeconfig} {testing.context}".strip(),
            "Engine": engine,
            "Provider": provider,
        },
        stand_ins=(STAND_IN_PROVIDER,) if installation.standin else (),
    )
