"""What a stack says about the control planes that it installs."""

from typing import Final

from pulumi_traffic_mirror.model import IstioBehaviour, IstioVersion, ValidationError
from pulumi_traffic_mirror.model.rules import UNKNOWN, Node, NotJudgedError

from .resources import Resource

CHARTS: Final = ("kubernetes:helm.sh/v3:Release", "kubernetes:helm.sh/v4:Chart")
SUFFIX_SWITCH: Final = "DISABLE_SHADOW_HOST_SUFFIX"


def chart_name(resource: Resource) -> str:
    """Name of the chart that a resource installs, whether it is given by name, path or address; else empty."""
    return resource.props["chart"].text().rstrip("/").rpartition("/")[2] if resource.type in CHARTS else ""


def is_istiod(resource: Resource) -> bool:
    """Whether the resource installs a control plane, or may do so."""
    try:
        return chart_name(resource) == "istiod"
    except NotJudgedError:
        return True


def unknown_behaviour(resource: Resource) -> list[str]:
    """What is not known yet of that which :func:`istio_of` reads."""
    props = resource.props
    if props.value is UNKNOWN:
        return [props.path]
    return [props[key].path for key in ("chart", "version", "values") if props[key].value is UNKNOWN]


def istio_of(resource: Resource) -> IstioBehaviour | None:
    """How a control plane behaves; None where that is not known yet or is none that the model knows."""
    values = resource.props["values"]
    try:
        version = IstioVersion.parse(resource.props["version"].text() or values["global"]["tag"].text())
        line = values["compatibilityVersion"].text()
        return IstioBehaviour(
            version=version,
            compatibility_version=IstioVersion.parse(line) if line else None,
            disable_shadow_host_suffix=_switch(values),
        )
    except (NotJudgedError, ValidationError):
        return None


def _switch(values: Node) -> bool | None:
    for env in (values["env"], values["pilot"]["env"]):
        if env[SUFFIX_SWITCH].given:
            return str(env[SUFFIX_SWITCH].known).lower() == "true"
    return None
