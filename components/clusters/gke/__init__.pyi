"""The public names, and where each lives. Loaded on first use: only making a cluster needs Google's provider."""

from .args import (
    GkeClusterArgs as GkeClusterArgs,
)
from .cluster import (
    GkeCluster as GkeCluster,
)
from .endpoint import (
    AuthorizedNetworks as AuthorizedNetworks,
)
from .endpoint import (
    Credentials as Credentials,
)
from .endpoint import (
    DnsEndpoint as DnsEndpoint,
)
from .maintenance import (
    MaintenanceWindow as MaintenanceWindow,
)
from .maintenance import (
    ReleaseChannel as ReleaseChannel,
)
from .maintenance import (
    Weekday as Weekday,
)
from .modes import (
    AutopilotMode as AutopilotMode,
)
from .modes import (
    StandardMode as StandardMode,
)
from .networks import (
    ExistingNetwork as ExistingNetwork,
)
from .networks import (
    NewNetwork as NewNetwork,
)
from .peering import (
    NetworkPeering as NetworkPeering,
)
from .peering import (
    NetworkPeeringArgs as NetworkPeeringArgs,
)
from .platform import (
    GKE as GKE,
)
from .platform import (
    GKE_AUTOPILOT as GKE_AUTOPILOT,
)
