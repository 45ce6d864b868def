"""Control groups of both versions, on folders that look like the kernel's."""

from pathlib import Path

from pulumi_traffic_mirror.rehearsal.cluster.api_probe import condition_holds
from pulumi_traffic_mirror.rehearsal.machine.cgroups import create_cgroup, existing_cgroups, hierarchies, members


def version_1(root: Path) -> Path:
    for tree in ("cpuset", "memory"):
        (root / tree).mkdir(parents=True)
    (root / "cpu").symlink_to("memory")
    (root / "cpuset" / "cpuset.cpus").write_text("0-1\n")
    return root


def test_version_1_has_a_tree_per_controller_and_links_do_not_count(tmp_path: Path) -> None:
    assert [tree.name for tree in hierarchies(version_1(tmp_path))] == ["cpuset", "memory"]
    create_cgroup("tm-staging", tmp_path)
    assert {str(group.relative_to(tmp_path)) for group in existing_cgroups(tmp_path)} == {
        "cpuset/tm-staging",
        "memory/tm-staging",
    }


def test_version_2_has_one_tree_whose_controllers_are_handed_down(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu memory\n")
    (tmp_path / "cgroup.subtree_control").write_text("cpu\n")
    group = tmp_path / "tm-staging"
    group.mkdir()
    (group / "cgroup.controllers").write_text("cpu memory\n")
    (group / "cgroup.subtree_control").write_text("")
    create_cgroup("tm-staging", tmp_path)
    assert hierarchies(tmp_path) == (tmp_path,)
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+memory"
    assert (group / "cgroup.subtree_control").read_text() == "+memory"


def test_members_are_those_of_all_groups_below(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "cgroup.procs").write_text("1\n")
    (tmp_path / "a" / "b" / "cgroup.procs").write_text("3\n2\n")
    assert members(tmp_path) == (1, 2, 3)
    assert members(tmp_path / "none") == ()


def test_a_machine_without_control_groups_has_no_trees(tmp_path: Path) -> None:
    assert hierarchies(tmp_path / "none") == ()


def test_a_condition_holds_only_when_it_is_true() -> None:
    node = {"status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "X", "status": "False"}]}}
    assert condition_holds(node, "Ready")
    assert not condition_holds(node, "X")
    assert not condition_holds({"status": {}}, "Ready")
    assert not condition_holds({}, "Ready")
