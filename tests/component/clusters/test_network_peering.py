"""NetworkPeering: both directions, one after the other."""

import re

import pulumi
import pytest

from pulumi_traffic_mirror.clusters.gke import (
    GkeCluster,
    GkeClusterArgs,
    NetworkPeering,
    NetworkPeeringArgs,
    NewNetwork,
)
from pulumi_traffic_mirror.model import ValidationError
from tests.support.outputs import COMPUTE
from tests.support.recording import refused, run_program

PEERING = "gcp:compute/networkPeering:NetworkPeering"
A, B = (f"projects/my-project/global/networks/{name}" for name in "ab")
OUTPUTS = {PEERING: {"state": "ACTIVE"}}


@pytest.mark.parametrize("preview", [False, True])
def test_two_clusters_are_connected_in_both_directions(preview: bool) -> None:
    def program() -> None:
        base = {"project": "my-project", "location": "europe-west1", "deletion_protection": False}
        other = NewNetwork(node_cidr="10.68.0.0/20", pod_cidr="10.69.0.0/16", service_cidr="10.68.16.0/20")
        a = GkeCluster("a", GkeClusterArgs(**base))
        b = GkeCluster("b", GkeClusterArgs(**base, network=other))
        NetworkPeering("mirrors", NetworkPeeringArgs(first=a.network, second=b.network))

    recording = run_program(program, preview=preview, outputs=OUTPUTS)
    out, back = (recording.one(PEERING, f"mirrors-{way}") for way in ("out", "back"))
    assert {out.parent, back.parent} == {recording.one(NetworkPeering.TYPE).urn}
    assert recording.names(out.depends_on) >= {"a-network", "b-network"}
    assert out.urn in back.depends_on
    assert (out.inputs["network"], out.inputs["peerNetwork"]) == (back.inputs["peerNetwork"], back.inputs["network"])
    if not preview:
        assert out.inputs["network"] == f"{COMPUTE}/projects/my-project/global/networks/a-network"
        # What the provider asks for; a bare name is refused by it.
        pattern = re.compile(r"projects/[^/]+/global/networks/[a-z][-a-z0-9]*$")
        assert all(pattern.search(peering.inputs[key]) for peering in (out, back) for key in ("network", "peerNetwork"))
        assert recording.one(NetworkPeering.TYPE).outputs == {"state": "ACTIVE"}


def test_a_network_is_not_connected_with_itself() -> None:
    refusal = refused(
        lambda: NetworkPeering("mirrors", NetworkPeeringArgs(first=A, second=f"{COMPUTE}/{A}")), ValidationError
    )
    assert "is the first network itself" in str(refusal.error)
    assert refusal.recording.resources == ()


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    ("network", "rule"),
    [
        ("default", "must be projects/<project>/global/networks/<name> or a self link."),
        ("projects/123456789012/global/networks/b", "must name its project by id"),
    ],
)
def test_a_network_without_its_projects_id_is_refused(network: str, rule: str, late: bool) -> None:
    def program() -> None:
        second = pulumi.Output.from_input(network) if late else network
        NetworkPeering("mirrors", NetworkPeeringArgs(first=A, second=second))

    refusal = refused(program, ValidationError)
    assert f"second = '{network}': {rule}" in str(refusal.error)
    assert not refusal.recording.of_type(PEERING)


def overlapping(late: bool) -> None:
    """Two clusters with the default ranges, which are the same."""
    ranges = NewNetwork().ranges
    second = pulumi.Output.from_input(ranges) if late else ranges
    NetworkPeering("mirrors", NetworkPeeringArgs(first=A, second=B, first_ranges=ranges, second_ranges=second))


@pytest.mark.parametrize("preview", [False, True])
@pytest.mark.parametrize("late", [False, True])
def test_networks_that_overlap_are_refused(late: bool, preview: bool) -> None:
    refusal = refused(lambda: overlapping(late), ValidationError, preview=preview)
    assert "second_ranges.node_cidr = '10.64.0.0/20': overlaps with first_ranges.node_cidr" in str(refusal.error)
    assert not refusal.recording.of_type(PEERING)


def test_networks_whose_ranges_fit_are_connected() -> None:
    def program() -> None:
        other = NewNetwork(node_cidr="10.68.0.0/20", pod_cidr="10.69.0.0/16", service_cidr="10.68.16.0/20").ranges
        arguments = NetworkPeeringArgs(
            first=A, second=B, first_ranges=NewNetwork().ranges, second_ranges=pulumi.Output.from_input(other)
        )
        NetworkPeering("mirrors", arguments)

    assert len(run_program(program, outputs=OUTPUTS).of_type(PEERING)) == 2
