"""``traffic-mirror branch``: a branch of a service beside its versions for a while, by configuration and deployment."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

import typer

from ..model import DnsLabel, Expiry, HeaderMatch, JsonObject, Percent, RpcMethod, ValidationError
from ..model.checks import bounded
from ..operations.expiry.ends import BRANCH_HOURS, ConfiguredEnd, configured_ends
from ..operations.ramp.stack import PulumiStack
from ..rehearsal.progress import open_progress
from .longwork import Timeout
from .options import Json, texts_of
from .stackoptions import DryRun, Program, Project, StackName, open_stack

EPILOG: Final = """\
Examples: "traffic-mirror branch start alices-bug --image REGISTRY/greeter@sha256:... --header x-user=alice" copies
alice's calls to a branch for a day; "traffic-mirror branch stop alices-bug" ends it; "traffic-mirror branch list"
shows those of a stack."""

KEY: Final = "branches"
"""Configuration key of the program beside this library."""

MAX_HOURS: Final = 14 * 24.0

Name = Annotated[str, typer.Argument(help="Name of the branch: a DNS label.", metavar="NAME")]

UP_SECONDS: Final = 600.0
"""A branch is one small workload; most of this is its image being pulled."""


def register(app: typer.Typer) -> None:
    """Add the command and those below it."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    group.callback(epilog=EPILOG)(_branch)
    group.command("start", epilog=EPILOG, help="Begin a branch.")(start)
    group.command("stop", epilog=EPILOG, help="End a branch.")(stop)
    group.command("list", epilog=EPILOG, help="List the branches of a stack.")(list_)
    app.add_typer(group, name="branch")


def _branch() -> None:
    """Run a branch of a service beside v1 and v2 for a while, and copy chosen calls to it.

    For the program beside this library, or any that reads the same configuration; in other programs use the component
    BranchService. Exit code 0: done; 2: bad input, or the deployment failed.
    """


def start(
    name: Name,
    *,
    image: Annotated[str, typer.Option(help="Image of the branch, with a digest.", metavar="IMAGE")],
    header: Annotated[
        list[str] | None,
        typer.Option(help="Header whose calls are copied; several: all of them.", metavar="NAME=VALUE"),
    ] = None,
    header_file: Annotated[
        Path | None, typer.Option(help="The same as a JSON object of texts.", metavar="FILE")
    ] = None,
    rpc: Annotated[
        list[str] | None, typer.Option(help="Method to copy; default those of the stack.", metavar="SERVICE/METHOD")
    ] = None,
    hours: Annotated[float, typer.Option(help="How long it lives, at most 336 (14 days).")] = BRANCH_HOURS,
    percent: Annotated[float, typer.Option(help="Share of the matching calls that is copied.")] = 100.0,
    allow_tag: Annotated[bool, typer.Option("--allow-tag", help="Take an image with a tag and no digest.")] = False,
    command: Annotated[
        list[str] | None, typer.Option(help="Word of the container's command; several times.", metavar="WORD")
    ] = None,
    env: Annotated[
        list[str] | None, typer.Option(help="Environment of the container; several times.", metavar="NAME=VALUE")
    ] = None,
    env_file: Annotated[
        Path | None, typer.Option(help="More of it as a JSON object of texts, which are not shown.", metavar="FILE")
    ] = None,
    project: Project = Path(),
    stack: StackName = "staging",
    timeout: Timeout = UP_SECONDS,
    dry_run: DryRun = False,
    program: Program = None,
    as_json: Json = False,
) -> None:
    """Begin a branch: write it to the stack's configuration and deploy."""
    DnsLabel(name, field="NAME")
    bounded(hours, "--hours", 0.01, MAX_HOURS, "hours, which are 14 days")
    unshown = {name.lower(): value for name, value in texts_of(header_file, option="--header-file").items()}
    headers = {**dict(_pair(text, "--header") for text in header or ()), **unshown}
    if not headers:
        raise ValidationError(
            field="--header",
            value="(none)",
            rule="must be given, or everybody's calls would be copied",
            remedy="Write for example --header x-user=alice, or give --header-file",
        )
    secrets = texts_of(env_file, option="--env-file")
    environment = {**dict(_pair(text, "--env") for text in env or ()), **secrets}
    for header_name, value in headers.items():
        HeaderMatch(name=header_name, value=value)
    started = datetime.now(UTC).replace(second=0, microsecond=0)
    entry: JsonObject = {
        "image": image,
        "started": f"{started:%Y-%m-%dT%H:%MZ}",
        "hours": float(hours),
        "percent": float(Percent(percent, field="--percent")),
        "headers": dict(headers),
        **({"allowTag": True} if allow_tag else {}),
        **({"rpcMethods": [RpcMethod(each, field="--rpc") for each in rpc]} if rpc else {}),
        **({"command": list(command)} if command else {}),
        **({"env": dict(environment)} if environment else {}),
    }
    end = Expiry(started + timedelta(hours=hours))
    opened = open_stack(project, stack, program)
    _refuse_second(opened, name, stack)
    if not dry_run:
        _deploy(
            opened, timeout, lambda: opened.set_object(f"{KEY}.{name}", entry), lambda: opened.remove(f"{KEY}.{name}")
        )
    if as_json:
        shown = {
            "headers": _masked(headers, unshown),
            **({"env": _masked(environment, secrets)} if environment else {}),
        }
        typer.echo(json.dumps({"name": name, "expires": str(end), **entry, **shown}, indent=2))
    else:
        what = " and ".join(f"{each}: {value}" for each, value in _masked(headers, unshown).items())
        would = "would get" if dry_run else "gets"
        typer.echo(f"{name} {would} {percent:g} % of the calls with {what} until {end}.")


def stop(
    name: Name,
    *,
    project: Project = Path(),
    stack: StackName = "staging",
    timeout: Timeout = UP_SECONDS,
    dry_run: DryRun = False,
    program: Program = None,
    as_json: Json = False,
) -> None:
    """End a branch: take it out of the stack's configuration and deploy."""
    opened = open_stack(project, stack, program)
    names = [end.name for end in _branches(opened)]
    if name not in names:
        raise ValidationError(
            field="NAME",
            value=name,
            rule=f"must be a branch of {stack}; there are: {', '.join(names) or 'none'}",
            remedy="See 'branch list'",
        )
    if not dry_run:
        _deploy(opened, timeout, lambda: opened.remove(f"{KEY}.{name}"))
    if as_json:
        typer.echo(json.dumps({"name": name, "removed": not dry_run}))
    else:
        typer.echo(f"{name} {'would be' if dry_run else 'is'} removed.")


def list_(
    *, project: Project = Path(), stack: StackName = "staging", program: Program = None, as_json: Json = False
) -> None:
    """List the branches of a stack's configuration."""
    opened = open_stack(project, stack, program)
    found = _branches(opened)
    if as_json:
        typer.echo(json.dumps([end.to_json() for end in found], indent=2))
        return
    for end in found:
        typer.echo(f"{end.name}  {end.state}  {end.ends}")
    if not found:
        typer.echo(f"{stack} has no branch.")


def _branches(stack: PulumiStack) -> list[ConfiguredEnd]:
    """Branches in a stack's configuration."""
    found = configured_ends(stack.config(), datetime.now(UTC), timedelta(hours=2))
    return [end for end in found if end.key.rpartition(".")[0].rpartition(":")[2] == KEY]


def _refuse_second(stack: PulumiStack, name: str, stack_name: str) -> None:
    """Refuse a name that is taken: the two branches would mix, and a failure would take the one that runs away."""
    for end in _branches(stack):
        if end.name == name:
            raise ValidationError(
                field="NAME",
                value=name,
                rule=f"must be new; {stack_name} has a branch of this name until {end.ends}",
                remedy=f"Choose another name, or end that one with 'branch stop {name}'",
            )


def _deploy(
    stack: PulumiStack, timeout: float, change: Callable[[], None], undo: Callable[[], None] | None = None
) -> None:
    """Change the configuration and deploy.

    Raises:
        OperationError: One of them failed; the configuration is as before where ``undo`` is given.
    """
    with open_progress() as progress, progress.step("pulumi up"):
        try:
            change()
            stack.up(lambda _: None, timeout_seconds=timeout)
        except BaseException:
            if undo is not None:
                undo()
            raise


def _masked(texts: Mapping[str, str], secrets: Mapping[str, str]) -> dict[str, str]:
    """Texts to show: of those that came from a file, where they came from."""
    return {name: "(from a file)" if name in secrets else value for name, value in texts.items()}


def _pair(text: str, option: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not (name and separator and value):
        raise ValidationError(
            field=option, value=text, rule="must be NAME=VALUE", remedy="Write for example x-user=alice"
        )
    return (name.lower() if option == "--header" else name), value
