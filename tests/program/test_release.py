"""What a release consists of."""

import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("release")
    subprocess.run(["make", "dist", f"DIST={folder}"], cwd=ROOT, check=True, capture_output=True)
    return folder


def test_a_release_is_the_wheel_the_source_and_the_images_contexts(release: Path) -> None:
    names = [re.sub(r"-[0-9.]+(?=-py3|[.]tar)", "", file.name) for file in sorted(release.iterdir())]
    assert names == [
        "expiry-guard.tar.gz",
        "greeter.tar.gz",
        "jobs.tar.gz",
        "pulumi_traffic_mirror-py3-none-any.whl",
        "pulumi_traffic_mirror.tar.gz",
        "recorder.tar.gz",
    ]


@pytest.mark.parametrize("image", ["greeter", "expiry-guard", "recorder", "jobs"])
def test_an_images_context_has_all_that_its_dockerfile_copies(release: Path, tmp_path: Path, image: str) -> None:
    with tarfile.open(release / f"{image}.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    copied = re.findall(r"^COPY (?:--chown=\S+ )?(?!--from)(\S+) ", (tmp_path / "Dockerfile").read_text(), re.MULTILINE)
    assert copied
    assert all(list(tmp_path.glob(source)) for source in copied), copied


def test_the_recorders_context_holds_every_module_that_its_program_needs(release: Path, tmp_path: Path) -> None:
    package = tmp_path / "pulumi_traffic_mirror"
    with tarfile.open(release / "recorder.tar.gz") as archive:
        archive.extractall(package, filter="data")
    run = [sys.executable, "-P", "-m", "pulumi_traffic_mirror.operations.recording", "missing.json"]
    ask = {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(run, cwd=tmp_path, env=ask, capture_output=True, text=True, check=False)
    assert "ModuleNotFoundError" not in done.stderr
    assert "missing.json" in done.stdout + done.stderr


@pytest.mark.parametrize("command", ["replay", "diff"])
def test_the_context_of_jobs_holds_every_module_that_their_commands_need(
    release: Path, tmp_path: Path, command: str
) -> None:
    package = tmp_path / "pulumi_traffic_mirror"
    with tarfile.open(release / "jobs.tar.gz") as archive:
        archive.extractall(package, filter="data")
    words = [command, str(tmp_path / "missing"), *(["http://127.0.0.1:9"] if command == "replay" else [])]
    run = [sys.executable, "-P", "-m", "pulumi_traffic_mirror.cli", *words]
    ask = {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(run, cwd=tmp_path, env=ask, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "missing" in done.stderr
    assert "holds no" in done.stderr
