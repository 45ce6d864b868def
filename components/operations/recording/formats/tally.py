"""What an import counts: nothing that it leaves out goes unsaid."""

from collections import Counter
from dataclasses import dataclass, field


class Refused(ValueError):  # noqa: N818 -- no error of anybody: it is counted, and the import goes on
    """A record that no exchange can be made of.

    Attributes:
        reason: Why, in a few words that are the same for all records of the kind.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(slots=True)
class Tally:
    """Counts of one import."""

    records: int = 0
    """Messages, flows, entries or traces read: whatever the format is made of."""
    refused: Counter[str] = field(default_factory=Counter[str])
    """Records that no exchange was made of, by reason."""
    remarks: Counter[str] = field(default_factory=Counter[str])
    """What has to be known of the exchanges, with how often it is so."""

    def refuse(self, reason: str, count: int = 1) -> None:
        """Count records that are left out."""
        self.refused[reason] += count

    def remark(self, what: str) -> None:
        """Count something that has to be known: a noun in the plural, and what is so of it."""
        self.remarks[what] += 1
