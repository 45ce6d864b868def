"""Too little memory is said before anything is built or started."""

from pathlib import Path

import pytest

from pulumi_traffic_mirror.model import ValidationError
from pulumi_traffic_mirror.rehearsal import plan
from pulumi_traffic_mirror.rehearsal.machine.memory import FOR_BUILD, FOR_STAGE, available_memory, check_memory
from pulumi_traffic_mirror.rehearsal.machine.requirements import GIB

GROUPS = (
    ("sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
    ("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def test_too_little_memory_names_what_is_there_what_is_needed_and_the_way_out() -> None:
    check_memory(FOR_STAGE, FOR_STAGE)
    with pytest.raises(ValidationError) as caught:
        check_memory(FOR_STAGE, FOR_STAGE - GIB // 2)
    assert (caught.value.field, caught.value.value) == ("available memory", "3.5 GiB")
    assert "at least 4 GiB" in caught.value.rule
    assert "--staging KUBECONFIG" in caught.value.remedy


@pytest.mark.parametrize(("folder", "limit", "used", "cache"), GROUPS)
def test_a_container_has_what_its_limit_leaves_and_the_page_cache(
    tmp_path: Path, folder: str, limit: str, used: str, cache: str
) -> None:
    whole = available_memory(tmp_path)
    group = tmp_path / folder
    group.mkdir(parents=True)
    (group / limit).write_text("4194304\n")
    (group / used).write_text("2097152\n")
    (group / "memory.stat").write_text(f"cache 9\n{cache} 1048576\n")
    assert available_memory(tmp_path) == 3_145_728
    for unlimited in ("max", str(2**63 - 4096)):  # version 1 has no word for it
        (group / limit).write_text(unlimited)
        assert available_memory(tmp_path) > whole / 2


@pytest.mark.parametrize(("missing", "needed"), [((), [FOR_STAGE]), (("istio",), [FOR_STAGE, FOR_BUILD])])
def test_a_start_asks_for_memory_before_anything_changes(
    monkeypatch: pytest.MonkeyPatch, missing: tuple[str, ...], needed: list[int]
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(plan, "missing_parts", lambda _: missing)
    monkeypatch.setattr(plan, "check_memory", asked.append)
    monkeypatch.setattr(plan, "existing_namespaces", lambda: ())
    monkeypatch.setattr(plan, "existing_cgroups", lambda: ())
    plan.make_plan(Path("/s"), Path("/c"), ())
    assert asked == needed
