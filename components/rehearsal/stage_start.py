"""Starting a stage: what is missing is installed and built, then the clusters come up side by side."""

import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from .claim import Claim
from .cluster.addresses import FABRIC_NAMESPACE, ClusterAddresses
from .cluster.cluster import Cluster
from .cluster.commands import in_network
from .cluster.files import ClusterFolder
from .cluster.image_store import ensure_image_store
from .images import Image, ensure_images, prepare_images
from .machine import requirements
from .machine.kernel import WANTED_SETTINGS, load_modules, write_setting
from .machine.network import create_network
from .machine.processes import ProcessTable
from .plan import StartPlan
from .progress import Progress
from .toolchain import Toolchain, ensure_toolchain


@dataclass(frozen=True, kw_only=True)
class StageParts:
    """What the clusters are made of."""

    toolchain: Toolchain
    images: Mapping[str, Image]
    image_store: Path
    """Folder with all images, unpacked."""


def install(plan: StartPlan, progress: Progress) -> StageParts:
    """Install and build what the machine does not have.

    Raises:
        StageError: A package, module or wheel could not be fetched or built.
    """

    def debian() -> None:
        requirements.install_packages(plan.packages, log=plan.cache / "logs" / "apt.log", progress=progress)
        prepare_images(plan.cache, progress)

    toolchain = ensure_toolchain(plan.cache, progress, debian)
    images = ensure_images(plan.cache, toolchain, progress)
    store = ensure_image_store(plan.cache, tuple(images.values()), progress)
    return StageParts(toolchain=toolchain, images=images, image_store=store)


def start_clusters(
    claim: Claim,
    clusters: Sequence[ClusterAddresses],
    parts: StageParts,
    processes: ProcessTable,
    progress: Progress,
    *,
    meanwhile: Callable[[], None],
) -> None:
    """Make everything that the claim speaks of, and wait until every node is ready.

    Args:
        claim: What may be made.
        clusters: Which clusters.
        parts: What they are made of.
        processes: Starts their programs.
        progress: Shown each step.
        meanwhile: Called beside their start, when the networks are there; waited for.

    Raises:
        StageError: A program failed; the others may still run.
    """
    root = claim.state_directory
    parts.toolchain.link_into(root / "bin")
    load_modules()
    for setting in claim.settings:
        write_setting(setting, str(WANTED_SETTINGS[setting]))
    for folder in claim.made_folders:
        Path(folder).mkdir(exist_ok=True)
    create_network(clusters, env=processes.environment)
    cancelled = Event()
    started = [
        Cluster(
            addresses=addresses,
            folder=ClusterFolder(root=root / "clusters" / addresses.role),
            toolchain=parts.toolchain,
            processes=processes,
            image_store=parts.image_store,
            progress=progress,
            cancelled=cancelled,
        )
        for addresses in clusters
    ]
    pool = ThreadPoolExecutor(max_workers=len(started) + 1, thread_name_prefix="cluster")
    try:
        futures = [pool.submit(work) for work in (*(cluster.start for cluster in started), meanwhile)]
        done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        for future in done:
            future.result()
    finally:
        # No effect on clusters that are up; the others must not start anything once the clean-up begins.
        cancelled.set()
        pool.shutdown(wait=True)
    _start_load_balancer(started, processes)


def _start_load_balancer(clusters: Sequence[Cluster], processes: ProcessTable) -> None:
    pairs = [f"{cluster.folder.kubeconfig}={cluster.addresses.gateway}" for cluster in clusters]
    command = [sys.executable, "-P", "-m", f"{__package__}.cluster.loadbalancer", *pairs]
    processes.start(
        "load-balancer",
        in_network(FABRIC_NAMESPACE, command),
        env={"PYTHONUNBUFFERED": "1"},
    )
