"""Certificates of a gateway: as Secrets, held against their end, and never shown."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pulumi
import pulumi_kubernetes as k8s
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from pulumi_traffic_mirror.clusters import ClusterHandle
from pulumi_traffic_mirror.mesh import ExistingIstio, MeshGateway, MeshGatewayArgs, MeshHandle, TlsCredential
from pulumi_traffic_mirror.model import GatewayServer, TlsMode, ValidationError
from tests.support.handles import PRIVATE, no_mesh
from tests.support.recording import Secret, refused, run_program

SECRET = "kubernetes:core/v1:Secret"
GATEWAY = "kubernetes:networking.istio.io/v1:Gateway"
OUTPUTS = {"kubernetes:core/v1:Service": {"status": {"loadBalancer": {"ingress": [{"ip": "198.18.0.10"}]}}}}
HOST = "grpc-hello.staging.example"
TLS = GatewayServer(hosts=[HOST], tls=TlsMode.MUTUAL, credential="edge")
NOW = datetime(2026, 11, 23, tzinfo=UTC)


def mesh() -> MeshHandle:
    provider = k8s.Provider("staging-provider")
    cluster = ClusterHandle(name="staging", provider=provider, platform=PRIVATE)
    return ExistingIstio(cluster=cluster, version="1.31.0").handle


def plain_mesh() -> MeshHandle:
    """For arguments that are refused before a cluster matters."""
    return no_mesh()


def certificate(ends: datetime) -> str:
    """A self-signed certificate without any use but its end."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(ends - timedelta(days=90))
        .not_valid_after(ends)
    )
    return built.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


@pytest.mark.parametrize("preview", [False, True])
def test_certificates_become_secrets_that_the_gateway_object_waits_for(preview: bool) -> None:
    pem = certificate(NOW + timedelta(days=60))

    def program() -> None:
        credential = TlsCredential(
            name="edge",
            certificate=pulumi.Output.from_input(pem),
            key=pulumi.Output.secret("key"),
            ca="authority",
            now=NOW,
        )
        server = GatewayServer(hosts=[HOST], tls=TlsMode.MUTUAL, credential="edge")
        arguments = MeshGatewayArgs(mesh=mesh(), servers=[server], credentials=[credential])
        MeshGateway("gateway", arguments)

    recording = run_program(
        program,
        preview=preview,
        top_level={"staging-provider"},
        outputs=OUTPUTS,
    )
    secret = recording.one(SECRET, "gateway-credential-edge")
    assert secret.inputs["metadata"] == {"name": "edge", "namespace": "internal-gateway"}
    data = secret.inputs["data"]
    given = data.value if isinstance(data, Secret) else {key: item.value for key, item in data.items()}
    assert {key: base64.b64decode(text).decode() for key, text in given.items()} == {
        "tls.crt": pem,
        "tls.key": "key",
        "ca.crt": "authority",
    }
    assert base64.b64encode(b"authority").decode() not in repr(recording.snapshot())
    assert "gateway-credential-edge" in recording.names(recording.one(GATEWAY).depends_on)


def test_mutual_tls_needs_the_clients_authority() -> None:
    ends = NOW + timedelta(days=60)
    credential = TlsCredential(name="edge", certificate=certificate(ends), key="key", now=NOW)
    with pytest.raises(ValidationError, match="must have a ca for MUTUAL"):
        MeshGatewayArgs(mesh=plain_mesh(), servers=[TLS], credentials=[credential])


def test_an_expired_or_unreadable_certificate_is_refused_before_anything_is_made() -> None:
    with pytest.raises(ValidationError, match="must not have expired"):
        TlsCredential(name="edge", certificate=certificate(NOW), key="key", now=NOW)
    with pytest.raises(ValidationError, match="PEM text") as refusal:
        TlsCredential(name="edge", certificate="not a certificate", key="private", now=NOW)
    assert "not a certificate" not in str(refusal.value)


@pytest.mark.parametrize("preview", [False, True])
@pytest.mark.parametrize("days", [0, None])
def test_a_certificate_that_is_known_late_is_held_to_the_same(days: int | None, preview: bool) -> None:
    pem = "not a certificate" if days is None else certificate(NOW + timedelta(days=days))

    def program() -> None:
        credential = TlsCredential(name="edge", certificate=pulumi.Output.secret(pem), key="key", now=NOW)
        server = GatewayServer(hosts=[HOST], tls=TlsMode.SIMPLE, credential="edge")
        MeshGateway("gateway", MeshGatewayArgs(mesh=mesh(), servers=[server], credentials=[credential]))

    refusal = refused(program, ValidationError, preview=preview, outputs=OUTPUTS)
    assert ("PEM text" if days is None else "must not have expired") in str(refusal.error)
    assert pem not in str(refusal.error)


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"name": "Edge", "ca": "x"}, "name"),
        ({"name": "edge"}, "certificate"),
        ({"name": "edge", "key": "x"}, "certificate"),
        ({"name": "edge", "certificate": "x"}, "key"),
    ],
)
def test_an_incomplete_credential_is_refused(arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        TlsCredential(**arguments)
    assert refusal.value.field == field


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(("days", "warned"), [(5, True), (60, False)])
def test_a_certificate_that_ends_soon_is_warned_about(days: int, warned: bool, late: bool) -> None:
    pem = certificate(NOW + timedelta(days=days))

    def program() -> None:
        given = pulumi.Output.secret(pem) if late else pem
        credential = TlsCredential(name="edge", certificate=given, key="key", now=NOW)
        server = GatewayServer(hosts=[HOST], tls=TlsMode.SIMPLE, credential="edge")
        MeshGateway("gateway", MeshGatewayArgs(mesh=mesh(), servers=[server], credentials=[credential]))

    logs = run_program(program, top_level={"staging-provider"}, outputs=OUTPUTS).logs
    assert any("ends on" in line.message and line.severity == "WARNING" for line in logs) is warned


def test_a_key_does_not_show_in_the_credential_s_text() -> None:
    ends = NOW + timedelta(days=60)
    assert "private" not in repr(TlsCredential(name="edge", certificate=certificate(ends), key="private", now=NOW))
