"""Stages come, go, crash and are kept, and leave nothing behind. Each test here has a stage of its own."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pulumi_traffic_mirror.rehearsal.places import state_directory
from pulumi_traffic_mirror.rehearsal.progress import SilentProgress
from pulumi_traffic_mirror.rehearsal.stage import Stage
from tests.stage.footprint import Footprint, take_footprint

pytestmark = pytest.mark.stage

ONE_CLUSTER = """
import sys
from pulumi_traffic_mirror.rehearsal.errors import StageError
from pulumi_traffic_mirror.rehearsal.progress import PlainProgress
from pulumi_traffic_mirror.rehearsal.stage import Stage
try:
    with Stage.up(PlainProgress(sys.stdout), roles=["staging"]) as stage:
        print("ready", flush=True)
        if sys.stdin.read() == "keep":
            stage.keep()
except StageError as error:
    print(error, flush=True)
    sys.exit(error.exit_code)
"""
"""A rehearsal with one cluster: says when it is ready, ends when its input ends."""

UP_SECONDS = 8.0
"""Moments of a crash are drawn from this span: about the start of one cluster, and a bit of its life."""


@contextmanager
def rehearsal(repository: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", ONE_CLUSTER],
        cwd=repository,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def read_until(process: subprocess.Popen[str], wanted: Callable[[str], bool]) -> str:
    assert process.stdout is not None
    seen: list[str] = []
    for line in process.stdout:
        seen.append(line)
        if wanted(line):
            return "".join(seen)
    raise AssertionError("the rehearsal ended early:\n" + "".join(seen))


def is_ready(line: str) -> bool:
    return line == "ready\n"


def test_a_stage_that_ends_leaves_nothing(before: Footprint, repository: Path) -> None:
    with rehearsal(repository) as process:
        read_until(process, is_ready)
        during = take_footprint(state_directory())
        process.communicate()
    assert process.returncode == 0
    assert during != before, "the footprint does not see a running stage"
    assert take_footprint(state_directory()) == before


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        pytest.param(signal.SIGINT, "staging: API server", id="Ctrl-C while starting"),
        pytest.param(signal.SIGTERM, "staging: node", id="SIGTERM while starting"),
        pytest.param(signal.SIGINT, "ready", id="Ctrl-C while running"),
    ],
)
def test_a_signal_ends_the_stage_in_order(
    before: Footprint, repository: Path, number: signal.Signals, moment: str
) -> None:
    with rehearsal(repository) as process:
        read_until(process, lambda line: moment in line)
        process.send_signal(number)
        process.communicate(timeout=60)
    assert process.returncode in {-number, 128 + number}
    after = take_footprint(state_directory())
    logs_only = after.state and [entry.name for entry in state_directory().iterdir()]
    assert after.processes == before.processes
    assert after.mounts == before.mounts
    assert after.cgroups == before.cgroups
    assert after.folders == before.folders
    assert not after.state or sorted(logs_only or []) == [".traffic-mirror-stage", "logs"]


def test_killed_at_ten_random_moments_the_clean_up_finds_everything(before: Footprint, repository: Path) -> None:
    moments = random.Random(20261123)  # noqa: S311 - moments of a test, not secrets
    for attempt in range(10):
        delay = moments.uniform(0.3, UP_SECONDS)
        with rehearsal(repository) as process:
            time.sleep(delay)  # the moment is what varies
            process.send_signal(signal.SIGKILL)
            process.communicate()
        Stage.end(SilentProgress())
        assert take_footprint(state_directory()) == before, f"attempt {attempt}, killed after {delay:.2f} s"


def test_the_start_after_a_crash_cleans_up_by_itself(before: Footprint, repository: Path) -> None:
    with rehearsal(repository) as process:
        read_until(process, is_ready)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    with rehearsal(repository) as process:
        output = read_until(process, is_ready)
        process.communicate()
    assert "remove what an earlier stage left" in output
    assert take_footprint(state_directory()) == before


def test_a_second_rehearsal_is_refused_and_the_first_goes_on(before: Footprint, repository: Path) -> None:
    with rehearsal(repository) as first:
        read_until(first, is_ready)
        with rehearsal(repository) as second:
            output, _ = second.communicate(timeout=60)
        assert second.returncode == 2
        assert f"Another rehearsal is running on this machine (process {first.pid}, which has the stage)" in output
        assert take_footprint(state_directory()).processes > before.processes
        first.communicate()
    assert first.returncode == 0
    assert take_footprint(state_directory()) == before


def test_a_kept_stage_outlives_its_rehearsal_until_it_is_ended(before: Footprint, repository: Path) -> None:
    with rehearsal(repository) as process:
        read_until(process, is_ready)
        process.communicate("keep")
    assert process.returncode == 0
    kept = Stage.attach()
    assert "node-staging" in kept.kubectl("staging", "get", "nodes")
    with rehearsal(repository) as second:
        output, _ = second.communicate(timeout=60)
    assert second.returncode == 2
    assert "traffic-mirror rehearse down" in output
    assert Stage.end(SilentProgress())
    assert take_footprint(state_directory()) == before


def test_a_namespace_of_somebody_else_is_left_alone(before: Footprint, repository: Path) -> None:
    subprocess.run(["ip", "netns", "add", "tm-staging"], check=True)
    try:
        with rehearsal(repository) as process:
            output, _ = process.communicate(timeout=60)
        assert process.returncode == 2
        assert "A network namespace tm-staging exists that no stage of this boot has made" in output
        assert "tm-staging" in (take_footprint(state_directory()).folders["/run/netns"] or ())
    finally:
        subprocess.run(["ip", "netns", "delete", "tm-staging"], check=True)
