"""The typed configuration of the program beside this library: what ``__main__.py`` reads."""

from .arguments import (
    StackCluster,
    control_plane_args,
    gateway_args,
    greeter_args,
    make_cluster,
    peer_with_testing,
)
from .branches import branches_args, expiry_guard_args
from .recorders import recorder_args
from .sections import Section
from .settings import (
    ClusterChoice,
    ClusterMode,
    CrossClusterSettings,
    InClusterSettings,
    Role,
    StackSettings,
    Transport,
    load,
)

__all__ = [
    "ClusterChoice",
    "ClusterMode",
    "CrossClusterSettings",
    "InClusterSettings",
    "Role",
    "Section",
    "StackCluster",
    "StackSettings",
    "Transport",
    "branches_args",
    "control_plane_args",
    "expiry_guard_args",
    "gateway_args",
    "greeter_args",
    "load",
    "make_cluster",
    "peer_with_testing",
    "recorder_args",
]
