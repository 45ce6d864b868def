"""How a recording lies in buckets: all sides of a request in one folder, so that work divides without moving data.

A folder is ``day=2026-01-31/bucket=007``, parts of paths that pandas, pyarrow, Spark and DuckDB read as columns. Which
files belong there is told beside the folders, so that what is missing is noticed.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ...model import ValidationError
from ...model.credentials import without_credentials
from .schema import SCHEMA_VERSION
from .storage import RecordingStore

MAX_BUCKETS: Final = 512
"""Files that are open at once while a recording is cut."""

LAYOUT_FILE: Final = "_layout.json"
"""Tells the buckets; readers of folders of Parquet files pass it over for its first sign."""

_VERSION: Final = 1

_BUCKET: Final = re.compile(r"(?:^|/)bucket=(\d{1,9})/")


def bucket_folder(bucket: int) -> str:
    """Return the name of a bucket's folder."""
    return f"bucket={bucket:03d}"


def bucket_of(name: str) -> int | None:
    """Return the bucket in which a file lies by its path; ``None`` outside of all."""
    found = _BUCKET.search(name)
    return int(found[1]) if found else None


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A recording in buckets.

    Raises:
        ValidationError: The number of buckets is no power of two from 1 to 512.
    """

    buckets: int
    """How many there are. Powers of two, so that buckets of one number are made up of whole buckets of every larger."""
    files: Sequence[str]
    """Every file, by its path below the recording's folder."""

    def __post_init__(self) -> None:
        if not (1 <= self.buckets <= MAX_BUCKETS and self.buckets & (self.buckets - 1) == 0):
            raise ValidationError(
                field="buckets",
                value=self.buckets,
                rule=f"must be a power of two from 1 to {MAX_BUCKETS}",
                remedy="Choose for example 64",
            )

    def missing(self, present: Iterable[str]) -> list[str]:
        """Return the files that are not there.

        Args:
            present: Those that are.
        """
        return sorted(set(self.files).difference(present))


def begin_layout(store: RecordingStore) -> None:
    """Say that a recording is being brought into buckets; until :func:`write_layout` nobody reads it."""
    _write(store, {"version": _VERSION, "files": None})


def write_layout(store: RecordingStore, layout: Layout) -> None:
    """Say that all files of a recording are there."""
    described = {"schema_version": SCHEMA_VERSION, "buckets": layout.buckets, "files": list(layout.files)}
    _write(store, {"version": _VERSION, **described})


def read_layout(store: RecordingStore) -> Layout | None:
    """Return a recording's layout; ``None`` where it lies in no buckets.

    Raises:
        ValidationError: It was not finished, is of another release, or there are files that it does not name.
    """
    try:
        with store.filesystem.open_input_stream(f"{store.root}/{LAYOUT_FILE}") as stream:
            data: bytes = stream.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        document: Mapping[str, Any] = json.loads(data)
        if document["version"] == _VERSION and document["files"] is None:
            raise _wrong(store, "was not brought into buckets to its end", "Remove it, and compact once more")
        layout = Layout(buckets=int(document["buckets"]), files=[str(each) for each in document["files"]])
        is_known = document["version"] == _VERSION
    except (ValueError, TypeError, LookupError) as error:
        if isinstance(error, ValidationError):
            raise
        is_known, layout = False, Layout(buckets=1, files=())
    if not is_known:
        raise _wrong(store, f"has a {LAYOUT_FILE} that this release does not read", "Compact its source once more")
    present = [store.relative(file.path) for file in store.files()]
    if stray := sorted(set(present).difference(layout.files)):
        raise _wrong(
            store,
            f"lies in {layout.buckets} buckets, and {stray[0]} is none of their files",
            "Keep other files of a recording elsewhere, and compact them together",
        )
    return layout


def _write(store: RecordingStore, document: Mapping[str, object]) -> None:
    with store.create(LAYOUT_FILE) as file:
        file.stream.write(json.dumps(document).encode())


def _wrong(store: RecordingStore, rule: str, remedy: str) -> ValidationError:
    return ValidationError(field="recording", value=without_credentials(store.url), rule=rule, remedy=remedy)
