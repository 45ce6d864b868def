"""Comparing what primary and mirror answered, and telling differences from noise."""

from collections.abc import Callable, Sequence

from ...model.request_sampling import sample_threshold
from ..recording import RecordingReader, Side
from .comparison import Comparison, DiffJob, nothing_in_baseline, nothing_paired
from .pairing import Partitions, Selection, Source, by_request, pairs_of, partitions
from .result import DiffResult


def diff(job: DiffJob, *, on_progress: Callable[[float], None] | None = None) -> DiffResult:
    """Compare recordings.

    Args:
        job: What to compare.
        on_progress: Called with the share that is done, 0 to 1.

    Raises:
        ValidationError: A recording is empty or has another schema version.
        OperationError: No request has an answer on both sides, or none has one in the baseline, so nothing can be told.
    """
    sources = {"primary": job.primary, "mirror": job.mirror}
    sources |= {f"baseline-{number}": source for number, source in enumerate(job.baseline)}
    # One reader for each recording, so that its damage is noted once.
    readers = {source.recording: RecordingReader.open(source.recording) for source in sources.values()}
    comparison = Comparison(job)
    with partitions(list(readers.values()), threshold=sample_threshold(job.sample_percent)) as parts:
        selections: dict[str, Selection] = {}
        for number, (role, source) in enumerate(sources.items()):
            selections[role] = parts.add(role, readers[source.recording], source)
            _show(on_progress, 0.3 * (number + 1) / len(sources))
        for number in range(parts.count):
            _compare(comparison, parts, number, list(sources)[2:])
            _show(on_progress, 0.3 + 0.7 * (number + 1) / parts.count)
    if not comparison.counts.paired:
        raise nothing_paired(job, selections)
    if job.baseline and not comparison.baseline_counts.paired:
        raise nothing_in_baseline(job, selections)
    damage = tuple(damage for reader in readers.values() for damage in reader.damage)
    return comparison.result(selections, damage)


def _show(on_progress: Callable[[float], None] | None, share: float) -> None:
    if on_progress:
        on_progress(share)


def _compare(comparison: Comparison, parts: Partitions, number: int, baselines: Sequence[str]) -> None:
    """Compare one partition."""
    primary = by_request(parts.read("primary", number))
    for one, other in pairs_of(primary, parts.read("mirror", number), comparison.counts):
        comparison.add(one, other)
    for role in baselines:
        for one, other in pairs_of(primary, parts.read(role, number), comparison.baseline_counts):
            comparison.add_baseline(one, other)


def one_recording(url: str, *, baseline: Sequence[Source] = ()) -> DiffJob:
    """Return the usual job: one recording that holds both sides."""
    return DiffJob(
        primary=Source(recording=url, side=Side.PRIMARY),
        mirror=Source(recording=url, side=Side.MIRROR),
        baseline=baseline,
    )
