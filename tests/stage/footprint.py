"""What a stage could leave on the machine, to be compared before and after."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psutil

from pulumi_traffic_mirror.rehearsal.cluster.addresses import NAME_PREFIX
from pulumi_traffic_mirror.rehearsal.machine.kernel import WANTED_SETTINGS, read_setting

FOLDERS = (
    "/run/netns",
    "/run/containerd/s",
    "/var/lib/cni/results",
    "/var/lib/kubelet",
    "/var/log/containers",
    "/var/log/pods",
    "/opt/containerd",
)
"""Folders of the whole machine that containerd, its plugins or a kubelet write to."""


@dataclass(frozen=True, kw_only=True)
class Footprint:
    processes: frozenset[str]
    mounts: tuple[str, ...]
    cgroups: frozenset[str]
    links: str
    folders: dict[str, tuple[str, ...] | None]
    settings: dict[str, str]
    state: bool


def take_footprint(state_directory: Path) -> Footprint:
    return Footprint(
        processes=frozenset(_processes(state_directory)),
        mounts=tuple(Path("/proc/self/mounts").read_text().splitlines()),
        cgroups=frozenset(
            folder
            for folder, _, _ in os.walk("/sys/fs/cgroup")
            if Path(folder).name.startswith(NAME_PREFIX) or f"/{NAME_PREFIX}" in folder
        ),
        links=subprocess.run(["ip", "-br", "link"], check=True, capture_output=True, text=True).stdout,
        folders={path: _entries(Path(path)) for path in FOLDERS},
        settings={name: read_setting(name) for name in WANTED_SETTINGS},
        state=state_directory.exists(),
    )


def _processes(state_directory: Path) -> list[str]:
    """Processes that name the state directory in their command, and containers in the stage's control groups."""
    found: list[str] = []
    for process in psutil.process_iter():
        try:
            command = process.cmdline()
            group = Path(f"/proc/{process.pid}/cgroup").read_text()
        except (psutil.Error, OSError):
            continue
        if any(str(state_directory) in word for word in command) or f"/{NAME_PREFIX}" in group:
            found.append(f"{process.pid} {' '.join(command)}")
    return found


def _entries(folder: Path) -> tuple[str, ...] | None:
    return tuple(sorted(entry.name for entry in folder.iterdir())) if folder.is_dir() else None
