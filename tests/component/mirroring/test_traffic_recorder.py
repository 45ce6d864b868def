"""TrafficRecorder: what it registers, in which order, what the pod may do, and what is refused."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pulumi
import pytest

from pulumi_traffic_mirror.mesh import MeshGateway, MeshGatewayArgs, MeshNamespace, MeshNamespaceArgs
from pulumi_traffic_mirror.mirroring import RecordedWorkload, TrafficRecorder, TrafficRecorderArgs
from pulumi_traffic_mirror.model import ValidationError, client_server
from pulumi_traffic_mirror.model.recording import (
    DEFAULT_HEADERS,
    ObjectStorage,
    RecorderSettings,
    Redaction,
    ScratchStorage,
    Side,
    VolumeStorage,
)
from pulumi_traffic_mirror.operations.recording.bundle import PACKAGE
from pulumi_traffic_mirror.operations.recording.settings import parse_settings
from tests.support.handles import mesh, no_mesh
from tests.support.recording import Recording, refused, run_program

IMAGE = f"registry.example/recorder@sha256:{'0' * 64}"
BUCKET = ObjectStorage(
    url="gs://bucket/recordings",
    account_annotations={"iam.gke.io/gcp-service-account": "recorder@project.iam.gserviceaccount.com"},
)
V2 = RecordedWorkload(namespace="hello", labels={"app": "greeter", "version": "v2"})
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
ACCOUNT = "kubernetes:core/v1:ServiceAccount"
CLAIM = "kubernetes:core/v1:PersistentVolumeClaim"
CONFIG = "kubernetes:core/v1:ConfigMap"
POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
FILTER = "kubernetes:networking.istio.io/v1alpha3:EnvoyFilter"
SERVICE = "kubernetes:core/v1:Service"
ADDRESS = {SERVICE: {"status": {"loadBalancer": {"ingress": [{"ip": "10.1.2.3"}]}}}}
NOWHERE = no_mesh()
"""For arguments that are refused before a mesh matters."""


def program(*, gateway: bool = True, **changes: Any) -> Callable[[], None]:
    def run() -> None:
        handle = mesh()
        place: MeshGateway | RecordedWorkload = V2
        if gateway:
            servers = [client_server(["grpc-hello.staging.example"])]
            place = MeshGateway("gateway", MeshGatewayArgs(mesh=handle, servers=servers))
        values: dict[str, Any] = {"mesh": handle, "at": place, "image": IMAGE, "namespace": "tools", **changes}
        recorder = TrafficRecorder("recorder", TrafficRecorderArgs(**values))
        pulumi.export("address", recorder.address)
        pulumi.export("recordings", recorder.recordings)
        pulumi.export("fetch", recorder.fetch)

    return run


def recorded(*, preview: bool = False, **changes: Any) -> Recording:
    return run_program(program(**changes), preview=preview, outputs=ADDRESS)


def settings(**changes: Any) -> dict[str, Any]:
    return {"settings": RecorderSettings(**changes)}


def pod_of(recording: Recording) -> dict[str, Any]:
    return recording.one(DEPLOYMENT).input("spec.template.spec")


def document_of(recording: Recording) -> dict[str, Any]:
    return json.loads(recording.one(CONFIG).inputs["data"]["settings.json"])


@pytest.mark.parametrize("preview", [False, True])
def test_it_registers_the_collector_and_then_the_filter(preview: bool) -> None:
    recording = recorded(preview=preview)
    children = recording.children_of(recording.one(TrafficRecorder.TYPE, "recorder"))
    assert {(child.type, child.name, child.input("metadata.namespace")) for child in children} == {
        (ACCOUNT, "recorder-service-account", "tools"),
        (POLICY, "recorder-network-policy", "tools"),
        (CONFIG, "recorder-settings", "tools"),
        (DEPLOYMENT, "recorder-deployment", "tools"),
        (SERVICE, "recorder-service", "tools"),
        (FILTER, "recorder-envoy-filter", "internal-gateway"),
    }
    assert {child.input("metadata.name") for child in children} == {"recorder"}
    assert {child.provider for child in children} == {recording.one("pulumi:providers:kubernetes").urn}
    needs = recording.names(recording.one(DEPLOYMENT).depends_on)
    assert needs == {"recorder-service-account", "recorder-network-policy", "recorder-settings"}
    assert {"recorder-deployment", "recorder-service"} <= recording.names(recording.one(FILTER).depends_on)


def test_the_outputs_say_where_reports_and_recordings_go() -> None:
    assert recorded().exports == {
        "address": "recorder.tools.svc.cluster.local:9100",
        "recordings": "/recordings",
        "fetch": f"kubectl exec -n tools deploy/recorder -- python3 -m {PACKAGE}.operations.recording.export "
        "/recordings | tar -x",
    }
    exports = recorded(**settings(storage=BUCKET)).exports
    assert (exports["recordings"], exports["fetch"]) == ("gs://bucket/recordings", "")


def test_a_gateway_reports_to_the_collector_s_service() -> None:
    spec = recorded(**settings(side=Side.PRIMARY, sample_percent=5)).one(FILTER).input("spec")
    assert spec["workloadSelector"] == {"labels": {"istio": "internal-gateway"}}
    assert {patch["match"]["context"] for patch in spec["configPatches"]} == {"GATEWAY"}
    cluster, http_filter = (patch["patch"]["value"] for patch in spec["configPatches"])
    (endpoint,) = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    address = endpoint["endpoint"]["address"]["socket_address"]
    assert address == {"address": "recorder.tools.svc.cluster.local", "port_value": 9100}
    # A sampling filter is one with a matcher around it.
    assert "xds_matcher" in http_filter["typed_config"]
    text = json.dumps(http_filter, sort_keys=True)
    assert '{"key": "x-traffic-recorder-side", "value": "primary"}' in text


def test_what_recordings_replace_stays_in_the_proxy_where_it_is_told_to() -> None:
    redaction = Redaction(headers=["x-user"])
    given = RecorderSettings(redaction=redaction)
    told = str(recorded(settings=given, withhold_headers=True).one(FILTER).inputs)
    assert all(f"'exact': '{name}'" in told for name in ("authorization", "cookie", "set-cookie", "x-user"))
    assert "forward_rules" not in str(recorded(settings=given).one(FILTER).inputs)


def test_a_session_is_told_by_what_reaches_the_recorder_and_by_nothing_else() -> None:
    (told,) = recorded(settings=RecorderSettings(session="cookie:sid")).one(CONFIG).input("data").values()
    assert json.loads(told)["session"] == "cookie:sid"
    for session, name in (("cookie:sid", "cookie"), ("header:x-user", "x-user")):
        given = RecorderSettings(session=session, redaction=Redaction(headers=["x-user"]))
        values = {"mesh": NOWHERE, "at": V2, "image": IMAGE, "namespace": "tools", "settings": given}
        with pytest.raises(ValidationError, match=f"needs {name}, which withhold_headers"):
            TrafficRecorderArgs(**values, withhold_headers=True)


def test_a_workload_reports_what_reaches_its_sidecars() -> None:
    filter_ = recorded(gateway=False).one(FILTER)
    assert filter_.input("metadata.namespace") == "hello"
    assert filter_.input("spec.workloadSelector.labels") == {"app": "greeter", "version": "v2"}
    assert {patch["match"]["context"] for patch in filter_.input("spec.configPatches")} == {"SIDECAR_INBOUND"}


def test_the_pod_keeps_the_restricted_level_and_stays_outside_the_mesh() -> None:
    recording = recorded()
    pod = pod_of(recording)
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "fsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False
    assert recording.one(ACCOUNT).inputs["automountServiceAccountToken"] is False
    labels = recording.one(DEPLOYMENT).input("spec.template.metadata.labels")
    assert labels["sidecar.istio.io/inject"] == "false"
    assert recording.one(SERVICE, "recorder-service").input("spec.selector").items() <= labels.items()


def test_health_is_asked_by_grpc_and_memory_follows_the_settings() -> None:
    (container,) = pod_of(recorded(**settings(memory_mib=100)))["containers"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["grpc"] == {"port": 9100}
    assert container["resources"]["limits"] == {"memory": "456Mi"}
    assert set(container["resources"]["requests"]) == {"cpu", "memory"}


def test_only_the_recorded_proxies_reach_the_collector_and_it_calls_nobody() -> None:
    policy = recorded().one(POLICY)
    named = {"key": "kubernetes.io/metadata.name", "operator": "In"}
    assert policy.input("spec.policyTypes") == ["Ingress", "Egress"]
    assert policy.inputs["spec"].get("egress") is None
    assert policy.input("spec.ingress") == [
        {
            "from": [
                {
                    "namespaceSelector": {"matchExpressions": [{**named, "values": ["internal-gateway"]}]},
                    "podSelector": {"matchLabels": {"istio": "internal-gateway"}},
                }
            ],
            "ports": [{"port": 9100, "protocol": "TCP"}],
        }
    ]
    watched = recorded(metrics_namespaces=["monitoring"], **settings(storage=BUCKET)).one(POLICY)
    assert watched.input("spec.policyTypes") == ["Ingress"]
    assert watched.input("spec.ingress.1") == {
        "from": [{"namespaceSelector": {"matchExpressions": [{**named, "values": ["monitoring"]}]}}],
        "ports": [{"port": 9101, "protocol": "TCP"}],
    }


def test_scratch_storage_is_bounded_and_ends_with_the_pod() -> None:
    recording = recorded(**settings(storage=ScratchStorage(size_gib=2)))
    assert {"name": "recordings", "emptyDir": {"sizeLimit": "2Gi"}} in pod_of(recording)["volumes"]
    assert not recording.of_type(CLAIM)
    assert 0 < document_of(recording)["roll"]["keep_bytes"] < 2 * 1024**3


def test_a_volume_is_claimed_before_the_pod_and_has_one_writer() -> None:
    recording = recorded(**settings(storage=VolumeStorage(size_gib=50, storage_class="fast")))
    claim = recording.one(CLAIM)
    assert claim.input("spec") == {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "fast",
        "resources": {"requests": {"storage": "50Gi"}},
    }
    assert "recorder-claim" in recording.names(recording.one(DEPLOYMENT).depends_on)
    assert recording.one(DEPLOYMENT).input("spec.strategy.type") == "Recreate"
    assert {"name": "recordings", "persistentVolumeClaim": {"claimName": "recorder"}} in pod_of(recording)["volumes"]


def test_a_bucket_is_written_as_an_account_of_the_cloud_and_without_a_volume() -> None:
    recording = recorded(**settings(storage=BUCKET))
    assert recording.one(ACCOUNT).input("metadata.annotations") == BUCKET.account_annotations
    assert [volume["name"] for volume in pod_of(recording)["volumes"]] == ["settings"]
    assert document_of(recording)["url"] == "gs://bucket/recordings"


def test_heads_are_told_by_the_access_log_where_it_is_asked_for(tmp_path: Path) -> None:
    recording = recorded(**settings(body_kib=0, access_log_headers=["accept"], session="header:x-session"))
    told = {"accept", "content-type", "x-request-id", "x-traffic-mirror", "x-session", "grpc-status"}
    read = parse_settings(document_of(recording), directory=tmp_path)
    assert set(read.logged_headers) >= told
    log = json.dumps(recording.one(FILTER).input("spec"))
    assert "HttpGrpcAccessLogConfig" in log
    assert "ExternalProcessor" not in log
    assert all(f'"{name}"' in log for name in told)
    assert "logged_headers" not in document_of(recorded(**settings(body_kib=0)))


@pytest.mark.parametrize(
    "given",
    [
        {"access_log_headers": ["authorization"]},
        # Told whatever is asked for; a log without it would be taken for that of another configuration.
        {"access_log_headers": [], "redaction": Redaction(headers=["grpc-message"])},
    ],
)
def test_a_header_is_not_both_told_and_withheld(given: dict[str, Any]) -> None:
    values = {"mesh": NOWHERE, "at": V2, "image": IMAGE, "namespace": "tools"}
    logged = settings(body_kib=0, **given)
    with pytest.raises(ValidationError) as refusal:
        TrafficRecorderArgs(**values, **logged, withhold_headers=True)
    assert refusal.value.field == "settings.access_log_headers"


def test_the_collector_reads_the_settings_as_they_were_meant(tmp_path: Path) -> None:
    rules = Redaction(headers=["x-user"], json_paths=["$..password"])
    recording = recorded(**settings(redaction=rules, side=Side.MIRROR, body_kib=1, memory_mib=32, file_seconds=5))
    read = parse_settings(document_of(recording), directory=tmp_path)
    assert set(read.redaction.headers) == {*DEFAULT_HEADERS, "x-user"}
    assert read.redaction.json_paths == ("$..password",)
    assert (read.side, read.url, read.capture.max_body_bytes) == (Side.MIRROR, "/recordings", 1024)
    assert (read.bounds.memory_bytes, read.roll.max_seconds) == (32 * 1024 * 1024, 5.0)
    (container,) = pod_of(recording)["containers"]
    assert [port["containerPort"] for port in container["ports"]] == [read.port, read.http_port]
    mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert container["args"] == [f"{mounted['settings']}/settings.json"]
    assert mounted["recordings"] == read.url


def test_descriptors_travel_beside_the_settings() -> None:
    rules = Redaction(protobuf_fields=["shop.v1.Order.card_number"], descriptor_set=b"\x0a\x00")
    config = recorded(**settings(redaction=rules)).one(CONFIG)
    name = json.loads(config.inputs["data"]["settings.json"])["redaction"]["descriptor_set"]
    assert base64.b64decode(config.inputs["binaryData"][name]) == b"\x0a\x00"


def test_the_pod_restarts_with_other_settings_only() -> None:
    def digest(**changes: Any) -> str:
        (value,) = recorded(**changes).one(DEPLOYMENT).input("spec.template.metadata.annotations").values()
        return value

    assert digest() == digest(metrics_namespaces=["monitoring"])
    assert digest() != digest(**settings(body_kib=1))


def test_everything_waits_for_a_namespace_that_is_given_as_a_component() -> None:
    def run() -> None:
        handle = mesh()
        tools = MeshNamespace("tools", MeshNamespaceArgs(cluster=handle.cluster, namespace="tools"))
        TrafficRecorder("recorder", TrafficRecorderArgs(mesh=handle, at=V2, image=IMAGE, namespace=tools))

    recording = run_program(run)
    for child in recording.children_of(recording.one(TrafficRecorder.TYPE)):
        assert "tools-namespace" in recording.names(child.depends_on), child.name


def test_an_image_that_is_known_late_is_checked_all_the_same() -> None:
    def run() -> None:
        image = pulumi.Output.from_input("registry.example/recorder:1")
        TrafficRecorder("recorder", TrafficRecorderArgs(mesh=mesh(), at=V2, image=image, namespace="tools"))

    assert "must have a digest" in str(refused(run, ValidationError).error)


def test_a_name_that_is_no_label_is_refused_before_anything_is_registered() -> None:
    def run() -> None:
        TrafficRecorder("My Recorder", TrafficRecorderArgs(mesh=mesh(), at=V2, image=IMAGE, namespace="tools"))

    refusal = refused(run, ValidationError)
    assert "name = 'My Recorder'" in str(refusal.error)
    assert not refusal.recording.of_type(TrafficRecorder.TYPE)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"at": "gateway"}, "at"),
        ({"image": "registry.example/recorder:1"}, "image"),
        ({"image": "registry.example/recorder:latest", "allow_tag": True}, "image"),
        ({"namespace": "My Tools"}, "namespace"),
        ({"settings": {}}, "settings"),
        ({"metrics_namespaces": ["ok", "*"]}, "metrics_namespaces[1]"),
    ],
)
def test_bad_arguments_are_refused(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        TrafficRecorderArgs(**{"mesh": NOWHERE, "at": V2, "image": IMAGE, "namespace": "tools", **changes})
    assert refusal.value.field == field


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: RecordedWorkload(namespace="hello", labels={}), "at.labels"),
        (lambda: RecordedWorkload(namespace="*", labels={"a": "b"}), "at.namespace"),
        (lambda: ScratchStorage(size_gib=0), "storage.size_gib"),
        (lambda: VolumeStorage(size_gib=cast("Any", 1.5)), "storage.size_gib"),
        (lambda: VolumeStorage(storage_class="no class"), "storage.storage_class"),
        (lambda: ObjectStorage(url="bucket/recordings"), "storage.url"),
        (lambda: ObjectStorage(url="gs:///recordings"), "storage.url"),
        (lambda: ObjectStorage(url="https://bucket/recordings"), "storage.url"),
        (lambda: ObjectStorage(url="gs://b", account_annotations={"no name": "x"}), "storage.account_annotations"),
        (lambda: Redaction(headers="authorization"), "headers"),
        (lambda: Redaction(headers=["no header"]), "headers[0]"),
        (lambda: Redaction(json_paths=["user.email"]), "json_paths[0]"),
        (lambda: Redaction(protobuf_fields=["card_number"], descriptor_set=b"x"), "protobuf_fields[0]"),
        (lambda: Redaction(protobuf_fields=["shop.Order.card"]), "protobuf_fields"),
        (lambda: Redaction(descriptor_set=b"x"), "descriptor_set"),
        (lambda: Redaction(protobuf_fields=["a.B.c"], descriptor_set=bytes(800 * 1024)), "descriptor_set"),
        (lambda: RecorderSettings(side=cast("Any", "shadow")), "side"),
        (lambda: RecorderSettings(storage=cast("Any", "gs://b")), "storage"),
        (lambda: RecorderSettings(sample_percent=0), "sample_percent"),
        (lambda: RecorderSettings(mark_header="no header"), "mark_header"),
        (lambda: RecorderSettings(body_kib=-1), "body_kib"),
        (lambda: RecorderSettings(file_seconds=0), "file_seconds"),
        (lambda: RecorderSettings(memory_mib=1), "memory_mib"),
        (lambda: RecorderSettings(access_log_headers=["accept"]), "access_log_headers"),
        (lambda: RecorderSettings(body_kib=0, access_log_headers=cast("Any", "accept")), "access_log_headers"),
        (lambda: RecorderSettings(body_kib=0, access_log_headers=["no header"]), "access_log_headers[0]"),
    ],
)
def test_bad_settings_are_refused(make: Callable[[], object], field: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        make()
    assert refusal.value.field.startswith(field)


@pytest.mark.parametrize(
    "url",
    ["s3://AKIA1:topsecret@bucket/x", "s3://bucket/x?secret_key=topsecret", "abfss://a:topsecret@account/x"],
)
def test_credentials_in_a_url_are_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(ValidationError, match="must not carry credentials") as refusal:
        ObjectStorage(url=url)
    assert "topsecret" not in str(refusal.value)
    assert ObjectStorage(url="abfss://container@account.dfs.core.windows.net/x").url
    assert ObjectStorage(url="s3://bucket/x?region=eu-west-1&endpoint_override=tokens.example").url


def test_the_gateway_of_another_cluster_is_refused() -> None:
    """Its filter would select pods that are not there, and record nothing."""

    def run() -> None:
        gateway = MeshGateway("gateway", MeshGatewayArgs(mesh=mesh(), servers=[client_server(["a.staging.example"])]))
        TrafficRecorderArgs(mesh=no_mesh("testing"), at=gateway, image=IMAGE, namespace="hello")

    refusal = refused(run, ValidationError, outputs=ADDRESS)
    assert "at = 'internal-gateway/internal-gateway in cluster': must be a gateway of the cluster 'testing'" in str(
        refusal.error
    )


def test_a_mesh_whose_proxies_cannot_be_told_to_report_is_refused() -> None:
    def record_there() -> None:
        handle = mesh(version="1.28.3-asm.4")
        TrafficRecorder("recorder", TrafficRecorderArgs(mesh=handle, at=V2, image=IMAGE, namespace="tools"))

    found = refused(record_there, ValidationError)
    assert "mesh.behaviour.patches = ['HTTP_FILTER']: must have CLUSTER" in str(found.error)
