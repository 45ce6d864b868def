"""The result of a verification, as a table and as JSON."""

from dataclasses import asdict

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ...model import JsonObject, JsonValue
from ..outcome import Outcome
from .diagnosis import MirrorVerdict
from .run import VerifyReport

STYLES = {Outcome.HOLDS: "green", Outcome.FAILS: "bold red", Outcome.UNKNOWN: "yellow"}
SIGNS = {Outcome.HOLDS: "✓", Outcome.FAILS: "✗", Outcome.UNKNOWN: "?"}


def print_verification(report: VerifyReport, console: Console) -> None:
    """Show the result on a terminal.

    Args:
        report: What to show.
        console: Where.
    """
    console.print(Text(f"{report.plan.route}, {report.plan.request.authority}{report.plan.request.path}"))
    if report.primary_fails:
        console.print(Text.assemble(("the primary fails  ", "bold red"), report.primary_fails))
    if report.unreached:
        console.print(
            Text.assemble(
                ("not reached  ", "bold yellow"),
                f"no connection to the gateway at {report.unreached} from this machine. "
                "Give --gateway HOST:PORT by which it is reached, e.g. of a port-forward.",
            )
        )
    table = Table(box=None, padding=(0, 2), header_style="bold", pad_edge=False)
    for name in ("", "mirror", "wanted", "copies", "share (99.73 %)", "seen in"):
        table.add_column(name, overflow="fold")
    for verdict in report.mirrors:
        facts = verdict.facts
        table.add_row(
            Text(SIGNS[verdict.outcome], style=STYLES[verdict.outcome]),
            Text(facts.wanted.name),
            f"{facts.wanted.percent:g} %",
            f"{facts.copies:,} of {facts.calls:,}",
            str(verdict.share),
            facts.source.value,
        )
    console.print(table, highlight=False)
    for name, diagnosis in report.diagnoses:
        console.print(
            Text.assemble((f"{name}: {diagnosis.cause}  ", "bold"), f"{diagnosis.detail}. {diagnosis.remedy}.")
        )
    for gap in report.gaps:
        console.print(Text.assemble(("not seen  ", "bold yellow"), gap))
    console.print(headline(report))


def headline(report: VerifyReport) -> Text:
    """Return the one line that says how it went."""
    words = {
        Outcome.HOLDS: "The mirrors do what they should",
        Outcome.FAILS: "The mirrors do not do what they should",
        Outcome.UNKNOWN: "There is not enough evidence to tell",
    }[report.outcome]
    if not report.mirrors:
        words = "Nothing is mirrored for this call, so nothing can be told"
    return Text(f"{SIGNS[report.outcome]} {words}", style=STYLES[report.outcome])


def to_json(report: VerifyReport) -> JsonObject:
    """The result for machines."""
    mirrors: list[JsonValue] = [_mirror(verdict) for verdict in report.mirrors]
    return {
        "outcome": report.outcome.value,
        "route": report.plan.route,
        "authority": report.plan.request.authority,
        "path": report.plan.request.path,
        "gateway": report.plan.gateway.name,
        "calls": report.calls.to_json() if report.calls else None,
        "primaryFails": report.primary_fails or None,
        "unreached": report.unreached or None,
        "mirrors": mirrors,
        "gaps": list(report.gaps),
        "seconds": round(report.seconds, 3),
    }


def _mirror(verdict: MirrorVerdict) -> JsonObject:
    facts = verdict.facts
    counters: JsonValue = asdict(facts.counters) if facts.counters else None
    arrivals: JsonValue = asdict(facts.arrivals) if facts.arrivals else None
    causes: list[JsonValue] = [
        {"cause": each.cause.value, "detail": each.detail, "remedy": each.remedy} for each in verdict.diagnoses
    ]
    return {
        "name": facts.wanted.name,
        "outcome": verdict.outcome.value,
        "percent": facts.wanted.percent,
        "calls": facts.calls,
        "copies": facts.copies,
        "share": [round(verdict.share.low, 4), round(verdict.share.high, 4)],
        "source": facts.source.value,
        "causes": causes,
        "counters": counters,
        "arrivals": arrivals,
        "answers": dict(facts.receiver.answers) if facts.receiver and facts.receiver.answers is not None else None,
    }
