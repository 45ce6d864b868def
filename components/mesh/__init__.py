"""Istio: the control plane, made or given, gateways, and namespaces whose pods join the mesh."""

from .charts import IstioCharts
from .control_plane import IstioControlPlane, IstioControlPlaneArgs
from .credentials import TlsCredential
from .gateway import Exposure, MeshGateway, MeshGatewayArgs
from .handle import ExistingIstio, MeshHandle
from .namespace import MeshNamespace, MeshNamespaceArgs, PodSecurity
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
    "MeshNamespace",
    "MeshNamespaceArgs",
    "PodSecurity",
    "Size",
    "TlsCredential",
]
