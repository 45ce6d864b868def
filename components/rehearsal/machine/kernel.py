"""Kernel settings and features that the stage needs."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from ..errors import StageError

_SETTINGS = Path("/proc/sys")

WANTED_SETTINGS: Mapping[str, int] = {
    # Every kubelet, containerd and Envoy of both clusters watches files; 128, the usual default, is too few.
    "fs/inotify/max_user_instances": 1024,
}
"""Least values of settings of the whole machine while a stage runs."""

FEATURES: Mapping[str, Path] = {
    # Without it a pod that calls its own node's Service gets answers from an address that it did not call.
    "br_netfilter": Path("/proc/sys/net/bridge/bridge-nf-call-iptables"),
    "overlay": Path("/sys/module/overlay"),
}
"""Kernel module and what shows that it is there."""


def read_setting(name: str) -> str:
    """Return a kernel setting, e.g. ``"fs/inotify/max_user_instances"``."""
    return (_SETTINGS / name).read_text(encoding="ascii").strip()


def write_setting(name: str, value: str) -> None:
    """Set a kernel setting."""
    (_SETTINGS / name).write_text(value, encoding="ascii")


def settings_to_raise() -> dict[str, str]:
    """Return the settings that are too low, with their present value."""
    return {name: read_setting(name) for name, least in WANTED_SETTINGS.items() if int(read_setting(name)) < least}


def missing_modules() -> tuple[str, ...]:
    """Return the kernel modules that are not loaded."""
    present = Path("/proc/filesystems").read_text(encoding="ascii").split()
    return tuple(name for name, sign in FEATURES.items() if not sign.exists() and name not in present)


def load_modules() -> None:
    """Load the missing kernel modules.

    Raises:
        StageError: The kernel has not got one of them.
    """
    for name in missing_modules():
        modprobe = shutil.which("modprobe", path="/usr/sbin:/sbin:/usr/bin:/bin")
        loaded = modprobe is not None and subprocess.run([modprobe, name], check=False).returncode == 0
        if not loaded:
            raise StageError(
                f"The kernel module {name} is missing",
                remedy=f"Run on a kernel with {name}, or load it where this machine's kernel is managed",
            )
