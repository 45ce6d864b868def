"""Options that mean the same in every command."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from ..model import ValidationError

Json: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON, and nothing else, on standard output.")
]
"""``--json``"""


@contextmanager
def named_as_options(**options: str) -> Generator[None]:
    """Name fields in errors as the user wrote them.

    Args:
        options: Name of the option by name of the field.

    Raises:
        ValidationError: The one that came, renamed.
    """
    try:
        yield
    except ValidationError as error:
        raise ValidationError(
            field=options.get(error.field.partition("[")[0], error.field),
            value=error.value,
            rule=error.rule,
            remedy=error.remedy,
        ) from None


def output_file(path: Path | None, *, option: str) -> Path | None:
    """Return a file that is going to be written, checked now rather than after minutes of work.

    Args:
        path: The file; None when the option is not given.
        option: Name of the option, for the error.

    Raises:
        ValidationError: The file cannot be written there.
    """
    if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
        raise ValidationError(
            field=option,
            value=str(path),
            rule="must be a file in a folder that exists",
            remedy="Create the folder, or choose another file",
        )
    return path


def texts_of(path: Path | None, *, option: str) -> dict[str, str]:
    """Read texts by name from a file: a credential in an argument would show in the list of processes.

    Args:
        path: File with a JSON object of texts; None for no texts.
        option: Name of the option, for the error.

    Raises:
        ValidationError: There is no such file, or something else is in it, which is not shown.
    """
    if path is None:
        return {}
    file = input_file(path, option=option)
    try:
        document: object = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        document = error
    if not isinstance(document, dict) or not all(isinstance(value, str) for value in document.values()):  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType] -- JSON
        raise ValidationError(
            field=option,
            value=str(path),
            rule="must hold a JSON object of texts",
            remedy='Write for example {"authorization": "Bearer …"}',
        )
    return {str(name): str(value) for name, value in document.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType, reportUnknownMemberType] -- JSON


def input_file(path: Path, *, option: str) -> Path:
    """Return a file that is going to be read.

    Args:
        path: The file.
        option: Name of the option, for the error.

    Raises:
        ValidationError: There is no such file.
    """
    if not path.is_file():
        raise ValidationError(field=option, value=str(path), rule="must be a file that exists", remedy="Check the path")
    return path
