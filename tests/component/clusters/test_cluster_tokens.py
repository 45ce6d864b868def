"""Type tokens and child names are a contract: a changed one replaces somebody's cluster."""

from pulumi_traffic_mirror.clusters import ExistingCluster
from pulumi_traffic_mirror.clusters.gke import GkeCluster, NetworkPeering


def test_tokens_never_change() -> None:
    assert GkeCluster.TYPE == "trafficmirror:index:GkeCluster"
    assert ExistingCluster.TYPE == "trafficmirror:index:ExistingCluster"
    assert NetworkPeering.TYPE == "trafficmirror:index:NetworkPeering"
