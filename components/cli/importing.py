"""``traffic-mirror recordings import``: what other tools recorded, as a recording of this kind."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.text import Text

from ..model import ValidationError
from ..model.recording import DEFAULT_HEADERS, DEFAULT_QUERY, SessionSource
from ..operations.recording import RecordingStore, Side
from ..operations.recording.descriptors import Descriptors
from ..operations.recording.formats import TABLE, Format, Imported, import_files
from ..operations.recording.redaction import RedactionRules
from .console import open_console
from .longwork import Timeout, in_time_only, showing
from .options import Json, input_file, named_as_options

_KINDS: Final[Mapping[str, str]] = {
    "header": "headers",
    "query": "query",
    "json": "json_paths",
    "protobuf": "protobuf_fields",
}
"""Kinds of ``--redact`` and the rules that they fill."""

_DEFAULTS: Final[Mapping[str, Sequence[str]]] = {"headers": DEFAULT_HEADERS, "query": DEFAULT_QUERY}


def import_(
    files: Annotated[list[Path], typer.Argument(help="Files of one format, or folders of them.", metavar="FILE…")],
    *,
    to: Annotated[str, typer.Option(help="Directory or URL for the recording; new, or empty.", metavar="RECORDING")],
    form: Annotated[
        Format | None, typer.Option("--format", help="Whose files they are; default by how they begin.")
    ] = None,
    redact: Annotated[
        list[str] | None,
        typer.Option(
            help="What must not be kept beside credentials: header:NAME, query:NAME, json:PATH, protobuf:FIELD; "
            "several times.",
            metavar="KIND:NAME",
        ),
    ] = None,
    descriptor_set: Annotated[
        Path | None, typer.Option(help="Message types for protobuf:FIELD, by protoc --include_imports.", metavar="FILE")
    ] = None,
    session: Annotated[
        str | None,
        typer.Option(
            help="What tells the session of a request; a hash of it is kept, by a key that is not.",
            metavar="cookie:NAME|header:NAME",
        ),
    ] = None,
    side: Annotated[Side | None, typer.Option(help="Whose answers they are; default primary.")] = None,
    source: Annotated[str, typer.Option(help="Name for who saw the traffic; default the format's.")] = "",
    mitmdump: Annotated[
        str, typer.Option(help="mitmproxy's program, which reads its flows.", metavar="PROGRAM")
    ] = "mitmdump",
    timeout: Timeout = 3_600.0,
    as_json: Json = False,
) -> None:
    """Import what other tools recorded.

    Credentials are redacted before anything is written, as the recorder does it; after an error nothing is left. Exit
    code 0: everything is in the recording; 1: some records are not, or a file was still being written; 2: bad input, or
    nothing could be imported.
    """
    redacting = dict.fromkeys(_KINDS.values(), "--redact")
    with named_as_options(
        **redacting, descriptor_set="--descriptor-set", recording="--to", session="--session", source="--source"
    ):
        rules, store = rules_of(redact or [], descriptor_set), RecordingStore.open(to)
        with showing("import") as show:
            result = import_files(
                files,
                store,
                wanted=form,
                rules=rules,
                session=None if session is None else SessionSource.parse(session),
                source=source,
                side=side,
                mitmdump=mitmdump,
                progress=_in_time(timeout, show),
            )
    if as_json:
        typer.echo(json.dumps({**asdict(result), "is_whole": result.is_whole}, indent=2))
    else:
        _print(result, to, open_console())
    raise typer.Exit(2 if not result.exchanges else 0 if result.is_whole else 1)


def rules_of(words: Sequence[str], descriptor_set: Path | None) -> RedactionRules:
    """Return the recorder's own rules and what was added to them.

    Args:
        words: ``KIND:NAME`` each.
        descriptor_set: Message types for names of protobuf's fields.

    Raises:
        ValidationError: A word or name is malformed, or the descriptor set is missing.
    """
    found: dict[str, list[str]] = {field: list(_DEFAULTS.get(field, ())) for field in _KINDS.values()}
    for word in words:
        kind, _, name = word.partition(":")
        if kind not in _KINDS or not name:
            raise ValidationError(
                field="--redact",
                value=word,
                rule=f"must be KIND:NAME with a kind of {', '.join(_KINDS)}",
                remedy="Write for example 'header:x-user' or 'json:$..email'",
            )
        found[_KINDS[kind]].append(name.lower() if kind == "header" else name)
    content = input_file(descriptor_set, option="--descriptor-set").read_bytes() if descriptor_set else None
    if content is not None:
        Descriptors.parse(content)
    return RedactionRules(**found, descriptor_set=content)


def _in_time(seconds: float, show: Callable[[float], None]) -> Callable[[float], None]:
    check = in_time_only(seconds)

    def progress(share: float) -> None:
        check()
        show(share)

    return progress


def _print(result: Imported, to: str, console: Console) -> None:
    record = TABLE[result.format].record
    lines = [
        f"{result.records:,} {record} of {TABLE[result.format].title} gave {result.exchanges:,} exchanges in {to}, "
        f"{result.cut:,} of them cut, {result.redactions:,} values redacted."
    ]
    lines += [f"refused: {count:,} {record}: {reason}" for reason, count in sorted(result.refused.items())]
    lines += [f"note: {count:,} {what}" for what, count in sorted(result.remarks.items())]
    lines += [f"changed while it was read: {name}; import it again once it is finished" for name in result.changed]
    lines += [f"Not told by this format: {'; '.join(result.loses)}."]
    for line in lines:
        console.print(Text(line), soft_wrap=True)
