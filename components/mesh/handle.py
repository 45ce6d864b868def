"""What the rest of the library knows about a control plane, however it came to be."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import pulumi

from ..argument_types import HandleOf, check_types
from ..clusters import ClusterHandle
from ..model import DnsLabel, IstioBehaviour, IstioVersion, ValidationError
from ..model.istio import known_patches
from .charts import IstioCharts
from .size import ImagePullPolicy

ROOT_NAMESPACE: Final = "istio-system"
"""Where Istio's charts and documentation put the control plane."""


@dataclass(frozen=True, kw_only=True)
class MeshHandle:
    """A control plane to put Istio objects before; it is ``IstioControlPlane.handle`` or ``ExistingIstio.handle``.

    Raises:
        ValidationError: A value has a wrong type.
    """

    cluster: HandleOf[ClusterHandle]
    """Cluster that it runs in."""

    behaviour: IstioBehaviour
    """What decides how mirrors look: version, compatibility version, environment."""

    root_namespace: str = ROOT_NAMESPACE
    """Namespace of the control plane; an EnvoyFilter there applies to every proxy."""

    revision: str = ""
    """Revision or revision tag that proxies ask for; empty for the unnamed revision."""

    serving_revision: str = ""
    """Revision behind :attr:`revision`; the same unless that is a tag."""

    chart_version: str = ""
    """Version of the charts of this release, for gateways."""

    charts: IstioCharts = field(default_factory=IstioCharts)
    """Source of the charts, for gateways."""

    image_pull_policy: ImagePullPolicy | None = None
    """Of proxies; None leaves it to Kubernetes."""

    cni: bool = False
    """Whether istio-cni redirects traffic. Without it every injected pod has an init container that changes the
    pod's packet filter and so needs NET_ADMIN and NET_RAW."""

    ready: tuple[pulumi.Resource, ...] = ()
    """What every Istio object and every pod with a proxy must depend on; see :class:`IstioControlPlane`."""

    def __post_init__(self) -> None:
        check_types(self)

    @property
    def injection_labels(self) -> dict[str, str]:
        """Labels of a namespace whose pods get a proxy from this control plane."""
        return {"istio.io/rev": self.revision} if self.revision else {"istio-injection": "enabled"}

    @property
    def data_plane(self) -> str:
        """Changes whenever running proxies belong to an older control plane; value of the pods' annotation."""
        return f"{self.serving_revision or 'default'}/{self.behaviour.version}"


@dataclass(frozen=True, kw_only=True)
class ExistingIstio:
    """A control plane that somebody else installed. Creates nothing, and asks the cluster nothing.

    Raises:
        ValidationError: A name is malformed, or the version is not supported.
    """

    cluster: HandleOf[ClusterHandle]
    """Cluster that it runs in."""

    version: str
    """Version of istiod, e.g. ``"1.29.2"``; ``istioctl version`` tells it. A build of Google's, e.g.
    ``"1.28.3-asm.4"``, counts as managed Cloud Service Mesh unless :attr:`patches` say otherwise. Write one there where
    namespaces have ``istio-injection=enabled`` and no revision: nothing else tells a program."""

    compatibility_version: str | None = None
    """Helm value ``compatibilityVersion`` that it was installed with, e.g. ``"1.27"``."""

    disable_shadow_host_suffix: bool | None = None
    """istiod's environment ``DISABLE_SHADOW_HOST_SUFFIX``; None when it is not set there."""

    root_namespace: str = ROOT_NAMESPACE
    """Namespace of the control plane."""

    revision: str = ""
    """Revision or revision tag that proxies ask for; empty for the unnamed revision."""

    charts: IstioCharts = field(default_factory=IstioCharts)
    """Source of the gateway chart."""

    image_pull_policy: ImagePullPolicy | None = None
    """Of gateways; None leaves it to Kubernetes."""

    patches: Sequence[str] | None = None
    """What it applies of EnvoyFilters, by ``applyTo``: ``["HTTP_FILTER"]`` in managed Cloud Service Mesh, ``[]`` where
    there are none at all. Mirrors are then guarded by what is left, and what cannot be guarded is refused. None is
    everything, but for a managed version or revision (``asm-managed…``)."""

    cni: bool = False
    """Whether it was installed with istio-cni."""

    def __post_init__(self) -> None:
        check_types(self)
        DnsLabel(self.root_namespace, field="root_namespace")
        check_revision(self.revision, field="revision")
        _ = self.handle

    @property
    def handle(self) -> MeshHandle:
        """For the components that use the mesh."""
        compatibility = self.compatibility_version
        return MeshHandle(
            cluster=self.cluster,
            behaviour=IstioBehaviour(
                version=IstioVersion.parse(self.version, field="version"),
                compatibility_version=compatibility_line(compatibility) if compatibility else None,
                disable_shadow_host_suffix=self.disable_shadow_host_suffix,
                patches=known_patches(self.version, self.revision) if self.patches is None else self.patches,
            ),
            root_namespace=self.root_namespace,
            revision=self.revision,
            serving_revision=self.revision,
            chart_version=self.version.partition("-asm")[0],
            charts=self.charts,
            image_pull_policy=self.image_pull_policy,
            cni=self.cni,
        )


MAX_REVISION_LENGTH: Final = 63 - len("istiod-")
"""A revision's Service is called ``istiod-<revision>``, and a Service's name is a DNS label."""


def check_revision(revision: str, *, field: str) -> None:
    """Check the name of a revision or tag; empty is the unnamed revision.

    Raises:
        ValidationError: It is no DNS label, or too long.
    """
    if not revision:
        return
    DnsLabel(revision, field=field)
    if len(revision) > MAX_REVISION_LENGTH:
        raise ValidationError(
            field=field,
            value=revision,
            rule=f"must have at most {MAX_REVISION_LENGTH} characters, because a Service is called istiod-{revision}",
            remedy="Shorten it",
        )


def compatibility_line(text: str, *, field: str = "compatibility_version") -> IstioVersion:
    """Read a compatibility version, which names a release line and not a patch.

    Raises:
        ValidationError: It is no version, or has a patch level.
    """
    version = IstioVersion.parse(text, field=field)
    if text != f"{version.major}.{version.minor}":
        raise ValidationError(
            field=field,
            value=text,
            rule="must be a release line without a patch level",
            remedy=f"Write {f'{version.major}.{version.minor}'!r}",
        )
    return version
