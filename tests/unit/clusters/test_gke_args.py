"""Arguments of a GKE cluster: bad combinations cannot be built."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulumi_traffic_mirror.clusters.gke import (
    AuthorizedNetworks,
    AutopilotMode,
    ExistingNetwork,
    GkeClusterArgs,
    MaintenanceWindow,
    NewNetwork,
    StandardMode,
    Weekday,
)
from pulumi_traffic_mirror.model import ValidationError

KEY = "projects/p/locations/europe-west1/keyRings/r/cryptoKeys/k"


def args(**changes: Any) -> GkeClusterArgs:
    base: dict[str, Any] = {"project": "my-project", "location": "europe-west1", "deletion_protection": True}
    return GkeClusterArgs(**(base | changes))


def existing(**changes: Any) -> ExistingNetwork:
    base: dict[str, Any] = {
        "network": "shared",
        "subnetwork": "nodes",
        "pods_range": "pods",
        "services_range": "services",
        "node_cidr": "10.1.0.0/20",
        "pod_cidr": "10.2.0.0/16",
    }
    return ExistingNetwork(**(base | changes))


BAD: Mapping[str, tuple[Callable[[], object], str, str]] = {
    "project number": (lambda: args(project="123456"), "project", "is a project number"),
    "project name": (lambda: args(project="My Project"), "project", "must have 6 to 30"),
    "country": (lambda: args(location="belgium"), "location", "must be a Google Cloud region"),
    "zonal autopilot": (
        lambda: args(location="europe-west1-b", mode=AutopilotMode()),
        "location",
        "Autopilot clusters are regional",
    ),
    "zone elsewhere": (
        lambda: args(mode=StandardMode(zones=["europe-west1-b", "europe-west3-a"])),
        "mode.zones[1]",
        "must lie in europe-west1",
    ),
    "own zone twice": (
        lambda: args(location="europe-west1-b", mode=StandardMode(zones=["europe-west1-b"])),
        "mode.zones[0]",
        "the zone of the cluster itself",
    ),
    "machine": (lambda: StandardMode(machine_type="large"), "mode.machine_type", "must be a machine type"),
    "disk": (lambda: StandardMode(disk_type="SSD"), "mode.disk_type", "must be a disk type"),
    "no nodes": (lambda: StandardMode(min_nodes=0), "mode.min_nodes", "from 1 to"),
    "true nodes": (lambda: StandardMode(min_nodes=True), "mode.min_nodes", "whole number"),
    "text nodes": (lambda: StandardMode(max_nodes="3"), "mode.max_nodes", "whole number"),  # pyright: ignore[reportArgumentType]
    "max below min": (lambda: StandardMode(min_nodes=3, max_nodes=2), "mode.max_nodes", "from 3 to"),
    "no surge": (lambda: StandardMode(max_surge=0), "mode.max_surge", "from 1 to"),
    "small disk": (lambda: StandardMode(disk_size_gib=10), "mode.disk_size_gib", "from 30 to"),
    "overlap": (
        lambda: NewNetwork(node_cidr="10.0.0.0/20", service_cidr="10.0.8.0/24"),
        "network.service_cidr",
        "overlaps with network.node_cidr",
    ),
    "public": (lambda: NewNetwork(node_cidr="8.8.0.0/20"), "network.node_cidr", "must be private"),
    "pods too narrow": (lambda: NewNetwork(pod_cidr="10.9.0.0/25"), "network.pod_cidr", "prefix length of 9 to 24"),
    "services too wide": (lambda: NewNetwork(service_cidr="10.128.0.0/9"), "network.service_cidr", "prefix length"),
    "shared overlap": (lambda: existing(pod_cidr="10.1.0.0/16"), "network.pod_cidr", "overlaps"),
    "shared project": (lambda: existing(project="1"), "network.project", "is a project number"),
    "network by half": (
        lambda: existing(network="global/networks/shared"),
        "network.network",
        "must be projects/<project>/global/networks/<name>",
    ),
    "subnetwork by half": (
        lambda: existing(subnetwork="regions/europe-west1/subnetworks/nodes"),
        "network.subnetwork",
        "or a name alone",
    ),
    "network elsewhere": (lambda: existing(network="https://example.invalid/shared"), "network.network", "self link"),
    "long name": (lambda: existing(network="n" * 64), "network.network", "or a name alone"),
    "subnetwork in another region": (
        lambda: args(network=existing(subnetwork="projects/my-project/regions/us-east1/subnetworks/nodes")),
        "network.subnetwork",
        "must lie in europe-west1",
    ),
    "two projects": (
        lambda: args(
            network=existing(
                network="projects/host-project/global/networks/shared",
                subnetwork="projects/my-project/regions/europe-west1/subnetworks/nodes",
            )
        ),
        "network.subnetwork",
        "must belong to the project host-project, like the network",
    ),
    "project said otherwise": (
        lambda: args(network=existing(network="projects/host-project/global/networks/shared", project="other-project")),
        "network.network",
        "must belong to the project other-project, like network.project says",
    ),
    "network of a numbered project": (
        lambda: existing(network="projects/123456789012/global/networks/shared"),
        "network.network",
        "must name its project by id",
    ),
    "subnetwork of a numbered project": (
        lambda: existing(subnetwork="projects/123456789012/regions/europe-west1/subnetworks/nodes"),
        "network.subnetwork",
        "must name its project by id",
    ),
    "one range for both": (lambda: existing(services_range="pods"), "network.services_range", "range of the pods"),
    "range name": (lambda: existing(pods_range="My pods"), "network.pods_range", "must have 1 to 63"),
    "no room": (
        lambda: args(network=NewNetwork(pod_cidr="10.65.0.0/22")),
        "network.pod_cidr",
        "has room for 4 nodes, but there may be 7",
    ),
    "no room in shared": (
        lambda: args(network=existing(node_cidr="10.1.0.0/28"), mode=StandardMode(max_nodes=12)),
        "network.node_cidr",
        "has room for 12 nodes, but there may be 13",
    ),
    "open to all": (
        lambda: AuthorizedNetworks(ranges={"all": "0.0.0.0/0"}),
        "endpoint.ranges['all']",
        "half the internet",
    ),
    "open to none": (lambda: AuthorizedNetworks(ranges={}), "endpoint.ranges", "must name a range"),
    "open to too many": (
        lambda: AuthorizedNetworks(ranges={str(number): f"203.0.113.{number}/32" for number in range(101)}),
        "endpoint.ranges",
        "may have 100 entries at most",
    ),
    "control plane size": (
        lambda: AuthorizedNetworks(ranges={"o": "203.0.113.0/24"}, control_plane_cidr="172.16.0.0/24"),
        "endpoint.control_plane_cidr",
        "prefix length of 28 to 28",
    ),
    "control plane overlap": (
        lambda: args(
            endpoint=AuthorizedNetworks(ranges={"o": "203.0.113.0/24"}, control_plane_cidr="10.64.16.0/28"),
        ),
        "endpoint.control_plane_cidr",
        "overlaps with network.service_cidr",
    ),
    "foreign key": (
        lambda: args(secrets_key=KEY.replace("europe-west1", "us-east1")),
        "secrets_key",
        "must be a key in europe-west1",
    ),
    "image project": (lambda: args(image_projects=["good-project", "Bad"]), "image_projects[1]", "must have 6 to 30"),
    "labels beside ours": (
        lambda: args(labels={f"label-{number}": "x" for number in range(62)}),
        "labels",
        "may have 61 entries at most",
    ),
    "label": (lambda: args(labels={"Team": "x"}), "labels['Team']", "lower-case"),
    "no days": (lambda: MaintenanceWindow(days=()), "maintenance.days", "at least one day"),
    "same day": (
        lambda: MaintenanceWindow(days=(Weekday.MONDAY, Weekday.MONDAY)),
        "maintenance.days",
        "each once",
    ),
    "hour 24": (lambda: MaintenanceWindow(start_hour_utc=24), "maintenance.start_hour_utc", "from 0 to 23"),
    "short window": (lambda: MaintenanceWindow(hours=3), "maintenance.hours", "from 4 to 24"),
    "rare window": (
        lambda: MaintenanceWindow(days=(Weekday.SUNDAY,), hours=11),
        "maintenance.hours",
        "gives 44 hours in 32 days, but GKE needs 48",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_with_field_rule_and_remedy(case: str) -> None:
    build, field, rule = BAD[case]
    with pytest.raises(ValidationError) as refusal:
        build()
    assert refusal.value.field == field
    assert rule in refusal.value.rule
    assert refusal.value.remedy


def test_autopilot_takes_no_node_settings() -> None:
    with pytest.raises(TypeError, match="machine_type"):
        AutopilotMode(machine_type="e2-standard-4")  # pyright: ignore[reportCallIssue]


def test_deletion_protection_must_be_said() -> None:
    with pytest.raises(TypeError, match="deletion_protection"):
        GkeClusterArgs(project="my-project", location="europe-west1")  # pyright: ignore[reportCallIssue]


def test_the_clusters_own_project_always_provides_images_once() -> None:
    chosen = args(image_projects=["other-project", "my-project", "other-project"])
    assert chosen.image_projects == ("my-project", "other-project")


def test_autopilot_needs_no_room_for_nodes_of_ours() -> None:
    network = NewNetwork(pod_cidr="10.65.0.0/24")
    assert args(mode=AutopilotMode(), network=network).network == network


def test_arguments_do_not_change_with_what_they_were_made_of() -> None:
    labels = {"team": "mesh"}
    chosen = args(labels=labels)
    labels["team"] = "other"
    assert chosen.labels == {"team": "mesh"}


@given(
    days=st.sets(st.sampled_from(Weekday), min_size=3),
    start=st.integers(0, 23),
    hours=st.integers(4, 24),
)
def test_windows_have_their_length_and_days_in_calendar_order(days: set[Weekday], start: int, hours: int) -> None:
    window = MaintenanceWindow(days=tuple(days), start_hour_utc=start, hours=hours)
    begin, end = datetime.fromisoformat(window.start_time), datetime.fromisoformat(window.end_time)
    assert (end - begin).total_seconds() == hours * 3600
    named = window.recurrence.removeprefix("FREQ=WEEKLY;BYDAY=").split(",")
    assert named == [day.value for day in Weekday if day in days]


def test_importing_the_library_does_not_load_google_clouds_sdk() -> None:
    # It takes more than a second and 100 MiB, which users of existing clusters would pay for nothing.
    check = "import sys, pulumi_traffic_mirror.clusters; sys.exit('pulumi_gcp.compute.network' in sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True, timeout=60)
