"""Comparisons on a real Spark: master and two workers, one of which is killed in the middle."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from pulumi_traffic_mirror.cli.app import main
from pulumi_traffic_mirror.operations.diff import run, spark
from pulumi_traffic_mirror.operations.recording import RecordingReader, RecordingStore, RecordingWriter, Side
from pulumi_traffic_mirror.operations.recording.compacting import compact
from tests.unit.diff.corpora import ROLES, job_of, record
from tests.unit.recording.test_other_readers import exchange, statements

pytestmark = [
    pytest.mark.spark,
    pytest.mark.timeout(1_200),
    # Spark's own, of pandas and of sockets that it leaves to the garbage collector.
    pytest.mark.filterwarnings("ignore"),
]

REQUESTS = 3_000
WAIT_SECONDS = 300


@dataclass
class Cluster:
    """A standalone cluster on the loopback."""

    url: str
    workers: list[subprocess.Popen[bytes]]


def _until(what: str, look: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.02)
    pytest.fail(f"{what}: not within {WAIT_SECONDS} s")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    specification = find_spec("pyspark")
    assert specification is not None, "make test-spark installs it"
    home = str(next(iter(specification.submodule_search_locations or [])))
    environment = {**os.environ, "SPARK_HOME": home, "SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable}
    environment["SPARK_DAEMON_MEMORY"] = "256m"
    started: list[subprocess.Popen[bytes]] = []

    def start(name: str, *words: str) -> Path:
        log = tmp_path / f"{name}.log"
        command = [f"{home}/bin/spark-class", *words, "--host", "127.0.0.1", "--webui-port", "0"]
        with log.open("wb") as file:
            started.append(subprocess.Popen(command, env=environment, stderr=file, stdout=file))
        return log

    def said(log: Path, pattern: str) -> Callable[[], Any]:
        return lambda: re.search(pattern, log.read_text(encoding="utf-8", errors="replace"))

    try:
        log = start("master", "org.apache.spark.deploy.master.Master", "--port", "0")
        url = _until("master", said(log, r"Starting Spark master at (spark://127\.0\.0\.1:[1-9]\d*)"))[1]
        for number in range(2):
            work = ("--cores", "1", "--memory", "1g", "--work-dir", str(tmp_path / f"work{number}"))
            log = start(f"worker{number}", "org.apache.spark.deploy.worker.Worker", url, *work)
            _until("worker", said(log, "Successfully registered with master"))
        yield Cluster(url, started[1:])
    finally:
        for process in reversed(started):
            process.kill()
            process.wait()


@pytest.fixture
def session(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The user's own session."""
    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    builder = import_module("pyspark.sql").SparkSession.builder.master(cluster.url)
    for name, value in {
        "spark.executor.memory": "512m",
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "8",
        "spark.sql.session.timeZone": "Pacific/Chatham",
    }.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    yield session
    session.stop()


@pytest.mark.parametrize("in_buckets", [False, True])
def test_spark_counts_the_same_though_a_worker_is_killed(
    tmp_path: Path, cluster: Cluster, session: Any, monkeypatch: pytest.MonkeyPatch, in_buckets: bool
) -> None:
    record(tmp_path / "plain", REQUESTS)
    folder = tmp_path / "plain"
    if in_buckets:
        folder = tmp_path / "buckets"
        for role in ROLES:
            source = RecordingReader.open(str(tmp_path / "plain" / role))
            compact(source, RecordingStore.open(str(folder / role)), buckets=16)
    else:
        monkeypatch.setattr("pulumi_traffic_mirror.operations.diff.corpus.PARTITION_BYTES", 64_000)
    whole = run.count(job_of(tmp_path / "plain"))
    tracker = session.sparkContext.statusTracker()

    def is_halfway() -> bool:
        stages = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
        return any(0 < stage.numCompletedTasks < stage.numTasks for stage in stages if stage)

    executors: Callable[[], int] = lambda: session._jsc.sc().getExecutorMemoryStatus().size() - 1  # noqa: E731
    _until("two executors", lambda: executors() == 2)
    with ThreadPoolExecutor(1) as pool:
        counting = pool.submit(spark.count, session, job_of(folder))
        _until("some tasks done", is_halfway)
        cluster.workers[0].send_signal(signal.SIGKILL)
        assert not counting.done()
        _until("an executor lost", lambda: executors() == 1)
        total = counting.result(WAIT_SECONDS * 3)
    assert total.counts.paired == REQUESTS
    assert total.to_bytes() == whole.to_bytes()


def test_the_command_gives_the_same_result(
    tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    record(tmp_path, 100)
    words = ["diff", str(tmp_path / "primary"), "--mirror", str(tmp_path / "mirror"), "--json"]
    code = main(words)
    local = json.loads(capsys.readouterr().out)
    assert main([*words, "--spark", cluster.url]) == code
    assert json.loads(capsys.readouterr().out) == local


@pytest.mark.parametrize("in_buckets", [False, True])
def test_damage_is_told_in_the_same_words_and_the_rest_compared(
    tmp_path: Path,
    cluster: Cluster,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    in_buckets: bool,
) -> None:
    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    folder = record(tmp_path / "plain", 300)
    if in_buckets:
        for role in ROLES:
            source = RecordingReader.open(str(folder / role))
            compact(source, RecordingStore.open(str(tmp_path / "buckets" / role)), buckets=4)
        folder = tmp_path / "buckets"
    file = sorted((folder / "mirror").rglob("*.parquet"))[0]
    data = bytearray(file.read_bytes())
    data[100:2_000] = bytes(1_900)
    file.write_bytes(data)
    words = ["diff", str(folder / "primary"), "--mirror", str(folder / "mirror")]
    words += ["--baseline", str(folder / "baseline-0"), "--json"]
    code = main(words)
    local = json.loads(capsys.readouterr().out)
    assert main([*words, "--spark", cluster.url]) == code
    assert json.loads(capsys.readouterr().out) == local
    assert [damage["file"] for damage in local["damage"]] == [str(file.relative_to(folder / "mirror"))]
    assert 0 < local["pairs"] < 300


def test_spark_runs_the_documentation_s_statements(tmp_path: Path, session: Any) -> None:
    writer = RecordingWriter(RecordingStore.open(str(tmp_path / "recordings")), instance="test")
    writer.write([exchange(number, side) for number in range(10) for side in Side])
    writer.close()
    session.read.parquet(str(tmp_path / "recordings")).createOrReplaceTempView("recording")
    by_path, differing, pods = ([tuple(row) for row in session.sql(one).collect()] for one in statements("spark"))
    assert by_path[0] == ("mirror", "/a", 5, 0.2, [4.0, pytest.approx(7.92)])
    assert [row[:2] for row in differing] == [("id-3", "/b?n=3")]
    assert pods == [("p0", 10), ("p1", 10)]
