"""The report: terminal, JSON and page say the same, and the page is safe and needs nothing from elsewhere."""

import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from rich.console import Console

from components.operations.calls import CallSummary
from components.operations.evidence import Arrivals, Evidence, ProxyCounters
from components.operations.mirror_plan import MirrorPlan
from components.operations.page import render_page
from components.operations.report import Phase, Report, headline, print_report
from components.operations.verdict import judge

HOST = "grpc-hello.staging.example:8000"
PLANS = (
    MirrorPlan(
        name="in-cluster",
        label="greeter v2",
        percent=50,
        authorities=(HOST,),
        sender_cluster="staging",
        receiver_cluster="staging",
    ),
    MirrorPlan(
        name="cross-cluster",
        label="greeter",
        percent=100,
        authorities=(HOST,),
        sender_cluster="staging",
        receiver_cluster="testing",
    ),
)


def report(copies: int = 500, mirrors: tuple[MirrorPlan, ...] = PLANS, authority: str = HOST) -> Report:
    calls = CallSummary(total=500, answered_by={"v1": 500}, failures={}, median_seconds=0.004, p95_seconds=0.01)
    seen = {"primary": Arrivals(calls=500, authorities={authority: 500}, marks={"": 500})}
    for plan, count in zip(mirrors, (248, copies), strict=False):
        seen[plan.name] = Arrivals(calls=count, authorities={authority: count}, marks={"mirror": count})
    evidence = Evidence(
        arrivals=seen,
        proxies={"cross-cluster": ProxyCounters(known=True, endpoints=1, total=500, success=500)},
        gateway_answers={"cross-cluster": {"200 via_upstream": 500}},
        rejects={"staging": 0},
        gaps=("No permission to create pods/exec",) if copies != 500 else (),
    )
    plans = tuple(replace(plan, authorities=(authority,)) for plan in mirrors)
    return Report(
        title="Rehearsal",
        started="2026-11-23T10:00:00Z",
        version="v1",
        authority=authority,
        gateway="198.18.0.11:8000",
        mirrors=plans,
        calls=calls,
        evidence=evidence,
        verdict=judge(version="v1", mirrors=plans, calls=calls, evidence=evidence),
        phases=(Phase(name="stage", seconds=20, start_seconds=0), Phase(name="trial", seconds=5, start_seconds=20)),
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
    assert "✓ The mirrors do what they should  (12 of 12 claims hold, 500 calls, 25 s)" in text


def test_branches_of_the_picture_are_under_each_other() -> None:
    lines = [line for line in shown(report()).splitlines() if "▶" in line]
    assert len({re.search("[┬├└]", line).start() for line in lines if re.search("[┬├└]", line)}) == 1  # pyright: ignore[reportOptionalMemberAccess] -- filtered
    assert len({line.rindex(" copies" if "copies" in line else " answers") + 0 for line in lines[1:]}) == 1


def test_a_failure_shows_its_cause_and_what_was_not_seen() -> None:
    text = shown(report(copies=400))
    assert "✗ The mirrors do not do what they should" in text
    assert "likely cause  " in text
    assert "not seen  No permission to create pods/exec" in text


def test_markup_in_seen_values_is_shown_as_it_is() -> None:
    assert "[red]evil[/red]:8000" in shown(report(authority="[red]evil[/red]:8000"))


def test_the_json_form_can_be_written_and_names_outcome_and_time() -> None:
    document = json.loads(json.dumps(report().to_json()))
    assert document["verdict"]["outcome"] == "holds"
    assert document["seconds"] == 25
    assert document["evidence"]["arrivals"]["cross-cluster"]["calls"] == 500


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


@pytest.mark.parametrize("mirrors", [PLANS, PLANS[:1], ()])
@pytest.mark.parametrize("copies", [500, 400, 0])
def test_the_page_is_well_formed_and_needs_nothing_from_elsewhere(mirrors: tuple[MirrorPlan, ...], copies: int) -> None:
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
    assert "Likely cause" not in text
    assert "Likely cause" in Page(render_page(report(copies=400))).text


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
    assert str(headline(replace(report(), phases=()))).endswith("(12 of 12 claims hold, 500 calls)")
