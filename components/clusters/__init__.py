"""Clusters, made or given, behind one handle."""

from .existing import ExistingCluster, ExistingClusterArgs
from .handle import ClusterHandle, ClusterKind

__all__ = ["ClusterHandle", "ClusterKind", "ExistingCluster", "ExistingClusterArgs"]
