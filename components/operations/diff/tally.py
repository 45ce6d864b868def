"""Counting differences by endpoint and field, with a few examples, in bounded memory."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from ..plaintext import printable
from ..recording.endpoints import Groups
from ..recording.quantiles import Quantiles
from .answers import Answer
from .comparing import has_payload
from .differences import Change, Difference
from .ignoring import IgnoreRules

MAX_ENDPOINTS: Final = 1_000
MAX_FIELDS: Final = 2_000
"""Fields of one endpoint told apart; further ones are counted together."""

_MAX_EXAMPLES: Final = 3
_MAX_TEXT: Final = 160


class FieldKey(NamedTuple):
    """What is counted: one way in which one field of one endpoint differs."""

    endpoint: str
    field: str
    change: Change


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One pair in which a field differed."""

    request_id: str
    primary: str
    """The primary's value, shortened; empty if it has none."""
    mirror: str


class Names:
    """Names of endpoints and fields, shared by all tallies so that they stay comparable."""

    def __init__(self) -> None:
        self._endpoints = Groups(MAX_ENDPOINTS)
        self._fields: dict[str, Groups] = defaultdict(lambda: Groups(MAX_FIELDS))

    def endpoint(self, name: str) -> str:
        """Return the endpoint to count under."""
        return self._endpoints.admit(name)

    def field(self, endpoint: str, name: str) -> str:
        """Return the field to count under."""
        return self._fields[endpoint].admit(name)

    @property
    def overflowed(self) -> bool:
        """Whether anything had to be counted together."""
        return self._endpoints.overflowed or any(groups.overflowed for groups in self._fields.values())


class Tally:
    """Differences between the primary and one kind of other answers."""

    def __init__(self, names: Names, rules: IgnoreRules, *, with_examples: bool) -> None:
        self._names = names
        self._rules = rules
        self._with_examples = with_examples
        self.pairs: Counter[str] = Counter()
        """Pairs by endpoint."""
        self.payload_pairs: Counter[str] = Counter()
        """Pairs by endpoint whose bodies could be compared."""
        self.differing: Counter[FieldKey] = Counter()
        """Pairs in which a field differed."""
        self.differing_pairs: Counter[str] = Counter()
        """Pairs by endpoint in which any field differed."""
        self.examples: dict[FieldKey, list[Example]] = defaultdict(list)
        self.primary_times: dict[str, Quantiles] = defaultdict(Quantiles)
        self.other_times: dict[str, Quantiles] = defaultdict(Quantiles)

    def add(self, primary: Answer, other: Answer, differences: Iterable[Difference]) -> None:
        """Count one pair."""
        endpoint = self._names.endpoint(primary.endpoint)
        self.pairs[endpoint] += 1
        self.payload_pairs[endpoint] += has_payload(primary, other)
        for times, answer in ((self.primary_times, primary), (self.other_times, other)):
            if answer.duration_us is not None:
                times[endpoint].add(answer.duration_us)
        # Once for each pair: ten elements of a list that differ are one pair in which the list's elements differ.
        found: dict[FieldKey, Difference] = {}
        for difference in differences:
            if not self._rules.covers(primary.endpoint, difference.field):
                key = FieldKey(endpoint, self._names.field(endpoint, difference.field), difference.change)
                found.setdefault(key, difference)
        self.differing_pairs[endpoint] += bool(found)
        for key, difference in found.items():
            self.differing[key] += 1
            if self._with_examples and len(self.examples[key]) < _MAX_EXAMPLES:
                self.examples[key].append(
                    Example(
                        request_id=primary.request_id,
                        primary=shorten(difference.primary),
                        mirror=shorten(difference.mirror),
                    )
                )

    def pairs_for(self, key: FieldKey) -> int:
        """Return in how many pairs a field could have differed."""
        pairs: Mapping[str, int] = self.payload_pairs if key.field.startswith(("body", "message")) else self.pairs
        return pairs.get(key.endpoint, 0)


def shorten(value: Any) -> str:  # noqa: ANN401 -- any value of any field
    """Return a value as short text for people."""
    if value is None:
        return ""
    if isinstance(value, bytes):
        text = value[: 2 * _MAX_TEXT].decode("utf-8", "backslashreplace")
    elif isinstance(value, str):
        text = value
    else:
        text = json.dumps(value, ensure_ascii=False, default=str)
    return printable(text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 1] + "…")
