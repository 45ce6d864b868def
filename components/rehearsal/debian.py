"""Facts about a Debian-family machine that apt and dpkg tell."""

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
