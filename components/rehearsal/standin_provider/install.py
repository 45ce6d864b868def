"""Puts the stand-in where the engine looks for plugins."""

import os
import shlex
import sys
from pathlib import Path

PLUGIN = "pulumi-resource-kubernetes"

_LAUNCHER = """#!/bin/sh
# Starts the {package} provider with the interpreter that wrote this file.
export TRAFFIC_MIRROR_STANDIN_VERSION={version} TRAFFIC_MIRROR_STANDIN_PARENT=$PPID
export PYTHONPATH={path}${{PYTHONPATH:+:$PYTHONPATH}}
exec {python} -u -m {package} "$@"
"""


def install(pulumi_home: Path, version: str) -> Path:
    """Write the plugin's folder and return it.

    Args:
        pulumi_home: The engine's home (``PULUMI_HOME``); it should belong to the rehearsal alone.
        version: Version that the program's SDK asks for, e.g. ``"4.34.2"``; the engine then finds the stand-in
            without a warning.
    """
    folder = pulumi_home / "plugins" / f"resource-kubernetes-v{version}"
    folder.mkdir(parents=True, exist_ok=True)
    package = __package__ or ""
    root = Path(__file__).resolve().parents[len(package.split("."))]
    launcher = folder / PLUGIN
    text = _LAUNCHER.format(
        package=package,
        version=shlex.quote(version),
        path=shlex.quote(str(root)),
        python=shlex.quote(sys.executable),
    )
    partial = folder / f".{PLUGIN}.{os.getpid()}"
    partial.write_text(text, encoding="utf-8")
    partial.chmod(0o755)
    partial.replace(launcher)
    return folder
