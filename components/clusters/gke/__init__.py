"""GKE clusters that pass a security review as they come."""

from .args import GkeClusterArgs
from .cluster import GkeCluster
from .credentials import Credentials
from .endpoint import AuthorizedNetworks, DnsEndpoint
from .maintenance import MaintenanceWindow, ReleaseChannel, Weekday
from .modes import AutopilotMode, StandardMode
from .networks import ExistingNetwork, NewNetwork
from .peering import NetworkPeering, NetworkPeeringArgs

__all__ = [
    "AuthorizedNetworks",
    "AutopilotMode",
    "Credentials",
    "DnsEndpoint",
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
]
