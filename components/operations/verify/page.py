"""The report of a run as one self-contained HTML file: no script, no font, no image from elsewhere."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..outcome import Outcome
from ..pages import page_template
from .evidence import PRIMARY
from .report import SIGN_OF, WORDS_OF, Report, Subject, said_calls

TEMPLATE: Final = Path(__file__).with_name("report.html.j2")
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

    outcome: Outcome | None
    """How the claims about it stand; None where none is made."""

    is_mirror: bool = True
    """Whether copies flow, rather than requests that are answered."""

    crosses: bool = False
    """Whether it leads to another cluster."""


@dataclass(frozen=True, kw_only=True)
class Box:
    """A cluster that gets copies, around its rows of the picture."""

    name: str
    y: int
    """Its upper edge, in pixels."""

    height: int


def render_page(report: Report, *, steps: Sequence[Mapping[str, Any]] = ()) -> str:
    """Return the report as an HTML document.

    Args:
        report: What to show; of a ramp that of its last step.
        steps: What a ramp measured on each step, with its gates; none without a ramp.
    """
    inside, across = _mirrors(report)
    arrows = _arrows(report, [*inside, *across])
    return page_template(TEMPLATE).render(
        report=report,
        steps=steps,
        primary=next((each for each in report.subjects if each.name == PRIMARY), None),
        arrows=arrows,
        boxes=_boxes(across, len(arrows) - len(across)),
        height=FIRST_ROW + ROW_HEIGHT * len(arrows) - 16,
        signs=SIGN_OF,
        words=WORDS_OF[report.outcome] if report.mirrors else "Nothing is mirrored for this call",
        called=said_calls(report),
        document=json.dumps(report.to_json(), indent=2, ensure_ascii=False),
    )


def _mirrors(report: Report) -> tuple[list[Subject], list[Subject]]:
    """The mirrors inside the sending cluster, and those in others by cluster."""
    inside = [each for each in report.mirrors if each.cluster == report.sender]
    across = [each for each in report.mirrors if each.cluster != report.sender]
    return inside, sorted(across, key=lambda each: each.cluster)


def _arrows(report: Report, mirrors: list[Subject]) -> list[Arrow]:
    """Return the destinations: the primary, the mirrors inside the cluster, those in others."""
    primary = next((each for each in report.subjects if each.name == PRIMARY), None)
    first = Arrow(
        label=primary.label if primary else "the primary",
        flow=said_calls(report),
        count=f"{primary.copies:,} answers" if primary else "",
        y=FIRST_ROW,
        is_mirror=False,
        outcome=primary.outcome if primary else None,
    )
    rest = [
        Arrow(
            label=each.label,
            flow=f"{each.percent:g} %",
            count=f"{each.copies:,} copies",
            y=FIRST_ROW + ROW_HEIGHT * row,
            crosses=each.cluster != report.sender,
            outcome=each.outcome,
        )
        for row, each in enumerate(mirrors, start=1)
    ]
    return [first, *rest]


def _boxes(across: list[Subject], before: int) -> list[Box]:
    """Return a box around the rows of each receiving cluster."""
    boxes: list[Box] = []
    for name in dict.fromkeys(each.cluster for each in across):
        rows = [index for index, each in enumerate(across, start=before) if each.cluster == name]
        top = FIRST_ROW + ROW_HEIGHT * rows[0] - 60
        boxes.append(Box(name=name or "another cluster", y=top, height=ROW_HEIGHT * len(rows) + 4))
    return boxes
