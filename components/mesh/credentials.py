"""Certificates of gateways, as Secrets that Istio reads."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import pulumi
import pulumi_kubernetes as k8s

from ..argument_types import check_types, known_text
from ..clock import utc_now
from ..model import DnsLabel, GatewayServer, TlsMode, ValidationError
from ..refusal import late

EXPIRY_WARNING: Final = timedelta(days=21)
"""Certificates that live 90 days are commonly renewed at 30 days left, so at 21 something has failed."""


@dataclass(frozen=True, kw_only=True)
class TlsCredential:
    """PEM texts for one Secret in a gateway's namespace.

    A listener needs certificate and key, and with mutual TLS also the CA of its clients. A gateway that calls another
    one, as staging's does for mirrors, needs the CA of the other side, and with mutual TLS its own certificate and key.

    Raises:
        ValidationError: The name is malformed, nothing is given, only one of certificate and key is, or the
            certificate is unreadable or has expired: of an Output as soon as its value is known.
    """

    name: str
    """Name of the Secret; servers and mirrors refer to it as ``credential``."""

    certificate: pulumi.Input[str] | None = None
    """Certificate chain. Its end is checked when the package ``cryptography`` is there."""

    key: pulumi.Input[str] | None = field(default=None, repr=False)
    """Private key of the certificate."""

    ca: pulumi.Input[str] | None = None
    """Certificates that the other side's must descend from."""

    now: datetime = field(default_factory=utc_now)
    """Time that the certificate's end is held against. Default the current time, in UTC."""

    def __post_init__(self) -> None:
        check_types(self)
        DnsLabel(self.name, field="name")
        if (self.certificate is None) != (self.key is None):
            raise ValidationError(
                field="key" if self.key is None else "certificate",
                value=None,
                rule="must be given together with the other one",
                remedy="Give certificate and key, or only the ca",
            )
        if self.certificate is None and self.ca is None:
            raise ValidationError(
                field="certificate", value=None, rule="must be given, or the ca", remedy="Give the PEM texts"
            )
        for part in ("certificate", "key", "ca"):
            if getattr(self, part) == "":
                raise ValidationError(
                    field=part, value="", rule="must not be empty", remedy="Give the PEM text, or leave it out"
                )
        if isinstance(self.certificate, str):
            self._require_valid(self.certificate)

    def _require_valid(self, pem: str) -> str:
        ends = certificate_end(pem)
        if ends is not None and ends <= self.now:
            raise ValidationError(
                field="certificate",
                value=f"valid until {ends:%Y-%m-%dT%H:%M:%SZ}",
                rule=f"must not have expired (it is {self.now:%Y-%m-%dT%H:%M:%SZ})",
                remedy="Renew it",
            )
        return pem

    def register(self, name: str, namespace: str, opts: pulumi.ResourceOptions) -> k8s.core.v1.Secret:
        """Register the Secret, under the keys that Istio looks for.

        Args:
            name: Pulumi name.
            namespace: The gateway's namespace.
            opts: Parent, provider and dependencies.
        """
        parts = {"tls.crt": "certificate", "tls.key": "key", "ca.crt": "ca"}
        data = {key: self._data(part) for key, part in parts.items() if getattr(self, part) is not None}
        return k8s.core.v1.Secret(
            name,
            metadata=k8s.meta.v1.ObjectMetaArgs(name=self.name, namespace=namespace),
            # Not kubernetes.io/tls, which cannot hold a ca alone, and a Secret's type is immutable.
            type="Opaque",
            data=data,
            opts=opts,
        )

    def _data(self, part: str) -> pulumi.Output[str]:
        def encode(given: object) -> str:
            text = known_text(given, field=f"{self.name}.{part}")
            return base64.b64encode((self._require_valid(text) if part == "certificate" else text).encode()).decode()

        return pulumi.Output.secret(getattr(self, part)).apply(late(encode))

    def warn_of_end(self, resource: pulumi.Resource) -> None:
        """Log a warning on ``resource`` when the certificate ends soon, as soon as it is known."""

        def warn(pem: object) -> None:
            # What is no certificate is refused where it becomes part of the Secret.
            ends = certificate_end(pem) if isinstance(pem, str) else None
            if ends is not None and ends - self.now < EXPIRY_WARNING:
                pulumi.log.warn(f"The certificate {self.name} ends on {ends:%Y-%m-%d}; renew it", resource)

        if self.certificate is not None:
            pulumi.Output.from_input(self.certificate).apply(warn)


def certificate_end(pem: str) -> datetime | None:
    """When the first certificate of ``pem`` ends; None without the package ``cryptography``, which is an extra.

    Raises:
        ValidationError: There is no readable certificate in it.
    """
    try:
        from cryptography import x509  # noqa: PLC0415 -- optional, and only wanted here
    except ImportError:
        return None
    try:
        return x509.load_pem_x509_certificates(pem.encode())[0].not_valid_after_utc
    except ValueError:
        raise ValidationError(
            field="certificate",
            value="(unreadable)",
            rule="must be a PEM text with a certificate",
            remedy="Give the file's content, beginning with '-----BEGIN CERTIFICATE-----'",
        ) from None


def check_credentials(servers: Sequence[GatewayServer], credentials: Sequence[TlsCredential]) -> None:
    """Check that each given credential is named once and holds what its listeners need.

    A credential that is only named by a server is somebody else's Secret and not checked.

    Raises:
        ValidationError: Any of these does not hold.
    """
    names = [credential.name for credential in credentials]
    for index, credential in enumerate(credentials):
        if credential.name in names[:index]:
            raise ValidationError(
                field=f"credentials[{index}].name", value=credential.name, rule="must not repeat", remedy="Rename it"
            )
    given = {credential.name: credential for credential in credentials}
    for index, server in enumerate(servers):
        credential = given.get(server.credential)
        if credential is None or server.tls is None:
            continue
        missing = "certificate" if credential.certificate is None else ""
        if server.tls is TlsMode.MUTUAL and credential.ca is None:
            missing = "ca"
        if missing:
            raise ValidationError(
                field=f"servers[{index}].credential",
                value=server.credential,
                rule=f"must have a {missing} for {server.tls.value} TLS",
                remedy=f"Give the credential's {missing}",
            )
