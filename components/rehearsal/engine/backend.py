"""The engine's file backend, read without the engine."""

import json
from pathlib import Path
from typing import Any, Final

STACK_TYPE: Final = "pulumi:pulumi:Stack"

SPECIAL: Final = "4dabf18193072939515e22adb298388d"
"""Key that only secrets, assets and references have. Source: pulumi/sdk/go/common/resource/sig, Key."""


def stale_lock(backend: Path, stack: str) -> bool:
    """Tell whether a stack is locked in the file backend; the caller owns it, so nobody else works there."""
    locks = backend / ".pulumi" / "locks"
    return any(found.is_file() and stack in found.parts for found in locks.rglob("*")) if locks.is_dir() else False


def state_file(backend: Path, project: str, stack: str) -> Path:
    """Return where the file backend keeps a stack's state."""
    return backend / ".pulumi" / "stacks" / project / f"{stack}.json"


def pending_operations(backend: Path, project: str, stack: str) -> int:
    """Return how many operations of a stack were begun and never ended."""
    return len(_latest(backend, project, stack).get("pending_operations") or [])


def recorded_outputs(backend: Path, project: str, stack: str) -> dict[str, Any]:
    """Return the outputs of a stack as the last operation left them; none of those that are or hold a secret.

    Asking the CLI instead takes two processes and half a second.
    """
    resources: list[dict[str, Any]] = _latest(backend, project, stack).get("resources") or []
    nothing: dict[str, Any] = {}
    found = next((each.get("outputs") or nothing for each in resources if each["type"] == STACK_TYPE), nothing)
    return {name: value for name, value in found.items() if SPECIAL not in json.dumps(value)}


def _latest(backend: Path, project: str, stack: str) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(state_file(backend, project, stack).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content.get("checkpoint", {}).get("latest") or {}
