"""What one run of a program registered, in a form that tests compare."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tests.support import wire
from tests.support.wire import UNKNOWN

STACK_TYPE: Final = "pulumi:pulumi:Stack"


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """One resource as the engine would be told about it."""

    urn: str
    type: str
    name: str
    custom: bool
    inputs: Mapping[str, Any]
    """CamelCase; integers are ``int``, secrets are ``Secret(value)``, unknown values are ``UNKNOWN``."""
    parent: str
    """URN of the parent; the stack's own URN for a top-level resource."""
    provider: str | None = None
    """URN of the explicit provider, of a custom resource."""
    providers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Package to URN of the provider, of a component."""
    depends_on: tuple[str, ...] = ()
    """URNs, sorted: the option of that name and the resources that inputs come from."""
    property_dependencies: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """Top-level input to the URNs it comes from."""
    protect: bool = False
    aliases: tuple[str, ...] = ()
    """Alias URNs, or the changed parts as ``name=…``; inherited ones are added by the engine."""
    delete_before_replace: bool | None = None
    retain_on_delete: bool = False
    deleted_with: str | None = None
    ignore_changes: tuple[str, ...] = ()
    replace_on_changes: tuple[str, ...] = ()
    additional_secret_outputs: tuple[str, ...] = ()
    custom_timeouts: Mapping[str, str] = field(default_factory=dict[str, str])
    import_id: str | None = None
    version: str = ""
    transforms: tuple[Callable[..., Any], ...] = ()
    """The transforms of this resource's options; recorded, never run."""
    read: bool = False
    """Looked up (``.get``, StackReference), not created."""
    outputs: Mapping[str, Any] | None = None
    """What ``register_outputs`` was given, of a component."""

    def input(self, path: str) -> Any:
        """Return one input by its dotted path, e.g. ``"spec.ports.0.port"``; ``None`` where there is none."""
        value: Any = self.inputs
        for part in path.split("."):
            if isinstance(value, list):
                value = value[int(part)] if int(part) < len(value) else None
            else:
                value = value.get(part) if isinstance(value, Mapping) else None
        return value


@dataclass(frozen=True)
class Call:
    """One provider function that the program called."""

    token: str
    args: Mapping[str, Any]
    provider: str | None


@dataclass(frozen=True)
class LogLine:
    """One line that the program logged through Pulumi."""

    severity: str
    message: str
    urn: str


@dataclass
class Recording:
    """All that one run registered, called, exported and logged."""

    stack: str
    project: str
    preview: bool
    exports: Mapping[str, Any] = field(default_factory=dict[str, Any])
    calls: list[Call] = field(default_factory=list[Call])
    logs: list[LogLine] = field(default_factory=list[LogLine])
    faults: list[str] = field(default_factory=list[str])
    """What the engine would refuse, found while the program ran."""
    by_urn: dict[str, Recorded] = field(default_factory=dict[str, Recorded])

    @property
    def stack_urn(self) -> str:
        return f"urn:pulumi:{self.stack}::{self.project}::{STACK_TYPE}::{self.project}-{self.stack}"

    @property
    def resources(self) -> tuple[Recorded, ...]:
        """All resources but the stack, sorted by URN: the order of registration varies between runs."""
        return tuple(self.by_urn[urn] for urn in sorted(self.by_urn))

    @property
    def shape(self) -> set[tuple[str, str]]:
        """The set of (type, name), for comparing what exists at all."""
        return {(resource.type, resource.name) for resource in self.resources}

    def of_type(self, token: str) -> tuple[Recorded, ...]:
        return tuple(resource for resource in self.resources if resource.type == token)

    def one(self, token: str, name: str | None = None) -> Recorded:
        """Return the only resource of a type (and name); anything else fails the test."""
        found = [r for r in self.of_type(token) if name is None or r.name == name]
        assert len(found) == 1, f"{len(found)} resources {token} {name or ''}; there are {sorted(self.shape)}"
        return found[0]

    def children_of(self, parent: Recorded) -> tuple[Recorded, ...]:
        return tuple(resource for resource in self.resources if resource.parent == parent.urn)

    def names(self, urns: Iterable[str]) -> set[str]:
        """Return the logical names behind URNs."""
        return {urn.rsplit("::", 1)[1] for urn in urns}

    def snapshot(self) -> list[dict[str, Any]]:
        """Return every resource as plain data without secrets and without what is at its default."""
        return [_as_plain(resource) for resource in self.resources]


def _as_plain(resource: Recorded) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for key, value in vars(resource).items():
        if key in ("version", "type", "name") or value in (None, False, "", (), {}):
            continue
        if key == "transforms":
            plain[key] = len(value)
        else:
            plain[key] = repr(UNKNOWN) if value is UNKNOWN else _printable(wire.redact(value))
    return plain


def _printable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _printable(item) for key, item in sorted(value.items())}
    if isinstance(value, list):
        return [_printable(item) for item in value]
    return repr(value) if value is UNKNOWN else value
