"""The Jobs that commands print: their pods do what was asked, and keep to what restricted clusters demand."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from pulumi_traffic_mirror.cli.app import main

_REPLAY = ["replay", "gs://b/recordings", "http://v2:8000", "--rate", "200", "--rpc", "a.B/C", "--rpc", "a.B/D"]
_JOB = ["--shards", "4", "--job", "replay-1", "--image", "registry.example/tm@sha256:0"]


def _printed(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main(words) == 0
    return json.loads(capsys.readouterr().out)


def test_pods_get_the_command_s_own_words(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "3")
    job = _printed(capsys, *_REPLAY, *_JOB, "--http2", "--result-side", "primary", "--begin", "2026-01-31T12:00:00Z")
    spec = job["spec"]
    assert (spec["completions"], spec["parallelism"], spec["completionMode"]) == (4, 4, "Indexed")
    assert spec["backoffLimitPerIndex"] > 0
    (container,) = spec["template"]["spec"]["containers"]
    words = container["args"]
    assert words[:3] == _REPLAY[:3]
    options = " ".join(words[3:])
    for wanted in ("--rate 200.0", "--rpc a.B/C --rpc a.B/D", "--http2", "--result-side primary", "--shards 4"):
        assert wanted in options
    assert "--begin 2026-01-31T12:00:00Z" in options
    assert not {"--job", "--image", "--shard", "True"} & set(words)


def test_all_pods_begin_at_one_moment_that_is_to_come(capsys: pytest.CaptureFixture[str]) -> None:
    words = _printed(capsys, *_REPLAY, *_JOB)["spec"]["template"]["spec"]["containers"][0]["args"]
    assert datetime.fromisoformat(words[words.index("--begin") + 1]) > datetime.now(UTC)


def test_pods_keep_to_the_restricted_level(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["diff", "/recordings/a", "--tallies", "/recordings/t", *_JOB, "--claim", "traffic"]
    pod = _printed(capsys, *words)["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    (container,) = pod["containers"]
    security = container["securityContext"]
    assert security == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"name": "recordings", "mountPath": "/recordings"} in container["volumeMounts"]
    assert {"name": "recordings", "persistentVolumeClaim": {"claimName": "traffic"}} in pod["volumes"]


def test_credentials_come_from_secrets_by_reference(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["replay", "gs://b/recordings", "https://v2:8443", *_JOB, "--server-name", "v2.example"]
    secrets = ["--header-secret", "credential", "--ca-secret", "tls", "--certificate-secret", "tls"]
    pod = _printed(capsys, *words, *secrets)["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    told = " ".join(container["args"])
    assert "--header-file /secrets/headers/headers.json" in told
    assert (
        "--ca /secrets/ca/ca.crt --certificate /secrets/certificate/tls.crt --key /secrets/certificate/tls.key" in told
    )
    assert "--server-name v2.example" in told
    assert "secret " not in told
    mounted = {each["name"]: each for each in container["volumeMounts"]}
    for name, secret, keys in (
        ("headers", "credential", ["headers.json"]),
        ("ca", "tls", ["ca.crt"]),
        ("certificate", "tls", ["tls.crt", "tls.key"]),
    ):
        assert mounted[name] == {"name": name, "mountPath": f"/secrets/{name}", "readOnly": True}
        (volume,) = [each["secret"] for each in pod["volumes"] if each["name"] == name]
        assert volume["secretName"] == secret
        assert [item["path"] for item in volume["items"]] == keys
        assert volume["defaultMode"] == 0o440


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ((*_JOB[2:],), "--shards"),
        ((*_JOB[:4],), "--image"),
        ((*_JOB[:3], "Bad_Name", *_JOB[4:]), "--job"),
        ((*_JOB, "--claim", "Bad_Name"), "--claim"),
        ((*_JOB, "--ca", "ca.pem", "--server-name", "a.example"), "--ca"),
        ((*_JOB, "--header-secret", "Bad_Name"), "--header-secret"),
        ((*_JOB, "--ca-secret", "in-plain-text"), "--ca-secret"),
        (("--certificate-secret", "no-job", "--ca-secret", "b"), "--ca-secret"),
    ],
)
def test_what_no_pod_can_do_is_refused(capsys: pytest.CaptureFixture[str], more: tuple[str, ...], named: str) -> None:
    target = "https://v2:8000" if {"--ca", "--certificate-secret"}.intersection(more) else "http://v2:8000"
    assert main(["replay", "gs://b/recordings", target, *more]) == 2
    assert named in capsys.readouterr().err
