"""Istio: the control plane, made or given, and gateways."""

from .charts import IstioCharts
from .control_plane import IstioControlPlane, IstioControlPlaneArgs
from .credentials import TlsCredential
from .gateway import Exposure, MeshGateway, MeshGatewayArgs
from .handle import ExistingIstio, MeshHandle
from .revision import IstiodRevision
from .size import ImagePullPolicy, Size

__all__ = [
    "ExistingIstio",
    "Exposure",
    "ImagePullPolicy",
    "IstioCharts",
    "IstioControlPlane",
    "IstioControlPlaneArgs",
    "IstiodRevision",
    "MeshGateway",
    "MeshGatewayArgs",
    "MeshHandle",
    "Size",
    "TlsCredential",
]
