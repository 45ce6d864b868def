"""The address plan: nothing overlaps, nothing leaves the range for tests, names fit the kernel."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulumi_traffic_mirror.model import ValidationError
from pulumi_traffic_mirror.rehearsal.cluster.addresses import (
    FABRIC_ADDRESS,
    FABRIC_NETWORK,
    MAX_CLUSTERS,
    STAGE_NETWORK,
    plan_addresses,
)
from pulumi_traffic_mirror.rehearsal.machine.network import fabric_commands, node_commands

ROLES = st.lists(
    st.from_regex(r"[a-z][a-z0-9]{,10}", fullmatch=True).filter(lambda role: role != "fabric"),
    min_size=1,
    max_size=MAX_CLUSTERS,
    unique=True,
)


@given(ROLES)
def test_no_address_belongs_to_two(roles: list[str]) -> None:
    clusters = plan_addresses(roles)
    networks = [network for cluster in clusters for network in (cluster.pods, cluster.services)]
    networks.append(FABRIC_NETWORK)
    assert all(network.subnet_of(STAGE_NETWORK) for network in networks)
    assert not any(one.overlaps(other) for one, other in combinations(networks, 2))
    hosts = [FABRIC_ADDRESS, *(address for cluster in clusters for address in (cluster.node, cluster.gateway))]
    assert len(set(hosts)) == len(hosts)
    assert all(host in FABRIC_NETWORK for host in hosts)


@given(ROLES)
def test_names_of_links_fit_the_kernel(roles: list[str]) -> None:
    for cluster in plan_addresses(roles):
        assert len(cluster.namespace) <= 15


def test_the_two_clusters_of_a_rehearsal_have_the_documented_addresses() -> None:
    staging, testing = plan_addresses(["staging", "testing"])
    assert (str(staging.node), str(staging.gateway)) == ("198.18.0.10", "198.18.0.110")
    assert (str(testing.node), str(testing.gateway)) == ("198.18.0.20", "198.18.0.120")
    assert str(testing.api_service) == "198.19.16.1"


@pytest.mark.parametrize(
    "roles",
    [[], ["a", "a"], ["Staging"], ["a-b"], ["fabric"], [""], ["abcdefghijkl"], [str(n) for n in range(9)]],
)
def test_roles_that_cannot_name_a_cluster_are_refused(roles: list[str]) -> None:
    with pytest.raises(ValidationError, match="roles"):
        plan_addresses(roles)


def test_every_node_has_both_its_addresses_and_a_link_to_the_bridge() -> None:
    clusters = plan_addresses(["staging", "testing"])
    fabric = fabric_commands(clusters)
    for cluster in clusters:
        commands = node_commands(cluster)
        assert f"address add {cluster.node}/24 dev eth0" in commands
        assert f"address add {cluster.gateway}/24 dev eth0" in commands
        assert f"link set {cluster.namespace} master br0 up" in fabric
