"""``traffic-mirror replay``: recorded traffic, sent again."""

import asyncio
import json
import signal
import sys
from collections.abc import Callable, Coroutine
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..model import RpcMethod, ValidationError, Waiver
from ..model.recording import SESSION_HEADER
from ..model.replaying import IN_FLIGHT, REQUEST_SECONDS, ReplaySecrets, moment_of
from ..operations.recording import RecordingReader, Side
from ..operations.recording.buckets import Shard
from ..operations.replay import (
    HttpVersion,
    Pace,
    ReplayGuard,
    ReplayJob,
    ReplayReport,
    ReplayStatistics,
    Spread,
    Target,
    replay,
    replay_in_processes,
)
from .app import INTERRUPTED
from .console import open_console
from .longwork import in_time, within
from .options import Json, named_as_options, texts_of
from .sharding import JobClaim, JobImage, JobName, ShardNumber, print_job, require_shards, shard_of

EPILOG: Final = """\
Examples: "traffic-mirror replay recordings/ http://203.0.113.7:8000 --dry-run" tells what would be sent;
"traffic-mirror replay recordings/ http://v2.example:8000 --rpc shop.v1.Shop/Get --result replayed/" sends it in its
original timing; "--speed 4" is four times as fast, "--rate 200" at 200 requests per second."""

_LEAD_SECONDS: Final = 60
"""Until the parts of a Job begin: its pods are scheduled, and images pulled, meanwhile."""

_SECRETS: Final = {
    "secrets.headers": "--header-secret",
    "secrets.ca": "--ca-secret",
    "secrets.certificate": "--certificate-secret",
}
"""Options by the fields of :class:`ReplaySecrets`."""

OPEN_SECONDS: Final = 300.0
"""A storage that has not listed its files by then does not answer; --timeout may end it sooner."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("replay", epilog=EPILOG)(command)


def command(
    context: typer.Context,
    recording: Annotated[str, typer.Argument(help="Directory, file or URL (gs://, s3://) of a recording.")],
    target: Annotated[str, typer.Argument(help="Where to: http://HOST:PORT or https://HOST:PORT.")],
    *,
    speed: Annotated[float, typer.Option(help="Factor on the original timing.", metavar="FACTOR")] = 1.0,
    rate: Annotated[
        float | None, typer.Option(help="Requests per second instead of the original timing.", metavar="R")
    ] = None,
    max_rate: Annotated[
        float | None, typer.Option(help="No more than this many requests per second.", metavar="R")
    ] = None,
    max_requests: Annotated[int | None, typer.Option(help="No more than this many in all.", metavar="N")] = None,
    max_in_flight: Annotated[int, typer.Option(help="No more than this many at once.", metavar="N")] = IN_FLIGHT,
    rpc: Annotated[
        list[str] | None,
        typer.Option(help="gRPC method that may be called again; several times.", metavar="SERVICE/METHOD"),
    ] = None,
    allow_side_effects: Annotated[
        str, typer.Option(help="Send every method; say why that is safe here.", metavar="REASON")
    ] = "",
    side: Annotated[Side, typer.Option(help="Whose requests to send.")] = Side.PRIMARY,
    source: Annotated[
        str | None, typer.Option(help="Which recorder's; default all, each request once.", metavar="NAME")
    ] = None,
    result: Annotated[str | None, typer.Option(help="Record the responses there.", metavar="RECORDING")] = None,
    result_side: Annotated[
        Side, typer.Option(help="Side of these responses; primary for a repeated replay to v1.")
    ] = Side.MIRROR,
    authority: Annotated[str | None, typer.Option(help="Host of every request; default the recorded ones.")] = None,
    rewrite: Annotated[
        list[str] | None, typer.Option(help="Beginning of paths to replace; several times.", metavar="/OLD=/NEW")
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            help="Send requests of one session, or with the same value of a header, one after another.",
            metavar="session|header:NAME",
        ),
    ] = None,
    header_file: Annotated[
        Path | None, typer.Option(help="JSON object of headers for every request, e.g. a credential.", metavar="FILE")
    ] = None,
    http2: Annotated[bool, typer.Option("--http2", help="Send plain HTTP over HTTP/2.")] = False,
    ca: Annotated[Path | None, typer.Option(help="Authorities of the target's certificate.", metavar="PEM")] = None,
    certificate: Annotated[Path | None, typer.Option(help="Client certificate.", metavar="PEM")] = None,
    key: Annotated[Path | None, typer.Option(help="Its private key.", metavar="PEM")] = None,
    server_name: Annotated[str | None, typer.Option(help="Name in the target's certificate.")] = None,
    request_timeout: Annotated[float, typer.Option(help="Bound on each request.", metavar="SECONDS")] = REQUEST_SECONDS,
    timeout: Annotated[
        float | None, typer.Option(help="Stop sending after this time.", metavar="SECONDS", callback=in_time)
    ] = None,
    processes: Annotated[
        int,
        typer.Option(help="Send from so many processes at once; rates and limits are those of all.", min=1, max=64),
    ] = 1,
    shards: Annotated[
        int | None,
        typer.Option(help="Send one of so many parts; rates and limits are those of all.", metavar="N", min=1, max=512),
    ] = None,
    shard: ShardNumber = None,
    begin: Annotated[
        str | None, typer.Option(help="When all parts begin, such as 2026-01-31T12:00:00Z.", metavar="TIME")
    ] = None,
    job_name: JobName = None,
    image: JobImage = "",
    claim: JobClaim = None,
    header_secret: Annotated[
        str | None, typer.Option(help="Secret whose headers.json the Job's pods take as --header-file.", metavar="NAME")
    ] = None,
    ca_secret: Annotated[
        str | None, typer.Option(help="Secret whose ca.crt the Job's pods take as --ca.", metavar="NAME")
    ] = None,
    certificate_secret: Annotated[
        str | None,
        typer.Option(help="Secret whose tls.crt and tls.key they take as --certificate and --key.", metavar="NAME"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would be sent, send nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Send recorded requests again, to any target.

    Without further words only HTTP's GET, HEAD and OPTIONS are sent. Every request carries the header x-traffic-replay.
    Exit code 0: all were answered; 1: some were not, or the recording is damaged; 2: bad input, or nothing to send.
    """
    require_shards(context)
    with named_as_options(
        target="TARGET",
        speed="--speed",
        rate="--rate",
        max_rate="--max-rate",
        max_requests="--max-requests",
        max_in_flight="--max-in-flight",
        timeout_seconds="--request-timeout",
        reason="--allow-side-effects",
        ca_file="--ca",
        certificate_file="--certificate",
        server_name="--server-name",
        headers="--header-file",
        result="--result",
        rewrites="--rewrite",
        session_header="--by",
        begin="--begin",
        **_SECRETS,
    ):
        secrets = ReplaySecrets(headers=header_secret, ca=ca_secret, certificate=certificate_secret)
        secrets.check_target(target)
        job = ReplayJob(
            recording=recording,
            target=Target(
                url=target,
                http_version=HttpVersion.HTTP_2 if http2 else HttpVersion.HTTP_1_1,
                authority=authority,
                headers=texts_of(header_file, option="--header-file"),
                ca_file=ca,
                certificate_file=certificate,
                key_file=key,
                server_name=server_name,
                rewrites=dict(_pair(each) for each in rewrite or []),
            ),
            pace=Pace(speed=speed, rate=rate, max_rate=max_rate),
            guard=ReplayGuard(
                rpc_methods=[RpcMethod(each, field="--rpc") for each in rpc or []],
                waiver=Waiver(reason=allow_side_effects) if allow_side_effects else None,
                side=side,
                source=source,
            ),
            result=result,
            result_side=result_side,
            session_header=_header_of(by),
            max_requests=max_requests,
            max_in_flight=max_in_flight,
            timeout_seconds=request_timeout,
            shard=Shard() if shards is None else shard_of(0 if job_name else shard, shards),
            begin=None if begin is None else moment_of(begin, field="begin"),
        )
        if processes > 1 and shards is None:
            replace(job, shard=Shard(number=0, of=processes))  # limits that do not go round are refused by option
    if processes > 1 and shards is not None:
        raise ValidationError(
            field="--processes",
            value=processes,
            rule="divides the requests as --shards does",
            remedy="Give one of the two",
        )
    if job_name is not None:
        moment = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=_LEAD_SECONDS)
        more = [*secrets.words(), *(() if begin else ("--begin", moment.isoformat()))]
        print_job(context, name=job_name, image=image, claim=claim, shards=shards, more=more, secrets=secrets.files())
        raise typer.Exit(0)
    if given := secrets.files():
        raise ValidationError(
            field=_SECRETS[f"secrets.{given[0].name}"],
            value=given[0].secret,
            rule="is of the pods of a --job",
            remedy="Give the file itself, or --job",
        )
    # A storage that does not answer is given up here, where a signal or the time can end it.
    within(timeout or OPEN_SECONDS, lambda: RecordingReader.open(recording))
    report = asyncio.run(_replay(job, processes, timeout=timeout, dry_run=dry_run))
    if as_json:
        typer.echo(json.dumps({**asdict(report), "rate": report.rate, "holds": report.holds}, indent=2))
    else:
        print_report(report, open_console())
    raise typer.Exit(exit_code(report))


def exit_code(report: ReplayReport) -> int:
    """Return the command's exit code."""
    if report.stopped_by == "interrupted":
        return INTERRUPTED
    if not report.sent:
        return 2
    return 0 if report.holds else 1


def print_report(report: ReplayReport, console: Console) -> None:
    """Print the report as text and a table."""
    verb = "would be sent" if report.is_dry_run else "sent"
    style = "green" if report.sent and report.holds else "bold red"
    console.print(Text(f"{report.sent:,} of {report.read:,} recorded exchanges {verb} to {report.target}", style=style))
    for name, counts in (("skipped", report.skipped), ("answers", report.statuses), ("failures", report.failures)):
        if counts:
            console.print(Text(f"{name}: {', '.join(f'{key} {count:,}' for key, count in counts.items())}"))
    if report.redacted:
        console.print(Text(f"redacted: {report.redacted:,} requests carry values that the recording does not have"))
    if report.without_session:
        console.print(Text(f"no session: {report.without_session:,} requests are in no order; their header is missing"))
    for damage in report.damage:
        console.print(Text(f"damaged: {damage.file}: {damage.reason}", style="red"))
    if report.is_dry_run:
        return
    table = Table("", "p50 ms", "p90 ms", "p99 ms", "max ms", box=None, pad_edge=False)
    table.add_row("answer time", *_cells(report.latency))
    table.add_row("sent late by", *_cells(report.lateness))
    console.print(table)
    facts = (
        f"{report.rate:,.1f} requests/s for {report.elapsed_seconds:,.1f} s",
        f"{report.changed_status:,} answers with another status than recorded",
        f"{report.held_back:,} held back",
        f"run {report.run_id}",
    )
    console.print(Text(", ".join(facts)))
    if report.unwritten:
        console.print(Text(f"{report.unwritten:,} results could not be written", style="red"))


async def _replay(job: ReplayJob, processes: int, *, timeout: float | None, dry_run: bool) -> ReplayReport:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    timed_out: list[bool] = []

    def give_up() -> None:
        timed_out.append(True)
        stop.set()

    if timeout is not None:
        loop.call_later(timeout, give_up)
    report = await _shown(job, processes, stop, dry_run=dry_run)
    return replace(report, stopped_by="timeout") if timed_out and report.stopped_by else report


async def _shown(job: ReplayJob, processes: int, stop: asyncio.Event, *, dry_run: bool) -> ReplayReport:
    def run(show: Callable[[ReplayStatistics], None] | None = None) -> Coroutine[None, None, ReplayReport]:
        if processes == 1:
            return replay(job, dry_run=dry_run, stop=stop, on_progress=show)
        return replay_in_processes(job, processes, dry_run=dry_run, stop=stop, on_progress=show)

    if not sys.stderr.isatty():
        return await run()
    console = open_console(stderr=True)
    with console.status("reading") as status:

        def show(now: ReplayStatistics) -> None:
            status.update(f"{now.sent:,} sent, {now.completed:,} answered, {now.failures.total():,} failed")

        return await run(show)


def _cells(spread: Spread) -> list[str]:
    values = (spread.p50_ms, spread.p90_ms, spread.p99_ms, spread.max_ms)
    return ["" if value is None else f"{value:,.1f}" for value in values]


def _pair(text: str) -> tuple[str, str]:
    old, _, new = text.partition("=")
    return old, new


def _header_of(by: str | None) -> str | None:
    if by is None:
        return None
    if by == "session":
        return SESSION_HEADER
    kind, _, name = by.partition(":")
    if kind != "header":
        raise ValidationError(
            field="--by",
            value=by,
            rule="must be session, or header: with the name of a header",
            remedy="Write 'session' for what the recorder or import was told to keep of a cookie or header; cookies "
            "themselves are in no recording, because they are credentials",
        )
    return name
