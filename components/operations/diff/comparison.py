"""What to compare, and everything that is counted while comparing, wherever the pairs come from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from statistics import median
from typing import Final

from ...model import ValidationError
from ...model.request_sampling import sample_threshold
from ..errors import OperationError
from ..recording import Damage
from ..recording.descriptors import Descriptors
from ..recording.storage import without_credentials
from .answers import Answer
from .comparing import DEFAULT_IGNORED_HEADERS, Comparer
from .ignoring import IgnoreRules
from .judging import judge
from .pairing import PairCounts, Selection, Source
from .result import DiffResult
from .tally import Names, Tally

_OFFSETS: Final = 10_000
"""Pairs from which the clocks' offset is worked out."""

_MILLISECOND: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, kw_only=True)
class DiffJob:
    """What to compare.

    Raises:
        ValidationError: A value breaks its rule.
    """

    primary: Source
    mirror: Source
    baseline: Sequence[Source] = ()
    """Second answers of the primary system to the same requests: a second instance of v1 that gets copies, or a
    recording replayed to v1. They show how much each field varies by itself."""
    ignore: Sequence[str] = ()
    """Fields not to compare; see :class:`IgnoreRules`."""
    with_all_headers: bool = False
    """Compare also the headers of :data:`DEFAULT_IGNORED_HEADERS`."""
    descriptor_set: bytes | None = None
    """Serialised ``FileDescriptorSet`` that names protobuf fields; without it they are told by number."""
    sample_percent: float = 100.0
    """Share of requests compared, above 0 to 100, chosen by their identifier."""
    level: float = 0.001
    """Probability of any false finding in the whole comparison, 1e-9 to 0.1."""

    def __post_init__(self) -> None:
        IgnoreRules(self.ignore)
        sample_threshold(self.sample_percent)
        if not 1e-9 <= self.level <= 0.1:  # noqa: PLR2004 -- documented above
            raise ValidationError(
                field="level", value=self.level, rule="must be from 1e-9 to 0.1", remedy="Choose for example 0.001"
            )
        self._keep_baselines_apart()

    def _keep_baselines_apart(self) -> None:
        """Answers that were held against themselves would seem never to vary."""
        primary = self.primary
        beside = [one for one in self.baseline if (_place(one), one.side) == (_place(primary), primary.side)]
        if any(one.source == primary.source for one in beside):
            raise ValidationError(
                field="baseline",
                value=without_credentials(primary.recording),
                rule="must be other answers than those of the primary itself",
                remedy="Replay the recording to the primary, or name a second instance of it with --baseline-source",
            )
        if primary.source is None:
            without = tuple(one.source for one in beside if one.source is not None)
            object.__setattr__(self, "primary", replace(primary, without=without))


def _place(source: Source) -> str:
    return source.recording.rstrip("/")


class Comparison:
    """Everything that is counted."""

    def __init__(self, job: DiffJob) -> None:
        self._job = job
        names, rules = Names(), IgnoreRules(job.ignore)
        self._names = names
        self._comparer = Comparer(
            descriptors=Descriptors.parse(job.descriptor_set) if job.descriptor_set else None,
            ignored_headers=frozenset() if job.with_all_headers else DEFAULT_IGNORED_HEADERS,
        )
        self._mirror = Tally(names, rules, with_examples=True)
        self._baseline = Tally(names, rules, with_examples=False)
        self._offsets: list[float] = []
        self.counts = PairCounts()
        self.baseline_counts = PairCounts()

    def add(self, primary: Answer, mirror: Answer) -> None:
        """Compare a mirror's answer with the primary's."""
        self._mirror.add(primary, mirror, self._comparer.compare(primary, mirror))
        if len(self._offsets) < _OFFSETS:
            self._offsets.append((mirror.started_at - primary.started_at) / _MILLISECOND)

    def add_baseline(self, primary: Answer, other: Answer) -> None:
        """Compare a second answer of the primary system with the first."""
        self._baseline.add(primary, other, self._comparer.compare(primary, other))

    def result(self, selections: Mapping[str, Selection], damage: tuple[Damage, ...]) -> DiffResult:
        """Judge what was counted."""
        fields, endpoints = judge(
            self._mirror, self._baseline, has_baseline=bool(self._job.baseline), level=self._job.level
        )
        return DiffResult(
            pairs=self.counts.paired,
            baseline_pairs=self.baseline_counts.paired,
            unpaired=self.counts.unpaired,
            unanswered=selections["primary"].chosen - self.counts.paired,
            surplus=self.counts.surplus,
            without_id=sum(selection.without_id for selection in selections.values()),
            sampled_out=selections["primary"].sampled_out,
            level=self._job.level,
            has_baseline=bool(self._job.baseline),
            fields=fields,
            endpoints=endpoints,
            clock_offset_ms=round(median(self._offsets), 3) if self._offsets else None,
            overflowed=self._names.overflowed,
            damage=damage,
        )


def nothing_paired(job: DiffJob, selections: Mapping[str, Selection]) -> OperationError:
    """Return the error for a comparison of nothing, with what there was instead."""
    seen = {role: selections[role] for role in ("primary", "mirror")}
    counts = " and ".join(f"{one.chosen} {role} exchange(s)" for role, one in seen.items())
    without_id = sum(one.without_id for one in seen.values())
    hints = [f"{without_id} without x-request-id"] if without_id else []
    for role, source in (("primary", job.primary), ("mirror", job.mirror)):
        others = {side: n for side, n in seen[role].by_side.items() if side != source.side}
        if not seen[role].chosen and others:
            held = ", ".join(f"{n} {side}" for side, n in others.items())
            hints.append(f"{without_credentials(source.recording)} holds only {held}")
    detail = f" ({'; '.join(hints)})" if hints else ""
    return OperationError(
        f"No request has an answer on both sides: {counts}{detail}",
        remedy="Check that both recordings cover the same time and that the mirror keeps x-request-id",
    )


def nothing_in_baseline(job: DiffJob, selections: Mapping[str, Selection]) -> OperationError:
    """Return the error for a baseline that has no answer to any request of the primary."""
    chosen = sum(one.chosen for role, one in selections.items() if role.startswith("baseline"))
    names = [f" of the source {one.source}" for one in job.baseline if one.source is not None]
    return OperationError(
        f"No request has a second answer of the primary: {chosen} baseline exchange(s){''.join(names)}",
        remedy="Check the baseline's recording and source, and that it was recorded as the primary's side",
    )
