"""Whole numbers within limits. No Pulumi."""

from ..model import ValidationError


def check_whole(value: object, *, field: str, least: int, most: int) -> None:
    """Check a whole number; ``True`` is none.

    Args:
        value: What the user gave.
        field: Path of the field in messages.
        least: Smallest value allowed.
        most: Largest value allowed.

    Raises:
        ValidationError: It is no whole number, or out of these limits.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValidationError(
            field=field,
            value=value,
            rule=f"must be a whole number from {least} to {most}",
            remedy="Choose a number within these limits",
        )
