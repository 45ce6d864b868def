"""Redaction rules noted in each file of a recording, so that whoever records more of the same keeps to them."""

import base64
import binascii
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from ...model import ValidationError
from .reading import RecordingReader
from .redaction import RedactionRules

RULES_KEY: Final = "traffic_mirror.redaction"
"""Key in a file's metadata: the rules by which it was redacted, as a JSON list."""


def note_of(rules: Sequence[RedactionRules]) -> dict[str, str]:
    """Return what a file's metadata says of rules.

    Args:
        rules: One after the other, as they were applied.
    """
    return {RULES_KEY: json.dumps([_document(one) for one in rules], sort_keys=True)}


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
