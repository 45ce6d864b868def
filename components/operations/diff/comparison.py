"""What to compare, and everything that is counted while comparing, wherever the pairs come from."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from statistics import median
from typing import Final, NamedTuple
from zlib import crc32

import numpy as np

from ...model import ValidationError
from ...model.checks import bounded
from ...model.credentials import without_credentials
from ...model.request_sampling import sample_threshold
from ..errors import OperationError
from ..recording.arrow import Table, pa
from ..recording.buckets import hashes_of
from ..recording.descriptors import Descriptors
from .answers import Answer, headers_in
from .columns import Endpoints, Numbers, Places, alike, answers_in_order, column, rows_at, steps, times_of
from .comparing import DEFAULT_IGNORED_HEADERS, Compared, Comparer
from .counting import PairCounter
from .judging import COPY, Requests, judge
from .pairing import Selection, Source
from .result import DiffResult
from .rules import FieldRules
from .tallies import Tallies

_SETTLED_PAIRS: Final = 1_000
"""Pairs until it is looked again whether too much is told apart."""


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
    """Fields not to compare; see :class:`FieldRules`. ``body`` and ``message`` cover bodies that cannot be compared,
    ``duration`` the times, ``copy`` requests that the mirror did not get."""
    unordered: Sequence[str] = ()
    """Lists to compare as sets; see :class:`FieldRules`."""
    slower: float = 2.0
    """A mirror's answer counts as slower when it took this many times as long and 10 ms more, 1.1 to 100."""
    expected_percent: float | None = None
    """Share of the primary's requests that the mirror gets, above 0 to 100: significantly fewer are a finding. ``None``
    when nobody knows; then missing ones are told, and decide nothing."""
    with_all_headers: bool = False
    """Compare also the headers of :data:`DEFAULT_IGNORED_HEADERS`."""
    descriptor_set: bytes | None = None
    """Serialised ``FileDescriptorSet`` that names protobuf fields; without it they are told by number."""
    sample_percent: float = 100.0
    """Share of requests compared, above 0 to 100, chosen by their identifier."""
    level: float = 0.001
    """Probability of any false finding in the whole comparison, 1e-9 to 0.1."""

    def __post_init__(self) -> None:
        FieldRules(self.ignore)
        FieldRules(self.unordered, option="unordered")
        sample_threshold(self.sample_percent)
        bounded(self.slower, "slower", 1.1, 100, "times")
        if self.expected_percent is not None:
            sample_threshold(self.expected_percent, field="expected_percent")
        if not 1e-9 <= self.level <= 0.1:  # noqa: PLR2004 -- documented above
            raise ValidationError(
                field="level", value=self.level, rule="must be from 1e-9 to 0.1", remedy="Choose for example 0.001"
            )
        self._keep_baselines_apart()

    @property
    def ignored_headers(self) -> frozenset[str]:
        """Headers and trailers that are not compared."""
        return frozenset() if self.with_all_headers else DEFAULT_IGNORED_HEADERS

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


class _Step(NamedTuple):
    """Pairs that are looked at together."""

    called: Endpoints
    primary: Table
    other: Table


class Comparison:
    """Compares pairs and counts what comes of it."""

    def __init__(self, job: DiffJob, tallies: Tallies | None = None) -> None:
        """Prepare to compare.

        Args:
            job: What to compare.
            tallies: Where to count; new ones by default.

        Raises:
            ValidationError: The descriptor set is none.
        """
        self._rules = rules = FieldRules(job.ignore)
        self._comparer = Comparer(
            descriptors=Descriptors.parse(job.descriptor_set) if job.descriptor_set else None,
            ignored_headers=job.ignored_headers,
            ignored=rules,
            unordered=FieldRules(job.unordered),
        )
        self.tallies = tallies or Tallies()
        self._mirror = PairCounter(self.tallies.mirror, rules, slower=job.slower, with_examples=True)
        self._baseline = PairCounter(self.tallies.baseline, rules, slower=job.slower, with_examples=False)

    def note_primary(self, endpoint: str, answers: int) -> None:
        """Count answers of the primary, whether or not they have a partner."""
        if not self._rules.covers(endpoint, COPY):
            self.tallies.primary[endpoint] += answers

    def add(self, primary: Answer, mirror: Answer) -> None:
        """Compare a mirror's answer with the primary's."""
        self._mirror.add(primary, mirror, self._comparer.compare(primary, mirror))
        self.tallies.note_offset(crc32(primary.pair_key.encode()), mirror.started_us - primary.started_us)
        self._settle_now_and_then(self.tallies.counts.paired)

    def add_baseline(self, primary: Answer, other: Answer) -> None:
        """Compare a second answer of the primary system with the first."""
        self._baseline.add(primary, other, self._comparer.compare(primary, other))
        self._settle_now_and_then(self.tallies.baseline_counts.paired)

    def add_rows(self, primary: Table, endpoints: Endpoints, others: Table, places: Places) -> None:
        """Compare many answers of a mirror with the primary's.

        Args:
            primary: The primary's, as :func:`joined` returns them.
            endpoints: Theirs.
            others: The mirror's, likewise.
            places: Which belong together.
        """
        keys = hashes_of(column(primary, "pair_key").take(pa.array(places.primary)))
        started = (column(others, "started_at").to_numpy(), column(primary, "started_at").to_numpy())
        self.tallies.note_offsets(keys, started[0][places.other] - started[1][places.primary])
        self._add_rows(self._mirror, primary, endpoints, others, places)

    def add_baseline_rows(self, primary: Table, endpoints: Endpoints, others: Table, places: Places) -> None:
        """Compare many second answers of the primary system with the first; see :meth:`add_rows`."""
        self._add_rows(self._baseline, primary, endpoints, others, places)

    def _add_rows(
        self, counter: PairCounter, primary: Table, endpoints: Endpoints, others: Table, places: Places
    ) -> None:
        for step in steps(primary, others, places):
            one, other = places.primary[step], places.other[step]
            self._add_step(counter, _Step(endpoints.at(one), rows_at(primary, one), rows_at(others, other)))

    def _add_step(self, counter: PairCounter, step: "_Step") -> None:
        for endpoint, count in step.called.counted():
            counter.add_pairs(endpoint, count)
        counter.add_times(step.called, times_of(step.primary), times_of(step.other), column(step.primary, "request_id"))
        pairs = alike(step.primary, step.other)
        for endpoint, count in step.called.counted(pairs.wholly):
            counter.add_alike(endpoint, count)
        compared = chain(self._compare_bodies(step, pairs.but_bodies), self._compare_answers(step, pairs.rest))
        for number, (endpoint, request_id, found) in enumerate(compared, 1):
            counter.add_compared(endpoint, request_id, found)
            if number % _SETTLED_PAIRS == 0:
                counter.settle()
                self.tallies.settle_if_large()
        counter.settle()
        self.tallies.settle_if_large()

    def _compare_bodies(self, step: "_Step", which: Numbers) -> Iterator[tuple[str, str, Compared]]:
        places, names = np.flatnonzero(which), ["request_id", "headers", "response_body"]
        rows, other_rows = rows_at(step.primary.select(names), places), rows_at(step.other.select(names), places)
        ids, headers, bodies = (rows.column(name).to_pylist() for name in names)
        others = other_rows.column("response_body").to_pylist()
        endpoints = map(step.called.names.__getitem__, step.called.numbers[which].tolist())
        for endpoint, request_id, text, one, other in zip(endpoints, ids, headers, bodies, others, strict=True):
            found = self._comparer.compare_bodies(endpoint, headers_in(text), one or b"", other or b"")
            yield endpoint, request_id, found

    def _compare_answers(self, step: "_Step", which: Numbers) -> Iterator[tuple[str, str, Compared]]:
        places = np.flatnonzero(which)
        both = (answers_in_order(rows, places) for rows in (step.primary, step.other))
        for one, other in zip(*both, strict=True):
            yield one.endpoint, one.request_id, self._comparer.compare(one, other)

    def _settle_now_and_then(self, pairs: int) -> None:
        if pairs % _SETTLED_PAIRS == 0:
            self.tallies.settle_if_large()


def verdict(job: DiffJob, tallies: Tallies) -> DiffResult:
    """Judge what was counted, wherever that was.

    Args:
        job: What was compared.
        tallies: The sum of all parts.

    Raises:
        OperationError: No request has an answer on both sides, or none has one in the baseline, so nothing can be told.
    """
    tallies.settle()
    if not tallies.counts.paired:
        raise _nothing_paired(job, tallies.selections)
    if job.baseline and not tallies.baseline_counts.paired:
        raise _nothing_in_baseline(job, tallies.selections)
    mirror, primary = tallies.mirror, tallies.primary
    requests = Requests(
        primary={endpoint: max(primary[endpoint], one.pairs) for endpoint, one in sorted(mirror.endpoints.items())}
        | {endpoint: made for endpoint, made in sorted(primary.items()) if not mirror.of(endpoint).pairs},
        expected=None if job.expected_percent is None else job.expected_percent / 100,
    )
    fields, endpoints = judge(mirror, tallies.baseline, requests, has_baseline=bool(job.baseline), level=job.level)
    rules = FieldRules(job.ignore)
    offsets = [offset for _, offset in tallies.offsets]
    return DiffResult(
        pairs=tallies.counts.paired,
        baseline_pairs=tallies.baseline_counts.paired,
        unpaired=tallies.counts.unpaired,
        unanswered=tallies.selections["primary"].chosen - tallies.counts.paired,
        ignored_pairs=sum(one.pairs for endpoint, one in mirror.endpoints.items() if rules.cover_all(endpoint)),
        surplus=tallies.counts.surplus,
        without_id=sum(selection.without_id for selection in tallies.selections.values()),
        sampled_out=tallies.selections["primary"].sampled_out,
        level=job.level,
        has_baseline=bool(job.baseline),
        fields=fields,
        endpoints=endpoints,
        clock_offset_ms=round(median(offsets) / 1000, 3) if offsets else None,
        overflowed=tallies.overflowed,
        damage=tuple(damage for _, damage in sorted(tallies.damage, key=repr)),
    )


def _nothing_paired(job: DiffJob, selections: Mapping[str, Selection]) -> OperationError:
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


def _nothing_in_baseline(job: DiffJob, selections: Mapping[str, Selection]) -> OperationError:
    """Return the error for a baseline that has no answer to any request of the primary."""
    chosen = sum(one.chosen for role, one in selections.items() if role.startswith("baseline"))
    names = [f" of the source {one.source}" for one in job.baseline if one.source is not None]
    return OperationError(
        f"No request has a second answer of the primary: {chosen} baseline exchange(s){''.join(names)}",
        remedy="Check the baseline's recording and source, and that it was recorded as the primary's side",
    )
