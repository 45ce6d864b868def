"""``traffic-mirror recordings``: what is in recorded traffic."""

import base64
import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..model import ValidationError
from ..operations.plaintext import printable
from ..operations.recording import Damage, Exchange, Headers, Part, RecordingReader, RecordingStore, Side
from ..operations.recording.compacting import compact
from ..operations.recording.sampling import Sample, sample, write_sample
from ..operations.recording.summary import (
    RecordingListing,
    RecordingStats,
    find_exchanges,
    list_files,
    recording_stats,
)
from .console import open_console
from .exporting import export_
from .importing import import_
from .longwork import Timeout, showing, within
from .options import Json, named_as_options

EPILOG: Final = """\
Examples: "traffic-mirror recordings ls gs://bucket/recordings"; "traffic-mirror recordings stats recordings/";
"traffic-mirror recordings show recordings/ --id 6f0c3a1e-0000-4000-8000-000000000001";
"traffic-mirror recordings import capture_*.gor --to recordings/ --redact json:$..email"."""

Recording = Annotated[
    str, typer.Argument(help="Directory, file or URL (gs://, s3://) of a recording.", metavar="RECORDING")
]

_SHOWN_BODY: Final = 2_000
"""Characters of a body that are shown; --json has all of them."""


def register(app: typer.Typer) -> None:
    """Add the command and those below it."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    group.callback(epilog=EPILOG)(recordings)
    group.command("export", help="Write requests in the files of other tools.")(export_)
    group.command("import", help="Import what other tools recorded.")(import_)
    group.command("ls", help="List the files of a recording.")(ls)
    group.command("show", help="Show single exchanges.")(show)
    group.command("compact", help="Write a recording once more, in buckets that divide.")(compact_)
    group.command("sample", help="Write a few exchanges that stand for all of them.")(sample_)
    group.command("stats", help="Show totals by side, status and endpoint.")(stats)
    app.add_typer(group, name="recordings")


def recordings() -> None:
    """Say what is in recorded traffic.

    Exit code 0: read whole; 1: something in it is damaged; 2: nothing is there, or it cannot be read.
    """


def ls(recording: Recording, *, timeout: Timeout = 300.0, as_json: Json = False) -> None:
    """List the files of a recording."""
    listing = within(timeout, lambda: list_files(RecordingReader.open(recording)))
    if as_json:
        typer.echo(_json(asdict(listing)))
    else:
        _print_listing(listing, open_console())
    raise typer.Exit(1 if listing.damage else 0)


def show(
    recording: Recording,
    *,
    request_id: Annotated[str | None, typer.Option("--id", help="Value of x-request-id.", metavar="ID")] = None,
    side: Annotated[Side | None, typer.Option(help="Only this side.")] = None,
    path: Annotated[str, typer.Option(help="Only paths that contain this.", metavar="TEXT")] = "",
    limit: Annotated[int, typer.Option(help="No more than this many.", metavar="N", min=1)] = 10,
    timeout: Timeout = 300.0,
    as_json: Json = False,
) -> None:
    """Show single exchanges. Exit code 2 when none is found."""

    def find() -> tuple[list[Exchange], Sequence[Damage]]:
        reader = RecordingReader.open(recording)
        found = find_exchanges(reader, request_id=request_id, side=side, path_contains=path, limit=limit)
        return list(found), reader.damage

    found, damage = within(timeout, find)
    if as_json:
        typer.echo(_json([asdict(exchange) for exchange in found]))
        _print_damage(damage, open_console(stderr=True))
    else:
        console = open_console()
        for exchange in found:
            _print_exchange(exchange, console)
        _print_damage(damage, console)
    if not found:
        typer.echo("No exchange fulfils these conditions.", err=True)
    raise typer.Exit(1 if damage else 0 if found else 2)


def stats(recording: Recording, *, timeout: Timeout = 3_600.0, as_json: Json = False) -> None:
    """Show totals by side, status and endpoint."""
    totals = within(timeout, lambda: recording_stats(RecordingReader.open(recording)))
    if as_json:
        typer.echo(_json({**asdict(totals), "dropped": totals.dropped}))
    else:
        _print_stats(totals, open_console())
    raise typer.Exit(1 if totals.damage else 0)


def compact_(
    recording: Recording,
    into: Annotated[str, typer.Argument(help="Where to: a new or empty directory or URL.", metavar="TARGET")],
    *,
    buckets: Annotated[
        int | None, typer.Option(help="How many, a power of two up to 512; default by size.", metavar="N")
    ] = None,
    timeout: Timeout = 36_000.0,
    as_json: Json = False,
) -> None:
    """Write a recording once more, in buckets by a hash of the request's identifier.

    All sides of a request lie in one bucket, so that replays and comparisons divide among processes and machines
    without moving data. Small files become large ones. The recording itself stays as it is.
    """
    with named_as_options(buckets="--buckets", target="TARGET"), showing("compact") as show:
        done = within(
            timeout,
            lambda: compact(
                RecordingReader.open(recording), RecordingStore.open(into), buckets=buckets, on_progress=show
            ),
        )
    if as_json:
        typer.echo(_json(asdict(done)))
    else:
        console = open_console()
        console.print(Text(f"{done.rows:,} exchanges in {done.buckets} buckets, {done.files:,} files"))
        if done.unfinished:
            console.print(Text(f"{done.unfinished:,} files are not finished; nothing of them is here", style="yellow"))
        _print_damage(done.damage, console)
    raise typer.Exit(1 if done.damage else 0)


def sample_(
    recording: Recording,
    into: Annotated[Path, typer.Argument(help="Directory for the sample; made, or empty.", metavar="DIRECTORY")],
    *,
    timeout: Timeout = 3_600.0,
    as_json: Json = False,
) -> None:
    """Write a few exchanges, without bodies, that stand for all of them.

    They have every endpoint, every status of its answers, every parameter and header that it was called with, and every
    header's values, rare ones included; of headers with more than 20 values every form. The same recording gives the
    same sample.
    """
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        raise ValidationError(
            field="DIRECTORY", value=str(into), rule="must be new, or empty", remedy="Choose another directory"
        )

    def work() -> tuple[Sample, Sequence[Damage]]:
        reader = RecordingReader.open(recording)
        chosen = sample(reader)
        into.mkdir(parents=True, exist_ok=True)
        write_sample(reader, chosen, RecordingStore.open(str(into)))
        return chosen, reader.damage

    chosen, damage = within(timeout, work)
    covered = {trait.value: count for trait, count in chosen.covered.items()}
    if as_json:
        counts = {"exchanges": chosen.exchanges, "sampled": len(chosen.places), "copies_left_out": chosen.copies}
        typer.echo(_json({**counts, "covered": covered, "damage": [asdict(each) for each in damage]}))
    else:
        console = open_console()
        said = ", ".join(f"{count:,} {name}" for name, count in covered.items())
        console.print(
            Text(f"{len(chosen.places):,} of {chosen.exchanges:,} exchanges cover all {said}."), soft_wrap=True
        )
        _print_damage(damage, console)
    raise typer.Exit(1 if damage else 0 if chosen.places else 2)


def _print_listing(listing: RecordingListing, console: Console) -> None:
    # No table: names are long, and whoever pipes them on needs them whole.
    for file in listing.files:
        dropped = f", {file.dropped:,} dropped" if file.dropped else ""
        span = f"{_moment(file.first_start)} to {_moment(file.last_start)}"
        console.print(
            Text(f"{file.name}  {file.rows:,} rows, {file.bytes / 1024:,.0f} KiB, {span}{dropped}"), soft_wrap=True
        )
    for name in listing.unfinished:
        console.print(Text(f"unfinished: {name}"), soft_wrap=True)
    _print_damage(listing.damage, console)


def _print_exchange(exchange: Exchange, console: Console) -> None:
    title = f"{exchange.method} {exchange.path}"
    answer = "no response" if exchange.status is None else str(exchange.status)
    if exchange.grpc_status is not None:
        answer += f", grpc-status {exchange.grpc_status}"
    took = "" if exchange.duration_us is None else f" in {exchange.duration_us / 1000:.1f} ms"
    console.print(Text(title, style="bold"))
    seen = (exchange.side, exchange.source, exchange.authority, _moment(exchange.started_at), f"{answer}{took}")
    console.print(Text(" · ".join(text for text in seen if text)))
    _print_part(">", exchange.request, console)
    _print_part("<", exchange.response, console)
    console.print()


def _print_part(sign: str, part: Part, console: Console) -> None:
    headers: Headers = (*part.headers, *part.trailers)
    for name, value in headers:
        console.print(Text(f"{sign} {name}: {value}"))
    for message in part.messages:
        cut = " (cut)" if message.truncated else ""
        console.print(
            Text(
                f"{sign} message +{message.offset_us / 1000:.1f} ms, {message.size:,} bytes{cut}: {_text(message.data)}"
            )
        )
    if part.body:
        cut = f" (cut, {part.body_size:,} bytes in all)" if part.truncated else ""
        console.print(Text(f"{sign} {_text(part.body)}{cut}"))


def _print_stats(totals: RecordingStats, console: Console) -> None:
    for name, counts in (("side", totals.by_side), ("status", totals.by_status), ("ending", totals.by_ending)):
        text = ", ".join(f"{key} {count:,}" for key, count in sorted(counts.items(), key=lambda one: -one[1]))
        console.print(Text(f"{name}: {text}"))
    console.print(Text(f"from {_moment(totals.first_start)} to {_moment(totals.last_start)}"))
    console.print(
        Text(
            f"{totals.exchanges:,} exchanges, {totals.body_bytes / 1024**2:,.1f} MiB of bodies, "
            f"{totals.truncated:,} cut, {totals.redactions:,} values redacted, {totals.dropped:,} dropped"
        )
    )
    table = Table("Endpoint", "Side", "Exchanges", "Failed", "p50 ms", "p99 ms", box=None, pad_edge=False)
    for one in totals.endpoints:
        p50, p99 = ("" if value is None else f"{value:,.1f}" for value in (one.p50_ms, one.p99_ms))
        table.add_row(Text(one.endpoint), one.side.value, f"{one.exchanges:,}", f"{one.failures:,}", p50, p99)
    console.print(table)
    _print_damage(totals.damage, console)


def _print_damage(damage: Sequence[Damage], console: Console) -> None:
    for one in damage:
        place = one.file if one.row_group is None else f"{one.file}, row group {one.row_group}"
        lost = "" if one.rows is None else f", {one.rows:,} rows lost"
        console.print(Text(f"damaged: {place}{lost}: {one.reason}", style="red"), soft_wrap=True)


def _moment(moment: datetime | None) -> str:
    return "" if moment is None else moment.isoformat(sep=" ", timespec="milliseconds").removesuffix("+00:00")


def _text(data: bytes) -> str:
    return printable(data[:_SHOWN_BODY].decode("utf-8", "backslashreplace"), keep="\t\n")


def _json(document: Any) -> str:  # noqa: ANN401 -- what asdict gives
    return json.dumps(document, indent=2, default=_plain)


def _plain(value: object) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value.isoformat() if isinstance(value, datetime) else str(value)
