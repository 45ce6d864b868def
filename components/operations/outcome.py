"""How a claim stands, and the exit code that tells it."""

from enum import StrEnum, unique


@unique
class Outcome(StrEnum):
    """How a claim stands."""

    HOLDS = "holds"
    """Everything that was claimed was seen."""

    FAILS = "fails"
    """Something else was seen."""

    UNKNOWN = "cannot tell"
    """There is not enough to see."""

    @property
    def exit_code(self) -> int:
        """Exit code of a command with this outcome: 0, 1 or 2."""
        return {Outcome.HOLDS: 0, Outcome.FAILS: 1, Outcome.UNKNOWN: 2}[self]
