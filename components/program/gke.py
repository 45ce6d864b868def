"""From the section ``cluster`` of a stack on GKE to the arguments of its cluster."""

from ..clusters.gke import (
    AuthorizedNetworks,
    AutopilotMode,
    DnsEndpoint,
    ExistingNetwork,
    GkeClusterArgs,
    NewNetwork,
    StandardMode,
)
from .sections import Section, keys_of
from .settings import ClusterMode


def gke_cluster_args(section: Section) -> GkeClusterArgs:
    """Arguments of the cluster.

    Args:
        section: The stack's section ``cluster``.

    Raises:
        ValidationError: A key is missing, unknown or wrong; names the key, the file and what is allowed.
    """
    names = {
        "mode": "nodes",
        "network": "existingNetwork" if section.has("existingNetwork") else "network",
        "endpoint.ranges": "authorizedNetworks",
        "endpoint.control_plane_cidr": "controlPlaneCidr",
    }
    with section.naming_keys(names):
        given = {"mode": _mode(section), "network": _network(section), "endpoint": _endpoint(section)}
    return section.fill(GkeClusterArgs, given, names)


def _mode(section: Section) -> StandardMode | AutopilotMode:
    if section.choice("mode", ClusterMode, ClusterMode.STANDARD) is ClusterMode.AUTOPILOT:
        if section.has("nodes"):
            raise section.fault(
                "nodes",
                dict(section.mapping("nodes")),
                "must not be given with mode autopilot, whose nodes are Google's",
                "Leave it out, or choose mode standard",
            )
        return AutopilotMode()
    return section.section("nodes", keys_of(StandardMode)).fill(StandardMode, key_names={"mode.": ""})


def _network(section: Section) -> NewNetwork | ExistingNetwork:
    if not section.has("existingNetwork"):
        return section.section("network", keys_of(NewNetwork)).fill(NewNetwork, key_names={"network.": ""})
    if section.has("network"):
        raise section.fault(
            "network",
            dict(section.mapping("network")),
            "must not be given together with existingNetwork",
            "Give the ranges of a new network, or the network that exists",
        )
    there = section.section("existingNetwork", keys_of(ExistingNetwork))
    return there.fill(ExistingNetwork, key_names={"network.": ""})


def _endpoint(section: Section) -> DnsEndpoint | AuthorizedNetworks:
    if not section.has("authorizedNetworks"):
        if section.has("controlPlaneCidr"):
            raise section.fault(
                "controlPlaneCidr",
                section.text("controlPlaneCidr"),
                "needs authorizedNetworks, because the DNS-based endpoint has no range",
                "Leave it out, or list who may connect",
            )
        return DnsEndpoint()
    ranges = section.texts_by_name("authorizedNetworks")
    if not section.has("controlPlaneCidr"):
        return AuthorizedNetworks(ranges=ranges)
    return AuthorizedNetworks(ranges=ranges, control_plane_cidr=section.text("controlPlaneCidr"))
