"""``traffic-mirror expire``: which mirrors and branches have ended or soon will, and their removal."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.table import Table
from rich.text import Text

from ..model import ValidationError
from ..model.checks import bounded
from ..operations.cluster_objects import read_cluster
from ..operations.errors import OperationError
from ..operations.expiry.ends import ConfiguredEnd, End, State, configured_ends, ended, live_ends
from ..operations.kube import ClusterAccess
from ..operations.ramp.stack import PulumiStack
from ..rehearsal.progress import open_progress
from .console import open_console
from .longwork import Timeout, within
from .options import Json, input_file
from .stackoptions import Program, Project, open_stack

EPILOG: Final = """\
Examples: "traffic-mirror expire --cluster a.kubeconfig" lists what a cluster has;
"traffic-mirror expire --stack staging" lists what a stack's configuration has;
"traffic-mirror expire --stack staging --apply" takes what has ended out of it and runs pulumi up."""

MAX_SOON: Final = 366 * 24.0
"""A year; mirrors with an end live for days."""

STYLES: Final = {State.ENDED: "bold red", State.SOON: "yellow", State.LATER: "green", State.UNREADABLE: "bold red"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("expire", epilog=EPILOG)(command)


def command(
    *,
    cluster: Annotated[
        list[Path] | None, typer.Option(help="Kubeconfig of a live cluster; several times.", metavar="KUBECONFIG")
    ] = None,
    context: Annotated[str, typer.Option(help="Context in --cluster.", metavar="NAME")] = "",
    stack: Annotated[str, typer.Option(help="Stack whose configuration to look at.", metavar="NAME")] = "",
    project: Project = Path(),
    soon: Annotated[float, typer.Option(help="Hours before its end that a mirror ends soon.")] = 24.0,
    apply: Annotated[
        bool,
        typer.Option(
            "--apply",
            help="Take what has ended out of the stack's configuration, and deploy in any case: an earlier removal may"
            " have failed.",
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With --apply: say what would change, only.")] = False,
    program: Program = None,
    timeout: Timeout = 600.0,
    as_json: Json = False,
) -> None:
    """List mirrors and branches that have ended or soon will, from live clusters and stacks.

    Exit code 0: nothing has ended, or it has been removed; 1: something has; 2: bad input, or it cannot be told.
    """
    if not (cluster or stack):
        raise ValidationError(
            field="--stack", value=None, rule="must be given, or --cluster", remedy="Name where to look"
        )
    if apply and not stack:
        raise ValidationError(field="--apply", value=True, rule="needs --stack", remedy="Name the stack to deploy")
    bounded(soon, "--soon", 0, MAX_SOON, "hours")
    now, margin = datetime.now(UTC), timedelta(hours=soon)
    opened = open_stack(project, stack, program) if stack else None
    configured = configured_ends(opened.config(), now, margin) if opened else []
    live = [
        end for path in cluster or [] for end in within(timeout, lambda path=path: _live(path, context, now, margin))
    ]
    removed: list[ConfiguredEnd] = []
    if apply and opened:
        removed = ended(configured)
        if not dry_run:
            _remove(opened, removed, timeout)
    _show([*live, *configured], removed, dry_run=dry_run, as_json=as_json)
    gone = {end.key for end in removed} if not dry_run else set[str]()
    left = [end for end in configured if end.key not in gone]
    # What is still live was removed by the deployment just now, if that is what it managed.
    over = [end for end in ([*left] if apply and not dry_run else [*left, *live]) if _over(end)]
    raise typer.Exit(1 if over else 0)


def _over(end: End) -> bool:
    return end.state in (State.ENDED, State.UNREADABLE)


def _live(kubeconfig: Path, context: str, now: datetime, soon: timedelta) -> list[End]:
    path = input_file(kubeconfig, option="--cluster")
    access = ClusterAccess(name=context or path.name, kubeconfig=str(path.resolve()), context=context)
    return live_ends(read_cluster(access).cluster, now, soon)


def _remove(stack: PulumiStack, ends: Sequence[ConfiguredEnd], timeout: float) -> None:
    """Take what has ended out of the configuration and deploy.

    Raises:
        OperationError: The deployment failed; the configuration stays changed, so that the next one removes it.
    """
    with open_progress() as progress:
        for end in ends:
            progress.note(f"removing {end.key}, which ended at {end.ends}")
            stack.remove(end.key)
            if isinstance(end.replacement, dict):
                stack.set_object(end.key, end.replacement)
        with progress.step("pulumi up"):
            try:
                stack.up(lambda _: None, timeout_seconds=timeout)
            except OperationError as error:
                raise OperationError(
                    f"{error.problem}\nThe configuration is changed already",
                    remedy="Repair that, then deploy; ends that the program itself sets must leave the program",
                ) from error


def _show(ends: Sequence[End], removed: Sequence[ConfiguredEnd], *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        found = [end.to_json() for end in ends]
        typer.echo(json.dumps({"ends": found, "removed": [] if dry_run else [end.key for end in removed]}, indent=2))
        return
    console = open_console()
    if not ends:
        console.print("No mirror and no branch has an end.")
        return
    table = Table(box=None, padding=(0, 2), header_style="bold", pad_edge=False)
    for name in ("", "mirror or branch", "ends", "share", "where"):
        table.add_column(name, overflow="fold")
    for end in ends:
        share = "" if end.percent is None else f"{end.percent:g} %"
        table.add_row(Text(end.state.value, style=STYLES[end.state]), end.name, end.ends, share, end.where)
    console.print(table, highlight=False)
    for end in ends:
        if end.copies_still:
            words = f"{end.name} has ended and still gets copies: {end.where}"
            console.print(Text(words, style="bold red"))
    if removed:
        done = "would be removed" if dry_run else "removed"
        console.print(f"{', '.join(end.key for end in removed)}: {done}", highlight=False)
