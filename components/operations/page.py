"""The report of a run as one self-contained HTML file: no script, no font, no image from elsewhere."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from .evidence import PRIMARY
from .outcome import Outcome
from .report import SIGN_OF, Report

TEMPLATES: Final = Path(__file__).parent / "templates"
ROW_HEIGHT: Final = 92
FIRST_ROW: Final = 88


@dataclass(frozen=True, kw_only=True)
class Arrow:
    """One destination in the picture, and what flows to it."""

    label: str
    """Name of the destination."""

    flow: str
    """Text above the arrow: share or number of calls."""

    count: str
    """Text in the destination: what arrived."""

    y: int
    """Middle of its row, in pixels."""

    is_mirror: bool
    """Whether copies flow, rather than requests that are answered."""

    crosses: bool
    """Whether it leads to the other cluster."""

    outcome: Outcome
    """How the claims about it stand."""


def render_page(report: Report) -> str:
    """Return the report as an HTML document.

    Args:
        report: What to show.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    arrows = _arrows(report)
    return environment.get_template("report.html.j2").render(
        report=report,
        arrows=arrows,
        sender=report.mirrors[0].sender_cluster if report.mirrors else "staging",
        receivers=sorted({p.receiver_cluster for p in report.mirrors if p.receiver_cluster != p.sender_cluster}),
        height=FIRST_ROW + ROW_HEIGHT * len(arrows) - 16,
        subjects=_subjects(report),
        sign_of=SIGN_OF,
        document=json.dumps(report.to_json(), indent=2, ensure_ascii=False),
    )


def _arrows(report: Report) -> list[Arrow]:
    """Return the destinations: the primary, the mirrors inside the cluster, those in another."""
    answered = report.calls.answered_by.get(report.version, 0)
    arrows = [
        Arrow(
            label=report.version,
            flow=f"{report.calls.total:,} calls",
            count=f"{answered:,} answers",
            y=FIRST_ROW,
            is_mirror=False,
            crosses=False,
            outcome=report.outcome_of(PRIMARY),
        )
    ]
    ordered = sorted(report.mirrors, key=lambda plan: plan.receiver_cluster != plan.sender_cluster)
    for row, plan in enumerate(ordered, start=1):
        arrows.append(
            Arrow(
                label=plan.label,
                flow=f"{plan.percent:g} %",
                count=f"{report.arrivals(plan.name).calls:,} copies",
                y=FIRST_ROW + ROW_HEIGHT * row,
                is_mirror=True,
                crosses=plan.receiver_cluster != plan.sender_cluster,
                outcome=report.outcome_of(plan.name),
            )
        )
    return arrows


def _subjects(report: Report) -> list[tuple[str, str]]:
    """Return each subject of the checks with a sentence about it."""
    sentences = {PRIMARY: f"{report.version}, which answers"}
    for plan in report.mirrors:
        sentences[plan.name] = f"{plan.label} in {plan.receiver_cluster}, {plan.percent:g} % of the calls"
    return list(sentences.items())
