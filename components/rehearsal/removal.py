"""Undoing everything that the stage did to the machine, for `make clean`."""

from contextlib import suppress
from pathlib import Path

from .machine.requirements import check_machine, installed_by_us, remove_packages
from .places import RUNTIME_DIRECTORY, cache_directory
from .progress import Progress
from .stage import Stage
from .toolchain.cache import cache_folder

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
    cache = cache_folder(cache_directory())
    if cache.ours:
        with progress.step(f"remove {cache.path}"):
            cache.remove(progress)
    (RUNTIME_DIRECTORY / "lock").unlink(missing_ok=True)
    for folder in (RUNTIME_DIRECTORY, _STATE_PARENT):
        # Somebody else may use it.
        with suppress(OSError):
            folder.rmdir()
