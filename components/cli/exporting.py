"""``traffic-mirror recordings export``: a recording's requests in the files of other tools."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from ..model import RpcMethod
from ..operations.recording import RecordingReader, Side
from ..operations.recording.formats import Exported, Target, export
from .console import open_console
from .longwork import Timeout, in_time_only, within
from .options import Json, named_as_options, output_file


def export_(
    recording: Annotated[str, typer.Argument(help="Directory, file or URL of a recording.", metavar="RECORDING")],
    file: Annotated[Path, typer.Argument(help="File to write; must not be there yet.", metavar="FILE")],
    *,
    form: Annotated[Target, typer.Option("--format", help="GoReplay's file, or ghz's binary data.")] = Target.GOR,
    rpc: Annotated[str | None, typer.Option(help="With ghz: the unary method.", metavar="SERVICE/METHOD")] = None,
    side: Annotated[Side, typer.Option(help="Whose exchanges.")] = Side.PRIMARY,
    timeout: Timeout = 3_600.0,
    as_json: Json = False,
) -> None:
    """Write requests, and for GoReplay answers, in the files of other tools.

    Only what was recorded whole is written, exactly. Exit code 0: all of it; 1: some was left out; 2: bad input, or
    nothing could be written.
    """
    with named_as_options(rpc="--rpc"):
        method = RpcMethod(rpc, field="rpc") if rpc is not None else None
        target = output_file(file, option="FILE") or file
        reader = within(timeout, lambda: RecordingReader.open(recording))
        result = export(reader, target, form, rpc=method, side=side, progress=in_time_only(timeout))
    if not result.requests:
        file.unlink()
    if as_json:
        typer.echo(json.dumps(asdict(result), indent=2))
    else:
        _print(_lines(result, file, method), open_console())
    raise typer.Exit(2 if not result.requests else 1 if result.refused or result.damaged else 0)


def _lines(result: Exported, file: Path, method: RpcMethod | None) -> list[str]:
    said = f"{result.requests:,} requests and {result.answers:,} answers of {result.exchanges:,} exchanges"
    lines = [
        f"{said} are in {file}." if result.requests else f"Nothing of {result.exchanges:,} exchanges can be written."
    ]
    lines += [f"left out: {count:,} {reason}" for reason, count in sorted(result.refused.items())]
    if result.damaged:
        lines.append(f"damaged: {result.damaged:,} parts of the recording could not be read")
    if result.redacted:
        lines.append(f"note: {result.redacted:,} requests carry [redacted] in the place of values")
    if method and result.requests:
        lines.append(f"Send it: ghz --call {method.replace('/', '.')} --binary-file {file} HOST:PORT")
    return lines


def _print(lines: Sequence[str], console: Console) -> None:
    for line in lines:
        console.print(Text(line), soft_wrap=True)
