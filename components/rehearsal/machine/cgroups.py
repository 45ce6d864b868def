"""Control groups that hold the pods of the stage, in version 1 (one tree per controller) and version 2."""

import os
import signal
from pathlib import Path

from ..cluster.addresses import NAME_PREFIX
from .processes import wait_until

ROOT = Path("/sys/fs/cgroup")


def hierarchies(root: Path = ROOT) -> tuple[Path, ...]:
    """Return the root folder of every control group tree: one in version 2, one per controller in version 1."""
    if (root / "cgroup.controllers").exists():
        return (root,)
    if not root.is_dir():
        return ()
    # Joined controllers appear as links beside the one folder that counts.
    return tuple(sorted(tree for tree in root.iterdir() if tree.is_dir() and not tree.is_symlink()))


def create_cgroup(name: str, root: Path = ROOT) -> None:
    """Make the group `name` in every tree, ready to hold groups of pods."""
    for tree in hierarchies(root):
        group = tree / name
        group.mkdir(exist_ok=True)
        if (tree / "cgroup.controllers").exists():
            _delegate(tree)
            _delegate(group)
        # Version 1 refuses processes in a cpuset whose own lists are empty.
        for resource in ("cpuset.cpus", "cpuset.mems"):
            if (group / resource).exists() and not (tree / "cgroup.controllers").exists():
                (group / resource).write_text((tree / resource).read_text(encoding="ascii"), encoding="ascii")


def existing_cgroups(root: Path = ROOT) -> tuple[Path, ...]:
    """Return every group with the stage's prefix, in all trees."""
    return tuple(group for tree in hierarchies(root) for group in sorted(tree.glob(f"{NAME_PREFIX}*")))


def members(group: Path) -> tuple[int, ...]:
    """Return the process numbers in a group and in all groups below it."""
    found: set[int] = set()
    for folder, _, _ in os.walk(group):
        try:
            found.update(int(line) for line in (Path(folder) / "cgroup.procs").read_text().split())
        except OSError:
            continue
    return tuple(sorted(found))


def remove_cgroups(names: tuple[str, ...], root: Path = ROOT) -> None:
    """End every process in the groups `names` and remove them, in all trees."""
    groups = [tree / name for tree in hierarchies(root) for name in names if (tree / name).is_dir()]

    def emptied() -> bool:
        pids = {pid for group in groups for pid in members(group)}
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        return not pids

    wait_until(emptied, what="the pods' processes have ended", timeout=20)
    for group in groups:
        wait_until(lambda group=group: _removed(group), what=f"{group} is empty", timeout=10)


def _removed(group: Path) -> bool:
    """Remove a group and those below it, deepest first; False while the kernel still counts a dying process."""
    try:
        for folder, _, _ in os.walk(group, topdown=False):
            Path(folder).rmdir()
    except FileNotFoundError:
        return not group.exists()
    except OSError:
        return False
    return True


def _delegate(group: Path) -> None:
    """Hand every controller of a version 2 group to the groups below it."""
    available = (group / "cgroup.controllers").read_text(encoding="ascii").split()
    enabled = (group / "cgroup.subtree_control").read_text(encoding="ascii").split()
    for controller in available:
        if controller not in enabled:
            (group / "cgroup.subtree_control").write_text(f"+{controller}", encoding="ascii")
