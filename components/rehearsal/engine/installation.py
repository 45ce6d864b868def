"""Which Pulumi is used: the machine's own where it is complete, else the CLI and the provider that were built here."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, unique
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Final

from ..errors import StageError
from ..toolchain.recipes import PROVIDER_SOURCE

LANGUAGE_HOST: Final = "pulumi-language-python"
PROVIDER: Final = "pulumi-resource-kubernetes"
_PLUGIN_FOLDER: Final = re.compile(r"resource-kubernetes-v(\d+)\.(\d+)\.(\d+)")


@unique
class ProgramMode(StrEnum):
    """Who runs the program."""

    LANGUAGE_HOST = "language host"
    """Pulumi starts an interpreter for it, as for any user."""
    INLINE = "inline"
    """Our own process runs it and talks to the engine (Automation API)."""


@dataclass(frozen=True, kw_only=True)
class Installation:
    """A Pulumi that can deploy our stacks."""

    cli: Path
    """The program ``pulumi``."""
    cli_version: str
    mode: ProgramMode
    provider: Path
    """Folder of the Kubernetes provider."""
    provider_version: str
    """Version of the provider that the program's SDK gets."""
    reason: str = ""
    """Why the machine's own installation is not used; empty when it is."""

    @property
    def built(self) -> bool:
        """Whether CLI and provider were built here, in place of the machine's own."""
        return self.mode is ProgramMode.INLINE

    def describe(self) -> tuple[str, ...]:
        """Return the lines that tell a user what is used, with versions."""
        engine = f"Pulumi CLI {self.cli_version} ({self.cli}), program by {self.mode.value}"
        provider = f"Kubernetes provider: {PROVIDER} {self.provider_version} ({self.provider})"
        if self.built:
            provider = f"Kubernetes provider: {PROVIDER} {PROVIDER_SOURCE}, as {self.provider_version}"
        return (engine, provider, *((f"Not the machine's own: {self.reason}",) if self.reason else ()))


def sdk_version() -> str:
    """Return the version of the Kubernetes provider that the program's SDK asks for."""
    return package_version("pulumi-kubernetes")


def discover(
    built_cli: Path | None, built_provider: Path | None, environment: Mapping[str, str] | None = None
) -> Installation:
    """Return the installation to use.

    The machine's own is used when it is complete: ``pulumi`` with the Python language host on the search path, and
    a Kubernetes provider, installed or on the search path, that is not older than the SDK.

    Args:
        built_cli: The CLI that was built from its Go module; ``None``: there is none.
        built_provider: The Kubernetes provider that was built from its Go module; ``None``: there is none.
        environment: Search path and ``PULUMI_HOME`` to look in; ``None``: this process's.

    Raises:
        StageError: Neither is there.
    """
    found = os.environ if environment is None else environment
    path = found.get("PATH", os.defpath)
    cli = shutil.which("pulumi", path=path)
    host = shutil.which(LANGUAGE_HOST, path=path)
    if cli and not host and (Path(cli).parent / LANGUAGE_HOST).is_file():
        host = str(Path(cli).parent / LANGUAGE_HOST)
    provider = _real_provider(path, Path(found.get("PULUMI_HOME") or Path.home() / ".pulumi"))
    if cli and host and provider:
        return Installation(
            cli=Path(cli),
            cli_version=cli_version(Path(cli)),
            mode=ProgramMode.LANGUAGE_HOST,
            provider=provider[0],
            provider_version=provider[1],
        )
    if not built_cli or not built_cli.is_file() or not built_provider or not built_provider.is_file():
        raise StageError(
            f"There is no usable Pulumi: {_missing(cli, host, provider)}",
            remedy="Install Pulumi with its Kubernetes provider, or let the rehearsal build its tool chain",
        )
    return Installation(
        cli=built_cli,
        cli_version=cli_version(built_cli),
        mode=ProgramMode.INLINE,
        provider=built_provider.resolve().parent,
        provider_version=sdk_version(),
        reason=_missing(cli, host, provider),
    )


def cli_version(cli: Path) -> str:
    """Return the version of a CLI, without its leading ``v``.

    Raises:
        StageError: The program does not run.
    """
    environment = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}
    try:
        done = subprocess.run([cli, "version"], capture_output=True, text=True, check=True, timeout=30, env=environment)
    except (OSError, subprocess.SubprocessError) as error:
        raise StageError(f"{cli} does not run: {error}", remedy="Install Pulumi again") from error
    return done.stdout.strip().removeprefix("v")


def _real_provider(path: str, home: Path) -> tuple[Path, str] | None:
    """Return folder and version of the newest provider that the SDK accepts."""
    wanted = _numbers(sdk_version())
    plugins = home / "plugins"
    folders = plugins.iterdir() if plugins.is_dir() else ()
    usable: list[tuple[tuple[int, ...], Path]] = []
    for folder in folders:
        match = _PLUGIN_FOLDER.fullmatch(folder.name)
        numbers = tuple(int(part) for part in match.groups()) if match else ()
        if numbers >= wanted and numbers[:1] == wanted[:1] and (folder / PROVIDER).is_file():
            usable.append((numbers, folder))
    if usable:
        numbers, folder = max(usable)
        return folder, ".".join(str(number) for number in numbers)
    ambient = shutil.which(PROVIDER, path=path)
    return (Path(ambient).parent, sdk_version()) if ambient else None


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def _missing(cli: str | None, host: str | None, provider: tuple[Path, str] | None) -> str:
    if not cli:
        return "pulumi is not on the search path"
    absent = [name for name, there in ((LANGUAGE_HOST, host), (f"a {PROVIDER} for the SDK", provider)) if not there]
    return f"{cli} lacks {' and '.join(absent)}"
