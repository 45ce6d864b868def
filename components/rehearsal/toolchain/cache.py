"""Folders that are built once: made beside, renamed into place, so that a half-built one is never used."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from ..errors import StageError
from ..progress import Progress

LOCK_FILE = ".lock"
"""Shows that a folder is a cache, and serialises the builds in it."""

_UNFINISHED = ".building-"


def cached_folder(cache: Path, key: str, build: Callable[[Path], None], *, progress: Progress) -> Path:
    """Return the folder `key` of the cache; when it is not there, `build` fills it first.

    Args:
        cache: The cache directory; made if needed.
        key: Name of the folder; must change whenever the content should.
        build: Fills the empty folder that it gets. If it raises, nothing is left behind.
        progress: Told when another process holds the cache.

    Raises:
        StageError: The cache directory cannot be written.
    """
    final = cache / key
    if final.is_dir():
        return final
    with _locked(cache, progress):
        if final.is_dir():
            return final
        _remove_unfinished(cache)
        unfinished = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=cache))
        try:
            build(unfinished)
            unfinished.chmod(0o755)
            unfinished.rename(final)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
    return final


@contextmanager
def _locked(cache: Path, progress: Progress) -> Generator[None]:
    """Hold the cache's lock; the kernel frees it when the process ends, however it ends."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(cache / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StageError(
            f"Cannot write the cache directory {cache}: {error.strerror}",
            remedy="Make it writable or set TRAFFIC_MIRROR_CACHE to another folder",
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.note(f"another process builds in {cache}; waiting for it")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _remove_unfinished(cache: Path) -> None:
    """Remove what killed builds left; safe because the lock is held, so none is running."""
    for folder in cache.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(folder, ignore_errors=True)
