"""Clusters, made or given, behind one handle."""

from .. import refusal as refusal
from .addresses import check_disjoint
from .existing import ExistingCluster, ExistingClusterArgs
from .gke import (
    AuthorizedNetworks,
    AutopilotMode,
    Credentials,
    DnsEndpoint,
    ExistingNetwork,
    GkeCluster,
    GkeClusterArgs,
    MaintenanceWindow,
    NetworkPeering,
    NetworkPeeringArgs,
    NewNetwork,
    ReleaseChannel,
    StandardMode,
    Weekday,
)
from .handle import ClusterHandle, ClusterKind

__all__ = [
    "AuthorizedNetworks",
    "AutopilotMode",
    "ClusterHandle",
    "ClusterKind",
    "Credentials",
    "DnsEndpoint",
    "ExistingCluster",
    "ExistingClusterArgs",
    "ExistingNetwork",
    "GkeCluster",
    "GkeClusterArgs",
    "MaintenanceWindow",
    "NetworkPeering",
    "NetworkPeeringArgs",
    "NewNetwork",
    "ReleaseChannel",
    "StandardMode",
    "Weekday",
    "check_disjoint",
]
