"""Files that only their owner reads: reports, states and recordings tell what clients sent."""

import os
from contextlib import suppress
from pathlib import Path

from .errors import OperationError


def write_file(path: Path, text: str) -> None:
    """Write a file in one step: a reader sees the old content or the new one, and never a part.

    Raises:
        OperationError: It is a link, which may lead anywhere, or cannot be written.
    """
    from .recording.own_files import create_file, make_folder  # noqa: PLC0415 -- its package imports Arrow

    if path.is_symlink():
        raise OperationError(f"{path} is a link and is not followed", remedy="Name the file itself")
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        make_folder(path.parent)
        unfinished.unlink(missing_ok=True)
        with os.fdopen(create_file(unfinished), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise OperationError(
            f"{path} cannot be written: {error.strerror}", remedy="Name a file in a folder that is yours"
        ) from error
