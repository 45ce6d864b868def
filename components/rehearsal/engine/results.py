"""What a deployment reports while it runs, and at its end."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, unique
from pathlib import Path

from ...model import JsonValue


@unique
class EventKind(StrEnum):
    """What happened."""

    STARTED = "started"
    """Work on a resource began."""
    DONE = "done"
    """Work on a resource ended well."""
    FAILED = "failed"
    """Work on a resource failed."""
    WAITING = "waiting"
    """A resource is being waited for; the message says for what."""
    WARNING = "warning"
    ERROR = "error"
    POLICY = "policy"
    """A policy was violated; the message says which and how."""


@dataclass(frozen=True, kw_only=True)
class DeploymentEvent:
    """One event of a running deployment."""

    stack: str
    kind: EventKind
    operation: str = ""
    """``create``, ``update``, ``delete``, ``same``, ``replace``, ... in the engine's words."""
    type: str = ""
    """Type token of the resource; empty for the stack as a whole."""
    name: str = ""
    """Name of the resource in the program."""
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class Output:
    """One output of a stack."""

    value: JsonValue
    secret: bool = False

    def __repr__(self) -> str:
        return "Output([secret])" if self.secret else f"Output({self.value!r})"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The result of an operation that succeeded."""

    stack: str
    changes: Mapping[str, int]
    """Number of resources by operation, e.g. ``{"create": 3, "same": 2}``."""
    changed: tuple[str, ...]
    """``operation type name`` of each resource with a change, sorted."""
    outputs: Mapping[str, Output]
    """Outputs of the stack that are no secret; empty but after an ``up``."""
    seconds: float
    log: Path
    """Everything that the engine wrote."""

    @property
    def unchanged(self) -> bool:
        """Whether nothing was, or would be, changed."""
        return not self.changed
