"""Address ranges: the rules of a subnet, and that overlaps are always found."""

import contextlib
from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulumi_traffic_mirror.clusters import addresses
from pulumi_traffic_mirror.model import ValidationError


@st.composite
def ranges(draw: st.DrawFn, inside: str = "10.0.0.0/8") -> IPv4Network:
    outer = IPv4Network(inside)
    prefix = draw(st.integers(outer.prefixlen, 30))
    index = draw(st.integers(0, 2 ** (prefix - outer.prefixlen) - 1))
    return IPv4Network((int(outer.network_address) + index * 2 ** (32 - prefix), prefix))


@given(ranges())
def test_every_private_range_of_the_right_size_is_accepted(network: IPv4Network) -> None:
    assert addresses.check_private_range(str(network), field="f", widest=8, narrowest=30) == network


@given(ranges(), ranges())
def test_two_ranges_are_refused_exactly_if_they_share_an_address(one: IPv4Network, other: IPv4Network) -> None:
    shared = one.network_address <= other.broadcast_address and other.network_address <= one.broadcast_address
    if not shared:
        addresses.check_disjoint({"first": str(one), "second": str(other)})
        return
    with pytest.raises(ValidationError, match=r"overlaps with first") as refusal:
        addresses.check_disjoint({"first": str(one), "second": str(other)})
    assert refusal.value.field == "second"


@given(st.text(max_size=40))
def test_any_text_is_either_a_range_or_refused(text: str) -> None:
    # Anything else than these two outcomes fails the test.
    with contextlib.suppress(ValidationError):
        network = addresses.parse_range(text, field="f")
        assert str(network) == text


@pytest.mark.parametrize(
    ("cidr", "rule"),
    [
        ("", "must be an IPv4 range"),
        ("10.0.0.0", "must be an IPv4 range"),
        ("10.0.0.0/33", "must be an IPv4 range"),
        ("10.0.0/8", "must be an IPv4 range"),
        ("fd00::/8", "must be an IPv4 range"),
        ("ten/8", "must be an IPv4 range"),
        ("10.0.0.1/8", "must be its first address.*Write 10.0.0.0/8"),
        ("10.0.0.0/255.0.0.0", "must be its first address.*Write 10.0.0.0/8"),
        ("8.8.8.0/24", "must be private"),
        ("0.0.0.0/0", "must be private"),
        ("172.0.0.0/8", "must be private"),
        ("172.17.4.0/24", "nodes use themselves"),
        ("172.16.0.0/15", "nodes use themselves"),
        ("10.0.0.0/8", "prefix length of 9 to 28"),
        ("10.0.0.0/29", "prefix length of 9 to 28"),
    ],
)
def test_wrong_ranges_name_their_rule(cidr: str, rule: str) -> None:
    with pytest.raises(ValidationError, match=rule):
        addresses.check_private_range(cidr, field="f", widest=9, narrowest=28)


@pytest.mark.parametrize(
    ("sources", "field"),
    [
        ({}, "f"),
        ({"all": "0.0.0.0/0"}, "f['all']"),
        ({"office": "203.0.113.0/24", "half": "0.0.0.0/1"}, "f['half']"),
        ({"other half": "128.0.0.0/1"}, "f['other half']"),
        ({"wide": "16.0.0.0/7"}, "f['wide']"),
        ({"six": "::/0"}, "f['six']"),
    ],
)
def test_a_control_plane_is_never_open_to_everybody(sources: dict[str, str], field: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        addresses.check_authorized_ranges(sources, field="f")
    assert refusal.value.field == field


def test_a_company_and_a_single_address_may_be_authorized() -> None:
    sources = {"company": "12.0.0.0/8", "pipeline": "203.0.113.7/32"}
    assert addresses.check_authorized_ranges(sources, field="f") == sources


@pytest.mark.parametrize(
    ("nodes", "node_cidr", "pod_cidr", "field"),
    [
        (13, "10.0.0.0/28", "10.1.0.0/16", "nodes"),
        (12, "10.0.0.0/28", "10.1.0.0/21", "pods"),
        (2, "10.0.0.0/20", "10.1.0.0/24", "pods"),
    ],
)
def test_ranges_without_room_for_the_nodes_are_refused(nodes: int, node_cidr: str, pod_cidr: str, field: str) -> None:
    fields = ("nodes", "pods")
    addresses.check_room(nodes - 1 if field == "nodes" else 1, node_cidr=node_cidr, pod_cidr=pod_cidr, fields=fields)
    with pytest.raises(ValidationError, match=f"there may be {nodes}") as refusal:
        addresses.check_room(nodes, node_cidr=node_cidr, pod_cidr=pod_cidr, fields=fields)
    assert refusal.value.field == field
