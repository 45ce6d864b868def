"""What a start is going to do to the machine, found out before it does anything."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..model import ValidationError
from .claim import Claim
from .cleanup import is_mount_point
from .cluster.addresses import FABRIC_NAMESPACE, ClusterAddresses
from .cluster.commands import PRIVATE_FOLDERS
from .errors import StageError
from .machine import requirements
from .machine.cgroups import existing_cgroups
from .machine.kernel import WANTED_SETTINGS, missing_modules, settings_to_raise
from .machine.memory import FOR_BUILD, FOR_STAGE, check_memory
from .machine.network import existing_namespaces
from .machine.processes import boot_id
from .progress import human_duration
from .toolchain import machine_go, missing_parts, usual_build_seconds

_MAX_STATE_PATH = 60
"""Longest state directory, in characters: sockets below it must fit the 107 of Linux (unix(7))."""


@dataclass(frozen=True, kw_only=True)
class StartPlan:
    """Everything that one start needs and changes."""

    state_directory: Path
    cache: Path
    clusters: tuple[ClusterAddresses, ...] = ()
    packages: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    settings: dict[str, str] = field(default_factory=dict[str, str])
    own_go: bool = False
    """Whether the machine has a Go tool that will be used, with its caches."""

    def sentences(self) -> list[str]:
        """Return what will change on the machine, one sentence each."""
        namespaces = ", ".join([FABRIC_NAMESPACE, *(cluster.namespace for cluster in self.clusters)])
        changes: list[str] = []
        if self.packages:
            changes.append(f"Installs the Debian packages {', '.join(self.packages)} (until `make clean`).")
        if self.parts:
            duration = human_duration(usual_build_seconds(self.parts))
            changes.append(
                f"Builds {', '.join(self.parts)} into {self.cache}, usually {duration} (until `make clean`)."
            )
            if self.own_go:
                changes.append("Fills the caches of this machine's Go tool by about 5 GB (`go clean` empties them).")
        changes += [f"Loads the kernel module {name} (until the next boot)." for name in self.modules]
        changes += [
            f"Raises {name.replace('/', '.')} from {value} to {WANTED_SETTINGS[name]} (until the stage ends)."
            for name, value in self.settings.items()
        ]
        changes.append(f"Makes the network namespaces {namespaces} and control groups (until the stage ends).")
        changes.append(f"Keeps databases and logs in {self.state_directory} (until the stage ends).")
        return changes


def make_plan(state_directory: Path, cache: Path, clusters: Sequence[ClusterAddresses]) -> StartPlan:
    """Look at the machine and return what a start needs.

    Raises:
        ValidationError: The state directory cannot hold sockets, or there is too little disk space or memory.
        StageError: A name is taken by somebody else.
    """
    _check_path(state_directory)
    _check_names_free(clusters)
    check_memory(FOR_STAGE)
    return replace(
        plan_installation(state_directory, cache),
        clusters=tuple(clusters),
        modules=missing_modules(),
        settings=settings_to_raise(),
    )


def plan_installation(state_directory: Path, cache: Path) -> StartPlan:
    """Look at the machine and return what it lacks, without any cluster.

    Raises:
        ValidationError: There is too little disk space or memory.
    """
    parts = missing_parts(cache)
    if parts:
        check_memory(FOR_BUILD)
        requirements.check_disk(cache, requirements.DISK_FOR_BUILD)
    requirements.check_disk(state_directory, requirements.DISK_FOR_STAGE)
    return StartPlan(
        state_directory=state_directory,
        cache=cache,
        packages=requirements.missing_packages(),
        parts=parts,
        own_go=bool(parts) and machine_go() is not None,
    )


def make_claim(plan: StartPlan) -> Claim:
    """Return the claim on everything that the start will make."""
    names = tuple(cluster.namespace for cluster in plan.clusters)
    return Claim(
        state_directory=plan.state_directory,
        boot_id=boot_id(),
        namespaces=(FABRIC_NAMESPACE, *names),
        cgroups=tuple(cluster.cgroup for cluster in plan.clusters),
        made_folders=missing_folders(PRIVATE_FOLDERS),
        mounted_namespaces=not is_mount_point("/run/netns"),
        settings=plan.settings,
    )


def missing_folders(paths: Sequence[str]) -> tuple[str, ...]:
    """Return every folder that must be made so that all `paths` exist, outermost first."""
    missing: list[str] = []
    for path in paths:
        chain = [folder for folder in (Path(path), *Path(path).parents) if not folder.exists()]
        missing += [str(folder) for folder in reversed(chain) if str(folder) not in missing]
    return tuple(missing)


def _check_path(state_directory: Path) -> None:
    text = str(state_directory)
    if len(text) > _MAX_STATE_PATH or not re.fullmatch(r"[A-Za-z0-9/._-]+", text):
        raise ValidationError(
            field="TRAFFIC_MIRROR_STAGE_DIR",
            value=text,
            rule=f"must have at most {_MAX_STATE_PATH} characters, letters, digits and / . _ - only",
            remedy="Choose a shorter or plainer path; sockets and overlay mounts below it have these limits",
        )


def _check_names_free(clusters: Sequence[ClusterAddresses]) -> None:
    """Refuse names that exist although no claim speaks of them: they are somebody else's."""
    wanted = {FABRIC_NAMESPACE, *(cluster.namespace for cluster in clusters)}
    for name in wanted & set(existing_namespaces()):
        raise StageError(
            f"A network namespace {name} exists that no stage of this boot has made",
            remedy=f"If nothing needs it, remove it: ip netns delete {name}",
        )
    for group in existing_cgroups():
        if group.name in wanted:
            raise StageError(
                f"A control group {group} exists that no stage of this boot has made",
                remedy=f"If nothing needs it, remove it: rmdir {group}",
            )
