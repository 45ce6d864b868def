"""A replay by a Job's pods, with what a release's image has: a pod that is killed changes nothing in the result."""

import json
import os
import shutil
import subprocess
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from pulumi_traffic_mirror.mirroring import ReplayJobArgs
from pulumi_traffic_mirror.mirroring.replay_job import ENDED
from pulumi_traffic_mirror.model import JsonObject
from pulumi_traffic_mirror.model.indexed_job import NON_ROOT
from pulumi_traffic_mirror.model.replaying import ReplaySettings
from pulumi_traffic_mirror.operations.recording import RecordingReader
from pulumi_traffic_mirror.rehearsal.stage import Stage
from tests.stage.operations.test_shards_stage import until
from tests.support.handles import no_cluster
from tests.support.replayed import record, recorded_request

pytestmark = [pytest.mark.stage, pytest.mark.slow_stage]

ROOT = Path(__file__).parents[3]
ROLE = "staging"
REQUESTS = 400
RATE = 40.0
"""Of all parts together: slow enough to kill a pod in the middle."""

START = """\
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from pulumi_traffic_mirror.cli import main


class Target(BaseHTTPRequestHandler):
    def do_GET(self):
        with open("/recordings/seen", "a") as seen:
            seen.write(self.path + "\\n")
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()


if sys.argv[1:] == ["target"]:
    ThreadingHTTPServer(("", 8080), Target).serve_forever()
sys.exit(main())
"""


@dataclass(frozen=True, kw_only=True)
class Pods:
    """A cluster whose pods see a folder of this machine as ``/recordings``."""

    stage: Stage
    image: str
    folder: Path

    def create(self, document: JsonObject) -> None:
        """Make an object."""
        path = self.folder / "object.json"
        path.write_text(json.dumps(document), encoding="utf-8")
        self.stage.kubectl(ROLE, "create", "-f", str(path))

    def ask(self, *words: str) -> dict[str, Any]:
        """Return what kubectl gets."""
        return json.loads(self.stage.kubectl(ROLE, "get", *words, "-o", "json"))

    @property
    def volume(self) -> dict[str, object]:
        """The folder, as a volume of a pod."""
        return {"name": "recordings", "hostPath": {"path": str(self.folder)}}

    def seen(self) -> Counter[str]:
        """Paths that reached the target."""
        file = self.folder / "seen"
        return Counter(file.read_text(encoding="utf-8").split() if file.exists() else ())

    def replay(self, target: str) -> None:
        """Start a Job of two parts, as the component makes it but for its volume and what it asks for."""
        begin = datetime.now(UTC) + timedelta(seconds=3)
        places: dict[str, Any] = {
            "recording": "/recordings/recorded",
            "result": "/recordings/replayed",
            "target": target,
        }
        settings = ReplaySettings(**places, shards=2, rate=RATE, begin=begin.isoformat())
        args = ReplayJobArgs(
            cluster=no_cluster(), image=self.image, allow_tag=True, namespace="default", claim="any", settings=settings
        )
        manifest = args.job("replay").manifest()
        pod = cast("Any", manifest)["spec"]["template"]["spec"]
        pod["volumes"] = [self.volume if each["name"] == "recordings" else each for each in pod["volumes"]]
        pod["containers"][0]["resources"] = {}
        self.stage.kubectl(ROLE, "create", "serviceaccount", "replay")
        self.create(manifest)


@pytest.fixture
def pods(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pods]:
    release, source = tmp_path_factory.mktemp("release"), tmp_path_factory.mktemp("jobs")
    subprocess.run(["make", "dist", f"DIST={release}"], cwd=ROOT, check=True, capture_output=True)
    with tarfile.open(release / "jobs.tar.gz") as archive:
        archive.extractall(source / "pulumi_traffic_mirror", filter="data")
    shutil.copy(source / "pulumi_traffic_mirror/workloads/jobs/server/requirements.txt", source)
    (source / "start.py").write_text(START, encoding="utf-8")
    folder = tmp_path_factory.mktemp("recordings")
    numbers = range(REQUESTS)
    requests = [recorded_request(n, request_id=f"{n:08x}-0000-4000-8000-{n:012x}", path=f"/{n}") for n in numbers]
    Path(record(folder, *requests)).rename(folder / "recorded")
    for place, _, files in os.walk(folder):
        for path in (place, *(os.path.join(place, file) for file in files)):  # noqa: PTH118 -- what os.walk gives
            os.chown(path, NON_ROOT, NON_ROOT)
    image = stage.add_python_app("stage.local/jobs", source=source, entry="/app/start.py")
    yield Pods(stage=stage, image=image, folder=folder)
    stage.kubectl(ROLE, "delete", "job/replay", "pod/target", "serviceaccount/replay", "--timeout=60s", timeout=90)


def test_each_request_has_one_answer_though_a_pod_is_killed(pods: Pods) -> None:
    mounted = {"name": "recordings", "mountPath": "/recordings"}
    container = {"name": "target", "image": pods.image, "args": ["target"], "volumeMounts": [mounted]}
    spec = {"containers": [container], "volumes": [pods.volume], "securityContext": {"runAsUser": NON_ROOT}}
    pods.create(cast("JsonObject", {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "target"}, "spec": spec}))
    address = until("the target has an address", _ready(pods))
    pods.replay(f"http://{address}:8080")

    until("requests are sent", lambda: len(pods.seen()) > 20)
    (killed,) = pods.ask("pods", "-l", "replay=replay,batch.kubernetes.io/job-completion-index=1")["items"]
    pods.stage.kubectl(ROLE, "delete", "pod", killed["metadata"]["name"], "--grace-period=0", "--force")
    pods.stage.kubectl(ROLE, "wait", f"--for={ENDED}", "--timeout=120s", "job/replay", timeout=150)
    assert pods.ask("job", "replay")["status"]["succeeded"] == 2

    expected = {f"/{number}" for number in range(REQUESTS)}
    answered = Counter(each.path for each in RecordingReader.open(str(pods.folder / "replayed")).exchanges())
    assert answered == Counter(expected)
    seen = pods.seen()
    assert seen.keys() == expected
    assert 0 < sum(count > 1 for count in seen.values()) < REQUESTS / 2 + REQUESTS / 8, (
        "only the killed part begins anew"
    )
    assert max(seen.values()) == 2


def _ready(pods: Pods) -> Callable[[], str | None]:
    def look() -> str | None:
        status = pods.ask("pod", "target")["status"]
        return status.get("podIP") if status["phase"] == "Running" else None

    return look
