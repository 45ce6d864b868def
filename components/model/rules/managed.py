"""What tells that Google manages a cluster's control plane, where no istiod runs in the cluster.

Namespaces need not name a revision there: ``istio-injection=enabled`` does as well, and then other objects tell.
"""

import re
from typing import Final

from ..istio import MANAGED_REVISIONS, known_patches
from .nodes import Node, NotJudgedError

REVISION: Final = "istio.io/rev"
"""Label of a namespace: the revision of the control plane that its pods belong to; of other objects: which one alone
reads them. Source: Istio's ``config.LabelsInRevision``."""

PROXIES: Final = "mesh.cloud.google.com/proxy"
"""Annotation of a namespace: whether its proxies are restarted when the managed control plane is upgraded.
Source: docs.cloud.google.com/service-mesh/docs/operate-and-maintain/managed-data-plane."""

PROXY_CONTROLLER: Final = ("kube-system", "mdp-controller")
"""Deployment that every managed mesh has, with either implementation of the control plane.
Source: docs.cloud.google.com/service-mesh/docs/onboarding/provision-control-plane."""

_NAMED: Final = {
    "ConfigMap": re.compile(rf"istio-({'|'.join(MANAGED_REVISIONS)})"),
    "ControlPlaneRevision": re.compile("|".join(MANAGED_REVISIONS)),
    "MutatingWebhookConfiguration": re.compile(rf"istiod-({'|'.join(MANAGED_REVISIONS)})"),
}
"""Names of the objects of each channel. Sources: for ConfigMaps
docs.cloud.google.com/service-mesh/docs/enable-optional-features-managed, for the others what asmcli of
github.com/GoogleCloudPlatform/anthos-service-mesh-packages applies and looks for."""


def managed_sign(root: Node) -> str:
    """An object that only managed Cloud Service Mesh has, in words; empty for any other object."""
    try:
        return _sign(root)
    except NotJudgedError:
        return ""


def _sign(root: Node) -> str:
    kind, metadata = root["kind"].text(), root["metadata"]
    if kind == "Namespace":
        revision = metadata["labels"][REVISION].text()
        if known_patches("", revision) is not None:
            return f"{REVISION} {revision} of Namespace {metadata['name'].text()}"
        return f"{PROXIES} of Namespace {metadata['name'].text()}" if metadata["annotations"][PROXIES].given else ""
    if kind == "Deployment":
        place = metadata["namespace"].text(), metadata["name"].text()
        return f"Deployment {'/'.join(place)}" if place == PROXY_CONTROLLER else ""
    if kind in _NAMED and _NAMED[kind].fullmatch(metadata["name"].text()):
        return f"{kind} {metadata['name'].text()}"
    return ""
