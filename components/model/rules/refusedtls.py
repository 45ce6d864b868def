"""What of certificates is refused, and why: for listeners that end TLS, and for clients that begin it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from .nodes import UNKNOWN, Node, NotJudgedError
from .objects import KubeObject
from .refusednames import Refusals, filled, perhaps

_ENDING: Final = ("SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL")
"""Modes of TLS for which a listener needs a certificate."""

_MUTUAL: Final = ("MUTUAL", "OPTIONAL_MUTUAL")
_OWN: Final = (
    *("serverCertificate", "privateKey", "caCertificates"),
    *("tlsCertificates", "credentialName", "credentialNames"),
)
_BESIDE_CREDENTIAL: Final = ("clientCertificate", "caCertificates", "privateKey", "caCrl")
_VERIFYING: Final[Mapping[str, Sequence[str]]] = {
    "SIMPLE": ("caCertificates", "subjectAltNames", "credentialName"),
    "MUTUAL": ("caCertificates", "subjectAltNames"),
}
"""By which a server is verified, by mode."""

_CONFIG_MAP: Final = "configmap://"


def refused_server_tls(tls: Node) -> Refusals:
    """What is refused of the TLS of a listener, but for what its protocol asks."""
    mode = tls["mode"].text()
    if mode == "ISTIO_MUTUAL":
        for key in _OWN:
            if filled(tls[key]):
                yield tls[key], f"tls of mode ISTIO_MUTUAL has no {key}"
        return
    yield from _sources(tls)
    named = perhaps(tls["credentialName"]) or perhaps(tls["credentialNames"])
    if mode in _ENDING and named:
        return
    if mode in _MUTUAL and not perhaps(tls["caCertificates"]):
        yield tls, f"tls of mode {mode} needs caCertificates"
    if mode in _ENDING:
        for each in tls["tlsCertificates"].elements() or [tls]:
            if not (perhaps(each["serverCertificate"]) and perhaps(each["privateKey"])):
                yield each, f"tls of mode {mode} needs a certificate"
    if filled(tls["caCrl"]) and (mode == "SIMPLE" or filled(tls["credentialName"])):
        yield tls["caCrl"], "caCrl is for mode MUTUAL without credentialName"


def _sources(tls: Node) -> Refusals:
    """A certificate that comes from several places."""
    names = [key for key in ("credentialName", "credentialNames", "tlsCertificates") if filled(tls[key])]
    if filled(tls["serverCertificate"]) and filled(tls["privateKey"]):
        names.append("serverCertificate")
    if len(names) > 1:
        yield tls, f"{' and '.join(names)} exclude each other"
    elif tls["credentialNames"].given and tls["credentialName"].value == "":
        yield tls, "credentialName and credentialNames exclude each other"


def refused_client_tls(subject: KubeObject, tls: Node) -> Refusals:
    """What is refused of the TLS of a traffic policy."""
    mode, credential = tls["mode"].text(), tls["credentialName"]
    if credential.value is not UNKNOWN and credential.text().startswith(_CONFIG_MAP):
        yield from _config_map(subject, credential)
    if tls["insecureSkipVerify"].known is True:
        yield from _excluded(tls, _VERIFYING.get(mode, ()), "insecureSkipVerify")
    if mode in ("SIMPLE", "MUTUAL") and filled(credential):
        yield from _excluded(tls, _BESIDE_CREDENTIAL, "credentialName")
    elif mode == "MUTUAL" and not perhaps(credential):
        for key in ("clientCertificate", "privateKey"):
            if not perhaps(tls[key]):
                yield tls, f"tls of mode MUTUAL needs {key}"


def _excluded(tls: Node, keys: Iterable[str], other: str) -> Refusals:
    for key in keys:
        if filled(tls[key]):
            yield tls[key], f"{key} and {other} exclude each other"


def _config_map(subject: KubeObject, credential: Node) -> Refusals:
    if subject.unknown_namespace:
        raise NotJudgedError(subject.unknown_namespace)
    namespace, _, name = credential.text().removeprefix(_CONFIG_MAP).partition("/")
    if namespace != subject.namespace or not name.partition("/")[0]:
        yield credential, "a ConfigMap is named as configmap://namespace/name, with the object's own namespace"
