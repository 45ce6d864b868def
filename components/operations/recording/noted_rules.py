"""What each file of a recording notes: its redaction rules, for whoever records more of the same, and its headers."""

import base64
import binascii
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final, cast

from ...model import ValidationError
from .reading import RecordingReader
from .redaction import RedactionRules
from .schema import HEADERS_KEY

RULES_KEY: Final = "traffic_mirror.redaction"
"""Key in a file's metadata: the rules by which it was redacted, as a JSON list."""


def note_of(rules: Sequence[RedactionRules], headers: Iterable[str] | None = None) -> dict[str, str]:
    """Return what a file's metadata says.

    Args:
        rules: Redaction rules, one after the other, as they were applied.
        headers: The only headers that were recorded; ``None`` for every one.
    """
    note = {RULES_KEY: json.dumps([_document(one) for one in rules], sort_keys=True)}
    return note if headers is None else note | {HEADERS_KEY.decode(): json.dumps(sorted(headers))}


def noted_headers(reader: RecordingReader) -> frozenset[str] | None:
    """Return the only headers that all files of a recording have where requests had them; ``None`` for every one.

    Raises:
        ValidationError: A note cannot be read, so nobody knows what is missing.
    """
    found: frozenset[str] | None = None
    for _, metadata, _ in reader.metadata():
        if (note := metadata.get(HEADERS_KEY)) is not None:
            names = _names(note)
            found = names if found is None else found & names
    return found


def require_same_headers(readers: Iterable[RecordingReader]) -> None:
    """Refuse to compare recordings of which some cannot have headers that others have, as far as files were opened.

    Raises:
        ValidationError: They were recorded with other headers.
    """
    notes = sorted({note for reader in readers for note in reader.header_notes})
    if len(notes) > 1:
        said = [", ".join(sorted(_names(note))) if note else "every header" for note in notes]
        raise ValidationError(
            field="recordings",
            value=said,
            rule="must have been recorded with the same headers, or what nobody recorded would seem to be missing",
            remedy="Record all sides with the same access_log_headers, mark and session, or all without",
        )


def _names(note: bytes) -> frozenset[str]:
    try:
        names: object = json.loads(note)
    except ValueError:
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in cast("list[object]", names)):
        raise ValidationError(
            field="recording",
            value=HEADERS_KEY.decode(),
            rule="must tell the recorded headers as a list of names",
            remedy="Read it with the release that recorded it",
        )
    return frozenset(cast("list[str]", names))


def noted_rules(reader: RecordingReader) -> list[RedactionRules]:
    """Return the rules of a recording, each once; none where files say nothing, as older ones.

    Raises:
        ValidationError: They cannot be read, so nobody knows what must not be kept.
    """
    notes = {metadata.get(RULES_KEY.encode(), b"[]") for _, metadata, _ in reader.metadata()}
    found: list[RedactionRules] = []
    for note in sorted(notes):
        for rules in _read(note):
            if rules not in found:
                found.append(rules)
    return found


def notes_kept(reader: RecordingReader) -> dict[str, str]:
    """Return what the metadata of a file says that has rows of a recording.

    Raises:
        ValidationError: A note cannot be read.
    """
    return note_of(noted_rules(reader), noted_headers(reader))


def _document(rules: RedactionRules) -> dict[str, Any]:
    packed = base64.b64encode(zlib.compress(rules.descriptor_set)).decode() if rules.descriptor_set else None
    return {**asdict(rules), "descriptor_set": packed}


def _read(note: bytes) -> list[RedactionRules]:
    try:
        documents: list[Mapping[str, Any]] = json.loads(note)
        return [_rules(dict(one)) for one in documents]
    except (ValueError, TypeError, KeyError, binascii.Error, zlib.error) as error:
        raise ValidationError(
            field="recording",
            value=RULES_KEY,
            rule="must tell the redaction rules in a form that this release reads",
            remedy="Replay it with the release that recorded it, or without --result",
        ) from error


def _rules(document: dict[str, Any]) -> RedactionRules:
    packed = document.pop("descriptor_set")
    return RedactionRules(**document, descriptor_set=zlib.decompress(base64.b64decode(packed)) if packed else None)
