"""What the stage needs from the machine, what it will change there, and how that is undone."""

import json
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...model import ValidationError
from ..errors import StageError
from ..progress import Progress
from .commands import run_logged
from .debian import APT_GET
from .files import write_text

GIB = 1 << 30

DISK_FOR_BUILD = 8 * GIB
"""Free space for downloads, Go's caches, built programs and images (about 6 GiB), and one stage. Measured."""

DISK_FOR_STAGE = 3 * GIB
"""Free space for the unpacked images and logs of two clusters (about 1 GiB), with room to breathe. Measured."""

PACKAGES_RECORD = Path("/var/lib/traffic-mirror/installed-packages.json")
"""Debian packages that were installed for the stage; `make clean` removes exactly these."""

_LOCK_SECONDS = 600
"""How long apt waits for another one: a new machine often installs its updates just when somebody comes to use it."""

_INTERRUPTED = "dpkg was interrupted"
"""What apt says after an installation that was killed, ours or another."""

ELSEWHERE = (
    "rehearse on clusters that exist: "
    "traffic-mirror rehearse --staging KUBECONFIG --testing KUBECONFIG --greeter-image IMAGE"
)
"""The way out for machines that cannot hold the stage."""

REQUIRED_FILES: Mapping[str, str] = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "/usr/lib/cni/host-local": "containernetworking-plugins",
    "/usr/lib/cni/portmap": "containernetworking-plugins",
    "iptables": "iptables",
    "nft": "nftables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "ethtool": "ethtool",
    "mmdebstrap": "mmdebstrap",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "mount": "mount",
}
"""Program or file that the stage uses, and the Debian package that brings it."""

_TOOL_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What the checks look at."""

    system: str
    user_id: int
    has_apt: bool
    architecture: str

    @classmethod
    def this(cls) -> "Machine":
        """Return the machine that runs this process."""
        return cls(
            system=platform.system(),
            user_id=os.geteuid() if hasattr(os, "geteuid") else -1,
            has_apt=shutil.which("apt-get") is not None and shutil.which("dpkg-query") is not None,
            architecture=platform.machine(),
        )


def check_machine(machine: Machine | None = None) -> None:
    """Check what cannot be installed.

    Raises:
        ValidationError: The machine cannot hold the stage; the text says why and what to do instead.
    """
    found = machine or Machine.this()
    if found.system != "Linux":
        raise _unfit("system", found.system, "the embedded stage needs Linux")
    if not found.has_apt:
        raise _unfit("system", found.system, "the embedded stage needs a Debian-family Linux with apt")
    if found.architecture not in {"x86_64", "aarch64"}:
        raise _unfit("architecture", found.architecture, "the embedded stage needs x86_64 or aarch64")
    if found.user_id != 0:
        raise _unfit("user id", found.user_id, "the embedded stage needs root for namespaces and mounts")


def _unfit(field: str, value: object, rule: str) -> ValidationError:
    how = "Run as root (sudo)" if field == "user id" else "Use a machine that fits"
    return ValidationError(field=field, value=value, rule=rule, remedy=f"{how}, or {ELSEWHERE}")


def check_disk(folder: Path, needed: int) -> None:
    """Check the free space where `folder` is or will be.

    Args:
        folder: Any path; the nearest folder above it that exists counts.
        needed: Bytes.

    Raises:
        ValidationError: There is less.
    """
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise ValidationError(
            field="free disk space",
            value=f"{free / GIB:.1f} GiB at {existing}",
            rule=f"the embedded stage needs {needed / GIB:.0f} GiB",
            remedy="Free some, or set TRAFFIC_MIRROR_CACHE and TRAFFIC_MIRROR_STAGE_DIR to folders on another disk",
        )


def missing_packages(required: Mapping[str, str] = REQUIRED_FILES) -> tuple[str, ...]:
    """Return the Debian packages whose files are not there, sorted."""
    return tuple(sorted({package for file, package in required.items() if not _present(file)}))


def _present(file: str) -> bool:
    if file.startswith("/"):
        return Path(file).exists()
    return shutil.which(file, path=_TOOL_PATH) is not None


def install_packages(names: Sequence[str], *, log: Path, progress: Progress, record: Path = PACKAGES_RECORD) -> None:
    """Install Debian packages and remember everything that came with them.

    An installation that was killed is finished first.

    Raises:
        StageError: apt failed.
    """
    if not names:
        return
    before, earlier = _installed(), set(installed_by_us(record))
    env = dict(os.environ) | {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    remedy = "Check that the package archive is reachable and that no other apt is running"

    def run_apt(*arguments: str, what: str) -> None:
        run_logged([*APT_GET, *arguments], what=what, log=log, env=env, remedy=remedy)

    def install() -> None:
        patience = ("-o", f"DPkg::Lock::Timeout={_LOCK_SECONDS}")
        run_apt(*patience, "install", "-y", "-q", "--no-install-recommends", *names, what=f"install {', '.join(names)}")

    with progress.step(f"install Debian packages: {', '.join(names)}", usual_seconds=30, log=log):
        run_apt("update", "-q", what="update apt's lists")
        # Beforehand as well: a process that is killed meanwhile writes nothing any more.
        _write_record(earlier | (_would_install(names) - before), record)
        try:
            try:
                install()
            except StageError as error:
                if _INTERRUPTED not in "\n".join(error.details):
                    raise
                progress.note("An installation of packages was interrupted; dpkg --configure -a finishes it")
                run_logged(["dpkg", "--configure", "-a"], what="finish it", log=log, env=env, remedy=remedy)
                install()
        finally:
            _write_record(earlier | (_installed() - before), record)


def installed_by_us(record: Path = PACKAGES_RECORD) -> tuple[str, ...]:
    """Return the Debian packages that were installed for the stage."""
    try:
        return tuple(json.loads(record.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return ()


def remove_packages(*, log: Path, progress: Progress, record: Path = PACKAGES_RECORD) -> tuple[str, ...]:
    """Remove the Debian packages that were installed for the stage, unless others need them by now.

    Returns:
        Packages that stay because something else needs them.

    Raises:
        StageError: apt failed.
    """
    ours = set(installed_by_us(record)) & _installed()
    kept: set[str] = set()
    if ours:
        # apt tells beforehand what it would take along; packages that pull foreign ones with them stay.
        kept = {name for name in ours if not _would_remove(name) <= ours}
        with progress.step(f"remove Debian packages: {', '.join(sorted(ours - kept))}", log=log):
            run_logged(
                ["apt-get", "purge", "-y", "-q", *sorted(ours - kept)],
                what="remove the stage's Debian packages",
                log=log,
                env=dict(os.environ) | {"DEBIAN_FRONTEND": "noninteractive"},
            )
    record.unlink(missing_ok=True)
    return tuple(sorted(kept))


def parse_simulated_removal(output: str) -> frozenset[str]:
    """Return the packages that ``apt-get --simulate purge`` says it would remove."""
    rows = (line.split() for line in output.splitlines())
    return frozenset(row[1] for row in rows if len(row) > 1 and row[0] in {"Remv", "Purg"})


def parse_simulated_installation(output: str) -> frozenset[str]:
    """Return the packages that ``apt-get --simulate install`` says it would install."""
    rows = (line.split() for line in output.splitlines())
    return frozenset(row[1] for row in rows if len(row) > 1 and row[0] == "Inst")


def _would_install(names: Sequence[str]) -> frozenset[str]:
    command = ["apt-get", "--simulate", "install", "--no-install-recommends", *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return parse_simulated_installation(done.stdout)


def _would_remove(name: str) -> frozenset[str]:
    done = subprocess.run(
        ["apt-get", "--simulate", "purge", name], capture_output=True, text=True, check=False, timeout=60
    )
    return parse_simulated_removal(done.stdout)


def _installed() -> set[str]:
    done = subprocess.run(
        ["dpkg-query", "--show", "--showformat", "${db:Status-Abbrev} ${Package}\n"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return parse_installed(done.stdout)


def parse_installed(listing: str) -> set[str]:
    """Return the names of the installed packages from lines ``<status abbreviation> <name>``."""
    rows = (line.split() for line in listing.splitlines())
    return {row[1] for row in rows if len(row) > 1 and row[0] == "ii"}


def _write_record(names: set[str], record: Path) -> None:
    try:
        write_text(record, json.dumps(sorted(names), indent=2))
    except OSError as error:
        raise StageError(
            f"Cannot write {record}: {error.strerror}", remedy="Make the folder writable for root"
        ) from error
