"""Where recordings lie: a local directory, a mounted volume, or object storage, all by URL or path."""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

from ...model import ValidationError
from ...model.checks import encodable
from ...model.credentials import without_credentials
from .arrow import FileSystem, fs, url_to_fs
from .own_files import create_file, make_folder

SUFFIX: Final = ".parquet"
UNFINISHED: Final = ".unfinished"
"""Ends the name of a file that is still being written, so that no engine takes it for Parquet by its name."""

HIDDEN: Final = "_"
"""Begins it as well: pyarrow, pandas and Spark read every file of a folder but those whose names begin so."""

_NATIVE_SCHEMES = frozenset({"file", "s3", "gs", "gcs", "abfs", "abfss"})
"""What Arrow itself speaks; anything else is left to fsspec."""

_ONE_SLASH = re.compile(r"([a-z][a-z0-9+.-]+):/(?!/)", re.IGNORECASE)
"""A URL with a slash too few (RFC 3986, section 3.1, has the letters of a scheme; drives have one letter only)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredFile:
    """One finished file of a recording."""

    path: str
    """Inside the store's file system."""
    size: int
    """Bytes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordingStore:
    """A directory of recordings on any file system."""

    url: str
    filesystem: FileSystem
    root: str
    is_local: bool

    @classmethod
    def open(cls, url: str) -> Self:
        """Open a directory or a single file by path or URL; nothing is created or read yet.

        Args:
            url: Path, or URL such as ``gs://bucket/prefix``, ``s3://bucket/prefix``, or any that fsspec knows.

        Raises:
            ValidationError: The URL is empty, has no bucket or a slash too few, or nothing on this machine understands
                its scheme.
        """
        if not url.strip():
            raise ValidationError(
                field="recording", value=url, rule="must not be empty", remedy="Give a directory or a bucket's URL"
            )
        encodable(url, field="recording")
        if mistyped := _ONE_SLASH.match(url):
            raise ValidationError(
                field="recording",
                value=without_credentials(url),
                rule="must have two slashes behind its scheme",
                remedy=f"Write {mistyped[1]}:// for a URL, or ./ before a folder of this name",
            )
        scheme = url.partition("://")[0].lower()
        if "://" not in url or scheme == "file":
            path = Path(url.removeprefix("file://")).expanduser().absolute()
            return cls(url=url, filesystem=fs.LocalFileSystem(), root=path.as_posix(), is_local=True)
        filesystem, root = _remote(url, scheme)
        return cls(url=url, filesystem=filesystem, root=root.rstrip("/"), is_local=False)

    def files(self) -> list[StoredFile]:
        """Return the finished files, oldest first by name; empty when the directory does not exist."""
        found = [
            StoredFile(path=info.path, size=info.size or 0)
            for info in self._walk()
            if info.base_name.endswith(SUFFIX) and not self._is_hidden(info.path)
        ]
        return sorted(found, key=lambda file: file.path)

    def unfinished(self) -> list[str]:
        """Return files that were never finished: their writer was killed, or is still at work."""
        return sorted(info.path for info in self._walk() if info.base_name.endswith(UNFINISHED))

    def keep(self, limit: int) -> None:
        """Delete the oldest files, unfinished ones of dead writers among them, until the rest fits.

        Args:
            limit: Bytes that may stay.

        Raises:
            OSError: A file cannot be deleted.
        """
        # Names begin with their day and time, so they sort by age; an unfinished one's begin behind its mark.
        found = [info for info in self._walk() if info.base_name.endswith((SUFFIX, UNFINISHED))]
        excess = sum(info.size or 0 for info in found) - limit
        for info in sorted(found, key=lambda info: info.path.replace(f"/{HIDDEN}", "/")):
            if excess <= 0:
                return
            self.filesystem.delete_file(info.path)
            excess -= info.size or 0

    def create(self, name: str, *, again: bool = False) -> "PendingFile":
        """Begin a file that appears under its name only when it is committed.

        Args:
            name: Path below the root.
            again: Whether a killed writer may have begun it before; what it left is removed.
        """
        final = f"{self.root}/{name}"
        if not self.is_local:
            return PendingFile(store=self, final=final, written_as=final)
        folder, _, own = final.rpartition("/")
        written_as = f"{folder}/{HIDDEN}{own}{UNFINISHED}"
        make_folder(Path(folder))
        if again:
            Path(written_as).unlink(missing_ok=True)
        os.close(create_file(Path(written_as)))
        return PendingFile(store=self, final=final, written_as=written_as)

    @property
    def is_empty(self) -> bool:
        """Whether nothing of a recording is there, finished or not, nor anything in the place of its folder."""
        return not (self.files() or self.unfinished() or (self.is_local and Path(self.root).is_file()))

    def relative(self, path: str) -> str:
        """Return a file's path below the root, for people."""
        return path.removeprefix(self.root).lstrip("/") or path.rsplit("/", 1)[-1]

    def _is_hidden(self, path: str) -> bool:
        """Tell whether a file, or a folder that it lies in, has a name that readers of folders pass over."""
        return any(part.startswith((HIDDEN, ".")) for part in self.relative(path).split("/"))

    def _walk(self) -> list[Any]:
        root = self.filesystem.get_file_info(self.root)
        if root.type == fs.FileType.File:
            return [root]
        if self.is_local:
            return list(_local_files(self.root))
        selector = fs.FileSelector(self.root, recursive=True, allow_not_found=True)
        return [info for info in self.filesystem.get_file_info(selector) if info.type == fs.FileType.File]


def _local_files(root: str) -> Iterator[Any]:
    """Yield every file of a folder once, however many links lead to it or around in circles."""
    start = Path(root).resolve().as_posix()
    yield from _files_in(root, start, {start})


def _files_in(folder: str, place: str, seen: set[str]) -> Iterator[Any]:
    """Yield the files of a folder and of those within that were not seen yet.

    Args:
        folder: The folder, by the name that it was found by.
        place: Where it lies without any link.
        seen: Places of all files and folders so far.
    """
    try:
        with os.scandir(folder) as found:
            # Links last, so that what they lead to goes by its own name.
            entries = sorted(found, key=lambda entry: (entry.is_symlink(), entry.name))
    except (FileNotFoundError, NotADirectoryError):  # it is not there yet, or its owner has removed it meanwhile
        return
    folders: list[tuple[str, str]] = []
    for entry in entries:
        try:
            about = entry.stat()
        except FileNotFoundError:
            continue
        except OSError:
            if entry.is_symlink():  # to itself
                continue
            raise
        its_place = Path(entry.path).resolve().as_posix() if entry.is_symlink() else f"{place}/{entry.name}"
        if its_place in seen:
            continue
        seen.add(its_place)
        if stat.S_ISREG(about.st_mode):
            yield fs.FileInfo(entry.path, fs.FileType.File, size=about.st_size)
        elif stat.S_ISDIR(about.st_mode):
            folders.append((entry.path, its_place))
    for one, its_place in folders:
        yield from _files_in(one, its_place, seen)


def named_after(moment: datetime) -> tuple[str, str]:
    """Return the folder of a moment's day, and how names of files begin that were begun then.

    Args:
        moment: In UTC.
    """
    # strftime leaves out zeros of years before 1000.
    return f"day={moment.date().isoformat()}", f"{moment.year:04}{moment:%m%dT%H%M%S.%fZ}"


class PendingFile:
    """A file under construction.

    Locally it is renamed when whole; object storage shows an object only when its upload is complete. In a ``with`` it
    is committed at the end, and dropped after an error.
    """

    def __init__(self, *, store: RecordingStore, final: str, written_as: str) -> None:
        self._store = store
        self._written_as = written_as
        self.path = final
        self.stream: Any = store.filesystem.open_output_stream(written_as)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.abort()
            return
        try:
            self.commit()
        except BaseException:
            self.abort()
            raise

    def commit(self) -> None:
        """Finish the file and let it appear."""
        self.stream.close()
        if self._written_as != self.path:
            self._store.filesystem.move(self._written_as, self.path)

    def abort(self) -> None:
        """Drop the file; nothing of it stays."""
        with suppress(OSError):
            self.stream.close()
        with suppress(OSError):
            self._store.filesystem.delete_file(self._written_as)


def _remote(url: str, scheme: str) -> tuple[FileSystem, str]:
    if scheme in _NATIVE_SCHEMES:
        try:
            if not urlsplit(url).netloc:
                raise ValueError  # noqa: TRY301 -- without a bucket the client would ask the cloud until the time-out
            return fs.FileSystem.from_uri(url)
        except ValueError:
            raise ValidationError(
                field="recording",
                value=without_credentials(url),
                rule=f"must be a URL as {scheme}:// has them",
                remedy=f"Write for example '{scheme}://bucket/recordings'",
            ) from None
    try:
        filesystem, root = url_to_fs(url)
    except (ValueError, ImportError) as error:
        raise ValidationError(
            field="recording",
            value=without_credentials(url),
            rule=f"no file system here understands {scheme}:// ({error})",
            remedy="Use a path, gs:// or s3://, or install the fsspec package for this scheme",
        ) from error
    return fs.PyFileSystem(fs.FSSpecHandler(filesystem)), str(root)
