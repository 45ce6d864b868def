"""Files and folders that only their owner reads; a part of the recorder's image, so that nothing else is needed."""

import os
from pathlib import Path
from typing import Final

OWNERS_FILE: Final = 0o600
OWNERS_FOLDER: Final = 0o700


def make_folder(folder: Path) -> None:
    """Make a folder and those above it that are missing; those that are there stay as they are."""
    for missing in [each for each in reversed((folder, *folder.parents)) if not each.exists()]:
        missing.mkdir(mode=OWNERS_FOLDER, exist_ok=True)


def create_file(path: Path) -> int:
    """Create a file that is not there yet, and return its descriptor.

    Raises:
        FileExistsError: There is something, be it a link to nowhere.
    """
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, OWNERS_FILE)
