"""What the engine's client and its worker say to each other: JSON, one line each, over the worker's own pipes."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum, unique
from pathlib import Path
from typing import Any

from .installation import ProgramMode


@unique
class Verb(StrEnum):
    """What to do with a stack."""

    UP = "up"
    PREVIEW = "preview"
    DESTROY = "destroy"
    REFRESH = "refresh"
    OUTPUTS = "outputs"
    EXPORT = "export"
    SECRETS = "secrets"
    """Set secret configuration values."""
    INTERRUPT = "interrupt"
    """End what runs: the first time in order, the second time at once."""


@dataclass(frozen=True, kw_only=True)
class WorkerPlan:
    """What a worker needs to know; holds no secret, because it is a file that is named on the command line."""

    project_source: str
    project_folder: str
    project_name: str
    backend: str
    logs: str
    mode: ProgramMode
    kubeconfigs: tuple[str, ...] = ()
    """Clusters that must answer before anything is deployed."""

    def write(self, path: Path) -> None:
        """Write the plan."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "WorkerPlan":
        """Return a written plan."""
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        content["mode"] = ProgramMode(content["mode"])
        content["kubeconfigs"] = tuple(content["kubeconfigs"])
        return cls(**content)


@dataclass(frozen=True, kw_only=True)
class Request:
    """One operation."""

    id: int
    verb: Verb
    stack: str = ""
    log: str = ""
    """File that receives the engine's output."""
    policy_packs: tuple[str, ...] = ()
    policy_configs: tuple[str, ...] = ()
    refresh: bool = False
    secrets: Mapping[str, str] = field(default_factory=dict[str, str])

    def line(self) -> str:
        """Return the request as it is sent."""
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def parse(cls, line: str) -> "Request":
        """Return a request that was sent."""
        content: dict[str, Any] = json.loads(line)
        content["verb"] = Verb(content["verb"])
        for key in ("policy_packs", "policy_configs"):
            content[key] = tuple(content[key])
        return cls(**content)

    def __repr__(self) -> str:
        return f"Request({self.id}, {self.verb}, {self.stack!r})"
