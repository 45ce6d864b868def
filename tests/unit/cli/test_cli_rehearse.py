"""The options of ``rehearse`` and what it prints; the rehearsal itself is replaced."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pulumi_traffic_mirror.cli import main
from pulumi_traffic_mirror.cli import rehearse as module
from pulumi_traffic_mirror.operations.outcome import Outcome
from pulumi_traffic_mirror.operations.verify.claims import Claim
from pulumi_traffic_mirror.operations.verify.report import Report, Subject
from pulumi_traffic_mirror.rehearsal.errors import StageError
from pulumi_traffic_mirror.rehearsal.scenario import RehearsalCluster, RehearsalOptions

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def signal_handler() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


class Rehearsals:
    """What was asked for, and what comes of it."""

    def __init__(self) -> None:
        self.on_stage: list[tuple[RehearsalOptions, Path]] = []
        self.on_clusters: list[tuple[RehearsalOptions, RehearsalCluster, RehearsalCluster, Path]] = []
        self.outcome = Outcome.HOLDS
        self.error: Exception | None = None

    def report(self) -> Report:
        if self.error:
            raise self.error
        seen = Claim(subject="testing", title="gets its share", expected="", seen="", outcome=self.outcome)
        testing = Subject(name="testing", label="greeter", cluster="testing", outcome=self.outcome, claims=(seen,))
        return Report(
            title="Rehearsal",
            started="2026-11-23T10:00:00Z",
            route="VirtualService hello/greeter",
            sender="staging",
            authority="grpc-hello.staging.example:8000",
            path="/helloworld.Greeter/SayHello",
            gateway="198.18.0.110:8000",
            calls=None,
            subjects=(testing,),
        )


@pytest.fixture
def rehearsals(monkeypatch: pytest.MonkeyPatch) -> Rehearsals:
    found = Rehearsals()

    def on_stage(options: RehearsalOptions, project: Path, _: object) -> Report:
        found.on_stage.append((options, project))
        return found.report()

    def on_clusters(
        options: RehearsalOptions, staging: RehearsalCluster, testing: RehearsalCluster, project: Path, _: object
    ) -> Report:
        found.on_clusters.append((options, staging, testing, project))
        return found.report()

    monkeypatch.setattr(module, "rehearse_on_stage", on_stage)
    monkeypatch.setattr(module, "rehearse_on_clusters", on_clusters)
    return found


@pytest.fixture
def kubeconfigs(tmp_path: Path) -> tuple[str, str]:
    for name in ("a", "b"):
        (tmp_path / name).write_text("{}", encoding="utf-8")
    return str(tmp_path / "a"), str(tmp_path / "b")


def test_the_options_reach_the_rehearsal(rehearsals: Rehearsals) -> None:
    words = ["--calls", "40", "--in-cluster", "12.5", "--cross-cluster", "0", "--keep", "--timeout", "90"]
    main(["rehearse", *words])
    ((options, project),) = rehearsals.on_stage
    assert options == RehearsalOptions(
        calls=40, in_cluster_percent=12.5, cross_cluster_percent=0, keep=True, timeout_seconds=90
    )
    assert project == ROOT


@pytest.mark.parametrize(("outcome", "code"), [(Outcome.HOLDS, 0), (Outcome.FAILS, 1), (Outcome.UNKNOWN, 2)])
def test_the_exit_code_is_that_of_the_verdict(rehearsals: Rehearsals, outcome: Outcome, code: int) -> None:
    rehearsals.outcome = outcome
    assert main(["rehearse"]) == code


def test_the_report_is_printed_for_people(rehearsals: Rehearsals, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rehearse"]) == 0
    assert "The mirrors do what they should" in capsys.readouterr().out
    assert len(rehearsals.on_stage) == 1


def test_json_is_all_that_standard_output_gets(rehearsals: Rehearsals, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rehearse", "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["outcome"] == "holds"
    assert "The mirrors do what they should" in captured.err
    assert len(rehearsals.on_stage) == 1


def test_the_page_is_written_when_the_verdict_is_bad_too(rehearsals: Rehearsals, tmp_path: Path) -> None:
    rehearsals.outcome = Outcome.FAILS
    assert main(["rehearse", "--html", str(tmp_path / "report.html")]) == 1
    assert "do not do what they should" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--calls", "0"], "--calls = 0: must be between 1 and 1000000"),
        (["--in-cluster", "101"], "--in-cluster = 101.0: must be between 0 and 100"),
        (["--cross-cluster", "-1"], "--cross-cluster = -1.0: must be between 0 and 100"),
        (["--cross-cluster", "nan"], "--cross-cluster = nan: must be between 0 and 100"),
        (["--timeout", "0"], "--timeout = 0.0: must be from 0.1 to 86400 seconds"),
        (["--html", "/no/such/folder/report.html"], "--html = '/no/such/folder/report.html'"),
        (["--project", "/no/such/folder"], "--project = '/no/such/folder'"),
        (["--staging", "a"], "--testing = None: must be given together with the other one"),
        (["--testing", "b"], "--staging = None: must be given together with the other one"),
        (["--greeter-image", "i:1"], "--greeter-image = 'i:1': needs --staging and --testing"),
        (["--staging", "a", "--testing", "b"], "--greeter-image = '': must name an image"),
        (["--staging", "a", "--testing", "a", "--greeter-image", "i:1"], "must be another cluster than --staging"),
        (["--staging", "/no/a", "--testing", "/no/b", "--greeter-image", "i:1"], "--staging = '/no/a'"),
    ],
)
def test_bad_input_is_refused_before_any_work(
    rehearsals: Rehearsals, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(["rehearse", *words]) == 2
    assert message in capsys.readouterr().err
    assert rehearsals.on_stage == []
    assert rehearsals.on_clusters == []


@pytest.mark.parametrize("words", [["--calls", "many"], ["--no-such-option"], ["no-such-command"]])
def test_bad_usage_is_refused(rehearsals: Rehearsals, words: list[str]) -> None:
    assert main(["rehearse", *words]) == 2
    assert rehearsals.on_stage == []


def test_clusters_that_exist_are_used_as_they_are_named(rehearsals: Rehearsals, kubeconfigs: tuple[str, str]) -> None:
    a, b = kubeconfigs
    image = "registry.example/greeter@sha256:" + "0" * 64
    words = ["--staging", a, "--testing", b, "--testing-context", "kind-b", "--greeter-image", image]
    assert main(["rehearse", *words]) == 0
    ((_, staging, testing, project),) = rehearsals.on_clusters
    assert (staging.role, staging.kubeconfig, staging.context) == ("staging", a, "")
    assert (testing.role, testing.kubeconfig, testing.context) == ("testing", b, "kind-b")
    assert {staging.greeter_image, testing.greeter_image} == {image}
    assert project == ROOT
    assert rehearsals.on_stage == []


def test_one_kubeconfig_with_two_contexts_is_two_clusters(rehearsals: Rehearsals, kubeconfigs: tuple[str, str]) -> None:
    a, _ = kubeconfigs
    contexts = ["--staging-context", "one", "--testing-context", "two"]
    assert main(["rehearse", "--staging", a, "--testing", a, *contexts, "--greeter-image", "i:1"]) == 0
    assert len(rehearsals.on_clusters) == 1


def test_settings_of_istio_and_gateways_come_from_a_file(
    rehearsals: Rehearsals, kubeconfigs: tuple[str, str], tmp_path: Path
) -> None:
    a, b = kubeconfigs
    file = tmp_path / "settings.yaml"
    file.write_text("istio: {hub: registry.example/istio}\ngateway: {size: small}\n", encoding="utf-8")
    words = ["--staging", a, "--testing", b, "--greeter-image", "i:1", "--settings", str(file)]
    assert main(["rehearse", *words]) == 0
    ((_, staging, testing, _),) = rehearsals.on_clusters
    assert staging.istio == testing.istio == {"hub": "registry.example/istio"}
    assert staging.gateway == testing.gateway == {"size": "small"}


@pytest.mark.parametrize(
    "content", ["[1]", "a: [", "greeter: {}", "istio: text", "istio: !!bool x", "istio: 2027-02-30"]
)
def test_a_broken_file_of_settings_is_refused(
    rehearsals: Rehearsals,
    kubeconfigs: tuple[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    content: str,
) -> None:
    a, b = kubeconfigs
    file = tmp_path / "settings.yaml"
    file.write_text(content, encoding="utf-8")
    words = ["--staging", a, "--testing", b, "--greeter-image", "i:1", "--settings", str(file)]
    assert main(["rehearse", *words]) == 2
    assert "--settings = " in capsys.readouterr().err
    assert rehearsals.on_clusters == []


def test_an_error_of_the_stage_is_shown_with_its_last_lines(
    rehearsals: Rehearsals, capsys: pytest.CaptureFixture[str]
) -> None:
    rehearsals.error = StageError("Cannot build etcd", remedy="Read the log", details=("one", "two"))
    assert main(["rehearse"]) == 2
    assert capsys.readouterr().err.strip().endswith("Cannot build etcd. Read the log.\n  | one\n  | two")


def test_down_says_whether_anything_was_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def ended(_: object) -> bool:
        return True

    monkeypatch.setattr(module, "end_kept", ended)
    assert main(["rehearse", "down"]) == 0
    assert "removed" in capsys.readouterr().err


@pytest.mark.parametrize(("lines", "text"), [((), "Nothing is kept."), (("one", "two"), "one\ntwo")])
def test_status_tells_people_and_machines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], lines: tuple[str, ...], text: str
) -> None:
    monkeypatch.setattr(module, "describe_kept", lambda: lines)
    assert main(["rehearse", "status"]) == 0
    assert capsys.readouterr().out.strip() == text
    assert main(["rehearse", "status", "--json"]) == 0
    document: Any = json.loads(capsys.readouterr().out)
    assert document == {"running": bool(lines), "description": list(lines)}


def test_the_help_names_every_option_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rehearse", "--help"]) == 0
    text = capsys.readouterr().out
    for word in ("--calls", "--in-cluster", "--cross-cluster", "--keep", "--json", "--html", "--timeout", "Examples"):
        assert word in text
