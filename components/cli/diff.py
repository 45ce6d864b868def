"""``traffic-mirror diff``: what the mirror answers differently."""

import json
import queue
import signal
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..model import ValidationError
from ..operations.diff import DiffJob, DiffResult, FieldResult, Follower, Source, Standing, diff
from ..operations.diff import spark as on_spark
from ..operations.diff.comparison import verdict
from ..operations.diff.page import headline, render_page, to_json
from ..operations.diff.sharding import count_shard, sum_shards
from ..operations.private_files import write_file
from ..operations.recording import Side
from .console import open_console
from .longwork import Timeout, showing, within
from .options import Json, input_file, named_as_options, output_file
from .sharding import JobClaim, JobImage, JobName, ShardNumber, print_job, require_shards, shard_of

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
    context: typer.Context,
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
    unordered: Annotated[
        list[str] | None,
        typer.Option(
            help="List to compare as a set, such as 'body $.tags'; several times.", metavar="[ENDPOINT|]FIELD"
        ),
    ] = None,
    slower: Annotated[
        float, typer.Option(help="Times as long (and 10 ms more) that an answer is slower.", metavar="FACTOR")
    ] = 2.0,
    expected: Annotated[
        float | None,
        typer.Option(
            help="Per cent of the primary's requests that the mirror gets; fewer are a finding.", metavar="PERCENT"
        ),
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
    processes: Annotated[
        int,
        typer.Option(help="How many processes compare at once; the result is the same.", metavar="N", min=1, max=256),
    ] = 1,
    spark: Annotated[
        str, typer.Option(help="Compare on Spark 4 at this address, such as spark://host:7077.", metavar="MASTER")
    ] = "",
    shards: Annotated[
        int | None, typer.Option(help="Compare one of so many parts into --tallies.", metavar="N", min=1, max=512)
    ] = None,
    shard: ShardNumber = None,
    tallies: Annotated[
        str | None, typer.Option(help="Where parts leave what they counted.", metavar="DIRECTORY")
    ] = None,
    add_up: Annotated[bool, typer.Option("--sum", help="Add up what all --shards left in --tallies.")] = False,
    job_name: JobName = None,
    image: JobImage = "",
    claim: JobClaim = None,
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

    Answers are paired by x-request-id and compared field by field: status, headers, trailers, bodies, and how long they
    took. A baseline shows the natural variation, and only what differs significantly more often is a finding. Exit code
    0: no finding; 1: findings, or a damaged recording; 2: bad input, too few pairs to tell, or bodies that could not be
    compared and are not ignored.
    """
    require_shards(context)
    page = output_file(html, option="--html")
    baselines = [Source(recording=one, side=Side.PRIMARY) for one in baseline or []]
    if baseline_source:
        baselines.append(Source(recording=recording, side=Side.PRIMARY, source=baseline_source))
    with named_as_options(
        sample_percent="--sample",
        level="--level",
        baseline="--baseline",
        ignore="--ignore",
        unordered="--unordered",
        slower="--slower",
        expected_percent="--expected",
    ):
        job = DiffJob(
            primary=Source(recording=recording, side=Side.PRIMARY, source=primary_source or None),
            mirror=Source(recording=mirror or recording, side=Side.MIRROR, source=mirror_source or None),
            baseline=baselines,
            ignore=ignore or [],
            unordered=unordered or [],
            slower=slower,
            expected_percent=expected,
            with_all_headers=all_headers,
            descriptor_set=_content(descriptor_set),
            sample_percent=sample,
            level=level,
        )
    _refuse_together({"--follow": follow, "--spark": bool(spark), "--sum": add_up, "--processes": processes > 1})
    _refuse_together({"--follow": follow, "--spark": bool(spark), "--shards": shards is not None})
    part = _part(shards, shard, tallies, add_up=add_up)
    if job_name is not None:
        _refuse_together({"--job": True, "--sum": add_up})
        print_job(context, name=job_name, image=image, claim=claim, shards=shards)
        raise typer.Exit(0)
    if part is not None and not add_up:
        with named_as_options(shard="--shard", tallies="--tallies"):
            _count_part(job, part, processes=processes, timeout=timeout)
        raise typer.Exit(0)
    if part is not None:
        with named_as_options(tallies="--tallies"):
            result = within(timeout, lambda: verdict(job, sum_shards(job, part.shards, part.place)))
    elif follow:
        result = _followed(job, seconds=timeout, every=every, page=page)
    elif spark:
        result = within(timeout, lambda: _on_spark(spark, job))
    else:
        with showing("compare") as show:
            result = within(timeout, lambda: diff(job, processes=processes, on_progress=show))
    if page is not None:
        write_file(page, render_page(result))
    if as_json:
        typer.echo(json.dumps(to_json(result), indent=2))
        open_console(stderr=True).print(headline(result), highlight=False)
    else:
        print_result(result, open_console())
    raise typer.Exit(result.exit_code)


@dataclass(frozen=True, kw_only=True)
class _Part:
    """One of several parts, or the place where all of them are."""

    shards: int
    number: int | None
    place: str


def _part(shards: int | None, number: int | None, place: str | None, *, add_up: bool) -> _Part | None:
    if shards is None or place is None:
        for option, value in (("--shards", shards), ("--tallies", place), ("--sum", add_up or None)):
            if value is not None:
                raise ValidationError(
                    field=option, value=value, rule="needs both --shards and --tallies", remedy="Give all of them"
                )
        return None
    return _Part(shards=shards, number=number, place=place)


def _count_part(job: DiffJob, part: _Part, *, processes: int, timeout: float) -> None:
    shard = shard_of(part.number, part.shards)
    with showing("compare") as show:
        counted = within(timeout, lambda: count_shard(job, shard, part.place, processes=processes, on_progress=show))
    typer.echo(f"Part {shard.number} of {shard.of}: {counted.counts.paired:,} pairs")


def _refuse_together(options: Mapping[str, bool]) -> None:
    given = [name for name, is_given in options.items() if is_given]
    if len(given) > 1:
        raise ValidationError(
            field=given[0], value=True, rule=f"does not go with {given[1]}", remedy="Choose one of them"
        )


def _on_spark(master: str, job: DiffJob) -> DiffResult:
    with on_spark.open_session(master) as session:
        return on_spark.diff(session, job)


def _followed(job: DiffJob, *, seconds: float, every: float, page: Path | None) -> DiffResult:
    """Compare what comes until the time is over or somebody interrupts, telling the result so far."""
    follower, deadline = Follower(job), time.monotonic() + seconds
    with _interruptible() as requests:
        while True:
            news = follower.step()
            if news and follower.pairs:
                result = follower.result()
                open_console(stderr=True).print(Text(headline(result)), highlight=False)
                if page is not None:
                    write_file(page, render_page(result))
            left = max(0.0, deadline - time.monotonic())
            with suppress(queue.Empty):
                requests.get(timeout=min(every, left))
                return follower.result()
            if time.monotonic() >= deadline:
                return follower.result()


@contextmanager
def _interruptible() -> Generator["queue.SimpleQueue[int]"]:
    """Turn the first Ctrl-C or SIGTERM into an entry of a queue; the next one ends the process as usual."""
    # Not an event: a handler that sets one while the same thread begins to wait for it would wait for its own lock.
    requests: queue.SimpleQueue[int] = queue.SimpleQueue()

    def request(number: int, _frame: FrameType | None) -> None:
        requests.put(number)
        signal.signal(number, before[signal.Signals(number)])

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, request)
    try:
        yield requests
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
    for line in _doubts(result):
        console.print(Text(line, style="yellow"))
    for damage in result.damage:
        console.print(Text(f"Damaged: {damage.file}: {damage.reason}", style="red"))


def _doubts(result: DiffResult) -> Iterator[str]:
    """Yield what is not known, of each endpoint and of all."""
    for one in result.endpoints:
        for reason, pairs in one.uncompared.items():
            yield f"Not compared: {one.endpoint}: {pairs:,} of {one.pairs:,} bodies: {reason}"
    for one in result.undecided:
        yield f"Too few pairs to tell: {one.endpoint} ({one.pairs:,})"
    for one in result.without_copies:
        yield f"No copy seen: {one.endpoint} ({one.primary:,} primary answers)"
    if result.ignored_pairs:
        count = f"{result.ignored_pairs:,} of {result.pairs:,} pairs"
        yield f"Not compared: {count}, of whose endpoints every field is ignored"
    if result.without_id:
        yield f"Not compared: {result.without_id:,} answers without x-request-id, which pair with nothing"
    if result.overflowed:
        yield "Too many endpoints or fields to tell all apart; the rest is counted together"


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
