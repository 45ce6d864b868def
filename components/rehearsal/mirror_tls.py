"""Certificates for mutual TLS between the two gateways, made anew for every rehearsal."""

from collections.abc import Mapping
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding

from .cluster.pki import Authority

AUTHORITY_NAME: Final = "traffic-mirror-rehearsal"

CLIENT_NAME: Final = "staging-gateway.traffic-mirror.example"
"""Name in the certificate of staging's gateway, the only one that testing's takes mirrors from."""


def make_mirror_tls(mirror_host: str) -> dict[str, Mapping[str, str]]:
    """Return certificate, key and authority in PEM for each stack, by its role.

    Args:
        mirror_host: Name under which staging knows testing's gateway; staging checks that the certificate has it.
    """
    authority = Authority(AUTHORITY_NAME)
    ca = authority.certificate.public_bytes(Encoding.PEM).decode()

    def side(common_name: str, *names: str) -> Mapping[str, str]:
        certificate, key = authority.issue(common_name, dns=names)
        return {"certificate": certificate.decode(), "key": key.decode(), "ca": ca}

    return {"staging": side("staging-gateway", CLIENT_NAME), "testing": side("testing-gateway", mirror_host)}
