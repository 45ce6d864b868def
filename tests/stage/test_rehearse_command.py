"""The main job as a user starts it: exit codes, words, and nothing left behind."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pulumi_traffic_mirror.rehearsal.places import state_directory
from tests.stage.footprint import Footprint, take_footprint

pytestmark = [pytest.mark.stage, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]
BROKEN = Path(__file__).resolve().parent / "broken"


def rehearse(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pulumi_traffic_mirror.cli", "rehearse", "--calls", "200", "--json", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_rehearsal_proves_both_mirrors_and_leaves_nothing(before: Footprint, tmp_path: Path) -> None:
    done = rehearse("--in-cluster", "50", "--cross-cluster", "100", "--html", str(tmp_path / "report.html"))
    assert done.returncode == 0, done.stderr[-4000:]
    report = json.loads(done.stdout)
    assert report["outcome"] == "holds"
    assert "<svg" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert take_footprint(state_directory()) == before


def test_a_testing_cluster_that_loses_mirrors_is_a_failure_with_its_cause() -> None:
    done = rehearse("--project", str(BROKEN))
    assert done.returncode == 1, done.stderr[-4000:]
    report = json.loads(done.stdout)
    assert report["outcome"] == "fails"
    outcomes = {mirror["name"]: (mirror["outcome"], bool(mirror["causes"])) for mirror in report["mirrors"]}
    assert outcomes == {"v2": ("holds", False), "testing": ("fails", True)}, report
