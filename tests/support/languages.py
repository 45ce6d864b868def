"""Pulumi as programs in other languages meet it: the CLI, a host for YAML, Kubernetes' provider, and our plugin."""

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pulumi_traffic_mirror.rehearsal.engine import PROVIDER
from pulumi_traffic_mirror.rehearsal.places import cache_directory
from pulumi_traffic_mirror.rehearsal.progress import PlainProgress
from pulumi_traffic_mirror.rehearsal.toolchain import Toolchain
from pulumi_traffic_mirror.rehearsal.toolchain.assemble import ensure_go_part
from pulumi_traffic_mirror.rehearsal.toolchain.golang import ensure_go
from pulumi_traffic_mirror.rehearsal.toolchain.recipes import GoPart, GoProgram

from .plugin import FOLDER

HOST = "pulumi-language-yaml"
PLUGIN = "pulumi-resource-trafficmirror"


@dataclass(frozen=True, kw_only=True)
class TestPart(GoPart):
    """A part that only tests need, and whose sources lie with them."""

    __test__ = False

    @property
    def source(self) -> Path:
        return Path(__file__).parent / "go" / self.name


YAML = TestPart(
    name="yaml",
    version="1.25.0",
    programs=(GoProgram(name=HOST, package="github.com/pulumi/pulumi-yaml/cmd/pulumi-language-yaml"),),
    usual_seconds=180,
)


def yaml_host() -> Path:
    """Return Pulumi's host for programs in YAML; built where the cache has none."""
    cache, progress = cache_directory(), PlainProgress()
    return ensure_go_part(cache, YAML, ensure_go(cache, progress), progress) / "bin" / HOST


def typescript_program(folder: Path) -> Path:
    """Compile the program in TypeScript, with its packages from npm; return what Node.js runs."""
    shutil.copytree(Path(__file__).parent / "typescript", folder)
    install = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"]
    # Newer targets define fields without values, which would hide what the SDK sets.
    settings = [
        "--target",
        "es2020",
        "--module",
        "commonjs",
        "--moduleResolution",
        "node",
        "--strict",
        "--skipLibCheck",
    ]
    for argv in (install, ["npx", "tsc", *settings, "program.ts"]):
        subprocess.run(argv, cwd=folder, check=True, capture_output=True, timeout=200)
    return folder / "program.js"


@dataclass(frozen=True, kw_only=True)
class Polyglot:
    """A Pulumi of a test's own, with its state in a folder."""

    folder: Path
    bin: Path

    @classmethod
    def of(cls, folder: Path, toolchain: Toolchain, yaml: Path) -> "Polyglot":
        """Lay it out; `yaml` is the host for programs in YAML."""
        made = cls(folder=folder, bin=folder / "bin")
        made.bin.mkdir(parents=True)
        (folder / "state").mkdir()
        for program in ("pulumi", PROVIDER):
            (made.bin / program).symlink_to(toolchain.program(program).resolve())
        (made.bin / HOST).symlink_to(yaml)
        # What the language host for Python would do with PulumiPlugin.yaml.
        plugin = made.bin / PLUGIN
        plugin.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{FOLDER}" "$@"\n', encoding="utf-8")
        plugin.chmod(0o755)
        (folder / "passphrase").touch(mode=0o600)
        (folder / "passphrase").write_text(secrets.token_urlsafe(32), encoding="utf-8")
        return made

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables of everything that runs in it."""
        return {
            "PATH": f"{self.bin}:{os.environ.get('PATH', os.defpath)}",
            "PULUMI_BACKEND_URL": f"file://{self.folder / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE_FILE": str(self.folder / "passphrase"),
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_HOME": str(self.folder / "home"),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
        }
