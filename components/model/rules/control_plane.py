"""How a control plane behaves, read from its own Deployment."""

from typing import Final

from ..errors import ValidationError
from ..istio import IstioBehaviour, IstioVersion
from .managed import REVISION
from .nodes import Node, NotJudgedError
from .objects import KubeObject

SUFFIX_SWITCH = "DISABLE_SHADOW_HOST_SUFFIX"
"""istiod's environment variable that decides about ``-shadow``; a compatibility version of its chart sets it too."""


DEFAULT_REVISION: Final = "default"
"""What istiod's Deployment has as label ``istio.io/rev`` where it has no revision. Source: Istio's chart ``istiod``."""


def is_istiod(workload: KubeObject) -> bool:
    """Whether a workload is a control plane."""
    try:
        return is_control_plane(workload.root)
    except NotJudgedError:
        return False


def is_control_plane(root: Node) -> bool:
    """Whether an object is istiod's Deployment, as Istio's chart labels it.

    Raises:
        NotJudgedError: That is not known yet.
    """
    return root["kind"].value == "Deployment" and root["metadata"]["labels"]["app"].text() == "istiod"


def revision_of(istiod: Node) -> str:
    """The revision of a control plane.

    Raises:
        NotJudgedError: It is not known yet.
    """
    return istiod["metadata"]["labels"][REVISION].text(DEFAULT_REVISION)


def control_plane_of(workload: KubeObject) -> IstioBehaviour | None:
    """Behaviour of the control plane that ``workload`` is; None when it is none, or of a release nobody knows here."""
    try:
        if not is_istiod(workload):
            return None
        for container in workload.spec["template"]["spec"]["containers"].elements():
            tag = container["image"].text().partition("@")[0].rpartition(":")[2].removeprefix("v")
            switches = [
                node["value"].text() for node in container["env"].elements() if node["name"].text() == SUFFIX_SWITCH
            ]
            disabled = switches[0].lower() not in ("false", "0", "f") if switches and switches[0] else None
            try:
                return IstioBehaviour(version=IstioVersion.parse(tag), disable_shadow_host_suffix=disabled)
            except ValidationError:
                continue
    except NotJudgedError:
        pass
    return None
