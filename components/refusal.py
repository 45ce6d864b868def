"""How Pulumi shows bad input: as a message, without a traceback."""

import pulumi

from .model import ValidationError


class RefusedError(ValidationError, pulumi.RunError):
    """A validation error that the engine reports like a failed command, because the program is not at fault."""


ValidationError.raised_as = RefusedError
