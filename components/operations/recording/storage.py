"""Where recordings lie: a local directory, a mounted volume, or object storage, all by URL or path."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

from ...model import ValidationError
from .arrow import FileSystem, fs, url_to_fs

SUFFIX: Final = ".parquet"
UNFINISHED: Final = ".unfinished"
"""Ends the name of a file that is still being written, so that no engine takes it for Parquet."""

_NATIVE_SCHEMES = frozenset({"file", "s3", "gs", "gcs", "abfs", "abfss"})
"""What Arrow itself speaks; anything else is left to fsspec."""


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
            ValidationError: The URL is empty, has no bucket, or nothing on this machine understands its scheme.
        """
        if not url.strip():
            raise ValidationError(
                field="recording", value=url, rule="must not be empty", remedy="Give a directory or a bucket's URL"
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
            StoredFile(path=info.path, size=info.size or 0) for info in self._walk() if info.base_name.endswith(SUFFIX)
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
        # Names begin with their day and time, so they sort by age.
        found = [info for info in self._walk() if info.base_name.endswith((SUFFIX, UNFINISHED))]
        excess = sum(info.size or 0 for info in found) - limit
        for info in sorted(found, key=lambda info: info.path):
            if excess <= 0:
                return
            self.filesystem.delete_file(info.path)
            excess -= info.size or 0

    def create(self, name: str) -> "PendingFile":
        """Begin a file that appears under its name only when it is committed.

        Args:
            name: Path below the root.
        """
        final = f"{self.root}/{name}"
        if not self.is_local:
            return PendingFile(store=self, final=final, written_as=final)
        Path(final).parent.mkdir(parents=True, exist_ok=True)
        return PendingFile(store=self, final=final, written_as=final + UNFINISHED)

    def relative(self, path: str) -> str:
        """Return a file's path below the root, for people."""
        return path.removeprefix(self.root).lstrip("/") or path.rsplit("/", 1)[-1]

    def _walk(self) -> list[Any]:
        root = self.filesystem.get_file_info(self.root)
        if root.type == fs.FileType.File:
            return [root]
        selector = fs.FileSelector(self.root, recursive=True, allow_not_found=True)
        return [info for info in self.filesystem.get_file_info(selector) if info.type == fs.FileType.File]


class PendingFile:
    """A file under construction.

    Locally it is renamed when whole; object storage shows an object only when its upload is complete.
    """

    def __init__(self, *, store: RecordingStore, final: str, written_as: str) -> None:
        self._store = store
        self._written_as = written_as
        self.path = final
        self.stream: Any = store.filesystem.open_output_stream(written_as)

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


def without_credentials(url: str) -> str:
    """Return a path as it is, and a URL as it may be shown: without user and query, except a container's name."""
    if "://" not in url:
        return url
    address, mark, _ = url.partition("?")
    scheme, separator, rest = address.partition("://")
    user, at, _ = rest.partition("/")[0].rpartition("@")
    if at and (":" in user or not scheme.startswith("abfs")):
        address = f"{scheme}{separator}(credentials)@{rest[len(user) + len(at) :]}"
    return f"{address}?(options)" if mark else address


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
