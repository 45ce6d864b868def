"""How findings look on a terminal."""

from collections.abc import Iterable
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..model.rules import Finding, Outcome, Severity, Upgrade
from ..operations.checkup import Checkup
from ..operations.mending import mend

STYLES: Final = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.NOTICE: "cyan"}


def print_checkup(checkup: Checkup, console: Console) -> None:
    """Print what was read, what is wrong with it, and a summary line."""
    for each in checkup.loaded:
        ignored = sum(each.ignored.values())
        kinds = ", ".join(f"{count} {kind}" for kind, count in each.ignored.items())
        version = f", Istio {each.cluster.istio.version}" if each.cluster.istio else ""
        version = version or (f", managed Istio by {each.cluster.managed_by}" if each.cluster.managed_by else "")
        said = f"{each.cluster.name}: {_count(len(each.cluster.objects), 'object') or '0 objects'}{version}, "
        said += _count(len(each.cluster.routing.mirror_entries), "mirror") or "0 mirrors"
        others = f"; {_count(ignored, 'object')} of other kinds ignored ({kinds})" if ignored else ""
        _say(console, said + others)
    texts: dict[str, str] = {}
    for finding in checkup.findings:
        _print_finding(console, checkup, finding, texts)
    for each in checkup.unread:
        _say(console, f"\nnot judged  {each.file}:{each.line}  {each.message}.\n            {each.remedy}.")
    if checkup.upgrade:
        _print_upgrade(console, checkup.upgrade)
    _say(console, summary(checkup))


def summary(checkup: Checkup) -> str:
    """One sentence that says how it ends."""
    broken = [finding for finding in checkup.findings if finding.outcome is Outcome.BROKEN]
    counts = [_count(sum(finding.severity is severity for finding in broken), severity.value) for severity in Severity]
    waived = sum(finding.outcome is Outcome.WAIVED for finding in checkup.findings)
    unjudged = len(checkup.unread) + sum(finding.outcome is Outcome.NOT_JUDGED for finding in checkup.findings)
    parts = [*counts, f"{waived} waived" if waived else "", f"{unjudged} not judged" if unjudged else ""]
    result = ", ".join(part for part in parts if part)
    if checkup.mirrors:
        return f"{_count(checkup.mirrors, 'mirror')}: {result or 'nothing is wrong'}."
    none = "No mirror was found: nothing is judged that only matters to mirrors."
    return f"{none} Beside that: {result}." if result else none


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}" if number else ""


def _print_finding(console: Console, checkup: Checkup, finding: Finding, texts: dict[str, str]) -> None:
    label = finding.severity.value if finding.outcome is Outcome.BROKEN else finding.outcome.value
    place = checkup.place(finding)
    style = STYLES[finding.severity] if finding.outcome is Outcome.BROKEN else "dim"
    head = Text(f"{finding.cluster}  {finding.object}  {finding.field}")
    head.append(f"  [{finding.rule}]  {checkup.certainty(finding)}", style="dim")
    said = f"Waived: {finding.reason}" if finding.reason else f"{finding.remedy}."
    rows = [head, Text(f"{finding.message}."), Text(said, style="green" if not finding.reason else "dim")]
    if place:
        mended = "  --fix mends it" if mend(checkup.loaded, finding, texts) else ""
        rows.append(Text(f"{place[0]}:{place[1]}{mended}", style="dim"))
    # A table of Rich's for each finding takes several times as long as judging does.
    left = Text(f"{label:8}  ", style=style)
    width = max(console.width - len(left), 20)
    lines = [line for row in rows for line in row.wrap(console, width, overflow="fold")]
    console.print(Text("\n") + left + Text(f"\n{' ' * len(left)}").join(lines), soft_wrap=True)


def _print_upgrade(console: Console, upgrade: Upgrade) -> None:
    table = Table("cluster", "object", "field", "what", "now", "afterwards", title="What the upgrade changes")
    for change in upgrade.changes:
        style = "bold red" if change.breaks else ""
        row = (change.cluster, change.object, change.field, change.subject, change.before, change.after)
        table.add_row(*(Text(cell, overflow="fold") for cell in row), style=style)
    console.print()
    if upgrade.changes:
        console.print(table)
    else:
        _say(console, "The upgrade changes nothing about these mirrors.")
    for title, findings in (("New findings:", upgrade.appearing), ("Findings that go away:", upgrade.vanishing)):
        _list(console, title, findings)


def _list(console: Console, title: str, findings: Iterable[Finding]) -> None:
    lines = [f"  {finding}" for finding in findings]
    for line in [title, *lines] if lines else []:
        _say(console, line)


def _say(console: Console, line: str) -> None:
    console.print(Text(line))
