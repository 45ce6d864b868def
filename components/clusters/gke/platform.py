"""What GKE wants of objects in its clusters. No Pulumi resources."""

from dataclasses import replace
from typing import Final

from ..platform import ClusterPlatform

GKE: Final = ClusterPlatform(
    # Source of both: https://cloud.google.com/kubernetes-engine/docs/how-to/internal-load-balancing.
    internal_load_balancer={"networking.gke.io/load-balancer-type": "Internal"},
    global_access={"networking.gke.io/internal-load-balancer-allow-global-access": "true"},
    # Finds GKE's directories and adds the quota without which GKE admits no critical pods beside its own.
    istio_platform="gke",
)
"""Standard clusters; of use to :class:`ExistingCluster` as well, for one that somebody else made."""

GKE_AUTOPILOT: Final = replace(GKE, node_agents=False)
"""Autopilot refuses the host paths of agents."""
