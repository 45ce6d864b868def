"""The collector as its image runs it: a part of the package, settings from a file, SIGTERM."""

import importlib
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from envoy.service.ext_proc.v3 import external_processor_pb2 as ext_proc

from pulumi_traffic_mirror.model import Scrub, ValidationError
from pulumi_traffic_mirror.model.recording import ObjectStorage
from pulumi_traffic_mirror.operations.recording import RecordingReader
from pulumi_traffic_mirror.operations.recording.bundle import COMMAND, PACKAGE, PARTS, write_bundle
from pulumi_traffic_mirror.operations.recording.protocol import METHOD, SERVICE
from pulumi_traffic_mirror.operations.recording.settings import CollectorSettings, parse_settings, read_settings
from tests.support.loopback_service import free_port

pytestmark = pytest.mark.slow

_SERVER = Path(__file__).resolve().parents[3] / "components" / "workloads" / "recorder" / "server"


S3_ACCOUNT = {
    "AWS_ACCESS_KEY_ID": "made-up",
    "AWS_SECRET_ACCESS_KEY": "made-up",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@contextmanager
def _process(
    tmp_path: Path, settings: dict[str, Any], account: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Run the bundle as the image does: nothing but the bundle and the installed packages can be imported."""
    write_bundle(tmp_path / "app")
    # The bundle is a namespace package, so this checkout, which is linked among the installed ones, would win.
    (tmp_path / "app" / PACKAGE / "__init__.py").touch()
    (tmp_path / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, *COMMAND, str(tmp_path / "settings.json")],
        cwd=tmp_path,
        env={
            "PYTHONPATH": str(tmp_path / "app"),
            "PATH": os.environ["PATH"],
            "RECORDER_INSTANCE": "pod-1",
            **(account or {}),
        },
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def _get(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        return answer.read().decode()


def test_the_bundle_serves_records_and_finishes_its_file_on_sigterm(tmp_path: Path) -> None:
    port, http_port = free_port(), free_port()
    settings = {"url": str(tmp_path / "out"), "port": port, "http_port": http_port, "bounds": {"stop_seconds": 1}}
    request: Any = getattr(ext_proc, "ProcessingRequest")  # noqa: B009 -- generated code without type information
    report = request(observability_mode=True, request_headers={"end_of_stream": True})
    with _process(tmp_path, settings) as process:
        assert process.stderr is not None
        assert "recording to" in process.stderr.readline()
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            make_call: Any = channel.stream_stream(f"/{SERVICE}/{METHOD}")
            grpc.channel_ready_future(channel).result(timeout=10)
            call = make_call(iter([report.SerializeToString()]))
            assert list(call) == []
            health: Any = channel.unary_unary("/grpc.health.v1.Health/Check", response_deserializer=_status)
            assert health(b"", timeout=10) == "SERVING"
            assert [_get(http_port, "/healthz"), _get(http_port, "/readyz")] == ["alive\n", "ready\n"]
            assert re.search(r"^traffic_recorder_streams_total 1$", _get(http_port, "/metrics"), re.MULTILINE)
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=20) == 0
    (file,) = RecordingReader.open(str(tmp_path / "out")).store.files()
    assert "-pod-1-" in file.path
    exported = _export(tmp_path, "out")
    with tarfile.open(exported) as archive:
        assert ["out/" + member.name for member in archive] == [str(Path(file.path).relative_to(tmp_path))]


@pytest.fixture
def standin_bucket() -> Iterator[str]:
    """A bucket of moto's stand-in for S3, over the real protocol on the loopback."""
    server: Any = importlib.import_module("moto.server").ThreadedMotoServer(
        ip_address="127.0.0.1", port=0, verbose=False
    )
    server.start()
    host, port = server.get_host_and_port()
    made = urllib.request.Request(f"http://{host}:{port}/bucket", method="PUT")
    urllib.request.urlopen(made, timeout=10).close()  # noqa: S310 -- on the loopback
    yield f"s3://bucket/recordings?region=us-east-1&scheme=http&endpoint_override={host}%3A{port}"
    server.stop()


def test_recordings_appear_in_a_bucket_whole_or_not_at_all(
    tmp_path: Path, standin_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in S3_ACCOUNT.items():
        monkeypatch.setenv(name, value)
    assert ObjectStorage(url=standin_bucket).url == standin_bucket
    for number, end in enumerate((signal.SIGKILL, signal.SIGTERM)):
        port = free_port()  # another one each time: whoever calls meanwhile may take that of a process that ended
        settings = {"url": standin_bucket, "port": port, "http_port": free_port(), "bounds": {"stop_seconds": 1}}
        with _process(tmp_path / str(number), settings, S3_ACCOUNT) as process:
            assert process.stderr is not None
            assert "recording to" in process.stderr.readline()
            _report(port)
            process.send_signal(end)
            assert process.wait(timeout=20) == (0 if end is signal.SIGTERM else -end)
    (file,) = RecordingReader.open(standin_bucket).store.files()
    assert file.path.startswith("bucket/recordings/day=")
    assert len(list(RecordingReader.open(standin_bucket).exchanges())) == 1


def _report(port: int) -> None:
    """Report one request without an answer, as Envoy does."""
    request: Any = getattr(ext_proc, "ProcessingRequest")  # noqa: B009 -- generated code without type information
    report = request(observability_mode=True, request_headers={"end_of_stream": True})
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        make_call: Any = channel.stream_stream(f"/{SERVICE}/{METHOD}")
        grpc.channel_ready_future(channel).result(timeout=10)
        assert list(make_call(iter([report.SerializeToString()]))) == []


def _status(answer: bytes) -> str:
    """Read it as Kubernetes does: with the messages of the health checking protocol."""
    health_pb2: Any = importlib.import_module("grpc_health.v1.health_pb2")
    message = health_pb2.HealthCheckResponse.FromString(answer)
    return health_pb2.HealthCheckResponse.ServingStatus.Name(message.status)


def _export(tmp_path: Path, directory: str) -> Path:
    """Take the finished files out as ``kubectl exec`` does."""
    archive = tmp_path / "exported.tar"
    with archive.open("wb") as target:
        done = subprocess.run(
            [sys.executable, "-m", f"{PACKAGE}.operations.recording.export", directory],
            cwd=tmp_path,
            env={"PYTHONPATH": str(tmp_path / "app"), "PATH": os.environ["PATH"]},
            stdout=target,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == (0 if archive.stat().st_size > tarfile.RECORDSIZE else 2), done.stderr
    return archive


def test_nothing_to_export_is_an_empty_archive_and_exit_code_2(tmp_path: Path) -> None:
    write_bundle(tmp_path / "app")
    with tarfile.open(_export(tmp_path, "nothing")) as archive:
        assert archive.getmembers() == []


def test_wrong_settings_end_the_process_with_a_sentence(tmp_path: Path) -> None:
    with _process(tmp_path, {"url": "/x", "sample_procent": 5}) as process:
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 2
    assert "sample_procent" in errors
    assert "Traceback" not in errors


def test_the_bundle_holds_what_the_image_recipe_copies(tmp_path: Path) -> None:
    recipe = (_SERVER / "Dockerfile").read_text(encoding="utf-8")
    copied = re.findall(rf"^COPY (\S+) /app/{PACKAGE}/(\S+)$", recipe, re.MULTILINE)
    assert copied == [(part, part) for part in PARTS]
    assert f'ENTRYPOINT ["/usr/bin/python3", "{COMMAND[0]}", "{COMMAND[1]}"]' in recipe
    write_bundle(tmp_path)
    assert not list(tmp_path.rglob("__pycache__"))


def test_the_locked_packages_of_the_image_are_those_of_the_project() -> None:
    def pins(path: Path) -> set[str]:
        return set(re.findall(r"^[\w-]+==[\w.]+", path.read_text(encoding="utf-8"), re.MULTILINE))

    image = pins(_SERVER / "requirements.txt")
    assert image
    assert image <= pins(_SERVER.parents[3] / "requirements.lock")


def test_settings_are_read_with_everything_in_its_place(tmp_path: Path) -> None:
    document = {
        "url": "gs://bucket/x",
        "side": "mirror",
        "sample_percent": 12.5,
        "capture": {"max_body_bytes": 0},
        "roll": {"max_seconds": 5},
        "bounds": {"max_streams": 7},
        "redaction": {"headers": ["x-secret"], "json_paths": ["$.a"]},
    }
    (tmp_path / "s.json").write_text(json.dumps(document), encoding="utf-8")
    settings = read_settings(tmp_path / "s.json")
    assert (settings.side, settings.sample_percent, settings.capture.max_body_bytes) == ("mirror", 12.5, 0)
    assert (settings.roll.max_seconds, settings.bounds.max_streams) == (5, 7)
    assert (settings.redaction.headers, settings.redaction.json_paths) == (("x-secret",), ("$.a",))


def test_the_mark_is_the_one_that_mirrors_get_by_default() -> None:
    assert CollectorSettings(url="/x").mark_header == Scrub().mark_header


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ([], "settings"),
        ({}, "url"),
        ({"url": 1}, "settings.url"),
        ({"url": "/x", "port": 0}, "port"),
        ({"url": "/x", "port": 9101}, "http_port"),
        ({"url": "/x", "port": True}, "settings.port"),
        ({"url": "/x", "side": "shadow"}, "side"),
        ({"url": "/x", "mark_header": "no header"}, "mark_header"),
        ({"url": "/x", "sample_percent": "5"}, "settings.sample_percent"),
        ({"url": "/x", "sample_percent": 0}, "sample_percent"),
        ({"url": "/x", "bounds": {"max_streams": 0}}, "max_streams"),
        ({"url": "/x", "bounds": {"max_stream": 1}}, "bounds.max_stream"),
        ({"url": "/x", "roll": {"max_seconds": -1}}, "roll.max_seconds"),
        ({"url": "/x", "redaction": {"headers": "authorization"}}, "redaction.headers"),
        ({"url": "/x", "redaction": {"headers": [1]}}, "redaction.headers"),
        ({"url": "/x", "redaction": {"protobuf_fields": ["a.B.c"]}}, "redaction.protobuf_fields"),
        ({"url": "/x", "redaction": {"descriptor_set": "nope"}}, "redaction.descriptor_set"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_place(tmp_path: Path, document: Any, field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        parse_settings(document, directory=tmp_path)
    assert caught.value.field == field


@pytest.mark.parametrize("content", ["{", None])
def test_an_unreadable_file_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "s.json").write_text(content, encoding="utf-8")
    with pytest.raises(ValidationError, match="readable JSON"):
        read_settings(tmp_path / "s.json")
