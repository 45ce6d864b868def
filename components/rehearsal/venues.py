"""Where a rehearsal can happen: on an embedded stage, or on clusters that exist."""

from pathlib import Path
from typing import Final

from ..model import JsonObject, ValidationError
from ..operations.report import Report
from .addresses import STAGE_NETWORK
from .cleanup import end_processes
from .deployer import STAND_IN_PROVIDER, EngineDeployer
from .engine import Engine, Installation, discover
from .errors import StageError
from .existing import describe_clusters, end_on_clusters
from .progress import Progress
from .rehearse import Place, Stopwatch, rehearse
from .removal import remove_everything
from .requirements import check_machine
from .scenario import STAGING, TESTING, RehearsalOptions, Site
from .stage import Stage
from .stage_values import GATEWAY_VALUES, ISTIOD_VALUES

STAND_INS: Final = (
    "Envoy is a plain upstream build: Istio's own filters, and so its istio_* metrics, are not there",
    "images are built on this machine and imported, so pulling from a registry is not tried",
    "each cluster has one node, and nobody but these stacks uses it",
    "load-balancer addresses are written into the Services by a small controller, no cloud does it",
    "GKE itself is not there: its resources are proved by types, mocks and policies only",
)
"""What an embedded stage does not prove."""


def rehearse_on_stage(options: RehearsalOptions, project: Path, progress: Progress) -> Report:
    """Build two clusters on this machine, rehearse on them, and remove them unless they are to be kept.

    Args:
        options: What to rehearse.
        project: Folder of the Pulumi program.
        progress: Told what is being done.

    Raises:
        ValidationError: The machine cannot hold the stage.
        StageError: The stage or a deployment failed.
        OperationError: Nothing can be told.
    """
    watch = Stopwatch(progress)
    with watch.phase("two clusters"):
        stage = Stage.up(progress)
    with stage:
        installation = discover(stage.bin / "pulumi")
        with stage_engine(stage, installation, project) as engine:
            # Nothing of a cancelled deployment is needed again, so it need not end in order.
            deployer = EngineDeployer(engine, progress, cancel=lambda: end_processes(stage.root))
            report = rehearse(options, _stage_place(stage, installation), deployer, watch)
        if options.keep:
            stage.keep()
            for line in look_around(stage):
                progress.note(line)
    return report


def stage_engine(stage: Stage, installation: Installation, project: Path) -> Engine:
    """Return an engine that deploys to the clusters of a stage; its state ends with the stage.

    Args:
        stage: A running stage.
        installation: Which Pulumi to use.
        project: Folder of the Pulumi program.
    """
    return Engine(
        project,
        stage.root / "engine",
        installation,
        command_prefix=stage.fabric_command(()),
        helm=stage.bin / "helm",
        no_proxy=(str(STAGE_NETWORK),),
        kubeconfigs=tuple(stage.kubeconfigs.values()),
    )


def stage_site(stage: Stage, role: str) -> Site:
    """Return a stage's cluster as the rehearsal needs it.

    Args:
        stage: A running stage.
        role: ``staging`` or ``testing``.
    """
    istio: JsonObject = {
        "version": stage.istio_version,
        "charts": str(stage.charts),
        "imagePullPolicy": "IfNotPresent",
        "size": "small",
        "values": ISTIOD_VALUES,
    }
    return Site(
        role=role,
        kubeconfig=str(stage.kubeconfigs[role]),
        greeter_image=stage.images["greeter"],
        istio=istio,
        gateway={"size": "small", "values": GATEWAY_VALUES},
    )


def _stage_place(stage: Stage, installation: Installation) -> Place:
    engine, provider, *_ = installation.describe()
    return Place(
        staging=stage_site(stage, STAGING),
        testing=stage_site(stage, TESTING),
        wrap=stage.fabric_command,
        facts={
            "Clusters": "two, built on this machine, one node each",
            "Istio": stage.istio_version,
            "Engine": engine,
            "Provider": provider,
        },
        stand_ins=(*STAND_INS, STAND_IN_PROVIDER) if installation.standin else STAND_INS,
    )


def look_around(stage: Stage) -> tuple[str, ...]:
    """Return lines that tell how to look around in a stage that runs.

    Args:
        stage: The stage.
    """
    # A proxy of the machine does not know the stage's addresses.
    prefix = f"{' '.join(stage.fabric_command(())[:2])} env NO_PROXY='*'"
    lines = [f"The stage runs below {stage.root}; end it with: traffic-mirror rehearse down"]
    for role, kubeconfig in stage.kubeconfigs.items():
        lines.append(f"{role}: {prefix} {stage.bin / 'kubectl'} --kubeconfig={kubeconfig} get pods -A")
        lines.append(f"{role}: gateway {stage.gateway_addresses[role]}:8000")
    return (*lines, f"logs: {stage.logs} and {stage.root / 'engine' / 'logs'}")


def describe_kept() -> tuple[str, ...]:
    """Return lines about what was kept, a stage or stacks on clusters that exist; none when nothing was."""
    try:
        stage = look_around(Stage.attach())
    except StageError:
        stage = ()
    return (*stage, *describe_clusters())


def end_kept(progress: Progress) -> bool:
    """End what was kept, or remove what a crash left, here and on clusters that exist; return whether there was any.

    Args:
        progress: Told what is being done.

    Raises:
        StageError: A rehearsal is running just now.
    """
    on_clusters = end_on_clusters(progress)
    try:
        check_machine()
    except ValidationError:
        # There cannot be a stage on this machine, and looking for one may not be permitted.
        return on_clusters
    return Stage.end(progress) or on_clusters


def clean_up(progress: Progress) -> None:
    """Remove everything that rehearsals have put on this machine: stage, cache, Debian packages.

    Args:
        progress: Told what is being done.

    Raises:
        ValidationError: This machine never can have held a stage, or this user may not change it.
        StageError: A rehearsal is running just now, or a package cannot be removed.
    """
    check_machine()
    end_on_clusters(progress)
    remove_everything(progress)
