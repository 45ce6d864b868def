"""Which resources the stand-in manages, and the words for those that it refuses."""

from typing import Final

from .errors import RefusedError
from .paths import text_at
from .readiness import SKIP_AWAIT, WAIT_FOR
from .values import Properties

RELEASE_TYPE: Final = "kubernetes:helm.sh/v3:Release"

_COMPONENT_GROUPS: Final = ("helm.sh/", "yaml", "kustomize")
_UNKNOWN_READINESS: Final = frozenset(
    {
        "DaemonSet",
        "Ingress",
        "PersistentVolume",
        "PersistentVolumeClaim",
        "Pod",
        "ReplicationController",
        "ResourceQuota",
        "StatefulSet",
    }
)
"""Kinds for which the real provider waits by rules that the stand-in does not have."""

_USE_REAL: Final = "Use the real provider, or another kind"


def api_type(token: str) -> tuple[str, str]:
    """Return ``(apiVersion, kind)`` of a type token, e.g. of ``kubernetes:apps/v1:Deployment``.

    Raises:
        RefusedError: The token is no Kubernetes kind.
    """
    parts = token.split(":")
    if len(parts) != 3 or parts[0] != "kubernetes":  # noqa: PLR2004 - package:module:name
        raise RefusedError(f"The type {token}", _USE_REAL)
    module = parts[1]
    return module.removeprefix("core/"), parts[2]


def refuse_unsupported(token: str, obj: Properties) -> None:
    """Raise when the stand-in would do less for ``obj`` than the real provider does.

    Raises:
        RefusedError: The type or the kind is not supported; the message names it.
    """
    module, kind = api_type(token)
    if module.startswith(_COMPONENT_GROUPS):
        raise RefusedError(f"The type {token}", "Use helm.v3.Release for a chart, or single objects")
    if kind.endswith("Patch"):
        raise RefusedError(f"The type {token}", "Own the whole object, or use the real provider")
    if kind.endswith("List"):
        raise RefusedError(f"The type {token}", "Use the kind of its items")
    waits = not text_at(obj, "metadata", "annotations", WAIT_FOR)
    if kind in _UNKNOWN_READINESS and waits and text_at(obj, "metadata", "annotations", SKIP_AWAIT) != "true":
        raise RefusedError(
            f"Waiting for a {kind} ({token})",
            f'Set the annotation {WAIT_FOR}, or {SKIP_AWAIT}: "true", or use the real provider',
        )
    if text_at(obj, "metadata", "generateName"):
        raise RefusedError("metadata.generateName", "Set metadata.name, or neither for a generated name")
