"""Tallies add up to the same sum however pairs are divided, and the verdict follows from the sum alone."""

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulumi_traffic_mirror.cli.app import main
from pulumi_traffic_mirror.model import ValidationError
from pulumi_traffic_mirror.operations.diff import one_recording, spark
from pulumi_traffic_mirror.operations.diff import run as run_module
from pulumi_traffic_mirror.operations.diff.answers import Answer
from pulumi_traffic_mirror.operations.diff.comparison import Comparison, verdict
from pulumi_traffic_mirror.operations.diff.pairing import Selection
from pulumi_traffic_mirror.operations.diff.run import count
from pulumi_traffic_mirror.operations.diff.tallies import Tallies
from pulumi_traffic_mirror.operations.diff.tally import Limits
from pulumi_traffic_mirror.operations.errors import OperationError
from pulumi_traffic_mirror.operations.recording import Part
from pulumi_traffic_mirror.operations.recording.buckets import Shard
from tests.unit.diff.corpora import ROLES, job_of, record
from tests.unit.diff.reference import count_answers

_JOB = one_recording("anywhere")
_FEW = Limits(endpoints=2, fields=3, patterns=2)

_NAMES = st.sampled_from(["a", "bb", "ccc", "dd", "e", "fff"])

_ANSWERS = st.builds(
    lambda path, status, headers, duration: {
        "endpoint": f"GET /{path}",
        "status": status,
        "duration_us": duration,
        "response": Part(headers=tuple((name, "x") for name in sorted(headers))),
    },
    _NAMES,
    st.sampled_from([200, 500, None]),
    st.sets(_NAMES, max_size=4),
    st.sampled_from([None, 100, 50_000]),
)
_REQUESTS = st.lists(st.tuples(st.integers(0, 6), st.sampled_from(ROLES), _ANSWERS), max_size=40)


def _answers(requests: list[tuple[int, str, dict[str, Any]]]) -> dict[str, list[Answer]]:
    found: dict[str, list[Answer]] = {role: [] for role in ROLES}
    for number, role, values in requests:
        key = f"r{number}"
        answer = Answer(
            request_id=key, pair_key=key, started_us=number, path="/", grpc_status=None, is_grpc=False, **values
        )
        found[role].append(answer)
    return found


def _counted(requests: list[tuple[int, str, dict[str, Any]]]) -> Tallies:
    comparison = Comparison(_JOB, Tallies(limits=_FEW, selections={"primary": Selection(chosen=len(requests))}))
    count_answers(comparison, _answers(requests))
    return comparison.tallies


@given(_REQUESTS, st.lists(st.integers(0, 3), min_size=7, max_size=7), st.randoms(use_true_random=False))
def test_any_division_gives_the_same_tallies_and_verdict(requests: Any, places: list[int], random: Any) -> None:
    whole = _counted(requests)
    parts = [_counted([one for one in requests if places[one[0]] == place]) for place in range(4)]
    random.shuffle(parts)
    while len(parts) > 1:
        one, other = parts.pop(), parts.pop(random.randrange(len(parts)))
        if random.random() < 0.5:
            other = Tallies.from_bytes(other.to_bytes())
            other.limits = _FEW
        one.merge(other)
        parts.append(one)
        random.shuffle(parts)
    assert parts[0].to_bytes() == whole.to_bytes()
    assert len(whole.mirror.endpoints) <= _FEW.endpoints + 1
    if whole.counts.paired:
        assert verdict(_JOB, parts[0]) == verdict(_JOB, whole)


def test_what_is_counted_together_counts_each_pair_once() -> None:
    limits = Limits(endpoints=5, fields=2, patterns=5)
    comparison = Comparison(_JOB, Tallies(limits=limits))
    for number, names in enumerate(["abcd", "ab", "d", "cd"]):
        one, other = (
            Answer(f"r{number}", f"r{number}", 0, "GET /", "/", 200, None, False, 10, Part(headers=headers))
            for headers in ((), tuple((name, "x") for name in names))
        )
        comparison.add(one, other)
    tallies = comparison.tallies
    tallies.settle()
    counted = {way[0]: pairs for way, pairs in tallies.mirror.of("GET /").differing.items()}
    assert counted == {"header a": 2, "header b": 2, "(other)": 3}
    assert tallies.overflowed
    assert tallies.mirror.differing_beyond("GET /", frozenset()) == 4


@pytest.mark.slow
def test_processes_and_shards_count_the_same(tmp_path: Path) -> None:
    job = job_of(record(tmp_path, 300))
    whole = count(job)
    assert whole.counts.paired == 300
    assert count(job, processes=2).to_bytes() == whole.to_bytes()
    for shards in (2, 3, 4):
        parts = [count(job, shard=Shard(number=number, of=shards)) for number in range(shards)]
        assert all(part.counts.paired for part in parts)
        for part in parts[1:]:
            parts[0].merge(part)
        assert parts[0].to_bytes() == whole.to_bytes()
    assert verdict(job, parts[0]) == verdict(job, whole)


@pytest.mark.slow
def test_a_process_that_is_killed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "_compare", _end)
    with pytest.raises(OperationError, match="ended unexpectedly"):
        count(job_of(record(tmp_path, 20)), processes=2)


def _end(_task: object) -> Tallies:
    os._exit(9)


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b'{"version":2}', b'{"version":1,"primary":3}'])
def test_what_is_no_tally_is_refused(data: bytes) -> None:
    with pytest.raises(ValidationError, match="whole tally"):
        Tallies.from_bytes(data)


@pytest.mark.parametrize(("number", "of"), [(0, 0), (2, 2), (-1, 2), (0, 513)])
def test_shards_that_cannot_be_are_refused(number: int, of: int) -> None:
    with pytest.raises(ValidationError):
        Shard(number=number, of=of)


def test_a_tally_that_was_cut_is_refused() -> None:
    with pytest.raises(ValidationError, match="Compare this part again"):
        Tallies.from_bytes(Tallies().to_bytes()[:-9])


def test_another_major_version_of_spark_is_refused(tmp_path: Path) -> None:
    class Old:
        version = "3.5.1"

    with pytest.raises(ValidationError, match="must be Spark 4"):
        spark.count(Old(), job_of(record(tmp_path, 5)))


@pytest.mark.parametrize("option", [("--follow",), ("--processes", "2")])
def test_what_does_not_go_with_spark_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: tuple[str, ...]
) -> None:
    record(tmp_path, 5)
    assert main(["diff", str(tmp_path / "primary"), "--spark", "spark://127.0.0.1:1", *option]) == 2
    assert "does not go with" in capsys.readouterr().err
