"""The real plugins of Pulumi, where somebody built them for tests, installed as a user would have them."""

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

PLUGINS_VARIABLE = "TRAFFIC_MIRROR_TEST_PLUGINS"
"""Folder with `pulumi-resource-kubernetes-*.tar.xz` and `pulumi-language-python-*.tar.xz`."""


def plugins_folder() -> Path:
    """Where the archives are looked for: the variable, else `shared/plugins` beside the checkout."""
    chosen = os.environ.get(PLUGINS_VARIABLE)
    return Path(chosen) if chosen else Path(__file__).resolve().parents[3] / "shared" / "plugins"


def available() -> bool:
    """Whether the real plugins are there."""
    folder = plugins_folder()
    return folder.is_dir() and any(folder.glob("pulumi-resource-kubernetes-*.tar.xz"))


def install(folder: Path, cli: Path, version: str) -> dict[str, str]:
    """Install CLI, language host and provider below `folder`; return the variables that lead to them."""
    programs, home, unpacked = folder / "bin", folder / "home", folder / "unpacked"
    for made in (programs, home, unpacked):
        made.mkdir(parents=True)
    shutil.copy2(cli, programs / "pulumi")
    for archive in sorted(plugins_folder().glob("pulumi-*.tar.xz")):
        with tarfile.open(archive) as content:
            content.extractall(unpacked, filter="data")
    for host in unpacked.glob("pulumi-language-python*"):
        host.rename(programs / host.name)
    package = folder / "provider.tgz"
    with tarfile.open(package, "w:gz", compresslevel=1) as content:
        content.add(unpacked / "pulumi-resource-kubernetes", "pulumi-resource-kubernetes")
    found = {"PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}", "PULUMI_HOME": str(home)}
    subprocess.run(
        [programs / "pulumi", "plugin", "install", "resource", "kubernetes", version, "--file", package],
        check=True,
        capture_output=True,
        env={**os.environ, **found, "PULUMI_SKIP_UPDATE_CHECK": "true"},
    )
    package.unlink()
    shutil.rmtree(unpacked)
    return found
