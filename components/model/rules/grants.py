"""What references of the Gateway API to other namespaces are granted there.

Written after buildTLS and ReferenceGrantsCollection of Istio's pilot, and held against istiod itself.
"""

from typing import Final

from ..render.gateway_api import TERMINATE_MODE
from .clusters import ClusterObjects
from .gateways import Listener
from .nodes import Node
from .objects import GATEWAY_GROUP, KubeObject

_CORE: Final = frozenset({"Service", "Secret"})
"""Kinds of which a grant must say that they are of the group without a name."""

_OWN_CERTIFICATE: Final = frozenset({"ISTIO_SIMPLE", "ISTIO_MUTUAL"})
"""Modes of TLS in which a listener has the certificate of its own pods."""

_TERMINATING: Final = frozenset({"", "Terminate"})
_MOST: Final = 2
"""Certificates that a listener may have."""


def is_granted(cluster: ClusterObjects, source: KubeObject, kind: str, name: str, namespace: str) -> bool:
    """Whether an object may refer to one of a namespace: its own, or where a ReferenceGrant says so.

    Raises:
        NotJudgedError: None of the grants at hand does, and one's namespace is not known yet.
    """
    if namespace == source.namespace:
        return True
    near = (each for each in cluster.of("ReferenceGrant") if each.namespace == namespace)
    if any(_grants(each, source, kind, name) for each in near if not cluster.is_refused(each)):
        return True
    for unknown in cluster.homeless("ReferenceGrant"):
        raise unknown
    return False


def _grants(grant: KubeObject, source: KubeObject, kind: str, name: str) -> bool:
    given = [
        (node["kind"].text(), node["group"].text(), node["namespace"].text()) for node in grant.spec["from"].elements()
    ]
    named = [
        (node["kind"].text(), node["name"].text(name))
        for node in grant.spec["to"].elements()
        if kind not in _CORE or not node["group"].text()
    ]
    return (source.written_kind, GATEWAY_GROUP, source.namespace) in given and (kind, name) in named


def without_certificate(cluster: ClusterObjects, listener: Listener) -> str:
    """Why Istio opens no listener of the Gateway API, for want of a certificate; empty where it does.

    The Secrets themselves count as there. Nothing is said where not all of a cluster is at hand.

    Raises:
        NotJudgedError: See :func:`is_granted`.
    """
    tls = listener.node["tls"]
    if listener.source.kind == "Gateway" or not cluster.complete or tls["mode"].text() not in _TERMINATING:
        return ""
    named = tls["certificateRefs"].elements()
    if not named or tls["options"][TERMINATE_MODE].text() in _OWN_CERTIFICATE:
        return ""
    if len(named) > _MOST:
        return f"it names {len(named)} certificates, and {_MOST} are the most"
    reasons = [_unusable(cluster, listener.source, each) for each in named]
    return reasons[0] if all(reasons) else ""


def _unusable(cluster: ClusterObjects, source: KubeObject, named: Node) -> str:
    kind, name = named["kind"].text("Secret"), named["name"].text()
    if kind != "Secret" or named["group"].text():
        return f"{named.path} names a {kind}, and only a Secret is a certificate"
    namespace = named["namespace"].text(source.namespace)
    if is_granted(cluster, source, kind, name, namespace):
        return ""
    asking = f"{source.written_kind}s of {source.namespace}"
    return f"no ReferenceGrant in {namespace} lets {asking} refer to Secret {name}"
