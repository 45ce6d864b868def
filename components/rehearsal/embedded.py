"""Where a rehearsal can happen: on an embedded stage, or on clusters that exist."""

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from ..model import JsonObject, ValidationError
from ..operations.verify.report import Report
from .claim import lock_holder, read_claim
from .cleanup import end_processes
from .cluster.addresses import STAGE_NETWORK
from .deployer import EngineDeployer
from .engine import PROVIDER, Engine, Installation, discover
from .errors import StageError
from .existing import describe_clusters, end_on_clusters
from .machine.processes import SPARE_PROCESSOR
from .machine.requirements import check_machine
from .progress import Progress
from .rehearse import ClusterPair, Rehearsal, Stopwatch
from .removal import remove_everything
from .scenario import STAGING, TESTING, RehearsalCluster, RehearsalOptions
from .stage import Stage
from .stage_values import GATEWAY_VALUES, ISTIOD_VALUES

STAND_INS: Final = (
    "Envoy is a plain upstream build: Istio's own filters, and so its istio_* metrics, are not there",
    "images are built on this machine and imported, so pulling from a registry is not tried",
    "each cluster has one node, and nobody but these stacks uses it",
    "load-balancer addresses are written into the Services by a small controller, no cloud does it",
    "GKE itself is not there: its resources are proved by types, mocks, policies and stand-ins only",
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
    begun: list[Rehearsal] = []
    with ExitStack() as engines:

        def prepare(stage: Stage) -> None:
            installation = discover(stage.bin / "pulumi", stage.bin / PROVIDER)
            engine = engines.enter_context(stage_engine(stage, installation, project))
            # Nothing of a cancelled deployment is needed again, so it need not end in order.
            deployer = EngineDeployer(engine, progress, cancel=lambda: end_processes(stage.root))
            begun.append(Rehearsal(options, _embedded_pair(stage, installation), deployer, watch))
            begun[0].prepare()

        with watch.phase("two clusters"):
            stage = Stage.up(progress, meanwhile=prepare)
        with stage:
            report = begun[0].run()
            if options.keep:
                engines.close()
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
        no_proxy=(str(STAGE_NETWORK),),
        kubeconfigs=tuple(stage.kubeconfigs.values()),
        environment={**os.environ, **SPARE_PROCESSOR},
    )


def embedded_cluster(stage: Stage, role: str) -> RehearsalCluster:
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
    return RehearsalCluster(
        role=role,
        kubeconfig=str(stage.kubeconfigs[role]),
        greeter_image=stage.images["greeter"],
        istio=istio,
        gateway={
            "size": "small",
            "values": GATEWAY_VALUES,
            "internalByItself": {"reason": "the fabric of this machine leads nowhere else"},
        },
    )


def _embedded_pair(stage: Stage, installation: Installation) -> ClusterPair:
    engine, provider, *_ = installation.describe()
    return ClusterPair(
        staging=embedded_cluster(stage, STAGING),
        testing=embedded_cluster(stage, TESTING),
        wrap=stage.fabric_command,
        facts={
            "Clusters": "two, built on this machine, one node each",
            "Istio": stage.istio_version,
            "Engine": engine,
            "Provider": provider,
        },
        stand_ins=STAND_INS,
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
    """Return lines about what is there, a stage or stacks on clusters that exist; none when nothing is."""
    return (*_describe_stage(), *describe_clusters())


def _describe_stage() -> tuple[str, ...]:
    try:
        return look_around(Stage.attach())
    except StageError:
        claim, holder = read_claim(), lock_holder()
        if holder is not None:
            return (f"A rehearsal is running on this machine ({holder})",)
        if claim is not None:
            left = f"A rehearsal that was killed left its stage below {claim.state_directory}"
            return (f"{left}; remove it with: traffic-mirror rehearse down",)
        return ()


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
    if on_clusters and (holder := lock_holder()) is not None:
        progress.note(f"The stage on this machine stays: a rehearsal has it ({holder})")
        return True
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
