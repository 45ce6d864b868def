"""The report of a run: as JSON, and as a table with a small picture for a terminal. The page is in :mod:`.page`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..model import JsonObject
from .calls import CallSummary
from .evidence import PRIMARY, Arrivals, Evidence
from .mirror_plan import MirrorPlan
from .outcome import Outcome
from .verdict import Verdict

STYLE_OF: Final[Mapping[Outcome, str]] = {
    Outcome.HOLDS: "green",
    Outcome.FAILS: "bold red",
    Outcome.UNKNOWN: "yellow",
}
SIGN_OF: Final[Mapping[Outcome, str]] = {Outcome.HOLDS: "✓", Outcome.FAILS: "✗", Outcome.UNKNOWN: "?"}


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One step of the run and how long it took."""

    name: str
    """What was done."""

    seconds: float
    """How long it took."""

    start_seconds: float
    """When it began, since the run did; steps may overlap."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """All that there is to say about a run."""

    title: str
    """What was run, e.g. ``"Rehearsal"``."""

    started: str
    """When, in UTC, ISO 8601."""

    version: str
    """Version that must answer every call."""

    authority: str
    """Authority of the calls."""

    gateway: str
    """Address that they went to."""

    mirrors: tuple[MirrorPlan, ...]
    """What each mirror should get."""

    calls: CallSummary
    """What the client saw."""

    evidence: Evidence
    """What both clusters saw."""

    verdict: Verdict
    """What that means."""

    phases: tuple[Phase, ...] = ()
    """Steps of the run, in the order in which they began."""

    facts: Mapping[str, str] = field(default_factory=dict[str, str])
    """What it ran with: versions, engine, clusters."""

    stand_ins: tuple[str, ...] = ()
    """What a part stood in for, and what this run therefore does not prove."""

    def arrivals(self, name: str) -> Arrivals:
        """Return what a workload got; nothing where nothing was seen."""
        return self.evidence.arrivals.get(name, Arrivals())

    def outcome_of(self, name: str) -> Outcome:
        """Return how all claims about one subject stand."""
        return Verdict(checks=tuple(check for check in self.verdict.checks if check.subject == name)).outcome

    @property
    def seconds(self) -> float:
        """Time from the beginning of the first step to the end of the last."""
        return max((phase.start_seconds + phase.seconds for phase in self.phases), default=0.0)

    def to_json(self) -> JsonObject:
        """Return the report as a JSON object."""
        return {
            "title": self.title,
            "started": self.started,
            "seconds": round(self.seconds, 3),
            "verdict": self.verdict.to_json(),
            "authority": self.authority,
            "gateway": self.gateway,
            "version": self.version,
            "mirrors": [asdict(plan) for plan in self.mirrors],
            "calls": self.calls.to_json(),
            "evidence": self.evidence.to_json(),
            "phases": [asdict(phase) for phase in self.phases],
            "facts": dict(self.facts),
            "standIns": list(self.stand_ins),
        }


def print_report(report: Report, console: Console) -> None:
    """Show the report on a terminal.

    Args:
        report: What to show.
        console: Where.
    """
    console.print(Group(*_parts(report)), highlight=False)


def _parts(report: Report) -> list[RenderableType]:
    parts: list[RenderableType] = [Text(), picture(report), Text(), _table(report), Text()]
    parts += [Text.assemble(("likely cause  ", "bold"), cause) for cause in report.verdict.causes]
    parts += [Text.assemble(("not seen  ", "bold yellow"), gap) for gap in report.evidence.gaps]
    return [*parts, headline(report)]


def headline(report: Report) -> Text:
    """Return the one line that says how it went."""
    outcome = report.verdict.outcome
    words = {
        Outcome.HOLDS: "The mirrors do what they should",
        Outcome.FAILS: "The mirrors do not do what they should",
        Outcome.UNKNOWN: "There is not enough evidence to tell",
    }[outcome]
    held = sum(check.outcome is Outcome.HOLDS for check in report.verdict.checks)
    counts = f"{held} of {len(report.verdict.checks)} claims hold, {report.calls.total:,} calls"
    took = f", {report.seconds:.0f} s" if report.phases else ""
    return Text.assemble((f"{SIGN_OF[outcome]} {words}", STYLE_OF[outcome]), f"  ({counts}{took})")


def picture(report: Report) -> Text:
    """Return the topology with what flowed, as text."""
    answered = report.calls.answered_by.get(report.version, 0)
    rows = [("─" * 10, report.version, f"{answered:,} answers", report.outcome_of(PRIMARY))]
    for plan in report.mirrors:
        share = f"┄ {plan.percent:g} % ".ljust(10, "┄")
        hop = "" if plan.receiver_cluster == plan.sender_cluster else f"{plan.receiver_cluster} gateway ┄▶ "
        copies = f"{report.arrivals(plan.name).calls:,} copies"
        rows.append((share, hop + plan.label, copies, report.outcome_of(plan.name)))
    start = "clients ─▶ gateway ─"
    width = max(len(label) for _, label, _, _ in rows)
    lines: list[Text] = []
    for index, (share, label, count, outcome) in enumerate(rows):
        before = start if index == 0 else " " * len(start)
        corner = "─" if len(rows) == 1 else "┬" if index == 0 else "└" if index == len(rows) - 1 else "├"
        lines.append(
            Text.assemble(
                f"{before}{corner}{share}▶ ",
                (label.ljust(width + 1), "bold"),
                f"{count:>14} ",
                (SIGN_OF[outcome], STYLE_OF[outcome]),
            )
        )
    return Text("\n").join(lines)


def _table(report: Report) -> Table:
    table = Table(box=None, padding=(0, 2), header_style="bold", pad_edge=False)
    for name in ("", "claim", "expected", "seen"):
        table.add_column(name, overflow="fold")
    subject = ""
    for check in report.verdict.checks:
        if check.subject != subject:
            subject = check.subject
            table.add_row("", Text(subject, style="bold"))
        table.add_row(
            Text(SIGN_OF[check.outcome], style=STYLE_OF[check.outcome]),
            Text(check.title),
            Text(check.expected),
            Text(check.seen, style="" if check.outcome is Outcome.HOLDS else STYLE_OF[check.outcome]),
        )
    return table
