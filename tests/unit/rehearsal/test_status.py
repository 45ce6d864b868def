"""``status`` tells what is there: what was kept, what runs just now, and what a kill left."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from pulumi_traffic_mirror.rehearsal import embedded
from pulumi_traffic_mirror.rehearsal.claim import BUILDS, Claim
from pulumi_traffic_mirror.rehearsal.errors import StageError
from pulumi_traffic_mirror.rehearsal.existing import STATE_VARIABLE, describe_clusters
from pulumi_traffic_mirror.rehearsal.queueing import Holder

CLAIM = Claim(state_directory=Path("/s"), boot_id="b", namespaces=(), cgroups=())


def nothing_kept() -> None:
    raise StageError("No stage was kept running", remedy="Start one")


@pytest.mark.parametrize(
    ("claim", "holder", "lines"),
    [
        (None, None, ()),
        (None, Holder(process="7", doing=BUILDS), ("A rehearsal is running on this machine (process 7, which in",)),
        (CLAIM, Holder(process="7"), ("A rehearsal is running on this machine (process 7)",)),
        (CLAIM, None, ("A rehearsal that was killed left its stage below /s; remove it with: traffic-mirror re",)),
    ],
)
def test_what_was_not_kept_is_told_too(
    monkeypatch: pytest.MonkeyPatch, claim: Claim | None, holder: Holder | None, lines: tuple[str, ...]
) -> None:
    monkeypatch.setattr(embedded, "Stage", SimpleNamespace(attach=nothing_kept))
    monkeypatch.setattr(embedded, "read_claim", lambda: claim)
    monkeypatch.setattr(embedded, "lock_holder", lambda: holder)
    monkeypatch.setattr(embedded, "describe_clusters", lambda: ("on clusters",))
    *said, last = embedded.describe_kept()
    assert last == "on clusters"
    assert len(said) == len(lines)
    assert all(found.startswith(expected) for found, expected in zip(said, lines, strict=True))


@pytest.mark.parametrize("record", ["", "{}", '{"project": "/p", "staging": {"role": "staging", "zone": 1}}'])
def test_stacks_that_another_release_left_are_told_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: str
) -> None:
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path))
    (tmp_path / "engine").mkdir()
    (tmp_path / "clusters.json").write_text(record)
    with pytest.raises(StageError, match="another release wrote it, or it is damaged") as caught:
        describe_clusters()
    assert str(tmp_path) in caught.value.remedy
