"""The certificates of a stack's gateway, from its secret ``mirrorTls``."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final, cast

import pulumi

from ..mesh import TlsCredential
from ..model import MirrorTls, TlsMode, ValidationError
from ..refusal import late

CALLER: Final = ("ca",)
"""What a gateway needs that calls another one and need not say who it is."""
SERVER: Final = ("certificate", "key")
BOTH: Final = ("certificate", "key", "ca")
"""What both sides of mutual TLS need."""


def tls_credential(
    secret: pulumi.Output[str], *, name: str, tls: MirrorTls | None, calls: bool, key: str, file: str
) -> TlsCredential:
    """Read the certificates.

    Args:
        secret: An object with the texts in PEM, as JSON.
        name: Name of the Secret that they become.
        tls: How mirrors are encrypted; None for plain text.
        calls: Whether this side sends the mirrors.
        key: Key of the secret in the configuration, for errors.
        file: File of the configuration, for errors.

    Raises:
        ValidationError: Nothing uses them; or the object is not whole, as soon as that is known. No error shows it.
    """
    field = f"{key} in {file}"
    if tls is None:
        raise ValidationError(
            field=field, value="(secret)", rule="belongs to a contract with TLS", remedy="Remove it, or use MUTUAL"
        )
    needed = BOTH if tls.mode is TlsMode.MUTUAL else CALLER if calls else SERVER
    texts = secret.apply(late(lambda text: _texts(text, needed, field)))

    def text(part: str) -> pulumi.Output[str] | None:
        return texts.apply(lambda found: found[part]) if part in needed else None

    return TlsCredential(name=name, certificate=text("certificate"), key=text("key"), ca=text("ca"))


def _texts(secret: str, needed: Sequence[str], field: str) -> Mapping[str, str]:
    with suppress(ValueError):
        found: object = json.loads(secret)
        texts: Mapping[str, object] = cast("Mapping[str, object]", found) if isinstance(found, dict) else {}
        if all(isinstance(texts.get(part), str) and texts[part] for part in needed):
            return {part: str(texts[part]) for part in needed}
    raise ValidationError(
        field=field,
        value="(secret)",
        rule=f"must be an object with {', '.join(needed)}, each a text in PEM",
        remedy="Set each one, for example: pulumi config set --secret --path mirrorTls.ca < ca.pem",
    )
