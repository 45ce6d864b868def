"""What a machine lacks is said in one sentence, before anything is done to it."""

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from pulumi_traffic_mirror.model import ValidationError
from pulumi_traffic_mirror.rehearsal import plan as planning
from pulumi_traffic_mirror.rehearsal.cluster.addresses import plan_addresses
from pulumi_traffic_mirror.rehearsal.errors import StageError
from pulumi_traffic_mirror.rehearsal.machine import requirements
from pulumi_traffic_mirror.rehearsal.machine.debian import read_os_release
from pulumi_traffic_mirror.rehearsal.machine.requirements import Machine, check_disk, check_machine
from pulumi_traffic_mirror.rehearsal.plan import StartPlan, make_plan, missing_folders
from pulumi_traffic_mirror.rehearsal.progress import SilentProgress
from pulumi_traffic_mirror.rehearsal.stage import machine_refused

FITTING = Machine(system="Linux", user_id=0, has_apt=True, architecture="x86_64")
CLUSTERS = plan_addresses(["staging", "testing"])


def test_a_fitting_machine_passes() -> None:
    check_machine(FITTING)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"system": "Darwin"}, "needs Linux"),
        ({"system": "Windows", "user_id": -1}, "needs Linux"),
        ({"has_apt": False}, "Debian-family"),
        ({"architecture": "riscv64"}, "x86_64 or aarch64"),
        ({"user_id": 1000}, "needs root"),
    ],
)
def test_an_unfit_machine_is_told_why_and_where_else_to_go(change: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words) as caught:
        check_machine(replace(FITTING, **change))
    assert "--staging KUBECONFIG --testing KUBECONFIG" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_this_machine_can_be_looked_at() -> None:
    assert Machine.this().user_id == os.geteuid()


def test_too_little_disk_is_said_with_both_figures(tmp_path: Path) -> None:
    check_disk(tmp_path / "not" / "yet" / "there", 1)
    with pytest.raises(ValidationError, match=r"GiB at .*needs 1048576 GiB"):
        check_disk(tmp_path / "not" / "yet" / "there", requirements.GIB << 20)


def test_packages_are_missing_when_their_files_are(tmp_path: Path) -> None:
    (tmp_path / "there").touch()
    required = {
        str(tmp_path / "there"): "present",
        str(tmp_path / "one"): "absent",
        str(tmp_path / "two"): "absent",
        "sh": "dash",
        "no-such-program-here": "another",
    }
    assert requirements.missing_packages(required) == ("absent", "another")


def test_installed_packages_are_read_from_dpkg() -> None:
    listing = "ii  runc\nrc  containerd\nii  iproute2\n\n"
    assert requirements.parse_installed(listing) == {"runc", "iproute2"}


def test_only_packages_that_came_with_the_stage_and_nobody_needs_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = tmp_path / "packages.json"
    record.write_text(json.dumps(["runc", "containerd", "gone", "wanted"]))
    would_remove = {
        "runc": frozenset({"runc", "containerd"}),
        "containerd": frozenset({"containerd"}),
        "wanted": frozenset({"wanted", "of-the-user"}),
    }
    purged: list[list[str]] = []
    monkeypatch.setattr(requirements, "_installed", lambda: {"runc", "containerd", "wanted", "of-the-user"})
    monkeypatch.setattr(requirements, "_would_remove", would_remove.__getitem__)
    monkeypatch.setattr(requirements, "run_logged", lambda argv, **_: purged.append(list(argv)))
    kept = requirements.remove_packages(log=tmp_path / "log", progress=SilentProgress(), record=record)
    assert kept == ("wanted",)
    assert purged == [["apt-get", "purge", "-y", "-q", "containerd", "runc"]]
    assert not record.exists()


def test_a_simulated_removal_is_read() -> None:
    output = "Reading...\nPurg runc [1.1]\nRemv containerd [1.6] []\n"
    assert requirements.parse_simulated_removal(output) == {"runc", "containerd"}


def test_a_simulated_installation_is_read() -> None:
    output = "Reading...\nInst runc (1.1 Debian:12 [amd64])\nConf runc (1.1)\nInst containerd [1.5] (1.6)\n"
    assert requirements.parse_simulated_installation(output) == {"runc", "containerd"}


APT = """#!/bin/sh
case "$*" in
*--simulate*) echo "Inst runc (1)"; echo "Inst libc (1)" ;;
*update*) ;;
*install*) cat {record} > {folder}/during
  [ -e {folder}/finished ] || {{ echo "E: dpkg was interrupted, you must manually run 'dpkg"; exit 100; }}
  echo "ii libc" >> {folder}/installed; echo "ii runc" >> {folder}/installed ;;
esac
"""
"""Says that an installation was interrupted until dpkg has finished it, as apt does."""


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    record = tmp_path / "packages.json"
    record.write_text(json.dumps(["earlier"]))
    (tmp_path / "installed").write_text("ii dash\nii earlier\n")
    programs = {
        "apt-get": APT.format(folder=tmp_path, record=record),
        "dpkg": f"#!/bin/sh\n[ \"$*\" = '--configure -a' ] && touch {tmp_path}/finished\n",
        "dpkg-query": f"#!/bin/sh\ncat {tmp_path}/installed\n",
    }
    for name, text in programs.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return record


def test_an_installation_that_was_killed_is_finished_by_the_next(packages: Path, tmp_path: Path) -> None:
    requirements.install_packages(["runc"], log=tmp_path / "log", progress=SilentProgress(), record=packages)
    assert (tmp_path / "finished").exists()
    assert requirements.installed_by_us(packages) == ("earlier", "libc", "runc")
    assert requirements.installed_by_us(tmp_path / "none.json") == ()


def test_what_is_going_to_be_installed_is_remembered_before_it_is(packages: Path, tmp_path: Path) -> None:
    requirements.install_packages(["runc"], log=tmp_path / "log", progress=SilentProgress(), record=packages)
    assert json.loads((tmp_path / "during").read_text()) == ["earlier", "libc", "runc"]


def test_what_could_not_be_installed_is_forgotten_again(packages: Path, tmp_path: Path) -> None:
    (tmp_path / "apt-get").write_text("#!/bin/sh\necho Inst runc; [ $3 != -o ] || exit 100\n")
    with pytest.raises(StageError, match="Cannot install runc"):
        requirements.install_packages(["runc"], log=tmp_path / "log", progress=SilentProgress(), record=packages)
    assert requirements.installed_by_us(packages) == ("earlier",)


def test_os_release_is_read_with_and_without_quotes(tmp_path: Path) -> None:
    file = tmp_path / "os-release"
    file.write_text('ID=debian\n# x=y\nVERSION_CODENAME="bookworm"\n')
    assert read_os_release(file) == {"ID": "debian", "VERSION_CODENAME": "bookworm"}
    assert read_os_release(tmp_path / "none") == {}


def test_every_change_is_announced_with_its_end() -> None:
    plan = StartPlan(
        state_directory=Path("/s"),
        cache=Path("/c"),
        clusters=CLUSTERS,
        packages=("runc",),
        parts=("etcd",),
        modules=("overlay",),
        settings={"fs/inotify/max_user_instances": "128"},
        own_go=True,
    )
    sentences = plan.sentences()
    for word in ("runc", "etcd", "/c", "Go tool", "overlay", "128 to 1024", "tm-testing", "/s"):
        assert any(word in sentence for sentence in sentences), word
    assert all(sentence.endswith(").") for sentence in sentences)


@pytest.fixture
def free_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "existing_namespaces", tuple)
    monkeypatch.setattr(planning, "existing_cgroups", tuple)


@pytest.mark.usefixtures("free_machine")
@pytest.mark.parametrize("path", ["/" + "x" * 61, "/with space", "/with:colon", "/with,comma"])
def test_a_state_directory_that_cannot_hold_sockets_or_mounts_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(ValidationError, match="TRAFFIC_MIRROR_STAGE_DIR"):
        make_plan(Path(path), tmp_path, CLUSTERS)


def test_a_namespace_of_somebody_else_is_refused_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "existing_cgroups", tuple)
    monkeypatch.setattr(planning, "existing_namespaces", lambda: ("tm-other", "tm-testing"))
    with pytest.raises(StageError, match="ip netns delete tm-testing"):
        make_plan(Path("/s"), tmp_path, CLUSTERS)


def test_missing_folders_are_listed_outermost_first(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    wanted = [str(tmp_path / "a" / "b" / "c"), str(tmp_path / "a" / "b" / "d"), str(tmp_path / "a")]
    expected = [tmp_path / "a" / "b", tmp_path / "a" / "b" / "c", tmp_path / "a" / "b" / "d"]
    assert missing_folders(wanted) == tuple(str(path) for path in expected)


def test_a_full_disk_in_the_middle_is_a_sentence_not_a_traceback() -> None:
    error = machine_refused(OSError(errno.ENOSPC, "No space left on device", "/var/x"))
    assert str(error) == (
        "The system refused a step of the start: No space left on device at /var/x."
        " Free some disk space and start again."
    )
    assert error.exit_code == 2
