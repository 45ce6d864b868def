"""Recording on two real clusters: at the gateway, without its collector, and what replay and diff make of it."""

import json
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from pulumi_traffic_mirror.operations.calls import MADE_UP_CREDENTIALS, CallJob, CallResult, call_from_child
from pulumi_traffic_mirror.operations.diff import DiffJob, DiffResult, Source, diff
from pulumi_traffic_mirror.operations.recording import Exchange, RecordingReader, RecordingStore, RecordingWriter, Side
from pulumi_traffic_mirror.operations.recording.bundle import PACKAGE, write_bundle
from tests.stage.operations.test_guides_stage import follow
from tests.support.mirrored import COMMAND_SECONDS, Mirrored

pytestmark = [pytest.mark.stage, pytest.mark.slow_stage]

ROOT = Path(__file__).parents[3]
SERVER = ROOT / "components" / "workloads" / "recorder" / "server"
AUTHORITY = "grpc-hello.staging.example"
SAY_HELLO = "helloworld.Greeter/SayHello"
RECORDER = "traffic-mirror:recorder"
RUNS = 20
CALLS_OF_A_RUN = 60
FORWARDED = {"greeter-v1": 18001, "greeter-v2": 18002}
VERSIONS_DIFFER = ("*$.1", "*$.2", "*$.3")
"""Fields of the reply that name who answered; two versions always differ in them."""


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """Both stacks with a recorder at one's gateway."""

    mirrored: Mirrored
    image: str
    fetch: str
    role: str = "staging"

    def calls(self, run_id: str, count: int, *, per_second: float = 100) -> list[CallResult]:
        """Call the service through the gateway, as clients do."""
        stage = self.mirrored.stage
        job = CallJob(
            address=f"{stage.gateway_addresses['staging']}:8000",
            authority=AUTHORITY,
            run_id=run_id,
            count=count,
            calls_per_second=per_second,
        )
        return list(call_from_child(job, wrap=stage.fabric_command, timeout_seconds=120))

    def recording(self, folder: Path, holds: Callable[[list[Exchange]], bool], *, seconds: float = 45) -> Path:
        """Fetch recordings, by the command that the stack's outputs name, until they are as expected."""
        deadline = time.monotonic() + seconds
        while True:
            self.shell(f"{self.fetch} -C {folder}")
            found = exchanges(folder) if list(folder.rglob("*.parquet")) else []
            if holds(found):
                return folder
            assert time.monotonic() < deadline, f"{len(found)} exchanges: {found[:1]}"
            time.sleep(1)

    def shell(self, script: str) -> None:
        """Run a line as a user would who has kubectl and a context."""
        stage = self.mirrored.stage
        kubeconfig = str(stage.kubeconfigs[self.role])
        stage.run_in_fabric(["sh", "-c", script], timeout=COMMAND_SECONDS, env={"KUBECONFIG": kubeconfig}, check=False)

    def scale(self, replicas: int) -> None:
        """Set the collector's number of pods, by force."""
        kubectl = self.mirrored.stage.kubectl
        kubectl(self.role, "scale", "deployment/recorder", "-n", "hello", f"--replicas={replicas}")
        if not replicas:
            chosen = ("-l", "app=traffic-recorder", "--grace-period=0", "--force")
            kubectl(self.role, "delete", "pod", "-n", "hello", *chosen)
            return
        wait = ("rollout", "status", "deployment/recorder", "-n", "hello", "--timeout=90s")
        kubectl(self.role, *wait, timeout=COMMAND_SECONDS)


def exchanges(recording: Path) -> list[Exchange]:
    return list(RecordingReader.open(str(recording)).exchanges())


def call_of(exchange: Exchange) -> str:
    """The call's identifier is the greeted name; gateways replace the request identifiers of clients."""
    (message,) = exchange.request.messages
    return message.data[2:].decode()


def of_run(found: list[Exchange], run_id: str) -> list[Exchange]:
    return [exchange for exchange in found if call_of(exchange).startswith(f"{run_id}-")]


@pytest.fixture(scope="module")
def recorded(mirrored: Mirrored, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    """Deploy the recorder by configuration and the engine, and remove it so."""
    source = tmp_path_factory.mktemp("recorder")
    write_bundle(source)
    (source / "requirements.txt").write_bytes((SERVER / "requirements.txt").read_bytes())
    start = f"import runpy\nrunpy.run_module('{PACKAGE}.operations.recording', run_name='__main__')\n"
    (source / "collect.py").write_text(start, encoding="utf-8")
    image = mirrored.stage.add_python_app("stage.local/recorder", source=source, entry="/app/collect.py")
    with recorder_at(mirrored, "staging", image) as recorder:
        yield recorder


@contextmanager
def recorder_at(
    mirrored: Mirrored, role: str, image: str, *, volume_gib: int = 0, logged: str = ""
) -> Generator[Recorded]:
    """Deploy a recorder at a stack's gateway and remove it, both by configuration and the engine."""
    if logged:
        mirrored.configure(f"{RECORDER}.bodyKib", "0", "int", stack=role)
        mirrored.configure(f"{RECORDER}.accessLogHeaders[0]", logged, stack=role)
    if volume_gib:
        mirrored.configure(f"{RECORDER}.storage.volumeGib", str(volume_gib), "int", stack=role)
    mirrored.configure(f"{RECORDER}.image", image, stack=role)
    mirrored.configure(f"{RECORDER}.allowTag", "true", "bool", stack=role)
    mirrored.configure(f"{RECORDER}.fileSeconds", "2", "float", stack=role)
    try:
        mirrored.engine.up(role)
        outputs = json.loads(mirrored.pulumi("stack", "output", "--json", stack=role))
        yield Recorded(mirrored=mirrored, image=image, fetch=outputs["recordings"]["fetch"], role=role)
    finally:
        mirrored.pulumi("config", "rm", RECORDER, stack=role)
        mirrored.engine.up(role)


@pytest.fixture(scope="module")
def traffic(recorded: Recorded, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of enough calls for twenty comparisons."""
    folder = tmp_path_factory.mktemp("traffic")
    recorded.recording(folder, lambda found: bool(found) or not recorded.calls("warm", 20))
    assert {result.status for result in recorded.calls("kept", RUNS * CALLS_OF_A_RUN, per_second=200)} == {"OK"}
    return recorded.recording(folder, lambda found: len(of_run(found, "kept")) >= 0.99 * RUNS * CALLS_OF_A_RUN)


def test_what_passes_the_gateway_is_recorded_and_credentials_are_not(recorded: Recorded, traffic: Path) -> None:
    found = of_run(exchanges(traffic), "kept")
    assert len({exchange.request_id for exchange in found}) == len({*map(call_of, found)}) == len(found)
    for exchange in found:
        assert (exchange.side, exchange.source, exchange.path) == (Side.PRIMARY, "recorder", f"/{SAY_HELLO}")
        assert (exchange.status, exchange.grpc_status, exchange.is_grpc) == (200, 0, True)
        (answered,) = exchange.response.messages
        assert f"Hello {call_of(exchange)} !".encode() in answered.data
        headers = dict(exchange.request.headers)
        assert {headers[name] for name in MADE_UP_CREDENTIALS} == {"[redacted]"}
    content = b"".join(file.read_bytes() for file in traffic.rglob("*.parquet"))
    assert not any(secret.encode() in content for secret in MADE_UP_CREDENTIALS.values())
    stats = recorded.mirrored.command("recordings", "stats", str(traffic), "--json")
    assert stats.returncode == 0, stats.stderr
    assert json.loads(stats.stdout)["by_side"].keys() == {"primary"}


def test_clients_do_not_notice_that_the_collector_is_killed(recorded: Recorded, traffic: Path) -> None:
    assert traffic
    before = recorded.calls("before", 400)
    killing = threading.Timer(2.0, recorded.scale, args=(0,))
    killing.start()
    try:
        meanwhile = recorded.calls("meanwhile", 1_000)
    finally:
        killing.join()
        gone = recorded.calls("gone", 400)
        recorded.scale(1)
    assert {result.status for result in (*before, *meanwhile, *gone)} == {"OK"}
    assert median(gone) <= 3 * median(before) + 0.02
    assert median(meanwhile) <= 3 * median(before) + 0.02


def median(results: list[CallResult]) -> float:
    return sorted(result.seconds for result in results)[len(results) // 2]


@contextmanager
def forwarded(mirrored: Mirrored, deployment: str) -> Generator[str]:
    """The URL of one pod's own port, as ``kubectl port-forward`` gives it."""
    port = FORWARDED[deployment]
    kubectl = [str(mirrored.stage.bin / "kubectl"), f"--kubeconfig={mirrored.stage.kubeconfigs['staging']}"]
    command = [*kubectl, "port-forward", "-n", "hello", f"deployment/{deployment}", f"{port}:8000"]
    with subprocess.Popen(mirrored.stage.fabric_command(command), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert "Forwarding" in process.stdout.readline()
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def replayed(mirrored: Mirrored, recording: Path, deployment: str, result: Path, *words: str) -> dict[str, Any]:
    """Replay to one deployment, twice as fast, and return the report with the exit code as ``exit``."""
    with forwarded(mirrored, deployment) as url:
        options = ("--speed", "2", "--result", str(result), "--json", *words)
        done = mirrored.command("replay", str(recording), url, *options)
    assert done.stdout, done.stderr
    return {**json.loads(done.stdout), "exit": done.returncode}


@pytest.fixture(scope="module")
def baseline(recorded: Recorded, traffic: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What v1 answers a second time."""
    folder = tmp_path_factory.mktemp("baseline")
    report = replayed(recorded.mirrored, traffic, "greeter-v1", folder, "--rpc", SAY_HELLO, "--result-side", "primary")
    assert report["exit"] == 0, report
    return folder


def compared(recording: Path, mirror: Path, baseline: Path) -> DiffResult:
    return diff(
        DiffJob(
            primary=Source(recording=str(recording), side=Side.PRIMARY),
            mirror=Source(recording=str(mirror), side=Side.MIRROR),
            baseline=[Source(recording=str(baseline), side=Side.PRIMARY)],
            # A replay comes by another way and at another time than the recorded calls: times tell nothing here.
            ignore=(*VERSIONS_DIFFER, "duration"),
            with_all_headers=True,
        )
    )


def noisy(result: DiffResult) -> set[str]:
    return {field.field for field in result.noise}


def test_without_a_word_nothing_with_possible_side_effects_is_replayed(
    recorded: Recorded, traffic: Path, tmp_path: Path
) -> None:
    report = replayed(recorded.mirrored, traffic, "greeter-v2", tmp_path)
    assert (report["exit"], report["sent"]) == (2, 0)
    assert report["skipped"] == {"may have side effects": report["read"]}


def test_a_replay_carries_its_own_mark_and_a_planted_difference_is_found(
    recorded: Recorded, traffic: Path, baseline: Path, tmp_path: Path
) -> None:
    mirrored = recorded.mirrored
    with mirrored.deployment("staging", "greeter-v2", FAULT_SCORE_OFFSET="1", MARK_HEADER="x-traffic-replay"):
        report = replayed(mirrored, traffic, "greeter-v2", tmp_path, "--rpc", SAY_HELLO)
        log = mirrored.stage.kubectl("staging", "logs", "-n", "hello", "deployment/greeter-v2", "-c", "greeter")
    assert report["exit"] == 0, report
    assert report["run_id"] in log
    assert not any(secret in log for secret in MADE_UP_CREDENTIALS.values())
    result = compared(traffic, tmp_path, baseline)
    assert {finding.field for finding in result.findings} == {"message $.6"}
    assert {"message $.4", "message $.5", "header date"} <= noisy(result)


def test_a_faithful_v2_gives_no_finding_in_twenty_comparisons(
    recorded: Recorded, traffic: Path, baseline: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "faithful"
    assert replayed(recorded.mirrored, traffic, "greeter-v2", folder, "--rpc", SAY_HELLO)["exit"] == 0
    parts = [slices(one, tmp_path / name) for one, name in ((traffic, "t"), (folder, "f"), (baseline, "b"))]
    for recording, mirror, again in zip(*parts, strict=True):
        result = compared(recording, mirror, again)
        assert result.findings == (), recording
        assert result.exit_code == 0, recording


def slices(recording: Path, target: Path) -> list[Path]:
    """Cut a recording into twenty of different calls."""
    found = sorted(of_run(exchanges(recording), "kept"), key=slice_of)
    with ExitStack() as stack:
        for number, part in groupby(found, key=slice_of):
            store = RecordingStore.open(str(target / f"{number:02d}"))
            writer = RecordingWriter(store, instance="slice")
            stack.callback(writer.close)
            writer.write(list(part))
    return sorted(target.iterdir())


def slice_of(exchange: Exchange) -> int:
    return int(call_of(exchange).rpartition("-")[2]) // CALLS_OF_A_RUN


def test_recording_and_replaying_by_the_guide(recorded: Recorded, tmp_path: Path) -> None:
    mirrored = recorded.mirrored
    recorded.calls("guide", 200)
    recorded.recording(tmp_path, lambda found: len(of_run(found, "guide")) >= 190)
    kubeconfig = str(mirrored.stage.kubeconfigs["staging"])
    with forwarded(mirrored, "greeter-v1") as v1, forwarded(mirrored, "greeter-v2") as v2:
        done = follow(mirrored, "record-and-replay", tmp_path, V1=v1, V2=v2, KUBECONFIG=kubeconfig)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "diff.html").is_file()


def test_live_answers_of_both_gateways_are_paired(recorded: Recorded, tmp_path: Path) -> None:
    fetched, live = ([tmp_path / kind / role for role in ("staging", "testing")] for kind in ("fetched", "live"))
    for folder in fetched:
        folder.mkdir(parents=True)
    page = tmp_path / "page.html"
    with recorder_at(recorded.mirrored, "testing", recorded.image) as at_mirror:
        at_mirror.recording(fetched[1], lambda found: bool(found) or not recorded.calls("rouse", 20))
        with followed(live[0], live[1], page) as following:
            recorded.calls("live", 200)
            sides: list[list[Exchange]] = []
            for recorder, source, target in zip((recorded, at_mirror), fetched, live, strict=True):
                recorder.recording(source, lambda found: len(of_run(found, "live")) >= 190)
                shutil.copytree(source, target)
                sides.append(of_run(exchanges(target), "live"))
            ids = [{exchange.request_id for exchange in side} for side in sides]
            assert len(ids[0] & ids[1]) >= 190, (sides[0][:1], sides[1][:1])
            assert {exchange.side for exchange in sides[1]} == {Side.MIRROR}, sides[1][:1]
            until(lambda: pairs_told(page) >= 190)
            following.send_signal(signal.SIGINT)
            output, _ = following.communicate(timeout=60)
    result = json.loads(output)
    # Testing's greeter is another pod, and time and sequence differ; nothing else does.
    differing = {one["field"] for one in result["fields"] if one["field"].startswith(("message", "status", "grpc"))}
    assert differing == {"message $.1", "message $.3", "message $.4", "message $.5"}


def test_a_gateways_access_log_tells_heads_beside_its_own(recorded: Recorded, tmp_path: Path) -> None:
    mirrored = recorded.mirrored
    with recorder_at(mirrored, "testing", recorded.image, logged="user-agent") as recorder:
        folder = recorder.recording(tmp_path, lambda found: bool(found) or not recorded.calls("rouse", 20))
        before = len(exchanges(folder))
        recorded.calls("heads", 100)
        recorder.recording(folder, lambda found: len(found) >= before + 95)
    for exchange in exchanges(folder):
        assert (exchange.side, exchange.path) == (Side.MIRROR, f"/{SAY_HELLO}")
        assert (exchange.status, exchange.grpc_status, exchange.is_grpc) == (200, 0, True)
        names = {name for name, _ in exchange.request.headers}
        assert {"user-agent", "x-traffic-mirror", "x-request-id"} <= names
        assert (exchange.request.messages, exchange.response.messages) == ((), ())
        assert exchange.request.body_size > 0


def test_recordings_on_a_volume_outlive_their_pod(recorded: Recorded, tmp_path: Path) -> None:
    mirrored = recorded.mirrored
    with (
        volume_of_a_node(mirrored, "testing", tmp_path / "disk"),
        recorder_at(mirrored, "testing", recorded.image, volume_gib=1) as recorder,
    ):
        fetched = tmp_path / "fetched"
        fetched.mkdir()
        recorder.recording(fetched, lambda found: bool(found) or not recorder.calls("rouse", 20))
        recorder.calls("volume", 200)
        kept = recorder.recording(fetched, lambda found: len(of_run(found, "volume")) >= 190)
        names = {file.name for file in kept.rglob("*.parquet")}
        recorder.scale(0)
        recorder.scale(1)
        again = tmp_path / "again"
        again.mkdir()
        recorder.recording(again, bool)
        assert names <= {file.name for file in again.rglob("*.parquet")}


@contextmanager
def volume_of_a_node(mirrored: Mirrored, role: str, folder: Path) -> Generator[None]:
    """Offer a directory of the node, which belongs to root, as the one volume of a cluster."""
    folder.mkdir()
    linux = {"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]}
    spec = {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"],
        "local": {"path": str(folder)},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [linux]}]}},
    }
    volume = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "recordings"}, "spec": spec}
    mirrored.put(role, volume, verb="create")
    try:
        yield
    finally:
        mirrored.stage.kubectl(role, "delete", "persistentvolume", "recordings", timeout=COMMAND_SECONDS)


@contextmanager
def followed(primary: Path, mirror: Path, page: Path) -> Generator[subprocess.Popen[str]]:
    """Run ``traffic-mirror diff --follow``, which ends with the block."""
    options = ("--mirror", str(mirror), "--follow", "--every", "1", "--json", "--html", str(page))
    argv = [sys.executable, "-m", "pulumi_traffic_mirror.cli", "diff", str(primary), *options]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            yield process
        finally:
            process.kill()


def pairs_told(page: Path) -> int:
    """Pairs of the result so far; none while the page is not there or is being written."""
    found = re.search(r'"pairs": (\d+)', page.read_text(encoding="utf-8")) if page.exists() else None
    return int(found[1]) if found else 0


def until(holds: Callable[[], bool], *, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.2)
