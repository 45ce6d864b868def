"""Where the stage keeps things on the machine: nothing is written outside these folders, nothing in the checkout."""

import os
from pathlib import Path

STATE_DIRECTORY_VARIABLE = "TRAFFIC_MIRROR_STAGE_DIR"
"""Environment variable that overrides the state directory of the stage."""

CACHE_DIRECTORY_VARIABLE = "TRAFFIC_MIRROR_CACHE"
"""Environment variable that overrides the cache of built tools and images."""

RUNTIME_DIRECTORY = Path("/run/traffic-mirror")
"""Claims on things that are unique on a machine (namespaces, cgroups). Like them it is gone after a reboot."""


def state_directory() -> Path:
    """Return the folder of the running stage: databases, logs, kubeconfigs; removed with the stage."""
    return Path(os.environ.get(STATE_DIRECTORY_VARIABLE) or "/var/lib/traffic-mirror/stage").absolute()


def cache_directory() -> Path:
    """Return the folder of built tools and images; it outlives stages and checkouts."""
    chosen = os.environ.get(CACHE_DIRECTORY_VARIABLE)
    if chosen:
        return Path(chosen).absolute()
    user_cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(user_cache).absolute() / "traffic-mirror"
