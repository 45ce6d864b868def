"""Loops of mirrors: found whatever their length, never where there is none."""

import graphlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulumi_traffic_mirror.model import AuthorityMode, Scrub, ValidationError, Waiver
from pulumi_traffic_mirror.model.rules import (
    UNKNOWN,
    ClusterObjects,
    Hop,
    Mesh,
    Place,
    check_loops,
    describe_loop,
    find_loops,
    run_rules,
)
from pulumi_traffic_mirror.model.rules.hosts import HostIndex, covers
from pulumi_traffic_mirror.model.rules.loops import ENDED_BY_MARK, ENDLESS, MAX_LOOPS
from tests.unit.model.rule_cases import bare
from tests.unit.model.samples import (
    HOST,
    NOW,
    SERVER,
    Object,
    contract,
    cross_cluster,
    findings,
    mesh,
    route,
    sending,
    service,
)

GATEWAY = "istio-system/internal-gateway"
NO_SCRUB = Waiver(reason="nothing secret is in these calls")


def hop(start: str, end: str) -> Hop:
    """A hop between ``cluster host`` and ``cluster authority``."""
    (cluster, host), (other, authority) = start.split(), end.split()
    return Hop(start=Place(cluster=cluster, gateway=GATEWAY, host=host), cluster=other, authority=authority)


def paths(*hops: Hop) -> list[list[str]]:
    """Loops as clusters and hosts."""
    return [[f"{each.start.cluster} {each.start.host}" for each in loop] for loop in find_loops(hops)]


def test_a_chain_is_no_loop() -> None:
    assert paths(hop("a h.x", "b h.x"), hop("b h.x", "c h.x"), hop("c other.x", "a h.x")) == []


def test_a_loop_is_found_over_any_number_of_clusters() -> None:
    hops = [hop(f"c{index} h.x", f"c{(index + 1) % 7} h.x") for index in range(7)]
    [loop] = find_loops(hops)
    assert {each.start.cluster for each in loop} == {f"c{index}" for index in range(7)}
    assert describe_loop(loop).count("-(mirrored)->") == 7


def test_a_mirror_to_its_own_gateway_is_a_loop() -> None:
    assert paths(hop("a h.x", "a h.x")) == [["a h.x"]]


@pytest.mark.parametrize(
    ("route_host", "authority", "closes"),
    [
        ("*.x", "h.x", True),
        ("*", "h.x", True),
        ("h.x", "*.x", True),
        ("h.x", "*", True),
        ("*.y.x", "*.x", True),
        ("*.x", "*.y.x", True),
        ("*.x", "h.y", False),
        ("*.y.x", "h.x", False),
        ("h.x", "h.x-shadow", False),
        ("*.x-shadow", "h.x-shadow", True),
    ],
)
def test_wildcards_close_a_loop_where_hosts_overlap(route_host: str, authority: str, closes: bool) -> None:
    assert bool(paths(hop(f"a {route_host}", f"b {authority}"), hop("b *", f"a {authority}"))) is closes


def test_sidecars_do_not_answer_for_a_gateway() -> None:
    mine = Place(cluster="a", gateway="mesh", host="h.x")
    assert find_loops([Hop(start=mine, cluster="a", authority="h.x")]) == []


def test_separate_loops_are_listed_up_to_a_bound() -> None:
    hops = [
        each
        for index in range(20)
        for each in (hop(f"a h{index}.x", f"b h{index}.x"), hop(f"b h{index}.x", f"a h{index}.x"))
    ]
    assert len(find_loops(hops)) == MAX_LOOPS


def test_a_long_path_is_shortened() -> None:
    [loop] = find_loops([hop(f"a h{index}.x", f"a h{(index + 1) % 50}.x") for index in range(50)])
    assert "… 39 more …" in describe_loop(loop)


NAMES = st.sampled_from(["*", "*.x", "a.x", "b.x", "*.b.x", "c.b.x", "d.y"])


@given(st.lists(st.tuples(st.sampled_from("pq"), NAMES, st.sampled_from("pq"), NAMES), max_size=8, unique=True))
def test_a_loop_is_found_just_where_a_plain_search_finds_one(edges: Sequence[tuple[str, str, str, str]]) -> None:
    hops = [hop(f"{cluster} {host}", f"{other} {authority}") for cluster, host, other, authority in edges]
    merged: dict[Place, set[Place]] = {}
    for each in hops:
        reached = [
            other.start
            for other in hops
            if other.start.cluster == each.cluster
            and (covers(other.start.host, each.authority) or covers(each.authority, other.start.host))
        ]
        merged.setdefault(each.start, set()).update(reached)
    try:
        graphlib.TopologicalSorter(merged).prepare()
        looping = False
    except graphlib.CycleError:
        looping = True
    loops = find_loops(hops)
    assert bool(loops) is looping
    for loop in loops:
        for first, second in zip(loop, [*loop[1:], loop[0]], strict=True):
            assert second.start in merged[first.start]


@given(st.lists(NAMES, max_size=6), NAMES)
def test_an_index_finds_what_a_scan_finds(patterns: list[str], host: str) -> None:
    index = HostIndex((pattern, position) for position, pattern in enumerate(patterns))
    assert sorted(index.covering(host)) == [i for i, pattern in enumerate(patterns) if covers(pattern, host)]
    assert sorted(index.overlapping(host)) == [
        i for i, pattern in enumerate(patterns) if covers(pattern, host) or covers(host, pattern)
    ]


def test_two_stacks_that_mirror_to_each_other_are_refused() -> None:
    there = route(mirrors=[cross_cluster(contract=contract(receiver="testing"))])
    back = route(mirrors=[cross_cluster(contract=contract(receiver="staging"))])
    check_loops({"staging": [there], "testing": [route(mirrors=[])]})
    with pytest.raises(ValidationError, match=f"staging {GATEWAY} {HOST} .*-> testing {GATEWAY} {HOST}"):
        check_loops({"staging": [there], "testing": [back]})


@pytest.mark.parametrize(
    ("there", "back", "fate"),
    [
        pytest.param({}, {}, ENDED_BY_MARK, id="marks and guards on both sides"),
        pytest.param({}, {"scrub": NO_SCRUB}, ENDED_BY_MARK, id="one side marks"),
        pytest.param({"scrub": NO_SCRUB}, {"scrub": NO_SCRUB}, ENDLESS, id="nobody marks"),
    ],
)
def test_what_a_loop_does_is_said_by_the_guards_in_force(there: Object, back: Object, fate: str) -> None:
    looping = mesh(*(sending(route(mirrors=[cross_cluster(contract=contract(**each))])) for each in (there, back)))
    found = [each for each in findings(looping, "mirror-loop") if each.outcome.value == "broken"]
    assert [each.message.partition(":")[0] for each in found] == [fate]


def test_a_guard_for_another_mark_ends_nothing() -> None:
    other = contract(scrub=Scrub(mark_header="x-other"))
    looping = mesh(sending(route(mirrors=[cross_cluster()])), sending(route(mirrors=[cross_cluster(contract=other)])))
    [found] = [each for each in findings(looping, "mirror-loop") if each.outcome.value == "broken"]
    assert found.message.startswith(ENDLESS)


def sender(cluster: str, to: str, host: str = HOST, **entry: object) -> ClusterObjects:
    """A cluster whose gateway mirrors, or routes, a host to a name outside."""
    target = {"host": to, "port": {"number": 8000}}
    given = bare(**(entry or {"mirror": target}))
    given["spec"] |= {"hosts": [host], "gateways": [GATEWAY]}
    return ClusterObjects(name=cluster, objects=[given])


def test_a_loop_that_only_one_authority_mode_closes_says_which() -> None:
    looping = Mesh(clusters=[sender("a", "b.example"), sender("b", "a.example")], now=NOW)
    [found] = [each for each in run_rules(looping) if each.rule == "mirror-loop"]
    assert AuthorityMode.PRESERVED.value in found.message
    assert found.field == "spec.http[0].mirror"


def test_a_mirror_that_is_routed_back_as_a_primary_is_a_loop() -> None:
    primary = [{"destination": {"host": "a.example", "port": {"number": 8000}}}]
    back = sender("b", "", route=primary, mirror=None)
    [found] = findings(Mesh(clusters=[sender("a", "b.example"), back], now=NOW), "mirror-loop")
    assert "-(routed)-> a" in found.message


def test_a_mirror_to_the_service_of_its_own_gateway_is_a_loop() -> None:
    front = service("front", "istio-system", selector={"istio": "internal-gateway"})
    gateway: Object = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "internal-gateway", "namespace": "istio-system"},
        "spec": {"selector": {"istio": "internal-gateway"}, "servers": [SERVER]},
    }
    own = sender("a", "front.istio-system.svc.cluster.local")
    objects = [*own.objects, gateway, front]
    assert findings(mesh(objects), "mirror-loop")
    assert findings(mesh(list(own.objects)), "mirror-loop") == []


def test_the_only_loop_of_a_wildcard_closes_in_the_suffixed_mode_too() -> None:
    looping = Mesh(clusters=[sender("a", "b.example", "*"), sender("b", "a.example", "*")], now=NOW)
    assert findings(looping, "mirror-loop")


def mirrored_on(cluster: str, to: str, host: str, **entry: object) -> ClusterObjects:
    """A cluster whose gateway mirrors a host to a name outside, and changes the entry besides."""
    return sender(cluster, to, host, mirror={"host": to, "port": {"number": 8000}}, **entry)


def test_a_loop_closes_by_the_authority_that_a_route_rewrites() -> None:
    there = mirrored_on("a", "b.example", "one.x", rewrite={"authority": "two.x"})
    back = mirrored_on("b", "a.example", "two.x", rewrite={"authority": "one.x"})
    assert findings(Mesh(clusters=[there, back], now=NOW), "mirror-loop")
    kept = mirrored_on("b", "a.example", "two.x")
    assert findings(Mesh(clusters=[there, kept], now=NOW), "mirror-loop") == []


def test_a_loop_is_found_beside_a_route_that_is_not_known_yet() -> None:
    there, back = sender("a", "b.example"), sender("b", "a.example")
    unknown = mirrored_on("a", "b.example", "other.x", rewrite={"authority": UNKNOWN})
    given = ClusterObjects(name="a", objects=[*unknown.objects, *there.objects])
    found = findings(Mesh(clusters=[given, back], now=NOW), "mirror-loop")
    assert [each.outcome.value for each in found] == ["broken", "not judged"]
