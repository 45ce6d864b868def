"""Certificates and secrets of one cluster, made anew for every stage and never shown."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ..machine.files import write_secret

_LIFETIME = timedelta(days=30)
"""A stage lives for minutes, a kept one for days."""

_BACKDATED = timedelta(days=1)
"""So that a clock which is set back while the stage runs does no harm."""

_CERTIFICATE_SIGNING = x509.KeyUsage(
    digital_signature=True,
    key_cert_sign=True,
    crl_sign=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)


@dataclass(frozen=True, kw_only=True)
class ClusterSecrets:
    """Files of one cluster's identity, readable by root only, and the token of its administrator."""

    folder: Path
    token: str
    """Bearer token with all rights; belongs into a kubeconfig and nowhere else."""

    @property
    def authority(self) -> Path:
        """Certificate of the cluster's authority."""
        return self.folder / "ca.crt"

    @property
    def authority_key(self) -> Path:
        """Key of the cluster's authority."""
        return self.folder / "ca.key"

    @property
    def tokens(self) -> Path:
        """Token file of the API server."""
        return self.folder / "tokens.csv"

    @property
    def service_account_verifier(self) -> Path:
        """Public key that tokens of service accounts are checked with."""
        return self.folder / "service-accounts.pub"

    def certificate(self, name: str) -> Path:
        """Return the certificate `name`: ``"apiserver"``, ``"kubelet"`` or ``"kubelet-client"``."""
        return self.folder / f"{name}.crt"

    def key(self, name: str) -> Path:
        """Return the key of a certificate, or of ``"service-accounts"``."""
        return self.folder / f"{name}.key"


class Authority:
    """Signs certificates for one cluster."""

    def __init__(self, common_name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(common_name)
        self.certificate = (
            _builder(self._name, self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_CERTIFICATE_SIGNING, critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.key_pem = _pem(self._key)

    def issue(
        self, common_name: str, *, group: str = "", dns: Sequence[str] = (), addresses: Sequence[IPv4Address] = ()
    ) -> tuple[bytes, bytes]:
        """Return certificate and key in PEM form, for both sides of a connection."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.DNSName(name) for name in dns] + [x509.IPAddress(address) for address in addresses]
        both_sides = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        # Python 3.13 verifies strictly: it wants the key identifiers and the key usage of the authority.
        own_identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = (
            _builder(_name(common_name, group), self._name, key.public_key())
            .add_extension(x509.ExtendedKeyUsage(both_sides), critical=False)
            .add_extension(own_identifier, critical=False)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        return certificate.public_bytes(serialization.Encoding.PEM), _pem(key)


def make_secrets(
    folder: Path, *, role: str, node_name: str, node: IPv4Address, api_service: IPv4Address
) -> ClusterSecrets:
    """Make the authority, certificates, keys and token of one cluster.

    Args:
        folder: Receives the files, each readable by its owner only.
        role: Names the authority.
        node_name: Name of the Node object, for the kubelet's certificate.
        node: Address of the node and of the API server.
        api_service: Cluster address of the Service `kubernetes`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    made = ClusterSecrets(folder=folder, token=secrets.token_urlsafe(32))
    authority = Authority(f"traffic-mirror-stage-{role}")
    write_secret(made.authority, authority.certificate.public_bytes(serialization.Encoding.PEM))
    write_secret(made.authority_key, authority.key_pem)
    service = ("kubernetes", "kubernetes.default", "kubernetes.default.svc")
    issued = {
        "apiserver": authority.issue(
            "kube-apiserver",
            dns=(*service, f"{service[-1]}.cluster.local", "localhost"),
            addresses=(IPv4Address("127.0.0.1"), node, api_service),
        ),
        "kubelet": authority.issue(node_name, dns=(node_name,), addresses=(node,)),
        "kubelet-client": authority.issue("kube-apiserver-kubelet-client", group="system:masters"),
    }
    for name, (certificate, key) in issued.items():
        write_secret(made.certificate(name), certificate)
        write_secret(made.key(name), key)
    service_accounts = ec.generate_private_key(ec.SECP256R1())
    write_secret(made.key("service-accounts"), _pem(service_accounts))
    write_secret(made.service_account_verifier, _public_pem(service_accounts))
    write_secret(made.tokens, f"{made.token},admin,1,system:masters\n".encode())
    return made


def _name(common_name: str, group: str = "") -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if group:
        attributes.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, group))
    return x509.Name(attributes)


def _builder(subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _public_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
