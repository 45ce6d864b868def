"""How Pulumi shows bad input: as a message, without a traceback."""

from collections.abc import Callable
from functools import wraps
from typing import Final, TypeVar

import pulumi

from .model import ValidationError

PLAIN_VALUE: Final = (
    "Give a plain value, e.g. from pulumi.Config: it decides what is checked and made, and an Output is known only "
    "while that is done"
)
"""Remedy where an Output is given and none can be taken."""


Value = TypeVar("Value")
Answer = TypeVar("Answer")


class RefusedError(ValidationError, pulumi.RunError):
    """A validation error that the engine reports like a failed command, because the program is not at fault.

    An Output among the values is told for what it is, and why it cannot stand there.
    """

    def __init__(self, *, field: str, value: object, rule: str, remedy: str) -> None:
        if isinstance(value, pulumi.Output):
            value, remedy = "(Output)", PLAIN_VALUE
        super().__init__(field=field, value=value, rule=rule, remedy=remedy)


class LateRefusedError(pulumi.RunError):
    """A validation error of a value that was known late.

    It is no ValueError: of those that come out of an ``apply`` the SDK makes its own, which the engine shows with a
    traceback of the SDK around the message. Source: pulumi/runtime/resource.py, do_register.
    """


def late(check: Callable[[Value], Answer]) -> Callable[[Value], Answer]:
    """Return a function for ``Output.apply`` whose refusals the engine shows as messages.

    Args:
        check: Raises ValidationError where it refuses.
    """

    @wraps(check)
    def checked(value: Value) -> Answer:
        try:
            return check(value)
        except ValidationError as error:
            raise LateRefusedError(str(error)) from error

    return checked


ValidationError.raised_as = RefusedError
