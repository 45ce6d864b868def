"""Clusters, made or given, behind one handle."""

from .. import refusal as refusal
from .addresses import check_disjoint
from .existing import ExistingCluster, ExistingClusterArgs
from .handle import ClusterHandle
from .platform import ClusterPlatform

__all__ = [
    "ClusterHandle",
    "ClusterPlatform",
    "ExistingCluster",
    "ExistingClusterArgs",
    "check_disjoint",
]
