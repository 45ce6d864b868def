"""Telling whose a file is by how it begins."""

import gzip
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, cast

from ....model import ValidationError
from . import binarylog, har, mitmproxy, tap
from .gor import LINE
from .table import Format

_HEAD_BYTES: Final = 64 * 1024
_GZIP: Final = b"\x1f\x8b"

_FOREIGN: Final = {
    b"PAR1": ("is a recording of this kind already", "Name its folder wherever a recording is asked for"),
    **dict.fromkeys(
        (b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\xc3\xd4", b"\x4d\x3c\xb2\xa1", b"\xa1\xb2\x3c\x4d", b"\x0a\x0d\x0d\x0a"),
        ("is a capture of packets", "Take the HTTP out of it with tshark; the guide on importing has the command"),
    ),
}
"""How files begin that people may well try, and what to tell them."""


class Opened(NamedTuple):
    """A file that is read."""

    path: Path
    content: BinaryIO
    """Unpacked."""
    raw: BinaryIO
    """As it lies there; its position says how much is done."""
    written_at: datetime
    """When it was last written."""


def recognised(path: Path) -> Format | None:
    """Return whose a file is; None where its beginning does not tell.

    Args:
        path: The file.

    Raises:
        ValidationError: It is of a kind that cannot be imported, is empty, or cannot be read.
    """
    with opened(path) as file:
        head = file.content.read(_HEAD_BYTES)
    if not head:
        raise _wrong(path, "is empty", "Wait until something has been written to it")
    for magic, (rule, remedy) in _FOREIGN.items():
        if head.startswith(magic):
            raise _wrong(path, rule, remedy)
    return _format_of(head)


@contextmanager
def opened(path: Path) -> Generator[Opened]:
    """Open a file for reading, unpacked where it is packed by gzip.

    Raises:
        ValidationError: It is no file, or what it is packed in is broken.
    """
    if not path.is_file():
        raise _wrong(path, "must be a file that exists", "Check the path")
    written_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    try:
        with path.open("rb") as raw:
            packed = raw.read(len(_GZIP)) == _GZIP
            raw.seek(0)
            if packed:
                with gzip.open(raw) as unpacked:
                    yield Opened(path, cast("BinaryIO", unpacked), raw, written_at)
            else:
                yield Opened(path, raw, raw, written_at)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise _wrong(path, f"must be whole ({error})", "Copy it again") from None


def _format_of(head: bytes) -> Format | None:
    if LINE.match(head):
        return Format.GOR
    if tap.form_of(head):
        return Format.TAP
    if mitmproxy.BEGINNING.match(head):
        return Format.MITMPROXY
    if har.BEGINNING.match(head):
        return Format.HAR
    if binarylog.is_log(head):
        return Format.BINARY_LOG
    return None


def _wrong(path: Path, rule: str, remedy: str) -> ValidationError:
    return ValidationError(field="FILE", value=str(path), rule=rule, remedy=remedy)
