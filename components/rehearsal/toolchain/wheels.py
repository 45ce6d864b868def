"""Python packages from the machine's package index into a folder of their own, by pip or by uv."""

import importlib.util
import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from ..errors import StageError
from ..machine.commands import run_logged

PINNED = Path(__file__).parent / "pinned"
"""Requirement files with the hash of every wheel that is taken, for both architectures."""


@dataclass(frozen=True, kw_only=True)
class TargetPython:
    """The interpreter that will run the packages, when it is not this one."""

    version: str
    """Major and minor version, e.g. ``"3.11"``."""
    glibc: tuple[int, int] = (2, 28)
    """Newest C library that a wheel may ask for: that of Debian 10, older than any base image here."""


def install_wheels(requirements: Path, target: Path, *, log: Path, python: TargetPython | None = None) -> None:
    """Install the wheels of a requirements file into a folder.

    Args:
        requirements: The file; where it has hashes they are checked.
        target: Folder that receives the packages.
        log: File that receives the installer's output.
        python: Interpreter that will run the packages; None means this one.

    Raises:
        StageError: Neither pip nor uv is there, or the installation failed.
    """
    run_logged(
        _install_command(requirements, target, python),
        what=f"install the packages of {requirements.name} from the Python package index",
        log=log,
        remedy="Check that the package index is reachable (pip's or uv's own configuration is used)",
    )


def _install_command(requirements: Path, target: Path, python: TargetPython | None) -> list[str]:
    common = ["--only-binary=:all:", "--target", str(target), "-r", str(requirements)]
    if importlib.util.find_spec("pip") is not None:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check"]
        return [*pip, "--root-user-action=ignore", *_pip_target(python), *common]
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv is not None:
        return [uv, "pip", "install", "--quiet", "--python", sys.executable, *_uv_target(python), *common]
    raise StageError("Neither pip nor uv is there", remedy="Install one of them for this Python")


def _pip_target(python: TargetPython | None) -> list[str]:
    if python is None:
        return []
    machine = platform.machine()
    # A manylinux tag names the oldest C library that the wheel runs with, so older tags fit as well.
    tags = [f"manylinux_2_{minor}_{machine}" for minor in range(python.glibc[1], 16, -1)]
    platforms = [f"--platform={tag}" for tag in (*tags, f"manylinux2014_{machine}")]
    return ["--implementation=cp", f"--python-version={python.version}", *platforms]


def _uv_target(python: TargetPython | None) -> list[str]:
    if python is None:
        return []
    major, minor = python.glibc
    return [
        f"--python-version={python.version}",
        f"--python-platform={platform.machine()}-manylinux_{major}_{minor}",
    ]
