"""The public names, and where each lives. Loaded on first use: the provider SDKs take seconds."""

from . import (
    model as model,
)
from . import (
    program as program,
)
from .clusters import (
    ClusterHandle as ClusterHandle,
)
from .clusters import (
    ClusterPlatform as ClusterPlatform,
)
from .clusters import (
    ExistingCluster as ExistingCluster,
)
from .clusters import (
    ExistingClusterArgs as ExistingClusterArgs,
)
from .clusters.gke import (
    GKE as GKE,
)
from .clusters.gke import (
    GKE_AUTOPILOT as GKE_AUTOPILOT,
)
from .clusters.gke import (
    AuthorizedNetworks as AuthorizedNetworks,
)
from .clusters.gke import (
    AutopilotMode as AutopilotMode,
)
from .clusters.gke import (
    Credentials as Credentials,
)
from .clusters.gke import (
    DnsEndpoint as DnsEndpoint,
)
from .clusters.gke import (
    ExistingNetwork as ExistingNetwork,
)
from .clusters.gke import (
    GkeCluster as GkeCluster,
)
from .clusters.gke import (
    GkeClusterArgs as GkeClusterArgs,
)
from .clusters.gke import (
    MaintenanceWindow as MaintenanceWindow,
)
from .clusters.gke import (
    NetworkPeering as NetworkPeering,
)
from .clusters.gke import (
    NetworkPeeringArgs as NetworkPeeringArgs,
)
from .clusters.gke import (
    NewNetwork as NewNetwork,
)
from .clusters.gke import (
    ReleaseChannel as ReleaseChannel,
)
from .clusters.gke import (
    StandardMode as StandardMode,
)
from .clusters.gke import (
    Weekday as Weekday,
)
from .mesh import (
    ExistingIstio as ExistingIstio,
)
from .mesh import (
    Exposure as Exposure,
)
from .mesh import (
    ImagePullPolicy as ImagePullPolicy,
)
from .mesh import (
    IstioCharts as IstioCharts,
)
from .mesh import (
    IstioControlPlane as IstioControlPlane,
)
from .mesh import (
    IstioControlPlaneArgs as IstioControlPlaneArgs,
)
from .mesh import (
    IstiodRevision as IstiodRevision,
)
from .mesh import (
    MeshGateway as MeshGateway,
)
from .mesh import (
    MeshGatewayArgs as MeshGatewayArgs,
)
from .mesh import (
    MeshHandle as MeshHandle,
)
from .mesh import (
    MeshNamespace as MeshNamespace,
)
from .mesh import (
    MeshNamespaceArgs as MeshNamespaceArgs,
)
from .mesh import (
    PodSecurity as PodSecurity,
)
from .mesh import (
    Size as Size,
)
from .mesh import (
    TlsCredential as TlsCredential,
)
from .mirroring import (
    BranchService as BranchService,
)
from .mirroring import (
    BranchServiceArgs as BranchServiceArgs,
)
from .mirroring import (
    CrossClusterMirror as CrossClusterMirror,
)
from .mirroring import (
    ExpiryGuard as ExpiryGuard,
)
from .mirroring import (
    ExpiryGuardArgs as ExpiryGuardArgs,
)
from .mirroring import (
    MirroredService as MirroredService,
)
from .mirroring import (
    MirroredServiceArgs as MirroredServiceArgs,
)
from .mirroring import (
    MirrorMonitoring as MirrorMonitoring,
)
from .mirroring import (
    MirrorMonitoringArgs as MirrorMonitoringArgs,
)
from .mirroring import (
    MirrorOverlay as MirrorOverlay,
)
from .mirroring import (
    MirrorOverlayArgs as MirrorOverlayArgs,
)
from .mirroring import (
    MirrorReceiver as MirrorReceiver,
)
from .mirroring import (
    MirrorReceiverArgs as MirrorReceiverArgs,
)
from .mirroring import (
    RecordedWorkload as RecordedWorkload,
)
from .mirroring import (
    ReplayJob as ReplayJob,
)
from .mirroring import (
    ReplayJobArgs as ReplayJobArgs,
)
from .mirroring import (
    RulesAs as RulesAs,
)
from .mirroring import (
    TrafficRecorder as TrafficRecorder,
)
from .mirroring import (
    TrafficRecorderArgs as TrafficRecorderArgs,
)
from .model import (
    AuthorityMode as AuthorityMode,
)
from .model import (
    Brakes as Brakes,
)
from .model import (
    Destination as Destination,
)
from .model import (
    Expiry as Expiry,
)
from .model import (
    GatewayHosts as GatewayHosts,
)
from .model import (
    GatewayRef as GatewayRef,
)
from .model import (
    GatewayServer as GatewayServer,
)
from .model import (
    HeaderMatch as HeaderMatch,
)
from .model import (
    HeaderRules as HeaderRules,
)
from .model import (
    HeaderTest as HeaderTest,
)
from .model import (
    InClusterMirror as InClusterMirror,
)
from .model import (
    IstioBehaviour as IstioBehaviour,
)
from .model import (
    IstioVersion as IstioVersion,
)
from .model import (
    Match as Match,
)
from .model import (
    MeshService as MeshService,
)
from .model import (
    MirrorContract as MirrorContract,
)
from .model import (
    MirroredSpec as MirroredSpec,
)
from .model import (
    MirrorOffer as MirrorOffer,
)
from .model import (
    MirrorTls as MirrorTls,
)
from .model import (
    Percent as Percent,
)
from .model import (
    Protocol as Protocol,
)
from .model import (
    RouteApi as RouteApi,
)
from .model import (
    Scrub as Scrub,
)
from .model import (
    SpecOf as SpecOf,
)
from .model import (
    TlsMode as TlsMode,
)
from .model import (
    ValidationError as ValidationError,
)
from .model import (
    Waiver as Waiver,
)
from .model import (
    WaypointService as WaypointService,
)
from .model import (
    client_server as client_server,
)
from .model import (
    receiver_server as receiver_server,
)
from .model.recording import (
    ObjectStorage as ObjectStorage,
)
from .model.recording import (
    RecorderSettings as RecorderSettings,
)
from .model.recording import (
    Redaction as Redaction,
)
from .model.recording import (
    ScratchStorage as ScratchStorage,
)
from .model.recording import (
    Side as Side,
)
from .model.recording import (
    VolumeStorage as VolumeStorage,
)
from .model.render import (
    mirrored as mirrored,
)
from .model.replaying import (
    ReplaySecrets as ReplaySecrets,
)
from .model.replaying import (
    ReplaySettings as ReplaySettings,
)
from .workloads import (
    Greeter as Greeter,
)
from .workloads import (
    GreeterArgs as GreeterArgs,
)
