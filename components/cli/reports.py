"""How the report of a run is shown: on the terminal, as JSON, as a page; the same for every command that proves."""

import json
from pathlib import Path
from typing import Annotated, NoReturn, TypeAlias

import typer

from ..operations.private_files import write_file
from ..operations.verify.page import render_page
from ..operations.verify.report import Report, headline, print_report
from .console import open_console

Html: TypeAlias = Annotated[
    Path | None, typer.Option("--html", help="Write the report as one HTML file.", metavar="FILE")
]
"""``--html``"""


def show_report(report: Report, *, as_json: bool, page: Path | None) -> NoReturn:
    """Show a report and end with the exit code of its outcome.

    Args:
        report: What to show.
        as_json: Whether standard output gets it as JSON, and nothing else.
        page: File to write it to as HTML; None for none.

    Raises:
        typer.Exit: Always: 0 holds, 1 does not hold, 2 cannot tell.
    """
    if page is not None:
        write_file(page, render_page(report))
    if as_json:
        typer.echo(json.dumps(report.to_json(), indent=2))
        open_console(stderr=True).print(headline(report), highlight=False)
    else:
        print_report(report, open_console())
    raise typer.Exit(report.outcome.exit_code)
