"""Which commands there are, and what happens around each of them: interruption, errors, exit codes."""

import importlib
import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import Annotated, Any, Final

import typer

from ..operations.plaintext import LAYOUT, printable
from .failures import PROGRAM, explain

COMMANDS: Final[Mapping[str, str]] = {
    "branch": "Run a branch of a service for a while, and copy chosen calls to it.",
    "check": "Say what is wrong with anybody's mirrors, in files, stacks or live clusters.",
    "diff": "Tell what the mirror answers differently, and what merely varies by itself.",
    "expire": "List mirrors and branches that have ended or soon will, and remove them.",
    "mcp": "Serve check, what-if and verify to an agent, over the Model Context Protocol.",
    "policies": "List the policies of the pack, or say where the pack lies.",
    "ramp": "Raise a mirror's share step by step, as long as nothing suffers.",
    "recordings": "Say what is in recorded traffic.",
    "rehearse": "Bring up both stacks, send real requests through them and give a verdict.",
    "replay": "Send recorded requests again, to any target.",
    "verify": "Tell whether copies arrive on clusters that run, and if not, why.",
    "what-if": "Tell what a change of the mesh would do to recorded requests, before it is deployed.",
}
"""Commands and what they do. Each has a module of its name here, without hyphens, whose ``register(app)`` adds it.

Only the module of the command that is called is imported, so that help and completion stay fast.
"""

INTERRUPTED: Final = 128 + signal.SIGINT


def build(words: Sequence[str]) -> typer.Typer:
    """Return the application; commands that ``words`` do not name are there by name and help only.

    Args:
        words: Words of the command line, in any order.
    """
    app = typer.Typer(
        name=PROGRAM,
        help="Mirrors of real traffic, from one cluster to another: rehearse, check and operate them.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_application)
    for name, purpose in COMMANDS.items():
        if name in words:
            module: Any = importlib.import_module(f".{module_of(name)}", __package__)
            module.register(app)
        else:
            app.command(name, help=purpose)(_not_loaded)
    return app


def module_of(command: str) -> str:
    """Name of a command's module."""
    return command.replace("-", "")


def _not_loaded() -> None:
    """Stand for a command that the command line does not name."""


def _show_version(wanted: bool) -> None:
    if wanted:
        metadata: Any = importlib.import_module("importlib.metadata")
        try:
            typer.echo(metadata.version("pulumi-traffic-mirror"))
        except metadata.PackageNotFoundError:
            typer.echo("not installed, running from a checkout")
        raise typer.Exit


def _application(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    del version


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        arguments: Words after the program's name; None means those of this process.

    Returns:
        0 when what was asked holds, 1 when it does not, 2 for bad input or when it cannot be told, 130 after Ctrl-C.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    # A shell that completes hands the words over in one of these; see Typer's completion scripts.
    completing = " ".join(os.environ.get(name, "") for name in ("COMP_WORDS", "_TYPER_COMPLETE_ARGS"))
    signal.signal(signal.SIGTERM, _end)
    try:
        app = build([*words, *re.split(r"\s+", completing)])
        # With standalone mode every way out is a SystemExit with the right code, usage errors included.
        app(words, prog_name=PROGRAM)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # the last resort: a user gets a sentence, never a traceback
        failure = explain(error)
        typer.echo(f"{PROGRAM}: {printable(failure.text, keep=LAYOUT)}", err=True)
        return failure.exit_code
    return 0


def _end(number: int, _frame: FrameType | None) -> None:
    """End like an interruption does, so that everything is cleaned up on SIGTERM too."""
    sys.exit(128 + number)
