"""What a cloud's clusters want of the objects in them: the only questions that the rest of the library asks of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..argument_types import check_types
from ..model import ValidationError


@dataclass(frozen=True, kw_only=True)
class ClusterPlatform:
    """One platform, e.g. Google's, Amazon's or Azure's; without values it is one that wants nothing, such as kind.

    A cluster component of another cloud makes its own and gives it to its :class:`ClusterHandle`; nothing else of the
    library has to know that cloud.
    """

    internal_load_balancer: Mapping[str, str] = field(default_factory=dict[str, str])
    """Annotations that keep a Service's load balancer in the private network, e.g.
    ``{"service.beta.kubernetes.io/azure-load-balancer-internal": "true"}``. Empty: gateways get the load balancer that
    the cluster makes by itself, which most clouds put on the internet."""
    global_access: Mapping[str, str] = field(default_factory=dict[str, str])
    """Annotations that let clients of other regions reach such a load balancer too. Empty: nothing has to be said."""
    istio_platform: str | None = None
    """Istio's name of the platform (``global.platform``), e.g. ``"gke"``: tells istio-cni where its directories are.
    ``None``: Istio's defaults. Source: istio.io/latest/docs/ambient/install/platform-prerequisites."""
    node_agents: bool = True
    """Whether something may be installed on the nodes, as istio-cni is. Not where the cloud runs the nodes."""

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValidationError: One has a wrong type, or an annotation has no name.
        """
        check_types(self, within="platform")
        for name in ("internal_load_balancer", "global_access"):
            if "" in getattr(self, name):
                raise ValidationError(
                    field=f"platform.{name}",
                    value="",
                    rule="must name every annotation",
                    remedy="Write for example {'networking.gke.io/load-balancer-type': 'Internal'}",
                )
        if self.istio_platform == "":
            raise ValidationError(
                field="platform.istio_platform",
                value="",
                rule="must be a name, or left out",
                remedy="Write for example 'gke', or leave it out",
            )
