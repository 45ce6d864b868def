"""Folders that are built once: made beside, renamed into place, so that a half-built one is never used."""

import os
import re
import shutil
import tempfile
import threading
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ..ownership import OwnFolder
from ..places import CACHE_DIRECTORY_VARIABLE
from ..progress import Progress
from ..queueing import Patience, wait_for_lock, write_holder

LOCK_FILE = ".lock"
"""Serialises the builds in a cache."""

INSTALL_LOCK = ".installing.lock"
"""In the cache. Not the stage's own lock, which is held for as long as the stage runs."""

_UNFINISHED = ".building-"

_NAMES = re.compile(
    rf"{re.escape(LOCK_FILE)}|{re.escape(INSTALL_LOCK)}|{re.escape(_UNFINISHED)}.+|logs|go-modules|go-build"
    r"|[a-z].*-[0-9a-f]{12}"
)
"""Names in a cache; the last are those of :func:`.recipes.cache_key`, of any release."""


def cache_folder(path: Path) -> OwnFolder:
    """Return a cache directory as a folder of ours."""
    return OwnFolder(
        path=path, variable=CACHE_DIRECTORY_VARIABLE, mark=".traffic-mirror-cache", known=_NAMES, always=LOCK_FILE
    )


def cached_folder(cache: Path, key: str, build: Callable[[Path], None], *, progress: Progress) -> Path:
    """Return the folder `key` of the cache; when it is not there, `build` fills it first.

    Args:
        cache: The cache directory; made if needed.
        key: Name of the folder; must change whenever the content should.
        build: Fills the empty folder that it gets. If it raises, nothing is left behind.
        progress: Told when another process holds the cache.

    Raises:
        StageError: The cache directory is not ours or cannot be written, or another process builds there for hours.
    """
    final = cache / key
    if final.is_dir():
        return final
    with _building(cache, key, progress):
        if final.is_dir():
            return final
        unfinished = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=cache))
        try:
            build(unfinished)
            unfinished.chmod(0o755)
            unfinished.rename(final)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
    return final


_threads = threading.Lock()
_held: dict[Path, tuple[ExitStack, int]] = {}
"""Lock of each cache that this process holds, and how many of its threads build under it."""


@contextmanager
def _building(cache: Path, key: str, progress: Progress) -> Generator[None]:
    """Hold the cache's lock together with the other threads of this process, which build other parts."""
    with _threads:
        stack, users = _held.get(cache) or (ExitStack(), 0)
        if not users:
            stack.enter_context(locked(cache, f"builds {key}", progress))
            _remove_unfinished(cache)
        _held[cache] = (stack, users + 1)
    try:
        yield
    finally:
        with _threads:
            stack, users = _held.pop(cache)
            if users > 1:
                _held[cache] = (stack, users - 1)
            else:
                stack.close()


@contextmanager
def locked(cache: Path, doing: str, progress: Progress, *, file: str = LOCK_FILE) -> Generator[None]:
    """Hold a lock of the cache; the kernel frees it when the process ends, however it ends.

    Args:
        cache: The cache directory; made if needed.
        doing: What this process does meanwhile, for those who wait, e.g. ``"builds istio"``.
        progress: Told when another process holds it.
        file: Which lock.

    Raises:
        StageError: The cache directory is not ours or cannot be written, or another process held the lock for hours.
    """
    cache_folder(cache).take()
    descriptor = os.open(cache / file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        wait_for_lock(descriptor, Patience(progress=progress))
        write_holder(descriptor, doing)
        yield
    finally:
        os.close(descriptor)


def _remove_unfinished(cache: Path) -> None:
    """Remove what killed builds left; safe because the lock is held, so none is running."""
    for folder in cache.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(folder, ignore_errors=True)
