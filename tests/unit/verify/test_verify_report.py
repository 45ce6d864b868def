"""The report: terminal, JSON and page say the same, and the page is safe and needs nothing from elsewhere."""

import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from rich.console import Console

from pulumi_traffic_mirror.operations.calls import CallSummary
from pulumi_traffic_mirror.operations.outcome import Outcome
from pulumi_traffic_mirror.operations.verify.causes import Cause, Diagnosis
from pulumi_traffic_mirror.operations.verify.claims import Claim
from pulumi_traffic_mirror.operations.verify.evidence import Arrivals, ProxyCounters
from pulumi_traffic_mirror.operations.verify.page import render_page
from pulumi_traffic_mirror.operations.verify.report import Phase, Report, Subject, headline, print_report

HOST = "grpc-hello.staging.example:8000"


def subject(name: str, label: str, cluster: str, copies: int, *, holds: bool = True, percent: float = 100) -> Subject:
    outcome = Outcome.HOLDS if holds else Outcome.FAILS
    count = Claim(subject=name, title="gets its share", expected="217 to 283 of 500", seen=str(copies), outcome=outcome)
    wrong = Diagnosis(cause=Cause.CONNECT, detail="9 connections failed")
    return Subject(
        name=name,
        label=label,
        cluster=cluster,
        outcome=outcome,
        claims=(count,),
        causes=() if holds else (wrong,),
        percent=percent,
        calls=500,
        copies=copies,
        share=(40.0, 60.0),
        source="log of the application",
        endpoints=("198.51.100.7:8000",),
        counters=ProxyCounters(known=True, endpoints=1, total=500, success=490, error=4, timeout=3, unanswered=6),
        arrivals=Arrivals(calls=copies, authorities={HOST: copies}, marks={"mirror": copies}),
        answers={"200 via_upstream": copies},
    )


PRIMARY = subject("primary", "v1", "staging", 500)
V2 = subject("v2", "greeter v2", "staging", 248, percent=50)


def report(copies: int = 500, mirrors: int = 2, authority: str = HOST) -> Report:
    testing = subject("testing", "greeter", "testing", copies, holds=copies == 500)
    return Report(
        title="Rehearsal",
        started="2026-11-23T10:00:00Z",
        route="VirtualService hello/greeter",
        sender="staging",
        authority=authority,
        path="/helloworld.Greeter/SayHello",
        gateway="198.18.0.11:8000",
        calls=CallSummary(total=500, answered_by={"v1": 500}, failures={}, median_seconds=0.004, p95_seconds=0.01),
        subjects=(PRIMARY, V2, testing)[: mirrors + 1],
        gaps=("No permission to create pods/exec",) if copies != 500 else (),
        phases=(Phase(name="stage", seconds=20, start_seconds=0), Phase(name="calls", seconds=5, start_seconds=20)),
        facts={"Istio": "1.31.0"},
        stand_ins=("Images are built here",),
    )


def shown(what: Report) -> str:
    stream = io.StringIO()
    print_report(what, Console(file=stream, width=180))
    return stream.getvalue()


def test_the_terminal_shows_topology_claims_and_outcome() -> None:
    text = shown(report())
    assert re.search(r"clients ─▶ gateway ─┬─+▶ v1 +500 answers +✓", text)
    assert re.search(r"├┄ 50 % ┄+▶ greeter v2 +248 copies +✓", text)
    assert re.search(r"└┄ 100 % ┄+▶ testing gateway ┄▶ greeter +500 copies +✓", text)
    assert "✓ The mirrors do what they should  (3 of 3 claims hold, 500 calls, 25 s)" in text


def test_branches_of_the_picture_are_under_each_other() -> None:
    lines = [line for line in shown(report()).splitlines() if "▶" in line]
    assert len({re.search("[┬├└]", line).start() for line in lines if re.search("[┬├└]", line)}) == 1  # pyright: ignore[reportOptionalMemberAccess] -- filtered
    assert len({line.rindex(" copies" if "copies" in line else " answers") + 0 for line in lines[1:]}) == 1


def test_a_failure_shows_its_cause_and_what_was_not_seen() -> None:
    text = shown(report(copies=400))
    assert "✗ The mirrors do not do what they should" in text
    assert "testing: connect-failure  9 connections failed. Check the mirror's address and port" in text
    assert "not seen  No permission to create pods/exec" in text


def test_markup_in_seen_values_is_shown_as_it_is() -> None:
    assert "[red]evil[/red]:8000" in shown(report(authority="[red]evil[/red]:8000"))


def test_the_json_form_can_be_written_and_names_outcome_and_time() -> None:
    document = json.loads(json.dumps(report().to_json()))
    assert (document["outcome"], document["seconds"]) == ("holds", 25)
    assert [mirror["name"] for mirror in document["mirrors"]] == ["v2", "testing"]
    assert document["mirrors"][1]["arrivals"]["calls"] == 500


@pytest.mark.parametrize("copies", [500, 400])
def test_a_report_survives_its_way_through_json(copies: int) -> None:
    original = replace(report(copies), unreached="192.0.2.1:1", in_flight={"v2": 3}, memory_bytes=5)
    assert Report.from_json(json.loads(json.dumps(original.to_json()))) == original
    watched = replace(original, calls=None, subjects=original.mirrors)
    assert Report.from_json(json.loads(json.dumps(watched.to_json()))) == watched


def test_what_was_watched_says_so_everywhere() -> None:
    watched = replace(report(), calls=None, subjects=report().mirrors, calling_seconds=60)
    assert "(2 of 2 claims hold, watched for 60 s, 25 s)" in shown(watched)
    assert "watched for 60 s" in Page(render_page(watched)).text


def test_without_a_mirror_nothing_holds() -> None:
    alone = report(mirrors=0)
    assert alone.outcome is Outcome.UNKNOWN
    assert "Nothing is mirrored for this call" in shown(alone)


def test_several_receiving_clusters_have_a_box_each() -> None:
    other = replace(V2, name="canary", cluster="canary")
    page = render_page(replace(report(), subjects=(*report().subjects, other)))
    assert page.count('class="cluster" x="620"') == 2
    assert "canary gateway" in shown(replace(report(), subjects=(*report().subjects, other)))


def test_failures_and_time_outs_are_counted_once() -> None:
    """rq_error contains rq_timeout."""
    page = render_page(report())
    assert "<td>500</td><td>490</td><td>4</td><td>6</td>" in page


class Page(HTMLParser):
    """Collects the tags and the text of a page."""

    VOID = frozenset({"meta", "path", "rect", "link", "br", "img"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.references: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        self.references += [value or "" for name, value in attrs if name in {"src", "href", "xlink:href"}]

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("mirrors", [2, 1, 0])
@pytest.mark.parametrize("copies", [500, 400, 0])
def test_the_page_is_well_formed_and_needs_nothing_from_elsewhere(mirrors: int, copies: int) -> None:
    page = render_page(report(copies, mirrors))
    parsed = Page(page)
    assert parsed.open == []
    assert parsed.references == []
    assert "script" not in parsed.tags
    assert "@import" not in page
    assert re.findall(r"url\((?!#)", page) == []


def test_the_page_shows_outcome_picture_claims_and_time() -> None:
    text = Page(render_page(report())).text
    for words in (
        "The mirrors do what they should",
        "248 copies",
        "500 answers",
        "217 to 283",
        "Images are built here",
    ):
        assert words in text
    assert "What is wrong" not in text
    assert "connect-failure" in Page(render_page(report(copies=400))).text


def test_the_page_fits_light_and_dark() -> None:
    page = render_page(report())
    light, dark = (set(re.findall(r"(--[a-z-]+):", part)) for part in page.split("prefers-color-scheme: dark")[:2])
    assert light == dark & light
    assert light


def test_hostile_values_stay_text_on_the_page() -> None:
    page = render_page(report(authority="<script>alert(1)</script>"))
    assert "<script>" not in page
    assert "<script>alert(1)</script>" in Page(page).text


def test_the_headline_without_steps_names_no_time() -> None:
    assert str(headline(replace(report(), phases=()))).endswith("(3 of 3 claims hold, 500 calls)")
