"""Comparing answers one by one: what comparing them by columns must come to."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from pulumi_traffic_mirror.operations.diff.answers import Answer
from pulumi_traffic_mirror.operations.diff.comparison import Comparison
from pulumi_traffic_mirror.operations.diff.pairing import PairCounts


def count_answers(comparison: Comparison, answers: Mapping[str, Iterable[Answer]]) -> None:
    """Compare the answers to some requests, all sides of each.

    Args:
        comparison: Takes what comes of it.
        answers: By role.
    """
    tallies = comparison.tallies
    primary = _by_request(answers["primary"])
    for endpoint, several in Counter(one.endpoint for group in primary.values() for one in group).items():
        comparison.note_primary(endpoint, several)
    for one, other in _pairs_of(primary, answers["mirror"], tallies.counts):
        comparison.add(one, other)
    for role in [role for role in answers if role not in ("primary", "mirror")]:
        for one, other in _pairs_of(primary, answers[role], tallies.baseline_counts):
            comparison.add_baseline(one, other)


_Key: TypeAlias = tuple[str, str]
"""What is handed on with a request, and its method, which nobody rewrites."""


def _by_request(answers: Iterable[Answer]) -> Mapping[_Key, list[Answer]]:
    grouped: dict[_Key, list[Answer]] = {}
    for answer in answers:
        grouped.setdefault((answer.pair_key, answer.method), []).append(answer)
    for group in grouped.values():
        group.sort(key=lambda answer: (answer.started_us, repr(answer)))
    return grouped


def _pairs_of(
    primary: Mapping[_Key, list[Answer]], others: Iterable[Answer], counts: PairCounts
) -> Iterator[tuple[Answer, Answer]]:
    for key, found in _by_request(others).items():
        group = [*primary.get(key, ())]
        if not group:
            counts.unpaired += len(found)
            continue
        pairs: list[tuple[Answer, Answer]] = []
        for other in [*found]:
            same = [one for one in group if one.target == other.target]
            if same:
                pairs.append((same[0], other))
                group.remove(same[0])
                found.remove(other)
        if len(group) == len(found) or len({one.target for one in group}) == 1:
            pairs += zip(group, found, strict=False)
            del found[: len(group)]
        counts.surplus += len(found)
        counts.paired += len(pairs)
        yield from pairs
