"""Parts of a comparison that know nothing of each other, and their sum."""

import json
from pathlib import Path

import pytest

from pulumi_traffic_mirror.cli.app import main
from pulumi_traffic_mirror.model import ValidationError
from pulumi_traffic_mirror.operations.diff import run
from pulumi_traffic_mirror.operations.diff import sharding as sharding_module
from pulumi_traffic_mirror.operations.diff.sharding import count_shard, sum_shards
from pulumi_traffic_mirror.operations.recording.buckets import Shard
from tests.unit.diff.corpora import job_of, record


def _words(folder: Path, shards: int, *more: str) -> list[str]:
    recordings = [str(folder / "primary"), "--mirror", str(folder / "mirror"), "--baseline", str(folder / "baseline-0")]
    return ["diff", *recordings, "--shards", str(shards), "--tallies", str(folder / "tallies"), *more]


def test_the_sum_of_parts_is_the_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    record(tmp_path, 100)
    whole_code = main([*_words(tmp_path, 3)[:6], "--json"])
    whole = json.loads(capsys.readouterr().out)
    for number in range(2):
        monkeypatch.setenv("JOB_COMPLETION_INDEX", str(number))
        assert main(_words(tmp_path, 3)) == 0
    assert main(_words(tmp_path, 3, "--sum")) == 2
    assert "lacks 1 of 3 parts: 2" in capsys.readouterr().err
    monkeypatch.delenv("JOB_COMPLETION_INDEX")
    assert main(_words(tmp_path, 3)) == 2
    assert main(_words(tmp_path, 3, "--shard", "3")) == 2
    assert main(_words(tmp_path, 3, "--shard", "2")) == 0
    capsys.readouterr()
    assert main(_words(tmp_path, 3, "--sum", "--json")) == whole_code
    assert json.loads(capsys.readouterr().out) == whole
    assert (
        sum_shards(job_of(tmp_path), 3, str(tmp_path / "tallies")).to_bytes() == run.count(job_of(tmp_path)).to_bytes()
    )


def test_a_part_that_is_there_is_not_compared_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job, shard, place = job_of(record(tmp_path, 30)), Shard(number=1, of=2), str(tmp_path / "tallies")
    # What a pod left that was killed while it wrote.
    (tmp_path / "tallies").mkdir()
    (tmp_path / "tallies" / "_tally-001-of-002.json.unfinished").write_bytes(b"[2,")
    first = count_shard(job, shard, place)
    monkeypatch.setattr(sharding_module, "count_corpus", lambda *_, **__: pytest.fail("again"))
    assert count_shard(job, shard, place).to_bytes() == first.to_bytes()
    (file,) = (tmp_path / "tallies").iterdir()
    assert file.name == "tally-001-of-002.json"
    assert file.stat().st_mode & 0o777 == 0o600


def test_parts_of_another_comparison_are_refused(tmp_path: Path) -> None:
    place = str(tmp_path / "tallies")
    count_shard(job_of(record(tmp_path, 30)), Shard(), place)
    with pytest.raises(ValidationError, match="another comparison"):
        sum_shards(job_of(tmp_path, ignore=["duration"]), 1, place)
    # What decides on the verdict alone may change.
    sum_shards(job_of(tmp_path, level=0.01, expected_percent=50), 1, place)


def test_recordings_that_grow_meanwhile_are_said(tmp_path: Path) -> None:
    job, place = job_of(record(tmp_path / "one", 30)), str(tmp_path / "tallies")
    count_shard(job, Shard(number=0, of=2), place)
    more = next((record(tmp_path / "two", 10) / "mirror").rglob("*.parquet"))
    (tmp_path / "one" / "mirror" / "later.parquet").write_bytes(more.read_bytes())
    count_shard(job, Shard(number=1, of=2), place)
    with pytest.raises(ValidationError, match="changed meanwhile"):
        sum_shards(job, 2, place)
    count_shard(job, Shard(number=0, of=2), place)
    sum_shards(job, 2, place)


def test_a_tally_of_which_a_number_changed_is_refused(tmp_path: Path) -> None:
    job, place = job_of(record(tmp_path, 30)), tmp_path / "tallies"
    count_shard(job, Shard(), str(place))
    (file,) = place.iterdir()
    written = file.read_bytes()
    for changed in (written.replace(b'"differing_pairs":', b'"differing_pairs":1', 1), written[:-1], written + b" "):
        assert changed != written
        file.write_bytes(changed)
        for read in (lambda: sum_shards(job, 1, str(place)), lambda: count_shard(job, Shard(), str(place))):
            with pytest.raises(ValidationError, match="not as it was written"):
                read()


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[1, 2]", b"[1, 2, 3]", b'[1, "a", "b", "c"]\n{"version":1', b"[" * 1_400, b'[1, [], {}, "c"]\n{}'],
)
def test_what_is_no_tally_is_refused(tmp_path: Path, content: bytes) -> None:
    job = job_of(record(tmp_path, 5))
    (tmp_path / "tallies").mkdir()
    (tmp_path / "tallies" / "tally-000-of-001.json").write_bytes(content)
    with pytest.raises(ValidationError, match="tally"):
        sum_shards(job, 1, str(tmp_path / "tallies"))


@pytest.mark.parametrize(
    "options", [("--shards", "2"), ("--tallies", "there"), ("--sum",), ("--shards", "0", "--tallies", "there")]
)
def test_half_of_the_options_is_refused(tmp_path: Path, options: tuple[str, ...]) -> None:
    record(tmp_path, 5)
    assert main(["diff", str(tmp_path / "primary"), *options]) == 2
