"""Comparing answers one by one: what comparing them by columns must come to."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

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


def _by_request(answers: Iterable[Answer]) -> Mapping[str, list[Answer]]:
    grouped: dict[str, list[Answer]] = {}
    for answer in answers:
        grouped.setdefault(answer.pair_key, []).append(answer)
    for group in grouped.values():
        group.sort(key=lambda answer: (answer.started_us, repr(answer)))
    return grouped


def _pairs_of(
    primary: Mapping[str, list[Answer]], others: Iterable[Answer], counts: PairCounts
) -> Iterator[tuple[Answer, Answer]]:
    for key, found in _by_request(others).items():
        group = primary.get(key)
        if group is None:
            counts.unpaired += len(found)
            continue
        counts.surplus += max(0, len(found) - len(group))
        for pair in zip(group, found, strict=False):
            counts.paired += 1
            yield pair
