"""NetworkPeering: both directions, one after the other."""

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
