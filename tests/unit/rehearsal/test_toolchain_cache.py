"""Cached folders appear whole or not at all."""

import errno
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from threading import Barrier, Event

import pytest

from pulumi_traffic_mirror.rehearsal.errors import StageError
from pulumi_traffic_mirror.rehearsal.machine.lanes import side_by_side
from pulumi_traffic_mirror.rehearsal.progress import SilentProgress
from pulumi_traffic_mirror.rehearsal.toolchain import cache, wheels
from pulumi_traffic_mirror.rehearsal.toolchain.cache import cached_folder, locked
from pulumi_traffic_mirror.rehearsal.toolchain.wheels import TargetPython

PROGRESS = SilentProgress()


def test_a_folder_is_built_once(tmp_path: Path) -> None:
    built: list[Path] = []

    def build(folder: Path) -> None:
        built.append(folder)
        (folder / "x").write_text("content")

    first = cached_folder(tmp_path, "part-1", build, progress=PROGRESS)
    second = cached_folder(tmp_path, "part-1", build, progress=PROGRESS)
    assert first == second == tmp_path / "part-1"
    assert (first / "x").read_text() == "content"
    assert len(built) == 1


def test_a_failed_build_leaves_nothing_and_can_be_tried_again(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise StageError("Cannot build", remedy="Try again")

    with pytest.raises(StageError):
        cached_folder(tmp_path, "part-1", fail, progress=PROGRESS)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".lock", ".traffic-mirror-cache"]
    assert cached_folder(tmp_path, "part-1", lambda folder: None, progress=PROGRESS).is_dir()


def test_what_a_killed_build_left_is_removed_by_the_next(tmp_path: Path) -> None:
    (tmp_path / ".building-xyz" / "deep").mkdir(parents=True)
    (tmp_path / ".lock").touch()
    cached_folder(tmp_path, "part-1", lambda folder: None, progress=PROGRESS)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".lock", ".traffic-mirror-cache", "part-1"]


def test_a_second_process_waits_for_the_first_and_takes_its_result(tmp_path: Path, repository: Path) -> None:
    wait_for_input = (
        "import sys, pathlib\n"
        "from pulumi_traffic_mirror.rehearsal.toolchain.cache import cached_folder\n"
        "from pulumi_traffic_mirror.rehearsal.progress import SilentProgress\n"
        "def build(folder):\n"
        "    print('building', flush=True)\n"
        "    sys.stdin.read()\n"
        "    (folder / 'by').write_text('first')\n"
        "cached_folder(pathlib.Path(sys.argv[1]), 'part-1', build, progress=SilentProgress())\n"
    )
    first = subprocess.Popen(
        [sys.executable, "-c", wait_for_input, str(tmp_path)],
        cwd=repository,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    class EndsFirst(SilentProgress):
        steps: list[str]

        @contextmanager
        def step(self, name: str, *, usual_seconds: float | None = None, log: Path | None = None) -> Generator[None]:
            self.steps.append(name)
            first.communicate()
            yield

    progress = EndsFirst()
    progress.steps = []

    def must_not_build(folder: Path) -> None:
        raise AssertionError("built twice")

    with first:
        assert first.stdout is not None
        assert first.stdout.readline() == "building\n"
        folder = cached_folder(tmp_path, "part-1", must_not_build, progress=progress)
    assert (folder / "by").read_text() == "first"
    assert progress.steps == [f"wait for process {first.pid}, which builds part-1, 120 min at most"]


def test_a_cache_that_cannot_be_written_is_named_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StageError, match="TRAFFIC_MIRROR_CACHE"):
        cached_folder(tmp_path / "file" / "cache", "part-1", lambda folder: None, progress=PROGRESS)


def test_wheels_for_another_python_are_chosen_by_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    python = TargetPython(version="3.13")
    monkeypatch.setattr(wheels.importlib.util, "find_spec", lambda name: object())
    pip = wheels._install_command(Path("r.txt"), Path("/t"), python)
    assert "--python-version=3.13" in pip
    assert any(word.startswith("--platform=manylinux_2_28_") for word in pip)
    monkeypatch.setattr(wheels.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(wheels.shutil, "which", lambda name, path=None: "/bin/uv")
    uv = wheels._install_command(Path("r.txt"), Path("/t"), python)
    assert uv[:3] == ["/bin/uv", "pip", "install"]
    assert any(word.endswith("manylinux_2_28") for word in uv)
    monkeypatch.setattr(wheels.shutil, "which", lambda name, path=None: None)
    with pytest.raises(StageError, match="Neither pip nor uv"):
        wheels._install_command(Path("r.txt"), Path("/t"), python)


def test_the_mark_of_unfinished_builds_is_hidden() -> None:
    assert cache._UNFINISHED.startswith(".")


def test_threads_of_one_process_build_different_parts_at_the_same_time(tmp_path: Path) -> None:
    met = Barrier(2, timeout=30)

    def build(folder: Path) -> None:
        met.wait()
        (folder / "done").touch()

    def lane(key: str) -> Callable[[], Path]:
        return lambda: cached_folder(tmp_path, key, build, progress=PROGRESS)

    assert all((folder / "done").exists() for folder in side_by_side(lane("part-1"), lane("part-2")))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".lock", ".traffic-mirror-cache", "part-1", "part-2"]
    with locked(tmp_path, "looks", PROGRESS):
        pass


def test_a_part_that_fails_leaves_the_finished_ones_for_the_next_run(tmp_path: Path) -> None:
    finished = Event()

    def works(folder: Path) -> None:
        (folder / "done").touch()

    def good() -> Path:
        try:
            return cached_folder(tmp_path, "good", works, progress=PROGRESS)
        finally:
            finished.set()

    def fails(folder: Path) -> None:
        finished.wait(30)
        (folder / "half").touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        side_by_side(good, lambda: cached_folder(tmp_path, "bad", fails, progress=PROGRESS))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".lock", ".traffic-mirror-cache", "good"]
    assert cached_folder(tmp_path, "bad", works, progress=PROGRESS).is_dir()
