"""The typed configuration of the program beside this library: what ``__main__.py`` reads."""

from .arguments import (
    StackCluster,
    control_plane_args,
    gateway_args,
    greeter_args,
    make_cluster,
    peer_with_testing,
    with_offer,
)
from .branches import branches_args, expiry_guard_args
from .checking import check
from .overlays import overlays_args
from .recorders import recorder_args
from .replays import replays_args
from .sections import Section
from .settings import (
    ClusterChoice,
    ClusterMode,
    Role,
    StackSettings,
    load,
)

__all__ = [
    "ClusterChoice",
    "ClusterMode",
    "Role",
    "Section",
    "StackCluster",
    "StackSettings",
    "branches_args",
    "check",
    "control_plane_args",
    "expiry_guard_args",
    "gateway_args",
    "greeter_args",
    "load",
    "make_cluster",
    "overlays_args",
    "peer_with_testing",
    "recorder_args",
    "replays_args",
    "with_offer",
]
