"""The project as the engine sees it: a copy of its files, so that a rehearsal changes nothing in the checkout."""

import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import yaml

from ...model import JsonValue, ValidationError
from ..machine.files import write_text
from .installation import ProgramMode

PROJECT_FILE: Final = "Pulumi.yaml"
_KEPT_KEYS: Final = ("encryptionsalt", "secretsprovider", "encryptedkey")
"""What the engine itself writes into a stack's file; without it, its secrets could not be read again."""


@dataclass(frozen=True, kw_only=True)
class Project:
    """A Pulumi project, and the folder where the engine finds its files."""

    source: Path
    """Folder of ``Pulumi.yaml`` and ``__main__.py``."""
    folder: Path
    """Folder of the copies."""

    @property
    def name(self) -> str:
        """The project's name."""
        return str(_read(self.source / PROJECT_FILE).get("name", ""))

    def require(self) -> None:
        """Raise a ValidationError when the folder holds no Pulumi program."""
        for file in (PROJECT_FILE, "__main__.py"):
            if not (self.source / file).is_file():
                raise ValidationError(
                    field="project",
                    value=str(self.source),
                    rule=f"must be a folder with {file}",
                    remedy="Name the folder of a Pulumi program in Python",
                )

    def prepare(self, mode: ProgramMode) -> None:
        """Write the project file."""
        project = _read(self.source / PROJECT_FILE)
        runtime: dict[str, Any] = {"name": "python"}
        if mode is ProgramMode.LANGUAGE_HOST:
            project["main"] = str(self.source)
            if sys.prefix != sys.base_prefix:
                # The program runs with our own interpreter, wherever the project says that it lives.
                runtime["options"] = {"virtualenv": sys.prefix}
        project["runtime"] = runtime
        _write(self.folder / PROJECT_FILE, project)

    def configure(self, stack: str, values: Mapping[str, JsonValue] | None, kept: Collection[str] = ()) -> None:
        """Write a stack's configuration: that of the project, with ``values`` in place of its own.

        Args:
            stack: Name of the stack.
            values: Values by key; a key without a namespace is the project's. ``None``: the project's file alone.
            kept: Keys whose values stay as they are: secrets that the engine has encrypted.
        """
        own = _read(self.source / _stack_file(stack), optional=True)
        written = _read(self.folder / _stack_file(stack), optional=True)
        config = dict(cast("Mapping[str, Any]", own.get("config") or {}))
        config |= {self._full(key): item for key, item in (values or {}).items()}
        config |= {self._full(key): written["config"][self._full(key)] for key in kept}
        encryption = {key: written[key] for key in _KEPT_KEYS if key in written}
        _write(self.folder / _stack_file(stack), {**encryption, "config": config})

    def _full(self, key: str) -> str:
        return key if ":" in key else f"{self.name}:{key}"

    def configured(self, stack: str) -> bool:
        """Tell whether the stack's configuration has been written."""
        return (self.folder / _stack_file(stack)).exists()


def _stack_file(stack: str) -> str:
    return f"Pulumi.{stack}.yaml"


def _read(path: Path, *, optional: bool = False) -> dict[str, Any]:
    if optional and not path.exists():
        return {}
    found: object = yaml.safe_load(path.read_text(encoding="utf-8"))
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _write(path: Path, content: Mapping[str, Any]) -> None:
    write_text(path, yaml.safe_dump(dict(content), sort_keys=False))
