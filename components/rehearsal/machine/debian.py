"""Facts about a Debian-family machine that apt and dpkg tell."""

from pathlib import Path

from ..errors import StageError
from .commands import run, run_logged

OS_RELEASE = Path("/etc/os-release")

APT_GET = ("apt-get", "-o", "Acquire::Retries=3")
"""apt, with some patience."""


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


def unpack_package(name: str, folder: Path, *, log: Path) -> None:
    """Unpack a Debian package of the machine's release into a folder; nothing is installed and nothing starts.

    Args:
        name: The package.
        folder: Made, and filled with the package's files.
        log: File that receives the output of apt.

    Raises:
        StageError: apt does not have the package.
    """
    folder.mkdir()
    download = [*APT_GET, "download", "--quiet", name]
    what = f"download the Debian package {name}"
    try:
        run_logged(download, what=what, log=log, cwd=folder)
    except StageError:
        # apt's lists are older than the archive, or not there yet.
        remedy = "Check that the package archive is reachable and that no other apt is running"
        run_logged([*APT_GET, "update", "--quiet"], what="update apt's lists", log=log, remedy=remedy)
        run_logged(download, what=what, log=log, cwd=folder, remedy=remedy)
    (package,) = folder.glob("*.deb")
    run_logged(["dpkg-deb", "--extract", str(package), str(folder)], what=f"unpack {name}", log=log)
    package.unlink()
