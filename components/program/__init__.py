"""The typed configuration of the program beside this library: what ``__main__.py`` reads."""

from .arguments import control_plane_args, gateway_args, greeter_args, make_cluster
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
    "StackSettings",
    "Transport",
    "control_plane_args",
    "gateway_args",
    "greeter_args",
    "load",
    "make_cluster",
]
