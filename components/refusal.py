"""How Pulumi shows bad input: as a message, without a traceback."""

from typing import Final

import pulumi

from .model import ValidationError

PLAIN_VALUE: Final = (
    "Give a plain value, e.g. from pulumi.Config: it decides what is checked and made, and an Output is known only "
    "while that is done"
)
"""Remedy where an Output is given and none can be taken."""


class RefusedError(ValidationError, pulumi.RunError):
    """A validation error that the engine reports like a failed command, because the program is not at fault.

    An Output among the values is told for what it is, and why it cannot stand there.
    """

    def __init__(self, *, field: str, value: object, rule: str, remedy: str) -> None:
        if isinstance(value, pulumi.Output):
            value, remedy = "(Output)", PLAIN_VALUE
        super().__init__(field=field, value=value, rule=rule, remedy=remedy)


ValidationError.raised_as = RefusedError
