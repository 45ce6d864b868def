"""What the service needs of those who manage a kind of resource."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from .differences import Change
from .values import Properties


@dataclass(frozen=True, kw_only=True, slots=True)
class Naming:
    """What the engine says about names that the program leaves open."""

    seed: bytes = b""
    """Decides the random part; the same seed gives the same name."""
    proposed: str = ""
    """Name to use, or empty: the provider makes one."""
    disabled: bool = False
    """The user wants every name written out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """One request of the engine for one resource."""

    urn: str
    token: str
    timeout_seconds: float = 0.0
    """The resource's custom timeout; 0: none was set."""
    preview: bool = False
    """Change nothing; answer what would be."""
    progress: Callable[[str], None] = lambda _: None
    """Shows what is being waited for."""

    @property
    def name(self) -> str:
        """The resource's name in the program."""
        return self.urn.rpartition("::")[2]


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """The answer to a check."""

    inputs: Properties
    failures: tuple[tuple[str, str], ...] = ()
    """``(property, reason)`` of each input that cannot be used."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """The answer to a diff."""

    changes: tuple[Change, ...]
    delete_first: bool = False
    """The old object must go before the new one can be made: both have the same name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """The answer to a create, an update or a read; an empty state means that the resource is gone."""

    resource_id: str = ""
    state: Properties = field(default_factory=dict[str, object])
    inputs: Properties = field(default_factory=dict[str, object])
    """Set by a read only."""


class ResourceManager(Protocol):
    """The operations on one kind of resource; each raises ``ProviderError`` with a clear text."""

    def check(self, task: Task, olds: Properties, news: Properties, naming: Naming) -> Checked:
        """Complete and verify inputs."""
        ...

    def difference(self, task: Task, state: Properties, inputs: Properties, ignored: Sequence[str]) -> Difference:
        """Compare recorded state and new inputs."""
        ...

    def create(self, task: Task, inputs: Properties) -> Made:
        """Make the resource, or say what it would be."""
        ...

    def update(self, task: Task, state: Properties, inputs: Properties, ignored: Sequence[str]) -> Made:
        """Change the resource, or say what it would be."""
        ...

    def read(self, task: Task, resource_id: str, state: Properties, inputs: Properties) -> Made:
        """Read the live resource."""
        ...

    def delete(self, task: Task, resource_id: str, state: Properties) -> None:
        """Delete the resource and wait until it is gone."""
        ...
