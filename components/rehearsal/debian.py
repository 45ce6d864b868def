"""Facts about a Debian-family machine that apt and dpkg tell."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from .commands import run
from .errors import StageError

OS_RELEASE = Path("/etc/os-release")


def read_os_release(file: Path = OS_RELEASE) -> dict[str, str]:
    """Return the fields of os-release(5); empty if there is no such file."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
    return {name.strip(): value.strip().strip("\"'") for name, _, value in pairs}


def codename() -> str:
    """Return the release's code name, e.g. ``"bookworm"``.

    Raises:
        StageError: The machine does not tell it.
    """
    name = read_os_release().get("VERSION_CODENAME", "")
    if not name:
        raise StageError(
            f"{OS_RELEASE} names no VERSION_CODENAME",
            remedy="Use a released Debian or Ubuntu, or rehearse on existing clusters (--staging, --testing)",
        )
    return name


def mirror(release: str) -> str:
    """Return the address of the package archive that apt is configured with for a release.

    Raises:
        StageError: apt knows no archive of that release.
    """
    listing = run(
        [
            "apt-get",
            "indextargets",
            "--format",
            "$(REPO_URI)",
            f"Codename: {release}",
            "Component: main",
            "Created-By: Packages",
        ],
        what="ask apt for its package archive",
    )
    archives = listing.split()
    if not archives:
        raise StageError(f"apt is configured with no archive of {release}", remedy="Add it to apt's sources")
    return archives[0]


def missing_packages(names: Sequence[str]) -> tuple[str, ...]:
    """Return those of the Debian packages `names` that are not installed."""
    done = subprocess.run(
        ["dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Abbrev}\n", *names],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return tuple(name for name in names if name not in parse_installed(done.stdout))


def parse_installed(listing: str) -> frozenset[str]:
    """Return the names of the installed packages from lines ``<name> <status abbreviation>``."""
    rows = (line.split() for line in listing.splitlines())
    return frozenset(row[0] for row in rows if len(row) > 1 and row[1].startswith("ii"))
