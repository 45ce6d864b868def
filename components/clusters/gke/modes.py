"""Who runs the nodes: we (Standard) or Google (Autopilot). No Pulumi resources."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ...argument_types import check_types
from ...model import ValidationError
from ..counts import check_whole

_MACHINE_TYPE: Final = re.compile(r"[a-z][a-z0-9]*-[a-z0-9-]+")
_DISK_TYPE: Final = re.compile(r"(?:pd|hyperdisk)-[a-z]+(?:-[a-z]+)*")
_SMALLEST_DISK_GIB: Final = 30
"""What a node's system and images of the mesh need; Google's own minimum is 10."""
_LARGEST_DISK_GIB: Final = 65536
"""Source: https://cloud.google.com/compute/docs/disks (64 TiB)."""
_MOST_NODES: Final = 1000
"""Nodes of one pool in one zone. Source: https://cloud.google.com/kubernetes-engine/quotas."""
_MOST_SURGE: Final = 20
"""Nodes of one pool upgraded at once.
Source: https://cloud.google.com/kubernetes-engine/docs/concepts/node-pool-upgrade-strategies."""


@dataclass(frozen=True, kw_only=True)
class AutopilotMode:
    """Google runs the nodes and bills per pod. There are no node settings to make, so there are none here.

    Two consequences for a mesh: ``istio-cni`` cannot be installed, and injected pods need ``NET_ADMIN``, which the
    cluster allows for that reason.
    """


@dataclass(frozen=True, kw_only=True)
class StandardMode:
    """One node pool of ours beside a default pool that is removed at once."""

    machine_type: str = "e2-standard-4"
    """Compute Engine machine type. Default: 4 vCPU and 16 GiB hold istiod, a gateway and some services per node."""
    min_nodes: int = 2
    """Fewest nodes in all zones together, 1 or more. Two keep a service with two replicas up during an upgrade."""
    max_nodes: int = 6
    """Most nodes in all zones together; the address ranges must have room for them."""
    zones: Sequence[str] = ()
    """Zones of the nodes; further zones in a zonal cluster. Empty: GKE's choice, in a region three zones."""
    disk_size_gib: int = 50
    """Boot disk per node in GiB, 30 or more."""
    disk_type: str = "pd-balanced"
    """Kind of boot disk, e.g. ``"pd-ssd"`` or ``"hyperdisk-balanced"``; which ones depends on the machine type."""
    spot: bool = False
    """Nodes that Google may take back at 30 seconds' notice, for less than half the price. Not for a primary."""
    max_surge: int = 1
    """Nodes added during an upgrade, 1 or more: a new node is there before an old one goes."""

    def __post_init__(self) -> None:
        """Check and copy the values; whether zones fit the cluster is checked with the cluster.

        Raises:
            ValidationError: A value is out of range.
        """
        check_types(self, within="mode")
        if _MACHINE_TYPE.fullmatch(self.machine_type) is None:
            raise ValidationError(
                field="mode.machine_type",
                value=self.machine_type,
                rule="must be a machine type such as e2-standard-4",
                remedy="Take one from `gcloud compute machine-types list`",
            )
        if _DISK_TYPE.fullmatch(self.disk_type) is None:
            raise ValidationError(
                field="mode.disk_type",
                value=self.disk_type,
                rule="must be a disk type such as pd-balanced",
                remedy="Take one from `gcloud compute disk-types list`",
            )
        check_whole(self.min_nodes, field="mode.min_nodes", least=1, most=_MOST_NODES)
        check_whole(self.max_nodes, field="mode.max_nodes", least=self.min_nodes, most=_MOST_NODES)
        check_whole(self.max_surge, field="mode.max_surge", least=1, most=_MOST_SURGE)
        check_whole(self.disk_size_gib, field="mode.disk_size_gib", least=_SMALLEST_DISK_GIB, most=_LARGEST_DISK_GIB)
