"""A request comes through the doors that take its host, as a real caller's would."""

from typing import Any

import pytest

from pulumi_traffic_mirror.operations.oracle import ProxyKind
from pulumi_traffic_mirror.operations.whatif.choosing import Chooser
from pulumi_traffic_mirror.operations.whatif.state import Door
from tests.support.what_if import HOST, door, request, route, state

OTHER = "gateway ingress/app=other"
SERVICE = "orders.shop.svc.cluster.local"


def chosen(*doors: Door, **fields: Any) -> list[str]:
    return [key.replace("gateway ingress/", "") for key in Chooser([state(*doors)]).doors(request(**fields))]


def at(host: str, **values: Any) -> Door:
    return door([route("a")], host=host, **values)


@pytest.mark.parametrize(
    ("domain", "host", "taken"),
    [
        (HOST, HOST, True),
        (HOST, f"{HOST}:8080", True),
        (HOST.upper(), HOST, True),
        (f"{HOST}:*", HOST, True),
        (f"{HOST}:80", HOST, True),
        ("*.example.com", HOST, True),
        ("*.example.com", "example.com", False),
        ("shop.*", HOST, True),
        ("*", HOST, True),
        ("other.example.com", HOST, False),
    ],
)
def test_domains_are_matched_as_envoy_does(domain: str, host: str, taken: bool) -> None:
    assert bool(chosen(at(domain), authority=host)) == taken


def test_the_door_that_names_the_host_most_exactly() -> None:
    assert chosen(at("*"), at(HOST, proxy=OTHER)) == ["app=other http.80"]
    assert chosen(at("*.example.com"), at("*", proxy=OTHER)) == ["app=ingress http.80"]
    assert chosen(at(HOST), at(HOST, proxy=OTHER)) == ["app=ingress http.80", "app=other http.80"]


def test_scheme_and_port_where_there_is_a_choice() -> None:
    plain, tls = at(HOST), at(HOST, port=443, tls=True)
    assert chosen(plain, tls) == ["app=ingress http.80"]
    assert chosen(plain, tls, scheme="https") == ["app=ingress http.443"]
    assert chosen(plain, scheme="https") == ["app=ingress http.80"]
    assert chosen(plain, at(HOST, port=8080), authority=f"{HOST}:8080") == ["app=ingress http.8080"]


def test_server_names_are_asked_for() -> None:
    named = at("*", port=443, tls=True, names=("other.example.com",))
    assert chosen(named, scheme="https") == []


def test_a_gateway_before_the_mesh_and_all_waypoints_and_sidecars() -> None:
    sidecar = at(SERVICE, proxy="sidecar in a", kind=ProxyKind.SIDECAR)
    waypoint = at("*", proxy="waypoint shop/w", kind=ProxyKind.WAYPOINT, service=SERVICE)
    assert chosen(sidecar, waypoint, authority=SERVICE) == ["sidecar in a http.80", "waypoint shop/w http.80"]
    assert chosen(sidecar, waypoint, at(SERVICE), authority=SERVICE) == ["app=ingress http.80"]


def test_one_sidecar_stands_for_those_that_do_the_same() -> None:
    doors = [at(SERVICE, proxy=f"sidecar in {name}", kind=ProxyKind.SIDECAR) for name in "abc"]
    other = door([route("b", "/x")], host=SERVICE, proxy="sidecar in d", kind=ProxyKind.SIDECAR)
    assert chosen(*doors, other, authority=SERVICE) == ["sidecar in a http.80", "sidecar in d http.80"]


def test_a_door_of_either_state_counts() -> None:
    chooser = Chooser([state(), state(at(HOST))])
    assert len(chooser.doors(request())) == 1
    assert chooser.doors(request(authority="other.example.com")) == ()
