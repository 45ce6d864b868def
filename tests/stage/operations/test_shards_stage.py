"""A comparison in the pods of an Indexed Job: the sum is that of one process, though a pod is killed on the way."""

import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from pulumi_traffic_mirror.cli.app import main
from pulumi_traffic_mirror.operations.diff import run
from pulumi_traffic_mirror.operations.diff.sharding import sum_shards
from pulumi_traffic_mirror.rehearsal.stage import Stage
from tests.unit.diff.corpora import job_of, record

pytestmark = [pytest.mark.stage, pytest.mark.slow_stage]

ROOT = Path(__file__).parents[3]
ROLE = "staging"
REQUESTS = 4_000
JOB_SECONDS = 200

PARTS = ("model", "operations/diff", "operations/recording")
"""Folders of the package that a comparison in parts needs, beside single files of `cli` and `operations`."""

PACKAGES = (
    *(
        "annotated-doc",
        "annotated-types",
        "fsspec",
        "jinja2",
        "markdown-it-py",
        "markupsafe",
        "mdurl",
        "numpy",
        "orjson",
    ),
    *("protobuf", "pyarrow", "pydantic", "pydantic-core", "pygments", "rich", "shellingham", "typer"),
    *("typing-extensions", "typing-inspection", "tzdata"),
)

START = """\
import sys
import typer
from pulumi_traffic_mirror.cli import diff
app = typer.Typer()
app.callback()(lambda: None)
diff.register(app)
app()
"""


@dataclass(frozen=True, kw_only=True)
class Pods:
    """A cluster whose pods see a folder of this machine."""

    stage: Stage
    image: str
    folder: Path

    def compare(self, shards: int) -> Path:
        """Start a Job that compares in so many parts, and return where they leave their tallies."""
        tallies = self.folder / f"tallies-{shards}"
        mirror, baseline = str(self.folder / "mirror"), str(self.folder / "baseline-0")
        words = ["diff", str(self.folder / "primary"), "--mirror", mirror, "--baseline", baseline]
        words += ["--shards", str(shards), "--tallies", str(tallies)]
        with redirect_stdout(StringIO()) as printed:
            assert main([*words, "--job", f"compare-{shards}", "--image", self.image]) == 0
        manifest = json.loads(printed.getvalue())
        pod = manifest["spec"]["template"]["spec"]
        # The folder is one of this machine, and belongs to root.
        pod["securityContext"] = {"runAsUser": 0}
        pod["volumes"].append({"name": "here", "hostPath": {"path": str(self.folder)}})
        (container,) = pod["containers"]
        container["securityContext"] = {}
        container["resources"] = {}
        container["volumeMounts"].append({"name": "here", "mountPath": str(self.folder)})
        path = self.folder / f"job-{shards}.json"
        path.write_text(json.dumps(manifest), encoding="utf-8")
        self.stage.kubectl(ROLE, "create", "-f", str(path))
        return tallies

    def job(self, shards: int) -> dict[str, Any]:
        """Return a Job's status."""
        return json.loads(self.stage.kubectl(ROLE, "get", "job", f"compare-{shards}", "-o", "json"))["status"]

    def pod_of(self, shards: int, index: int) -> dict[str, Any] | None:
        """Return the newest pod of one part."""
        chosen = f"job-name=compare-{shards},batch.kubernetes.io/job-completion-index={index}"
        found = json.loads(self.stage.kubectl(ROLE, "get", "pods", "-l", chosen, "-o", "json"))["items"]
        return max(found, key=lambda pod: pod["metadata"]["creationTimestamp"], default=None)


def until(what: str, look: Callable[[], Any], seconds: float = JOB_SECONDS) -> Any:
    """Return what `look` finds, as soon as it finds something."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"waited {seconds} s in vain until {what}"
        time.sleep(0.1)
    return found


def _requirements() -> str:
    """The packages of the lock that are needed, with their digests."""
    entries = re.split(r"\n(?=[a-z])", (ROOT / "requirements.lock").read_text(encoding="utf-8"))
    return "\n".join(entry for entry in entries if entry.partition("==")[0] in PACKAGES) + "\n"


@pytest.fixture(scope="module")
def pods(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pods]:
    source = tmp_path_factory.mktemp("compare")
    package = source / "pulumi_traffic_mirror"
    for part in PARTS:
        shutil.copytree(ROOT / "components" / part, package / part, ignore=shutil.ignore_patterns("__pycache__"))
    for folder in ("cli", "operations"):
        (package / folder).mkdir(exist_ok=True)
        for file in (ROOT / "components" / folder).glob("*.py"):
            shutil.copy(file, package / folder)
    (source / "requirements.txt").write_text(_requirements(), encoding="utf-8")
    (source / "compare.py").write_text(START, encoding="utf-8")
    folder = record(tmp_path_factory.mktemp("corpus"), REQUESTS)
    image = stage.add_python_app("stage.local/compare", source=source, entry="/app/compare.py")
    yield Pods(stage=stage, image=image, folder=folder)
    stage.kubectl(ROLE, "delete", "jobs", "--all", "--cascade=foreground", "--timeout=60s", timeout=90)


@pytest.mark.parametrize("shards", [1, 2, 4])
def test_pods_count_the_same_though_one_is_killed(pods: Pods, shards: int) -> None:
    job = job_of(pods.folder)
    tallies = pods.compare(shards)

    def running() -> str | None:
        pod = pods.pod_of(shards, shards - 1)
        return pod["metadata"]["name"] if pod and pod["status"]["phase"] == "Running" else None

    killed = until("the last part's pod runs", running)
    pods.stage.kubectl(ROLE, "delete", "pod", killed, "--grace-period=0", "--force")
    until("the Job is complete", lambda: pods.job(shards).get("succeeded") == shards)
    assert pods.pod_of(shards, shards - 1)["metadata"]["name"] != killed  # pyright: ignore[reportOptionalSubscript]
    assert len(list(tallies.iterdir())) == shards
    assert sum_shards(job, shards, str(tallies)).to_bytes() == run.count(job).to_bytes()
