"""One istiod: its version, its settings, and what they mean for mirrors."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from ..argument_types import check_types
from ..model import IstioBehaviour, IstioVersion, JsonObject, JsonValue, ValidationError
from .charts import IstioCharts, check_release_name, merged, section
from .handle import check_revision, compatibility_line
from .size import ImagePullPolicy, Size

DEFAULT_VERSION: Final = "1.31.0"
"""Newest Istio whose behaviour the model knows."""

IMAGE_HUB: Final = "docker.io/istio"
"""All of Istio's images. The hubs that older charts name, registry.istio.io and gcr.io, are removed in December 2026.
Source: istio.io/latest/blog/2026/retirement-of-gcp."""

SHADOW_SWITCH: Final = "DISABLE_SHADOW_HOST_SUFFIX"
"""istiod's environment variable for the authority of mirrors. Source: Istio 1.28 upgrade notes."""

_SPREAD_OVER_NODES: Final[JsonObject] = {
    "podAntiAffinity": {
        "preferredDuringSchedulingIgnoredDuringExecution": [
            {
                "weight": 100,
                "podAffinityTerm": {
                    "topologyKey": "kubernetes.io/hostname",
                    "labelSelector": {"matchLabels": {"app": "istiod"}},
                },
            }
        ]
    }
}
"""Preferred, not required: with one node left, two istiods on it are better than one."""

_SIZES: Final[dict[Size, JsonObject]] = {
    # With two replicas the chart adds a PodDisruptionBudget that keeps one.
    Size.PRODUCTION: {
        "autoscaleEnabled": True,
        "autoscaleMin": 2,
        "autoscaleMax": 5,
        "affinity": _SPREAD_OVER_NODES,
    },
    # Measured on an otherwise empty cluster: istiod needs about 100 MiB, a proxy about 40 MiB.
    Size.SMALL: {
        "autoscaleEnabled": False,
        "replicaCount": 1,
        "resources": {"requests": {"cpu": "50m", "memory": "256Mi"}},
        "global": {"proxy": {"resources": {"requests": {"cpu": "10m", "memory": "40Mi"}}}},
    },
}

_HARDENED: Final[JsonObject] = {
    # The chart leaves it to the node, whose default is often no filter at all; "restricted" pods need it.
    "seccompProfile": {"type": "RuntimeDefault"},
    "global": {"proxy": {"seccompProfile": {"type": "RuntimeDefault"}}},
}

_PROMPT: Final[JsonObject] = {
    # The chart looks every 15 s, and from the start: a proxy that has its configuration a moment later stands idle for
    # the rest of the 15 s, and every rollout with it. A proxy that fails is given up after a minute, as with the chart.
    "global": {"proxy": {"readinessPeriodSeconds": 2, "readinessFailureThreshold": 30}},
}


@dataclass(frozen=True, kw_only=True)
class SharedSettings:
    """What all revisions of one control plane have in common."""

    namespace: str
    hub: str | None
    image_pull_policy: ImagePullPolicy | None
    cni: bool
    size: Size
    values: Mapping[str, JsonValue]


@dataclass(frozen=True, kw_only=True)
class IstiodRevision:
    """One istiod.

    Raises:
        ValidationError: A version is unknown, or a name is malformed.
    """

    version: str = DEFAULT_VERSION
    """Version of charts and images, e.g. ``"1.31.0"``."""

    revision: str = ""
    """Name of the revision, a DNS label; part of object names in the cluster. Empty is the unnamed revision, which
    serves namespaces labelled ``istio-injection=enabled``. Only named revisions can later run side by side."""

    charts: IstioCharts = field(default_factory=IstioCharts)
    """Source of the charts."""

    tag: str | None = None
    """Tag of the images; None is the version."""

    compatibility_version: str | None = None
    """Release line to behave like, e.g. ``"1.27"``, older than :attr:`version`. Decides the authority of mirrors.
    Source: istio.io/latest/docs/setup/additional-setup/compatibility-versions."""

    env: Mapping[str, str] = field(default_factory=dict[str, str])
    """istiod's environment, e.g. ``{"DISABLE_SHADOW_HOST_SUFFIX": "false"}``."""

    mesh_config: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    """Istio's MeshConfig, e.g. ``{"accessLogFile": "/dev/stdout"}``."""

    values: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    """More Helm values of the chart ``istiod``, plain JSON. Arguments of their own win over them, and they win over
    this library's defaults."""

    def __post_init__(self) -> None:
        check_types(self)
        check_revision(self.revision, field="revision")
        check_release_name(self.release_name, field="revision", value=self.revision)
        if self.revision == "default":
            raise ValidationError(
                field="revision",
                value=self.revision,
                rule="must not be 'default', which is how Istio calls the unnamed revision",
                remedy="Leave it empty, or choose another name",
            )
        _ = self.behaviour({})

    @property
    def istio_version(self) -> IstioVersion:
        """The version, to compare."""
        return IstioVersion.parse(self.version, field="version")

    @property
    def release_name(self) -> str:
        """Name of the Helm release, of istiod's Deployment and of its Service."""
        return f"istiod-{self.revision}" if self.revision else "istiod"

    def behaviour(self, shared: Mapping[str, JsonValue]) -> IstioBehaviour:
        """What decides how mirrors look, whether it was set by argument or in Helm values.

        Args:
            shared: Helm values of all revisions.

        Raises:
            ValidationError: A version is unknown or not older, or the environment's switch is no boolean.
        """
        values = self._given(shared)
        compatibility = values.get("compatibilityVersion")
        line = compatibility_line(str(compatibility)) if compatibility else None
        version = self.istio_version
        if line and not (line.major, line.minor) < (version.major, version.minor):
            raise ValidationError(
                field="compatibility_version",
                value=str(compatibility),
                rule=f"must be older than the version {version}",
                remedy="Leave it out, or name an older release line",
            )
        return IstioBehaviour(
            version=version,
            compatibility_version=line,
            disable_shadow_host_suffix=_switch(section(values, "env").get(SHADOW_SWITCH)),
        )

    def helm_values(self, shared: SharedSettings) -> JsonObject:
        """Values of the chart ``istiod``.

        Args:
            shared: Settings of all revisions.
        """
        images: JsonObject = {
            "global": {"hub": IMAGE_HUB, "tag": self.tag or self.version, "istioNamespace": shared.namespace}
        }
        typed: JsonObject = {"global": {}}
        if shared.hub:
            typed = merged(typed, {"global": {"hub": shared.hub}})
        if self.tag:
            typed = merged(typed, {"global": {"tag": self.tag}})
        if shared.image_pull_policy:
            typed = merged(typed, {"global": {"imagePullPolicy": shared.image_pull_policy.value}})
        if shared.cni:
            typed["cni"] = {"enabled": True}
        if self.revision:
            typed["revision"] = self.revision
        given = self._given(shared.values)
        return {
            key: value
            for key, value in merged(_HARDENED, _PROMPT, _SIZES[shared.size], images, given, typed).items()
            if value not in ({}, "")
        }

    def _given(self, shared: Mapping[str, JsonValue]) -> JsonObject:
        """What the caller set, in order of precedence."""
        typed: JsonObject = {}
        if self.compatibility_version:
            typed["compatibilityVersion"] = self.compatibility_version
        if self.env:
            typed["env"] = dict(self.env)
        if self.mesh_config:
            typed["meshConfig"] = dict(self.mesh_config)
        # The chart accepts its values below `pilot` too, where they win over those beside it.
        lifted = [_without_prefix(layer) for layer in (shared, self.values)]
        return merged(*lifted, typed)


def _without_prefix(values: Mapping[str, JsonValue]) -> JsonObject:
    return merged({key: value for key, value in values.items() if key != "pilot"}, section(values, "pilot"))


def _switch(value: JsonValue) -> bool | None:
    """Read a boolean as istiod does (Go's ``strconv.ParseBool``)."""
    if value is None:
        return None
    text = str(value)
    if text in ("1", "t", "T", "TRUE", "true", "True"):
        return True
    if text in ("0", "f", "F", "FALSE", "false", "False"):
        return False
    raise ValidationError(
        field=f"env.{SHADOW_SWITCH}", value=value, rule="must be a boolean", remedy="Write 'true' or 'false'"
    )
