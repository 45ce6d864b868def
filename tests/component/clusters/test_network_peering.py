"""NetworkPeering: both directions, one after the other."""

import pulumi
import pytest

from components.clusters import GkeCluster, GkeClusterArgs, NetworkPeering, NetworkPeeringArgs, NewNetwork
from components.model import ValidationError
from tests.support.recording import refused, run_program

PEERING = "gcp:compute/networkPeering:NetworkPeering"
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
        assert out.inputs["network"] == "https://example.invalid/a-network"
        assert recording.one(NetworkPeering.TYPE).outputs == {"state": "ACTIVE"}


def test_a_network_is_not_connected_with_itself() -> None:
    refusal = refused(
        lambda: NetworkPeering("mirrors", NetworkPeeringArgs(first="same", second="same")), ValidationError
    )
    assert "is the first network itself" in str(refusal.error)
    assert refusal.recording.resources == ()


def overlapping(late: bool) -> None:
    """Two clusters with the default ranges, which are the same."""
    ranges = NewNetwork().ranges
    second = pulumi.Output.from_input(ranges) if late else ranges
    NetworkPeering("mirrors", NetworkPeeringArgs(first="a", second="b", first_ranges=ranges, second_ranges=second))


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
            first="a", second="b", first_ranges=NewNetwork().ranges, second_ranges=pulumi.Output.from_input(other)
        )
        NetworkPeering("mirrors", arguments)

    assert len(run_program(program, outputs=OUTPUTS).of_type(PEERING)) == 2
