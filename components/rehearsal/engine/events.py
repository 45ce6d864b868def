"""From the engine's events to ours, and to what a failed operation says."""

import re
from dataclasses import dataclass, field
from typing import Any, Final

from .errors import ResourceFailure, plain_message
from .results import DeploymentEvent, EventKind

_COLOR: Final = re.compile(r"<\{%[^%]*%\}>")
"""The engine's own colour marks, e.g. ``<{%reset%}>``."""

_SAME: Final = frozenset({"same", "refresh", "read", "discard"})
"""Steps that leave a resource as it is."""


@dataclass
class EventCollector:
    """Follows one operation."""

    stack: str
    failures: list[ResourceFailure] = field(default_factory=list[ResourceFailure])
    changes: dict[str, int] = field(default_factory=dict[str, int])
    changed: set[str] = field(default_factory=set[str])

    def take(self, event: Any) -> DeploymentEvent | None:  # noqa: ANN401 - the Automation API's events are untyped
        """Record an event of the engine and return ours, or ``None`` when it means nothing to a user."""
        for name in ("resource_pre_event", "res_outputs_event", "res_op_failed_event"):
            found = getattr(event, name, None)
            if found:
                return self._step(name, found.metadata)
        if event.diagnostic_event:
            return self._diagnostic(event.diagnostic_event)
        if event.policy_event:
            return self._policy(event.policy_event)
        if event.summary_event:
            self.changes = {_text(key): int(count) for key, count in event.summary_event.resource_changes.items()}
        return None

    def _step(self, name: str, metadata: Any) -> DeploymentEvent | None:  # noqa: ANN401 - as above
        operation, resource_type, resource = _text(metadata.op), str(metadata.type), _name(str(metadata.urn))
        kinds = {"resource_pre_event": EventKind.STARTED, "res_outputs_event": EventKind.DONE}
        kind = kinds.get(name, EventKind.FAILED)
        if operation not in _SAME and kind is not EventKind.STARTED:
            self.changed.add(f"{operation} {resource_type} {resource}")
        return DeploymentEvent(stack=self.stack, kind=kind, operation=operation, type=resource_type, name=resource)

    def _diagnostic(self, found: Any) -> DeploymentEvent | None:  # noqa: ANN401 - as above
        text = _COLOR.sub("", str(found.message)).strip()
        severity, urn = str(found.severity), str(found.urn or "")
        if not text or severity == "debug":
            return None
        if severity == "error":
            text = plain_message(text)
            self.failures.append(ResourceFailure(resource=_title(urn), message=text))
        kinds = {"error": EventKind.ERROR, "warning": EventKind.WARNING}
        if severity not in kinds and not found.ephemeral:
            return None
        kind = kinds.get(severity, EventKind.WAITING)
        return DeploymentEvent(stack=self.stack, kind=kind, type=_type(urn), name=_name(urn), message=text)

    def _policy(self, found: Any) -> DeploymentEvent:  # noqa: ANN401 - as above
        urn = str(found.resource_urn or "")
        text = f"{found.policy_name}: {_COLOR.sub('', str(found.message)).strip()}"
        if found.enforcement_level == "mandatory":
            self.failures.insert(0, ResourceFailure(resource=_title(urn), message=f"policy {text}"))
        return DeploymentEvent(stack=self.stack, kind=EventKind.POLICY, type=_type(urn), name=_name(urn), message=text)


def _text(value: Any) -> str:  # noqa: ANN401 - an enum of strings, or a string
    return str(getattr(value, "value", value))


def _name(urn: str) -> str:
    return urn.rpartition("::")[2]


def _type(urn: str) -> str:
    parts = urn.split("::")
    return parts[2].rpartition("$")[2] if len(parts) > 2 else ""  # noqa: PLR2004 - urn:pulumi:stack::project::type::name


def _title(urn: str) -> str:
    resource_type = _type(urn)
    return "" if resource_type in {"", "pulumi:pulumi:Stack"} else f"{resource_type} {_name(urn)}"
