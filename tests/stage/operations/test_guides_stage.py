"""The guides' commands, as they stand, on two real clusters."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.mirrored import Mirrored, Object

pytestmark = [pytest.mark.stage, pytest.mark.slow_stage]

ROOT = Path(__file__).parents[3]
ALL = slice(None)


def follow(
    mirrored: Mirrored, guide: str, folder: Path, *, part: slice = ALL, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run shell blocks of a guide, one after another; the first failure ends it. The first block sets variables."""
    text = (ROOT / "docs" / "guides" / f"{guide}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    script = "\n".join([blocks[0], *blocks[1:][part]])
    engine: Mapping[str, str] = mirrored.engine.environment
    environment = {
        **engine,
        "PATH": f"{ROOT / '.venv' / 'bin'}:{mirrored.stage.bin}:{engine.get('PATH', '')}",
        "STAGING": mirrored.clusters["staging"].kubeconfig,
        "TESTING": mirrored.clusters["testing"].kubeconfig,
        "TRAFFIC_MIRROR_PROJECT": str(mirrored.engine.project_folder),
        "TRAFFIC_MIRROR_PROGRAM": str(ROOT),
        **variables,
    }
    return mirrored.stage.run_in_fabric(
        ["sh", "-eux", "-c", script], timeout=270, env=environment, cwd=folder, check=False
    )


def copies(result: Object, name: str) -> int:
    """Copies that a mirror got; none when no route of these calls has it."""
    return next((found["copies"] for found in result["mirrors"] if found["name"] == name), 0)


def test_trying_a_rewrite(mirrored: Mirrored, tmp_path: Path) -> None:
    try:
        done = follow(mirrored, "try-a-rewrite", tmp_path, STEPS="100", HOLD="4", LATENCY="10")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "v2: 100 % is in force, done" in done.stdout
    finally:
        mirrored.configure("traffic-mirror:mirrors.inCluster.percent", "50", "float")
        mirrored.engine.up("staging")


def test_rehearsing_a_release(mirrored: Mirrored, tmp_path: Path) -> None:
    done = follow(mirrored, "rehearse-a-release", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_debugging_on_a_branch(mirrored: Mirrored, tmp_path: Path) -> None:
    guide, image = "debug-on-a-branch", mirrored.stage.images["greeter"]
    use, stop = slice(0, 3), slice(3, None)
    try:
        done = follow(mirrored, guide, tmp_path, part=use, IMAGE=image, ALLOW_TAG="--allow-tag")
        assert done.returncode == 0, done.stdout + done.stderr
        assert '"event":"call"' in done.stdout
        hers = mirrored.verify("--calls", "40", "--header", "x-user=alice")
        others = mirrored.verify("--calls", "40")
    finally:
        stopped = follow(mirrored, guide, tmp_path, part=stop)
    assert [copies(found, "alices-bug") for found in (hers, others)] == [40, 0], (hers, others)
    assert stopped.returncode == 0, stopped.stdout + stopped.stderr
    assert "alices-bug" not in mirrored.stage.kubectl("staging", "get", "deployments,services", "-n", "hello")
