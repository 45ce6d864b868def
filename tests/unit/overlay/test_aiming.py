"""Conditions are read back as they are rendered, and take what the mirror takes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulumi_traffic_mirror.model import HeaderMatch, HeaderTest, Match
from pulumi_traffic_mirror.model.matching import Selection
from pulumi_traffic_mirror.model.render.condition import aimed, condition
from pulumi_traffic_mirror.model.rules.aiming import Aim, Asked, holds, read_aim

CLUSTER = "outbound|80||next.labs.svc.cluster.local"
READS = Selection(match=Match(http_methods=["GET", "HEAD"], path_prefixes=["/api"], exact_paths=["/it's(1)"]))
MARKS = ("x-traffic-mirror",)
HEADERS = [
    HeaderMatch(name="x-user", test=HeaderTest.EXACT, value="a'b"),
    HeaderMatch(name="x-tier", test=HeaderTest.PREFIX, value="go"),
    HeaderMatch(name="x-any", test=HeaderTest.PRESENT),
    HeaderMatch(name="x-number", test=HeaderTest.REGEX, value="[0-9]+"),
]
SENT = {"x-user": "a'b", "x-tier": "gold", "x-any": "", "x-number": "12"}


def asked(path: str = "/api/1", method: str = "GET", authority: str = "shop.example:80", **headers: str) -> Asked:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Asked(method=method, authority=authority, path=path, headers=named)


@pytest.mark.parametrize(
    ("request_", "takes"),
    [
        (asked(), True),
        (asked("/api"), True),
        (asked("/api?x=/else"), True),
        (asked("/it's(1)"), True),
        (asked("/apis"), False),
        (asked(method="POST"), False),
        (asked(authority="shop.example"), True),
        (asked(authority="shop.example.org"), False),
        (asked(x_traffic_mirror="mirror"), False),
        (asked(upgrade="websocket"), False),
    ],
)
def test_a_condition_takes_what_the_mirror_takes(request_: Asked, takes: bool) -> None:
    assert holds(condition(READS, MARKS, ["shop.example"]), request_) is takes


def test_every_test_of_a_header_is_read() -> None:
    written = condition(Selection(match=Match(http_methods=["GET"], headers=HEADERS)), MARKS)
    assert holds(written, Asked(method="GET", authority="", path="/", headers=SENT)) is True
    for name in SENT:
        left = {key: value for key, value in SENT.items() if key != name}
        assert holds(written, Asked(method="GET", authority="", path="/", headers=left)) is False
    assert holds(written, Asked(method="GET", authority="", path="/", headers={**SENT, "x-number": "12a"})) is False


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1))
def test_every_literal_is_read_as_it_was_meant(text: str) -> None:
    written = condition(
        Selection(
            match=Match(http_methods=["GET"], headers=[HeaderMatch(name="x", test=HeaderTest.EXACT, value=text)])
        ),
        MARKS,
    )
    assert holds(written, asked(x=text)) is True
    assert holds(written, asked(x=f"{text}.")) is False


def test_a_cluster_is_read_with_its_condition() -> None:
    written = condition(READS, MARKS)
    assert read_aim(aimed(written, CLUSTER)) == Aim(written, CLUSTER)
    assert read_aim("outbound|80||next.labs.svc.cluster.local") == Aim()


@pytest.mark.parametrize(
    "foreign",
    ["true", "request.method != 'GET'", "a || (request.method == 'GET')", "request.headers['x'].matches('(')"],
)
def test_of_a_condition_in_another_form_nothing_is_said(foreign: str) -> None:
    assert holds(foreign, asked(x="1")) is None
