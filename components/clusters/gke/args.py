"""The arguments of a GKE cluster, checked as a whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi

from ...argument_types import check_types
from ...customizing import ComponentArgs
from ...model import ValidationError
from ..addresses import check_disjoint, check_room
from ..locations import check_location, check_node_zones, is_region, region_of
from ..names import check_key, check_labels, check_project
from ..platform import ClusterPlatform
from .endpoint import AuthorizedNetworks, Credentials, DnsEndpoint
from .maintenance import MaintenanceWindow, ReleaseChannel
from .modes import AutopilotMode, StandardMode
from .networks import ExistingNetwork, NewNetwork
from .paths import network_paths
from .platform import GKE, GKE_AUTOPILOT


@dataclass(frozen=True, kw_only=True)
class GkeClusterArgs(ComponentArgs):
    """What a cluster needs to be told; everything else has a hardened default."""

    project: str
    """Id of the Google Cloud project. Plain, because the pool of Workload Identity is named after it."""
    location: str
    """Region (control plane in three zones) or zone, e.g. ``"europe-west1"``. Autopilot needs a region."""
    deletion_protection: bool
    """Refuse to delete or replace the cluster, its nodes, their account and its own network: Google's provider refuses
    the cluster's deletion, and Pulumi's ``protect`` refuses all of them before the first step. No default: say it per
    stack. To let go, set it to ``False``, run ``pulumi up`` with this change alone, then change or destroy."""
    mode: StandardMode | AutopilotMode = field(default_factory=StandardMode)
    """Who runs the nodes. Standard by default: a mesh gateway's nodes are better sized by hand."""
    network: NewNetwork | ExistingNetwork = field(default_factory=NewNetwork)
    """Where the cluster lives. Its own network by default."""
    endpoint: DnsEndpoint | AuthorizedNetworks = field(default_factory=DnsEndpoint)
    """Who reaches the control plane. By default whom IAM lets in, over the DNS-based endpoint."""
    release_channel: ReleaseChannel = ReleaseChannel.REGULAR
    """Regular by default: versions that Google has run for some months, with security patches by themselves."""
    maintenance: MaintenanceWindow = field(default_factory=MaintenanceWindow)
    """When Google may upgrade."""
    secrets_key: pulumi.Input[str] | None = None
    """Full name of a Cloud KMS key in the cluster's region that encrypts Kubernetes Secrets a second time. GKE's
    service agent (``service-<number>@container-engine-robot.iam.gserviceaccount.com``) must have
    ``roles/cloudkms.cryptoKeyEncrypterDecrypter`` on it beforehand. ``None``: Google's own disk encryption only."""
    binary_authorization: bool = False
    """Enforce the project's Binary Authorization policy. Off by default: it needs an API and a policy that only the
    project's owner can provide, and a strict policy refuses Istio's images."""
    image_projects: Sequence[str] = ()
    """Further projects whose Artifact Registry the nodes may read; the cluster's own is always among them."""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    """Labels of the cluster and its nodes, e.g. for billing."""
    credentials: Credentials = Credentials.EXEC_PLUGIN
    """How Pulumi's Kubernetes provider authenticates."""

    def __post_init__(self) -> None:
        """Check all plain values, alone and against each other.

        Raises:
            ValidationError: A value breaks a rule.
        """
        check_types(self)
        check_project(self.project)
        check_location(self.location)
        if isinstance(self.secrets_key, str):
            check_key(self.secrets_key, region=self.region, field="secrets_key")
        object.__setattr__(self, "labels", check_labels(self.labels))
        object.__setattr__(self, "image_projects", self._image_projects())
        self._check_mode()
        self._check_ranges()
        self._check_network()

    @property
    def platform(self) -> ClusterPlatform:
        """What the cluster wants of its objects."""
        return GKE if isinstance(self.mode, StandardMode) else GKE_AUTOPILOT

    @property
    def region(self) -> str:
        """Region of :attr:`location`."""
        return region_of(self.location)

    def _image_projects(self) -> tuple[str, ...]:
        projects = [
            check_project(project, field=f"image_projects[{index}]")
            for index, project in enumerate(self.image_projects)
        ]
        return tuple(dict.fromkeys([self.project, *projects]))

    def _check_mode(self) -> None:
        if isinstance(self.mode, AutopilotMode):
            if not is_region(self.location):
                raise ValidationError(
                    field="location",
                    value=self.location,
                    rule="must be a region, because Autopilot clusters are regional",
                    remedy=f"Use {self.region}, or StandardMode()",
                )
            return
        check_node_zones(self.mode.zones, self.location, field="mode.zones")
        check_room(
            self.mode.max_nodes + self.mode.max_surge,
            node_cidr=self.network.node_cidr,
            pod_cidr=self.network.pod_cidr,
            fields=("network.node_cidr", "network.pod_cidr"),
        )

    def _check_ranges(self) -> None:
        if not isinstance(self.endpoint, AuthorizedNetworks) or self.endpoint.control_plane_cidr is None:
            return
        ranges = {"network.node_cidr": self.network.node_cidr, "network.pod_cidr": self.network.pod_cidr}
        if isinstance(self.network, NewNetwork):
            ranges["network.service_cidr"] = self.network.service_cidr
        check_disjoint({**ranges, "endpoint.control_plane_cidr": self.endpoint.control_plane_cidr})

    def _check_network(self) -> None:
        """What is known late is checked late."""
        network = self.network
        if (
            isinstance(network, ExistingNetwork)
            and isinstance(network.network, str)
            and isinstance(network.subnetwork, str)
        ):
            network_paths(
                network.network,
                network.subnetwork,
                network_project=network.project,
                cluster_project=self.project,
                region=self.region,
            )
