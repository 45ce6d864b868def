"""A ramp for people and machines: its steps, and the report of the last one that was measured."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, cast

import typer
from rich.table import Table
from rich.text import Text

from ..model import JsonObject
from ..operations.private_files import write_file
from ..operations.ramp.run import RampJob
from ..operations.ramp.state import Phase, RampState
from ..operations.verify.page import render_page
from ..operations.verify.report import Report, print_report
from .console import open_console

LASTING: Final = (Phase.DONE, Phase.ROLLED_BACK, Phase.INTERRUPTED)
"""Phases that last when nobody works on the ramp; any other then means that it was killed."""

UNDER_WAY: Final = (Phase.APPLYING, Phase.ROLLING_BACK)
"""Phases in which a deployment runs."""


def measuring_time(options: JsonObject) -> tuple[float, str]:
    """How long each measurement takes in seconds, and the option that says so.

    Args:
        options: Those with which the ramp was begun.
    """
    given = cast("dict[str, Any]", options)
    watch = float(given.get("watch", 0.0))
    return (watch, "--watch") if watch else (float(given["hold"]), "--hold")


def show_ramp(state: RampState, *, running: bool, as_json: bool, page: Path | None = None) -> None:
    """Show the steps, and the report of the last one that was measured.

    Args:
        state: The ramp so far.
        running: Whether somebody works on it now.
        as_json: Whether standard output gets it as JSON, and nothing else.
        page: File to write it to as HTML, once something was measured; None for none.
    """
    history = cast("tuple[dict[str, Any], ...]", state.history)
    report = Report.from_json(history[-1]["report"]) if history and history[-1].get("report") else None
    if page is not None and report is not None:
        title = f"Ramp of {state.mirror}, {state.percent:g} % in force"
        write_file(page, render_page(replace(report, title=title), steps=history))
    if as_json:
        typer.echo(json.dumps({**state.to_json(), "running": running}, indent=2))
        return
    console = open_console()
    if report is not None:
        print_report(report, console)
        console.print()
    table = Table(box=None, padding=(0, 2), header_style="bold", pad_edge=False)
    for name in ("share", "calls", "failed", "p95", "copies", "errors", "unanswered", "in flight", "gates"):
        table.add_column(name, justify="left" if name == "gates" else "right")
    for entry in history:
        failed = [gate["name"] for gate in entry["gates"] if not gate["passes"]]
        words = Text(f"✗ {', '.join(failed)}", style="bold red") if failed else Text("✓", style="green")
        table.add_row(
            f"{entry['percent']:g} %",
            f"{entry['calls']:,}",
            f"{entry['failed']:,}",
            f"{1000 * entry['p95_seconds']:.1f} ms" if entry["p95_seconds"] else "",
            f"{entry['copies']:,}",
            f"{entry['copy_errors']:,}",
            f"{entry.get('copies_unanswered', 0):,}",
            f"{entry['in_flight']:,}",
            words if entry["gates"] else Text("before", style="dim"),
        )
    console.print(table, highlight=False)
    doing = state.phase.value if running or state.phase in LASTING else "interrupted"
    console.print(f"{state.mirror}: {state.percent:g} % is in force, {doing} ({state.changed})", highlight=False)
    if state.phase in UNDER_WAY and not running:
        # Killed: nobody could note whether the engine went on.
        console.print(f"A deployment of {state.target:g} % was under way; 'ramp resume' deploys {state.good:g} %.")
    if state.reason:
        console.print(Text(state.reason, style="bold red"))


def show_plan(job: RampJob, good: float, *, as_json: bool) -> None:
    """Show what a ramp would do.

    Args:
        job: The ramp.
        good: The share that it would begin at.
        as_json: Whether standard output gets it as JSON, and nothing else.
    """
    given = cast("dict[str, Any]", job.options)
    left = [step for step in job.steps if step > good]
    if as_json:
        typer.echo(json.dumps({"start": good, "steps": left, **job.options}, indent=2))
        return
    steps = ", ".join(f"{step:g} %" for step in left)
    seconds, option = measuring_time(job.options)
    calls = "by what flows" if option == "--watch" else f"with {given['rate']:g} calls per second"
    each = f"measured for {seconds:g} s {calls}"
    typer.echo(f"{job.mirror} is good at {good:g} %. It would go to {steps}, each by pulumi up and {each}.")
