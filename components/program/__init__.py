"""The typed configuration of the program beside this library: what ``__main__.py`` reads."""

from .sections import Section
from .settings import ClusterChoice, CrossClusterSettings, InClusterSettings, Role, StackSettings, Transport, load

__all__ = [
    "ClusterChoice",
    "CrossClusterSettings",
    "InClusterSettings",
    "Role",
    "Section",
    "StackSettings",
    "Transport",
    "load",
]
