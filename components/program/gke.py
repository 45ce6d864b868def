"""From the section ``cluster`` of a stack on GKE to the arguments of its cluster."""

from typing import Final

from ..clusters import (
    AuthorizedNetworks,
    AutopilotMode,
    Credentials,
    DnsEndpoint,
    ExistingNetwork,
    GkeClusterArgs,
    MaintenanceWindow,
    NewNetwork,
    ReleaseChannel,
    StandardMode,
    Weekday,
)
from .sections import Section
from .settings import ClusterMode

_NODE_KEYS: Final = ("machineType", "minNodes", "maxNodes", "zones", "diskSizeGib", "spot")
_NETWORK_KEYS: Final = ("nodeCidr", "podCidr", "serviceCidr")
_EXISTING_NETWORK_KEYS: Final = (
    *("network", "subnetwork", "podsRange", "servicesRange", "nodeCidr", "podCidr"),
    *("project", "firewall"),
)
_MAINTENANCE_KEYS: Final = ("days", "startHourUtc", "hours")

_PLACES: Final = {
    "mode": "nodes",
    "endpoint.ranges": "authorizedNetworks",
    "endpoint.control_plane_cidr": "controlPlaneCidr",
}
"""Where users wrote what the arguments call otherwise."""


def gke_cluster_args(section: Section) -> GkeClusterArgs:
    """Arguments of the cluster.

    Args:
        section: The stack's section ``cluster``.

    Raises:
        ValidationError: A key is missing, unknown or wrong; names the key, the file and what is allowed.
    """
    with section.locating({**_PLACES, **({"network": "existingNetwork"} if section.has("existingNetwork") else {})}):
        return GkeClusterArgs(
            project=section.text("project"),
            location=section.text("location"),
            deletion_protection=section.flag("deletionProtection"),
            mode=_mode(section),
            network=_network(section),
            endpoint=_endpoint(section),
            release_channel=section.choice("releaseChannel", ReleaseChannel, ReleaseChannel.REGULAR),
            maintenance=_maintenance(section),
            secrets_key=section.text("secretsKey", "") or None,
            binary_authorization=section.flag("binaryAuthorization", default=False),
            image_projects=section.texts("imageProjects"),
            labels=section.texts_by_name("labels"),
            credentials=section.choice("credentials", Credentials, Credentials.EXEC_PLUGIN),
        )


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
    nodes, standard = section.section("nodes", _NODE_KEYS), StandardMode()
    return StandardMode(
        machine_type=nodes.text("machineType", standard.machine_type),
        min_nodes=nodes.whole("minNodes", standard.min_nodes),
        max_nodes=nodes.whole("maxNodes", standard.max_nodes),
        zones=nodes.texts("zones"),
        disk_size_gib=nodes.whole("diskSizeGib", standard.disk_size_gib),
        spot=nodes.flag("spot", default=False),
    )


def _network(section: Section) -> NewNetwork | ExistingNetwork:
    if section.has("existingNetwork"):
        if section.has("network"):
            raise section.fault(
                "network",
                dict(section.mapping("network")),
                "must not be given together with existingNetwork",
                "Give the ranges of a new network, or the network that exists",
            )
        there = section.section("existingNetwork", _EXISTING_NETWORK_KEYS)
        return ExistingNetwork(
            network=there.text("network"),
            subnetwork=there.text("subnetwork"),
            pods_range=there.text("podsRange"),
            services_range=there.text("servicesRange"),
            node_cidr=there.text("nodeCidr"),
            pod_cidr=there.text("podCidr"),
            project=there.text("project", "") or None,
            firewall=there.flag("firewall", default=True),
        )
    ranges, standard = section.section("network", _NETWORK_KEYS), NewNetwork()
    return NewNetwork(
        node_cidr=ranges.text("nodeCidr", standard.node_cidr),
        pod_cidr=ranges.text("podCidr", standard.pod_cidr),
        service_cidr=ranges.text("serviceCidr", standard.service_cidr),
    )


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


def _maintenance(section: Section) -> MaintenanceWindow:
    window, standard = section.section("maintenance", _MAINTENANCE_KEYS), MaintenanceWindow()
    days = window.choices("days", Weekday)
    return MaintenanceWindow(
        days=days or standard.days,
        start_hour_utc=window.whole("startHourUtc", standard.start_hour_utc),
        hours=window.whole("hours", standard.hours),
    )
