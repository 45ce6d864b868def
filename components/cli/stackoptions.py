"""Options of commands that change a stack by ``pulumi up``."""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from ..operations.ramp.stack import PulumiStack, StackChoice

Project: TypeAlias = Annotated[
    Path,
    typer.Option(
        "--project",
        help="Folder of the Pulumi project.",
        metavar="FOLDER",
        show_default="this folder",
        envvar="TRAFFIC_MIRROR_PROJECT",
    ),
]
"""``--project``"""

StackName: TypeAlias = Annotated[
    str, typer.Option("--stack", help="Stack that owns the mirrors.", metavar="NAME", envvar="TRAFFIC_MIRROR_STACK")
]
"""``--stack``"""

Program: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--program",
        help="Folder of __main__.py, to run it in this process where Pulumi has no language host for Python.",
        metavar="FOLDER",
        envvar="TRAFFIC_MIRROR_PROGRAM",
    ),
]
"""``--program``"""


DryRun: TypeAlias = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, change nothing.")]
"""``--dry-run``"""


def open_stack(project: Path, stack: str, program: Path | None) -> PulumiStack:
    """Return the stack that the options name.

    Raises:
        ValidationError: There is no such project or program.
        OperationError: Pulumi is missing, or the stack does not exist.
    """
    return PulumiStack(
        StackChoice(project=project.absolute(), stack=stack, program=program.absolute() if program else None)
    )
