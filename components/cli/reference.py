"""Every command and option as one page of the documentation."""

import re
from collections.abc import Iterator
from typing import Any, Final

import typer

from .app import COMMANDS, PROGRAM, build

_TITLE: Final = """\
# Commands

Exit codes are those of every command: 0 when what was asked holds, 1 when it does not, 2 for bad input or when it
cannot be told, 130 after Ctrl-C.
"""


def reference() -> str:
    """Return the page, in Markdown: commands by name, each with its arguments, options and examples.

    Raises:
        ValueError: A command, an argument or an option has no description; names it.
    """
    root = typer.main.get_command(build(list(COMMANDS)))
    return "\n".join([_TITLE, *_commands(root, PROGRAM)])


def _commands(group: Any, path: str) -> Iterator[str]:  # noqa: ANN401 -- the toolkit's own classes are private
    for name, command in sorted(group.commands.items()):
        whole = f"{path} {name}"
        inner = getattr(command, "commands", None)
        if command.params or not inner:
            yield from _section(command, whole)
        if inner:
            yield from _commands(command, whole)


def _section(command: Any, path: str) -> Iterator[str]:  # noqa: ANN401
    if not command.help:
        raise ValueError(f"{path} has no description")
    yield f"## {path}\n"
    yield f"{command.help}\n"
    rows = [_row(each, path) for each in command.params]
    if rows:
        yield from ("| Argument or option | Meaning |\n|---|---|", *rows, "")
    if command.epilog:
        yield f"{_code(command.epilog)}\n"


def _row(parameter: Any, path: str) -> str:  # noqa: ANN401
    names = parameter.opts + parameter.secondary_opts
    if parameter.param_type_name == "argument":
        names = [name.upper() for name in names]
    if not getattr(parameter, "help", None):
        raise ValueError(f"{path} {names[0]} has no description")
    shape = f" {parameter.metavar}" if parameter.metavar and parameter.param_type_name == "option" else ""
    default = parameter.default
    plain = isinstance(default, int | float | str) and not isinstance(default, bool) and default != ""
    more = " Required." if parameter.required else f" Default: `{default}`." if plain else ""
    shown = ", ".join(f"`{name}{shape}`" for name in names).replace("|", "\\|")
    meaning = re.sub(r"([|_<*])", r"\\\1", parameter.help)
    return f"| {shown} | {meaning}{more} |"


def _code(epilog: str) -> str:
    """Examples stand between double quotes there."""
    return re.sub(r'"([^"\n]+)"', r"`\1`", epilog)
