"""The one error that bad input gets."""

from typing import ClassVar, Final, Self, cast

MAX_SHOWN: Final = 2_000
"""Most characters of a value in a message."""


class ValidationError(ValueError):
    """A value breaks a rule; the text names the field, the value, the rule and the remedy.

    Attributes:
        field: Path of the offending field as the user wrote it, e.g. ``"mirrors[0].percent"``.
        value: The offending value. Never a secret: it becomes part of the message.
        rule: What must hold, as a clause, e.g. ``"must be between 0 and 100"``.
        remedy: What to do about it, as an imperative sentence without a full stop.
    """

    raised_as: ClassVar["type[ValidationError] | None"] = None
    """Subclass whose instances are raised instead, so that a host shows the message without a traceback."""

    def __new__(cls, *, field: str, value: object, rule: str, remedy: str) -> Self:
        """Make the error as its host wants to see it."""
        chosen = ValidationError.raised_as if cls is ValidationError else None
        return super().__new__(cast("type[Self]", chosen or cls))

    def __init__(self, *, field: str, value: object, rule: str, remedy: str) -> None:
        self.field = field
        self.value = value
        self.rule = rule
        self.remedy = remedy
        super().__init__(f"{field} = {_shown(value)}: {rule}. {remedy}.")

    def within(self, outer: str) -> "ValidationError":
        """Return the same error with its field path prefixed by ``outer``.

        Args:
            outer: Path of the enclosing value, e.g. ``"mirrors[0]"``.
        """
        return ValidationError(
            field=f"{outer}.{self.field}" if self.field else outer,
            value=self.value,
            rule=self.rule,
            remedy=self.remedy,
        )


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:  # a number of thousands of digits, which Python does not write
        return f"({type(value).__name__})"
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"
