"""The image store that every node starts from: images are imported and unpacked once, then only linked."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..cleanup import end_processes
from ..errors import StageError
from ..images import Image
from ..machine.commands import MOVING_SECONDS, run, run_logged
from ..machine.files import write_text
from ..machine.processes import ProcessTable, wait_until
from ..places import RUNTIME_DIRECTORY
from ..progress import Progress
from ..toolchain.cache import cached_folder
from ..toolchain.recipes import cache_key
from .commands import PRIVATE_FOLDERS, import_image, private_mounts
from .files import ClusterFolder, containerd_config

STORE = "containerd"
"""Name of the folder that containerd keeps images in, both in the cache and in a cluster's folder."""

_WORK = RUNTIME_DIRECTORY / "image-store"
"""Sockets and records of the containerd that imports: a short path, because sockets have short paths only."""

_TIMEOUT = 60.0
"""Seconds until a containerd that does not answer counts as broken."""

_KEY = "image-store"

_MUTABLE = "*.db"
"""Databases of containerd: the only files of the store that it writes to; everything else is made and unlinked."""


def ensure_image_store(cache: Path, images: Sequence[Image], progress: Progress) -> Path:
    """Return a folder with all images, imported and unpacked, made if the cache does not have it.

    Args:
        cache: The cache directory.
        images: What every node gets.
        progress: Shows that the store is being made.

    Raises:
        StageError: containerd failed.
    """
    key = cache_key(_KEY, "1", sorted(image.archive.parent.name for image in images))
    log = cache / "logs" / "image-store.log"

    def build(folder: Path) -> None:
        with progress.step("unpack the images", usual_seconds=15, log=log):
            _fill(folder, images, log)

    store = cached_folder(cache, key, build, progress=progress) / STORE
    _forget_others(cache, key)
    return store


def link_store(store: Path, target: Path, *, env: Mapping[str, str]) -> None:
    """Give a node its own image store: the files are shared, the databases are its own.

    Nothing writes to an unpacked image: a container's changes go to a layer of its own.

    Args:
        store: The shared store.
        target: The node's store; made.
        env: Environment of the program that links, with the mark of the stage.

    Raises:
        StageError: The files cannot be linked or copied.
    """
    try:
        run(
            ["cp", "--archive", "--link", str(store), str(target)],
            what="link the image store",
            env=env,
            timeout=MOVING_SECONDS,
        )
    except StageError:
        # Another file system: a copy costs a second or two and some space.
        shutil.rmtree(target, ignore_errors=True)
        copy = ["cp", "--archive", "--reflink=auto", str(store), str(target)]
        run(copy, what="copy the image store", env=env, timeout=MOVING_SECONDS)
    for database in target.rglob(_MUTABLE):
        own = database.with_suffix(".own")
        shutil.copy2(store / database.relative_to(target), own)
        own.replace(database)


def _forget_others(cache: Path, key: str) -> None:
    """Remove stores of other images: each is large and made anew in seconds; running nodes have links of their own."""
    for folder in cache.glob(f"{_KEY}-*"):
        if folder.name != key:
            shutil.rmtree(folder, ignore_errors=True)


def discard_unfinished() -> None:
    """End the containerd of an import that was killed; no effect if there is none."""
    end_processes(_WORK)
    shutil.rmtree(_WORK, ignore_errors=True)


def _fill(folder: Path, images: Sequence[Image], log: Path) -> None:
    """Run a containerd of its own for as long as the import takes."""
    discard_unfinished()
    node = ClusterFolder(root=_WORK)
    write_text(node.containerd_config, containerd_config(node, store=folder / STORE))
    processes = ProcessTable(records=_WORK / "processes", logs=log.parent, state_directory=_WORK)
    private = [path for path in PRIVATE_FOLDERS if Path(path).is_dir()]
    try:
        argv = private_mounts(["containerd", f"--config={node.containerd_config}"], private)
        containerd = processes.start("image-store-containerd", argv)
        wait_until(node.containerd_socket.exists, what="containerd answers", timeout=_TIMEOUT, watched=[containerd])
        for image in images:
            run_logged(import_image(node, image.archive), what=f"import the image {image.reference}", log=log)
        processes.stop(containerd.name)
    finally:
        discard_unfinished()
