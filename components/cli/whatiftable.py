"""How the result of a what-if looks on a terminal."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..operations.verify.report import SIGN_OF, STYLE_OF
from ..operations.whatif import Change, Copies, Result


def print_result(result: Result, copies: Copies | None, console: Console) -> None:
    """Print the copies, the changes, what could not be seen, and the verdict."""
    if copies:
        _print_copies(copies, console)
    for change in result.changes:
        _print_change(change, console)
    for note in result.notes():
        console.print(Text(f"{note}.", style="yellow"), soft_wrap=True)
    headline = copies.headline if copies else result.headline
    console.print(Text(f"{SIGN_OF[result.verdict]} {headline}.", style=STYLE_OF[result.verdict]), soft_wrap=True)


def _print_copies(copies: Copies, console: Console) -> None:
    table = Table("copies", "requests", "share", "bytes/s", "endpoint", "to", "callers by user-agent", box=None)
    for column in table.columns[:4]:
        column.justify = "right"
    for row in copies.rows():
        table.add_row(*(Text(each) for each in row))
    console.print(table)
    console.print()


def _print_change(change: Change, console: Console) -> None:
    subject, difference = change.subject, change.subject.difference
    table = Table.grid(padding=(0, 2))
    table.add_column(min_width=8, justify="right")
    table.add_column(overflow="fold")
    head = Text(difference.kind.value, style="dim" if change.expected else "bold")
    head.append(f"  {subject.route}  at {subject.proxy}", style="dim")
    if change.expected:
        head.append("  expected", style="green")
    table.add_row(Text(f"{change.requests:,}"), head)
    if difference.before:
        table.add_row("", Text(f"before  {difference.before}"))
    table.add_row("", Text(f"after   {difference.after}"))
    for each in change.examples[:1]:
        table.add_row("", Text(f"e.g. {each.method} {each.authority}{each.path}  {each.request_id}", style="dim"))
    for place in change.places:
        table.add_row("", Text(place, style="dim"))
    console.print(table)
    console.print()
