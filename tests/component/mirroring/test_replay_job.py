"""ReplayJob: it makes the Job that the command prints, with an account of its own, and what is refused."""

import json
from collections.abc import Callable
from typing import Any, Final

import pulumi
import pytest

from pulumi_traffic_mirror.cli.app import main
from pulumi_traffic_mirror.mesh import MeshNamespace, MeshNamespaceArgs
from pulumi_traffic_mirror.mirroring import ReplayJob, ReplayJobArgs
from pulumi_traffic_mirror.model import ValidationError, Waiver
from pulumi_traffic_mirror.model.recording import Side
from pulumi_traffic_mirror.model.replaying import ReplaySecrets, ReplaySettings
from tests.support.handles import mesh, no_cluster
from tests.support.recording import Recording, refused, run_program

IMAGE: Final = f"registry.example/jobs@sha256:{'0' * 64}"
JOB: Final = "kubernetes:batch/v1:Job"
ACCOUNT: Final = "kubernetes:core/v1:ServiceAccount"
POLICY: Final = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
PLACES: Final[dict[str, Any]] = {"recording": "gs://lake/monday", "target": "http://v2.example:8000"}
EVERYTHING: Final = ReplaySettings(
    **PLACES,
    result="gs://lake/replayed",
    shards=4,
    begin="2026-01-31T12:00:00Z",
    rate=200,
    max_rate=300.5,
    max_requests=1_000,
    max_in_flight=64,
    rpc_methods=["shop.v1.Shop/Get", "shop.v1.Shop/List"],
    waiver=Waiver(reason="v2 has data of its own"),
    side=Side.MIRROR,
    source="gateway",
    result_side=Side.PRIMARY,
    authority="shop.example",
    rewrites={"/v1": "/v2", "/old": "/new=er"},
    session_header="x-session",
    http2=True,
    timeout_seconds=5,
)
SECRETS: Final = ReplaySecrets(headers="credential", ca="tls", certificate="tls")


def program(**changes: Any) -> Callable[[], None]:
    def run() -> None:
        values = {"image": IMAGE, "namespace": "tools", "settings": EVERYTHING, **changes}
        job = ReplayJob("replay", ReplayJobArgs(cluster=mesh().cluster, **values))
        for output in ("result", "wait", "logs"):
            pulumi.export(output, getattr(job, output))

    return run


def made(**changes: Any) -> Recording:
    return run_program(program(**changes))


def printed(settings: ReplaySettings, capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    assert main([*settings.words(), "--job", "replay", "--image", IMAGE, *more]) == 0
    return json.loads(capsys.readouterr().out)["spec"]


@pytest.mark.parametrize(
    ("settings", "claim"),
    [
        (EVERYTHING, None),
        (ReplaySettings(**PLACES, begin="2026-01-31T12:00:00+01:00", speed=4), None),
        (ReplaySettings(recording="/recordings/a", target="https://[::1]", begin="2026-01-31T12:00:00Z"), "monday"),
    ],
)
def test_it_makes_the_job_that_the_command_prints(
    settings: ReplaySettings, claim: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = made(settings=settings, claim=claim).one(JOB).input("spec")
    template = spec["template"]
    assert template["metadata"]["labels"].items() >= {"app": "traffic-replay", "replay": "replay"}.items()
    del template["metadata"]["labels"]["app"], template["metadata"]["labels"]["replay"]
    assert template["spec"].pop("serviceAccountName") == "replay"
    assert template["spec"]["containers"][0].pop("imagePullPolicy") == "IfNotPresent"
    assert spec == printed(settings, capsys, *(("--claim", claim) if claim else ()))


def test_its_secrets_are_those_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    settings = ReplaySettings(
        recording="gs://lake/monday", target="https://v2", begin="2026-01-31T12:00:00Z", server_name="v2.example"
    )
    pod = made(settings=settings, secrets=SECRETS).one(JOB).input("spec.template.spec")
    options = ("--header-secret", "credential", "--ca-secret", "tls", "--certificate-secret", "tls")
    expected = printed(settings, capsys, *options)["template"]["spec"]
    assert pod["volumes"] == expected["volumes"]
    for name in ("args", "volumeMounts"):
        assert pod["containers"][0][name] == expected["containers"][0][name]


@pytest.mark.parametrize("preview", [False, True])
def test_it_registers_an_account_without_rights_and_a_policy_before_the_job(preview: bool) -> None:
    recording = run_program(program(), preview=preview)
    children = recording.children_of(recording.one(ReplayJob.TYPE, "replay"))
    assert {(child.type, child.name) for child in children} == {
        (ACCOUNT, "replay-service-account"),
        (POLICY, "replay-network-policy"),
        (JOB, "replay-job"),
    }
    names = {(child.input("metadata.name"), child.input("metadata.namespace")) for child in children}
    assert names == {("replay", "tools")}
    assert recording.one(ACCOUNT).input("automountServiceAccountToken") is False
    assert recording.one(POLICY).input("spec") == {
        "podSelector": {"matchLabels": {"app": "traffic-replay", "replay": "replay"}},
        "policyTypes": ["Ingress"],
        "ingress": [],
    }
    needs = recording.names(recording.one(JOB).depends_on)
    assert needs == {"replay-service-account", "replay-network-policy"}


def test_a_deployment_does_not_wait_for_the_replay_and_says_how_to() -> None:
    recording = made()
    assert recording.one(JOB).input("metadata.annotations") == {"pulumi.com/skipAwait": "true"}
    assert recording.exports == {
        "result": "gs://lake/replayed",
        "wait": (
            """kubectl wait -n tools --for='jsonpath={.status.conditions[?(@.type<"FailureTarget")].status}=True'"""
            " --timeout=24h job/replay && kubectl wait -n tools --for=condition=complete --timeout=0 job/replay"
        ),
        "logs": "kubectl logs -n tools -l replay=replay --prefix --tail=-1 --max-log-requests=4",
    }


def test_buckets_are_reached_as_an_account_of_the_cloud() -> None:
    annotations = {"iam.gke.io/gcp-service-account": "replay@project.iam.gserviceaccount.com"}
    assert made(account_annotations=annotations).one(ACCOUNT).input("metadata.annotations") == annotations


def test_everything_waits_for_a_namespace_that_is_given_as_a_component() -> None:
    def run() -> None:
        cluster = mesh().cluster
        tools = MeshNamespace("tools", MeshNamespaceArgs(cluster=cluster, namespace="tools"))
        ReplayJob("replay", ReplayJobArgs(cluster=cluster, image=IMAGE, namespace=tools, settings=EVERYTHING))

    recording = run_program(run)
    for child in recording.children_of(recording.one(ReplayJob.TYPE)):
        assert "tools-namespace" in recording.names(child.depends_on), child.name


def test_an_image_that_is_known_late_is_put_in_its_place_and_checked_all_the_same() -> None:
    def late(image: str) -> Callable[[], None]:
        def run() -> None:
            program(image=pulumi.Output.from_input(image))()

        return run

    job = run_program(late(IMAGE)).one(JOB)
    assert job.input("spec.template.spec")["containers"][0]["image"] == IMAGE
    assert "must have a digest" in str(refused(late("registry.example/jobs:1"), ValidationError).error)


@pytest.mark.parametrize("name", ["My Replay", "r" * 62])
def test_a_name_that_pods_cannot_have_is_refused_before_anything_is_registered(name: str) -> None:
    def run() -> None:
        args = ReplayJobArgs(cluster=mesh().cluster, image=IMAGE, namespace="tools", settings=EVERYTHING)
        ReplayJob(name, args)

    refusal = refused(run, ValidationError)
    assert name in str(refusal.error)
    assert not refusal.recording.of_type(ReplayJob.TYPE)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"image": "registry.example/jobs:1"}, "image"),
        ({"namespace": "My Tools"}, "namespace"),
        ({"settings": {}}, "settings"),
        ({"claim": "monday"}, "claim"),
        ({"claim": "no claim"}, "claim"),
        ({"secrets": "credential"}, "secrets"),
        ({"secrets": ReplaySecrets(ca="tls")}, "secrets.ca"),
        ({"settings": ReplaySettings(recording="/recordings/a", target="http://a")}, "claim"),
        ({"account_annotations": {"no name": "x"}}, "account_annotations"),
    ],
)
def test_bad_arguments_are_refused(changes: dict[str, Any], field: str) -> None:
    values = {"cluster": no_cluster(), "image": IMAGE, "namespace": "tools", "settings": EVERYTHING, **changes}
    with pytest.raises(ValidationError) as refusal:
        ReplayJobArgs(**values)
    assert refusal.value.field.startswith(field)
