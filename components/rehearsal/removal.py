"""Undoing everything that the stage did to the machine, for `make clean`."""

import shutil
from pathlib import Path

from .places import RUNTIME_DIRECTORY, cache_directory, state_directory
from .progress import Progress
from .requirements import check_machine, installed_by_us, remove_packages
from .stage import Stage
from .toolchain.cache import LOCK_FILE

_STATE_PARENT = Path("/var/lib/traffic-mirror")


def remove_everything(progress: Progress) -> None:
    """End a stage, remove the caches, and the Debian packages that were installed for it.

    Caches of the machine's own Go tool stay: they are Go's, and ``go clean -cache -modcache`` empties them.

    Raises:
        ValidationError: This machine never can have held a stage, or this user may not change it.
        StageError: A rehearsal is running just now, or apt failed.
    """
    check_machine()
    Stage.end(progress)
    if installed_by_us():
        log = cache_directory() / "logs" / "apt.log"
        kept = remove_packages(log=log, progress=progress)
        if kept:
            progress.note(f"kept, because other packages need them by now: {', '.join(kept)}")
    cache = cache_directory()
    if is_cache(cache):
        with progress.step(f"remove {cache}"):
            shutil.rmtree(cache)
    for folder in (RUNTIME_DIRECTORY, state_directory().parent, _STATE_PARENT):
        _remove_if_ours(folder)


def is_cache(folder: Path) -> bool:
    """Tell whether a folder was made as the cache, whatever a variable says: the lock file shows it."""
    return (folder / LOCK_FILE).is_file()


def _remove_if_ours(folder: Path) -> None:
    """Remove a folder that has nothing in it but what this package always leaves: the lock."""
    if not folder.is_dir() or folder.name != "traffic-mirror":
        return
    (folder / "lock").unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()
