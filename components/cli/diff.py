"""``traffic-mirror diff``: what the mirror answers differently."""

import json
import signal
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..operations.diff import DiffJob, DiffResult, FieldResult, Follower, Source, Standing, diff
from ..operations.diff.page import headline, render_page, to_json
from ..operations.recording import Side
from .console import open_console
from .longwork import Timeout, showing, within
from .options import Json, input_file, named_as_options, output_file

EPILOG: Final = """\
Examples: "traffic-mirror diff recordings/ --baseline replayed-to-v1/ --html diff.html" tells differences from noise;
"traffic-mirror diff recordings/ --baseline-source v1-second" takes a second instance of v1 as the baseline;
"traffic-mirror diff a/ --mirror b/ --ignore 'header x-pod' --ignore 'GET /orders/*|body $.served_at'";
"traffic-mirror diff gs://bucket/recordings --follow --timeout 600" compares ten minutes of live traffic."""

_SHOWN_NOISE: Final = 5


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("diff", epilog=EPILOG)(command)


def command(
    recording: Annotated[
        str, typer.Argument(help="Recording of the primary, and of the mirror unless --mirror is given.")
    ],
    *,
    mirror: Annotated[str, typer.Option(help="Recording of the mirror.", metavar="RECORDING")] = "",
    baseline: Annotated[
        list[str] | None,
        typer.Option(help="Second answers of the primary: a replay to v1; several times.", metavar="RECORDING"),
    ] = None,
    primary_source: Annotated[str, typer.Option(help="Only what this source saw.", metavar="NAME")] = "",
    mirror_source: Annotated[str, typer.Option(help="Only what this source saw.", metavar="NAME")] = "",
    baseline_source: Annotated[
        str, typer.Option(help="Second instance of the primary in the same recording.", metavar="NAME")
    ] = "",
    ignore: Annotated[
        list[str] | None,
        typer.Option(help="Field not to compare; * stands for anything; several times.", metavar="[ENDPOINT|]FIELD"),
    ] = None,
    all_headers: Annotated[
        bool, typer.Option("--all-headers", help="Compare also headers of the moment, such as date.")
    ] = False,
    descriptor_set: Annotated[
        Path | None, typer.Option(help="Names of protobuf fields: protoc --descriptor_set_out.", metavar="FILE")
    ] = None,
    sample: Annotated[float, typer.Option(help="Per cent of requests to compare.", metavar="PERCENT")] = 100.0,
    level: Annotated[float, typer.Option(help="Probability of any false finding.", metavar="P")] = 0.001,
    html: Annotated[Path | None, typer.Option(help="Write the result as one HTML file.", metavar="FILE")] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on while the recordings grow, until --timeout or Ctrl-C.")
    ] = False,
    every: Annotated[
        float, typer.Option(help="With --follow: look for new files this often.", metavar="SECONDS", min=0.1)
    ] = 5.0,
    timeout: Timeout = 3_600.0,
    as_json: Json = False,
) -> None:
    """Tell what the mirror answers differently, and what merely varies by itself.

    Answers are paired by x-request-id and compared field by field: status, headers, trailers, JSON and protobuf bodies.
    A baseline shows the natural variation, and only what differs significantly more often is a finding. Exit code 0:
    no finding; 1: findings, or a damaged recording; 2: bad input, or too few pairs to tell.
    """
    page = output_file(html, option="--html")
    baselines = [Source(recording=one, side=Side.PRIMARY) for one in baseline or []]
    if baseline_source:
        baselines.append(Source(recording=recording, side=Side.PRIMARY, source=baseline_source))
    with named_as_options(sample_percent="--sample", level="--level", baseline="--baseline", ignore="--ignore"):
        job = DiffJob(
            primary=Source(recording=recording, side=Side.PRIMARY, source=primary_source or None),
            mirror=Source(recording=mirror or recording, side=Side.MIRROR, source=mirror_source or None),
            baseline=baselines,
            ignore=ignore or [],
            with_all_headers=all_headers,
            descriptor_set=_content(descriptor_set),
            sample_percent=sample,
            level=level,
        )
    if follow:
        result = _followed(job, seconds=timeout, every=every, page=page)
    else:
        with showing("compare") as show:
            result = within(timeout, lambda: diff(job, on_progress=show))
    if page is not None:
        page.write_text(render_page(result), encoding="utf-8")
    if as_json:
        typer.echo(json.dumps(to_json(result), indent=2))
        open_console(stderr=True).print(headline(result), highlight=False)
    else:
        print_result(result, open_console())
    raise typer.Exit(result.exit_code)


def _followed(job: DiffJob, *, seconds: float, every: float, page: Path | None) -> DiffResult:
    """Compare what comes until the time is over or somebody interrupts, telling the result so far."""
    follower, deadline = Follower(job), time.monotonic() + seconds
    with _interruptible() as stop:
        while True:
            news = follower.step()
            if news and follower.pairs:
                result = follower.result()
                open_console(stderr=True).print(Text(headline(result)), highlight=False)
                if page is not None:
                    page.write_text(render_page(result), encoding="utf-8")
            if stop.wait(min(every, max(0.0, deadline - time.monotonic()))) or time.monotonic() >= deadline:
                return follower.result()


@contextmanager
def _interruptible() -> Generator[threading.Event]:
    """Turn the first Ctrl-C or SIGTERM into an event; the next one ends the process as usual."""
    stop = threading.Event()

    def request(number: int, _frame: FrameType | None) -> None:
        stop.set()
        signal.signal(number, before[signal.Signals(number)])

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, request)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def print_result(result: DiffResult, console: Console) -> None:
    """Print the result as tables."""
    style = {0: "green", 1: "bold red"}.get(result.exit_code, "yellow")
    console.print(Text(f"{headline(result)}.", style=style))
    if result.findings:
        console.print(_table(result.findings))
    if result.noise:
        names = ", ".join(dict.fromkeys(field.field for field in result.noise[:_SHOWN_NOISE]))
        more = len(result.noise) - _SHOWN_NOISE
        console.print(Text(f"Noise: {names}{f' and {more} more' if more > 0 else ''}"))
    unpaired = f"{result.unanswered:,} primary and {result.unpaired:,} mirror answers without a partner"
    offset = "" if result.clock_offset_ms is None else f"; starts at the mirror {result.clock_offset_ms:+,.1f} ms"
    console.print(Text(f"{unpaired}{offset}", style="dim"))
    for endpoint in result.endpoints:
        if not endpoint.can_tell:
            console.print(Text(f"Too few pairs to tell: {endpoint.endpoint} ({endpoint.pairs:,})", style="yellow"))
    for damage in result.damage:
        console.print(Text(f"Damaged: {damage.file}: {damage.reason}", style="red"))


def _table(fields: tuple[FieldResult, ...]) -> Table:
    table = Table("Field", "Change", "Mirror", "Baseline", "p", "Primary → mirror", box=None, pad_edge=False)
    for field in fields:
        first = field.examples[0] if field.examples else None
        table.add_row(
            Text(f"{field.field}\n{field.endpoint}"),
            field.change.value,
            f"{field.rate:.2%}\n{field.differing:,}/{field.pairs:,}",
            f"{field.baseline_rate:.2%}\n{field.baseline_differing:,}/{field.baseline_pairs:,}"
            if field.baseline_pairs
            else "none",
            Standing.UNTESTED.value if field.adjusted_p_value is None else f"{field.adjusted_p_value:.1g}",
            Text(f"{first.primary or 'none'} → {first.mirror or 'none'}" if first else ""),
        )
    return table


def _content(path: Path | None) -> bytes | None:
    return None if path is None else input_file(path, option="--descriptor-set").read_bytes()
