"""Addresses and names of the stage's network: pure arithmetic, so that anybody can tell them beforehand."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from ...model import ValidationError

STAGE_NETWORK = IPv4Network("198.18.0.0/15")
"""Reserved for tests of network devices (RFC 2544), so no real network that the machine can reach uses it."""

FABRIC_NETWORK = IPv4Network("198.18.0.0/24")
FABRIC_ADDRESS = IPv4Address("198.18.0.1")

NAME_PREFIX = "tm-"
"""Every network namespace, link and control group of the stage has a name with this prefix."""

FABRIC_NAMESPACE = f"{NAME_PREFIX}fabric"
"""Network namespace of the bridge between the clusters; clients and the deployment engine run in it."""

MAX_CLUSTERS = 8
"""As many as the address plan has room for."""

_NODE_STEP = 10
_GATEWAY_OFFSET = 100
_FIRST_POD_NETWORK = 64
_MAX_ROLE_LENGTH = 11


@dataclass(frozen=True, kw_only=True)
class ClusterAddresses:
    """Addresses of one cluster with one node."""

    role: str
    """Name of the cluster's role, e.g. ``"staging"``."""
    namespace: str
    """Network namespace of the node."""
    node: IPv4Address
    """The node, its API server (port 6443) and its DNS server (port 53)."""
    gateway: IPv4Address
    """Second address of the node, given to every Service of type LoadBalancer."""
    pods: IPv4Network
    services: IPv4Network

    @property
    def api_service(self) -> IPv4Address:
        """Cluster IP of the Service `kubernetes`: the first of the range."""
        return self.services[1]

    @property
    def node_name(self) -> str:
        """Name of the Node object."""
        return f"node-{self.role}"

    @property
    def cgroup(self) -> str:
        """Control group of the node's pods, below each hierarchy's root."""
        return self.namespace


def plan_addresses(roles: Sequence[str]) -> tuple[ClusterAddresses, ...]:
    """Return the addresses of one cluster per role; the place in the sequence decides them.

    Raises:
        ValidationError: No role, too many, one twice, or one that cannot name a link or a namespace.
    """
    if not 1 <= len(roles) <= MAX_CLUSTERS or len(set(roles)) != len(roles):
        raise ValidationError(
            field="roles",
            value=tuple(roles),
            rule=f"must be 1 to {MAX_CLUSTERS} different names",
            remedy="Name each cluster of the stage once",
        )
    return tuple(_addresses(role, index) for index, role in enumerate(roles))


def _addresses(role: str, index: int) -> ClusterAddresses:
    namespace = f"{NAME_PREFIX}{role}"
    if not re.fullmatch(rf"[a-z][a-z0-9]{{,{_MAX_ROLE_LENGTH - 1}}}", role) or namespace == FABRIC_NAMESPACE:
        raise ValidationError(
            field="roles",
            value=role,
            rule=f"must be 1 to {_MAX_ROLE_LENGTH} lower-case letters and digits, a letter first, not 'fabric'",
            remedy="Shorten the name; it names network links, which Linux limits to 15 characters",
        )
    pod_networks = tuple(STAGE_NETWORK.subnets(new_prefix=24))
    service_networks = tuple(IPv4Network("198.19.0.0/16").subnets(new_prefix=20))
    return ClusterAddresses(
        role=role,
        namespace=namespace,
        node=FABRIC_NETWORK[_NODE_STEP * (index + 1)],
        gateway=FABRIC_NETWORK[_GATEWAY_OFFSET + _NODE_STEP * (index + 1)],
        pods=pod_networks[_FIRST_POD_NETWORK + index],
        services=service_networks[index],
    )
