"""Folders that a variable may name: only those that are ours are used, and only what we put there is removed."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .errors import StageError
from .progress import Progress

SHOWN_NAMES: Final = 3
"""Names in a message."""


@dataclass(frozen=True, kw_only=True)
class OwnFolder:
    """A folder that this package makes, fills and removes."""

    path: Path
    variable: str
    """Environment variable that names another one."""
    mark: str
    """Name of the empty file that shows that the folder is ours."""
    known: re.Pattern[str]
    """Names of what is put there, the mark aside; anything else is somebody else's and stays."""
    always: str
    """One of these names, which is there whenever anything is."""

    @property
    def ours(self) -> bool:
        """Whether it is marked, or made before there was a mark: then it has known names only."""
        names = self._names()
        return self.mark in names or (self.always in names and all(map(self.known.fullmatch, names)))

    def take(self) -> None:
        """Make the folder, and mark it.

        Raises:
            StageError: It has somebody else's files, or cannot be made.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if (names := self._names()) and not self.ours:
                raise StageError(
                    f"The folder {self.path} is not ours, it has {', '.join(names[:SHOWN_NAMES])}",
                    remedy=f"Set {self.variable} to an empty or new folder",
                )
            (self.path / self.mark).touch()
        except OSError as error:
            raise StageError(
                f"Cannot write the folder {self.path}: {error.strerror}",
                remedy=f"Make it writable or set {self.variable} to another folder",
            ) from error

    def remove(self, progress: Progress) -> None:
        """Remove what is ours, and the folder unless something else is in it; one that is not ours is not touched.

        Args:
            progress: Told what stays.
        """
        if not self.ours:
            return
        for name in self._names():
            entry = self.path / name
            if not self.known.fullmatch(name):
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        # Last, so that a removal which was killed half-way is continued by the next one.
        (self.path / self.mark).unlink(missing_ok=True)
        if left := self._names():
            progress.note(f"{self.path} stays, it has files of others: {', '.join(left[:SHOWN_NAMES])}")
        elif not self.path.is_symlink():
            self.path.rmdir()

    def _names(self) -> tuple[str, ...]:
        return tuple(sorted(entry.name for entry in self.path.iterdir())) if self.path.is_dir() else ()
