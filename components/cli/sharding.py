"""Options of commands that do one part of several."""

import json
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

import typer

from ..model import ValidationError
from ..model.indexed_job import IndexedJob, SecretFiles
from ..operations.recording.buckets import Shard
from .options import named_as_options

INDEX_VARIABLE: Final = "JOB_COMPLETION_INDEX"
"""Kubernetes tells the pods of an Indexed Job by it which one they are."""

ShardNumber: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--shard", help="Which part, from 0; default the index of a Job's pod.", envvar=INDEX_VARIABLE, metavar="K"
    ),
]
"""``--shard``"""


JobName: TypeAlias = Annotated[
    str | None,
    typer.Option("--job", help="Do nothing but print an Indexed Job for all --shards, for kubectl.", metavar="NAME"),
]
"""``--job``"""

JobImage: TypeAlias = Annotated[
    str, typer.Option("--image", help="Of the Job's pods; its entry point is traffic-mirror.", metavar="IMAGE")
]
"""``--image``"""

JobClaim: TypeAlias = Annotated[
    str | None, typer.Option("--claim", help="Volume claim that its pods see as /recordings.", metavar="NAME")
]
"""``--claim``"""

_OF_THE_JOB: Final = frozenset(
    {"job_name", "image", "claim", "shard", "header_secret", "ca_secret", "certificate_secret"}
)
"""Options that say how a Job is made, and no word to its pods."""


def print_job(
    context: typer.Context,
    *,
    name: str,
    image: str,
    claim: str | None,
    shards: int | None,
    more: Sequence[str] = (),
    secrets: Sequence[SecretFiles] = (),
) -> None:
    """Print the manifest of a Job whose pods do what this command was asked to do.

    Args:
        context: The command with its options.
        name: Of the Job.
        image: Of its pods.
        claim: Volume claim of its pods.
        shards: How many parts there are.
        more: Further words for the pods.
        secrets: Secrets whose files pods see.

    Raises:
        ValidationError: A value breaks its rule, there are no parts, or an option names a file of this machine.
    """
    if shards is None:
        raise ValidationError(
            field="--job", value=name, rule="needs --shards", remedy="Say in how many parts the work is done"
        )
    with named_as_options(job="--job", image="--image", claim="--claim"):
        words = [*_words(context), *more]
        job = IndexedJob(name=name, image=image, words=words, shards=shards, claim=claim, secrets=secrets)
    typer.echo(json.dumps(job.manifest(), indent=2))


def require_shards(context: typer.Context) -> None:
    """Refuse a part of nothing that is divided; in a Job's pod the part is known whatever the command does.

    Raises:
        ValidationError: ``--shard`` was given, and ``--shards`` was not.
    """
    source = context.get_parameter_source("shard")
    if context.params["shards"] is None and source is not None and source.name == "COMMANDLINE":
        raise ValidationError(
            field="--shard",
            value=context.params["shard"],
            rule="needs --shards",
            remedy="Say in how many parts the work is done",
        )


def _words(context: typer.Context) -> list[str]:
    """Return the command's words once more, without those about the Job."""
    words, options = [str(context.info_name)], list[str]()
    for parameter in context.command.params:
        name = str(parameter.name)
        source = context.get_parameter_source(name)
        if source is None or source.name != "COMMANDLINE" or name in _OF_THE_JOB:
            continue
        value = context.params[name]
        values: list[Any] = list(value) if isinstance(value, list | tuple) else [value]  # pyright: ignore[reportUnknownArgumentType] -- click's
        option = max(parameter.opts, key=len)
        for one in values:
            if isinstance(one, Path):
                raise ValidationError(
                    field=option,
                    value=str(one),
                    rule="names a file of this machine, which no pod has",
                    remedy="Name a Secret with it where there is an option for that, as --ca-secret, or leave it out",
                )
            text = str(one.value if isinstance(one, Enum) else one)
            if parameter.param_type_name == "argument":
                words.append(text)
            else:
                options += [option] if isinstance(one, bool) else [option, text]
    return words + options


def shard_of(number: int | None, of: int) -> Shard:
    """Return which part of several is meant.

    Args:
        number: What ``--shard`` says.
        of: What ``--shards`` says.

    Raises:
        ValidationError: Nobody says which.
    """
    if number is None:
        raise ValidationError(
            field="--shard",
            value=None,
            rule=f"must tell which of {of} parts this is; {INDEX_VARIABLE} does not either",
            remedy="Give a number from 0",
        )
    with named_as_options(shard="--shard"):
        return Shard(number=number, of=of)
