"""What a comparison counted, as one sum: added up from parts in any order, kept as text, judged alone."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field
from heapq import nsmallest
from typing import Any, Final

import numpy as np

from ...model import ValidationError
from ..recording import Damage
from ..recording.quantiles import Quantiles
from .differences import Change
from .pairing import PairCounts, Selection
from .tally import EndpointTally, Example, Limits, Pattern, Tally, Way, fold, order_of_way

_VERSION: Final = 1
"""Of the text; raised whenever a reader of the older one would misread it."""

_OFFSETS: Final = 1_001
"""Pairs from which the clocks' offset is worked out, chosen by a hash of their identifiers."""

_ROOM: Final = 20_000
"""Things told apart beyond twice of what was there after the last folding, until the next."""


@dataclass(kw_only=True)
class Tallies:
    """Everything that is counted while comparing; the verdict follows from it alone.

    The sum is the same however pairs are divided, byte for byte.
    """

    limits: Limits = field(default_factory=Limits)
    primary: Counter[str] = field(default_factory=Counter[str])
    """Answers of the primary by endpoint, with and without a partner."""
    mirror: Tally = field(default_factory=Tally)
    baseline: Tally = field(default_factory=Tally)
    counts: PairCounts = field(default_factory=PairCounts)
    baseline_counts: PairCounts = field(default_factory=PairCounts)
    selections: dict[str, Selection] = field(default_factory=dict[str, Selection])
    """What was read and left out, by role."""
    offsets: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    """Hashes of pairs with the mirror's start minus the primary's, in microseconds."""
    damage: set[tuple[str, Damage]] = field(default_factory=set[tuple[str, Damage]])
    """What could not be read, with the first role that should have read it."""
    overflowed: bool = False
    """True when there were too many endpoints or fields to tell all apart."""
    _settled: int = 0

    def note_offset(self, key: int, offset_us: int) -> None:
        """Note how far apart a pair's starts are.

        Args:
            key: Hash of the pair's identifier.
            offset_us: The mirror's start minus the primary's.
        """
        self.offsets.append((key, offset_us))
        if len(self.offsets) > 4 * _OFFSETS:
            self.offsets = nsmallest(_OFFSETS, self.offsets)

    def note_offsets(self, keys: Any, offsets_us: Any) -> None:  # noqa: ANN401 -- arrays of numpy's
        """Note how far apart the starts of many pairs are; see :meth:`note_offset`."""
        first = np.lexsort((offsets_us, keys))[:_OFFSETS]
        self.offsets += zip(keys[first].tolist(), offsets_us[first].tolist(), strict=True)
        if len(self.offsets) > 4 * _OFFSETS:
            self.offsets = nsmallest(_OFFSETS, self.offsets)

    def merge(self, other: "Tallies") -> None:
        """Add what was counted elsewhere."""
        self.primary.update(other.primary)
        self.mirror.merge(other.mirror)
        self.baseline.merge(other.baseline)
        self.counts.merge(other.counts)
        self.baseline_counts.merge(other.baseline_counts)
        for role, selection in other.selections.items():
            self.selections.setdefault(role, Selection()).merge(selection)
        self.offsets += other.offsets
        self.damage |= other.damage
        self.overflowed |= other.overflowed
        self.settle()

    def settle_if_large(self) -> None:
        """Fold what need not be told apart, now and then."""
        if self._size > 2 * self._settled + _ROOM:
            self.settle()

    def settle(self) -> None:
        """Fold what need not be told apart."""
        self.overflowed |= fold((self.mirror, self.baseline), self.primary, self.limits)
        self.offsets = nsmallest(_OFFSETS, self.offsets)
        self._settled = self._size

    @property
    def _size(self) -> int:
        return len(self.primary) + self.mirror.size + self.baseline.size

    def to_bytes(self) -> bytes:
        """Return everything as JSON, the same for equal sums."""
        self.settle()
        document = {
            "version": _VERSION,
            "primary": self.primary,
            "mirror": _of_tally(self.mirror),
            "baseline": _of_tally(self.baseline),
            "counts": astuple(self.counts),
            "baseline_counts": astuple(self.baseline_counts),
            "selections": {
                role: [one.chosen, one.without_id, one.sampled_out, one.by_side]
                for role, one in self.selections.items()
            },
            "offsets": self.offsets,
            "damage": sorted(([role, *astuple(one)] for role, one in self.damage), key=repr),
            "overflowed": self.overflowed,
        }
        return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Tallies":
        """Return what :meth:`to_bytes` told.

        Raises:
            ValidationError: It is something else, cut, or of another release.
        """
        try:
            document: dict[str, Any] = json.loads(data)
            if document["version"] != _VERSION:
                raise ValueError(document["version"])  # noqa: TRY301 -- one remedy for all
            return cls(
                primary=Counter(document["primary"]),
                mirror=_to_tally(document["mirror"]),
                baseline=_to_tally(document["baseline"]),
                counts=_to_counts(document["counts"]),
                baseline_counts=_to_counts(document["baseline_counts"]),
                selections={
                    role: Selection(
                        chosen=chosen, without_id=without_id, sampled_out=sampled_out, by_side=Counter(by_side)
                    )
                    for role, (chosen, without_id, sampled_out, by_side) in document["selections"].items()
                },
                offsets=[(key, offset) for key, offset in document["offsets"]],
                damage={
                    (role, Damage(file=file, row_group=group, rows=rows, reason=reason))
                    for role, file, group, rows, reason in document["damage"]
                },
                overflowed=document["overflowed"],
            )
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise ValidationError(
                field="tally",
                value=data[:40].decode("utf-8", "replace"),
                rule="must be a whole tally that this release wrote",
                remedy="Compare this part again",
            ) from error


def _to_counts(numbers: Sequence[int]) -> PairCounts:
    paired, unpaired, surplus = numbers
    return PairCounts(paired=paired, unpaired=unpaired, surplus=surplus)


def _of_tally(tally: Tally) -> dict[str, Any]:
    return {endpoint: _of_endpoint(one) for endpoint, one in tally.endpoints.items()}


def _of_endpoint(one: EndpointTally) -> dict[str, Any]:
    ways = sorted(one.differing, key=order_of_way)
    numbers = {way: number for number, way in enumerate(ways)}
    patterns = sorted([[numbers[way] for way in pattern], pairs] for pattern, pairs in one.patterns.items())
    return {
        **{name: getattr(one, name) for name in EndpointTally.NUMBERS},
        "uncompared": one.uncompared,
        "primary_times": one.primary_times.to_json(),
        "other_times": one.other_times.to_json(),
        "ways": [
            [*way, one.differing[way], one.last.get(way, 0), [astuple(each) for each in one.examples.get(way, ())]]
            for way in ways
        ],
        "patterns": patterns,
    }


def _to_tally(document: Mapping[str, Any]) -> Tally:
    tally = Tally()
    for endpoint, entries in document.items():
        tally.endpoints[endpoint] = _to_endpoint(entries)
    return tally


def _to_endpoint(document: Mapping[str, Any]) -> EndpointTally:
    one = EndpointTally()
    for name in EndpointTally.NUMBERS:
        setattr(one, name, document[name])
    one.uncompared.update(document["uncompared"])
    one.primary_times = Quantiles.from_json(document["primary_times"])
    one.other_times = Quantiles.from_json(document["other_times"])
    ways: list[Way] = []
    for name, change, differing, last, examples in document["ways"]:
        way = (name, Change(change))
        ways.append(way)
        one.differing[way] = differing
        if last:
            one.last[way] = last
        for request_id, primary, mirror in examples:
            one.examples[way].append(Example(request_id=request_id, primary=primary, mirror=mirror))
    for numbers, pairs in document["patterns"]:
        one.patterns[_pattern(numbers, ways)] = pairs
    return one


def _pattern(numbers: Sequence[int], ways: Sequence[Way]) -> Pattern:
    return tuple(ways[number] for number in numbers)
