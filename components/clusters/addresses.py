"""Address ranges: valid, private, apart from each other, large enough. No Pulumi."""

from collections.abc import Mapping
from ipaddress import IPv4Network
from itertools import combinations
from typing import Final

from ..model import ValidationError

_USABLE: Final = tuple(
    map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "198.18.0.0/15"))
)
"""Ranges for subnets. Source: https://cloud.google.com/vpc/docs/subnets#valid-ranges; class E is left out because
many networks on premises do not route it."""

_TAKEN: Final = (IPv4Network("172.17.0.0/16"),)
"""Docker's bridge on the nodes. Source: https://cloud.google.com/kubernetes-engine/docs/concepts/alias-ips."""

POD_PREFIX_PER_NODE: Final = 24
"""Each node takes a /24 of the pod range, at GKE's default of 110 pods per node.
Source: https://cloud.google.com/kubernetes-engine/docs/how-to/flexible-pod-cidr."""

RESERVED_PER_SUBNET: Final = 4
"""Addresses of a subnet that Google Cloud keeps. Source: https://cloud.google.com/vpc/docs/subnets."""

CONTROL_PLANE_PREFIX: Final = 28
"""The control plane's own range is a /28. Source: GKE ``masterIpv4CidrBlock``."""

WIDEST_AUTHORIZED_PREFIX: Final = 8
"""Wider ranges than one company's are no restriction."""

MOST_AUTHORIZED_RANGES: Final = 100
"""Ranges of a cluster with private nodes; too few to cover everything by /8.
Source: https://cloud.google.com/kubernetes-engine/docs/how-to/authorized-networks."""


def parse_range(cidr: object, *, field: str) -> IPv4Network:
    """Return an IPv4 range written as CIDR.

    Raises:
        ValidationError: It is no CIDR, has a host part, or is IPv6.
    """
    try:
        # Without a prefix length, Python would read a single address.
        network = IPv4Network(cidr, strict=False) if isinstance(cidr, str) and "/" in cidr else None
    except ValueError:
        network = None
    if network is None:
        rule, remedy = "must be an IPv4 range such as 10.64.0.0/20", "Write address, slash and prefix length"
    elif str(network) != cidr:
        rule, remedy = "must be its first address, a slash and a prefix length", f"Write {network}"
    else:
        return network
    raise ValidationError(field=field, value=cidr, rule=rule, remedy=remedy)


def check_private_range(cidr: str, *, field: str, widest: int, narrowest: int) -> IPv4Network:
    """Return a range that a subnet may have.

    Args:
        cidr: The range.
        field: Path of the field in messages.
        widest: Smallest prefix length allowed.
        narrowest: Largest prefix length allowed.

    Raises:
        ValidationError: It is no range, is public or taken, or has the wrong size.
    """
    network = parse_range(cidr, field=field)
    if not any(network.subnet_of(usable) for usable in _USABLE):
        rule, remedy = "must be private", "Use a part of 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 or 100.64.0.0/10"
    elif any(network.overlaps(taken) for taken in _TAKEN):
        rule, remedy = "overlaps with 172.17.0.0/16, which nodes use themselves", "Use another range"
    elif not widest <= network.prefixlen <= narrowest:
        rule, remedy = f"must have a prefix length of {widest} to {narrowest}", "Choose another size"
    else:
        return network
    raise ValidationError(field=field, value=cidr, rule=rule, remedy=remedy)


def check_disjoint(ranges: Mapping[str, str]) -> None:
    """Check that no two ranges share an address; also good for the ranges of clusters that reach each other.

    Args:
        ranges: Field or cluster to range.

    Raises:
        ValidationError: Two overlap; the error names the later one and both ranges.
    """
    parsed = {field: parse_range(cidr, field=field) for field, cidr in ranges.items()}
    for (first, one), (second, other) in combinations(parsed.items(), 2):
        if one.overlaps(other):
            raise ValidationError(
                field=second,
                value=str(other),
                rule=f"overlaps with {first} ({one})",
                remedy="Give every purpose its own range",
            )


def check_authorized_ranges(ranges: Mapping[str, str], *, field: str) -> dict[str, str]:
    """Return a copy of the ranges from which a control plane may be reached.

    Raises:
        ValidationError: There is none, there are too many, or one is no range or so wide that it restricts nobody.
    """
    if not ranges:
        raise ValidationError(
            field=field,
            value=ranges,
            rule="must name a range at least, otherwise nobody reaches the cluster",
            remedy="Add the range of your office or pipeline, or use DnsEndpoint()",
        )
    if len(ranges) > MOST_AUTHORIZED_RANGES:
        raise ValidationError(
            field=field,
            value=len(ranges),
            rule=f"may have {MOST_AUTHORIZED_RANGES} entries at most",
            remedy="Join neighbouring ranges, or use DnsEndpoint()",
        )
    for name, cidr in ranges.items():
        here = f"{field}[{name!r}]"
        if parse_range(cidr, field=here).prefixlen < WIDEST_AUTHORIZED_PREFIX:
            raise ValidationError(
                field=here,
                value=cidr,
                rule=f"lets in half the internet or more; a prefix of {WIDEST_AUTHORIZED_PREFIX} is the widest allowed",
                remedy="Name the ranges of your own networks, or use DnsEndpoint()",
            )
    return dict(ranges)


def check_room(nodes: int, *, node_cidr: str, pod_cidr: str, fields: tuple[str, str]) -> None:
    """Check that ranges are large enough for a number of nodes.

    Args:
        nodes: Greatest number of nodes at one time, surge included.
        node_cidr: Range of the nodes.
        pod_cidr: Range of the pods.
        fields: The two fields in messages, nodes first.

    Raises:
        ValidationError: A range has too few addresses.
    """
    node_field, pod_field = fields
    node_range = parse_range(node_cidr, field=node_field)
    for_nodes = node_range.num_addresses - RESERVED_PER_SUBNET
    pod_range = parse_range(pod_cidr, field=pod_field)
    for_pods = pod_range.num_addresses // 2 ** (32 - POD_PREFIX_PER_NODE)
    for field, cidr, room in ((node_field, node_cidr, for_nodes), (pod_field, pod_cidr, for_pods)):
        if room < nodes:
            raise ValidationError(
                field=field,
                value=cidr,
                rule=f"has room for {room} nodes, but there may be {nodes}",
                remedy="Widen the range or lower max_nodes",
            )
