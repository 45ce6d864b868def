"""Whether the machine's memory is enough, said before anything is installed, built or started."""

from pathlib import Path
from typing import Final

import psutil

from ...model import ValidationError
from .requirements import ELSEWHERE, GIB

FOR_STAGE: Final = 4 * GIB
"""Memory of two clusters with everything (2.4 GiB, measured), a provider of up to half a GiB for each stack while it is
deployed, and room to breathe."""

FOR_BUILD: Final = 4 * GIB
"""Memory of Go's compilers and linker, as many at a time as there are cores, on the two cores that it was tried on."""

_GROUPS: Final = (
    ("sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
    ("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
"""The control group that a container sees as its own, by cgroup version 2 and 1: folder, limit, use, and in its
``memory.stat`` what the kernel takes back when it is needed (the page cache, which counts as used)."""


def check_memory(needed: int, available: int | None = None) -> None:
    """Check the memory that is available.

    Args:
        needed: Bytes.
        available: Bytes; None: those of this machine.

    Raises:
        ValidationError: There is less.
    """
    found = available_memory() if available is None else available
    if found < needed:
        raise ValidationError(
            field="available memory",
            value=f"{found / GIB:.1f} GiB",
            rule=f"must be at least {needed / GIB:.0f} GiB for the embedded stage",
            remedy=f"End other programs, use a larger machine, or {ELSEWHERE}",
        )


def available_memory(root: Path = Path("/")) -> int:
    """Return how many bytes programs can take without swapping: the machine's, or what a container's limit leaves.

    Args:
        root: Where the kernel's files are.
    """
    return min([psutil.virtual_memory().available, *_left_of_limits(root)])


def _left_of_limits(root: Path) -> list[int]:
    left: list[int] = []
    for folder, limit, used, cache in _GROUPS:
        group = root / folder
        try:
            rows = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
            taken = int((group / used).read_text()) - int(rows.get(cache, 0))
            left.append(int((group / limit).read_text()) - taken)
        except (OSError, ValueError):
            # No such group, or "max": no limit.
            continue
    return left
