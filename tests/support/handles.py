"""Handles for arguments that are refused, or read, without a program."""

import pulumi_kubernetes as k8s

from components.clusters import ClusterHandle, ClusterKind
from components.mesh import ExistingIstio, MeshHandle


def no_cluster(name: str = "staging", kind: ClusterKind = ClusterKind.EXISTING) -> ClusterHandle:
    """A cluster whose provider is registered nowhere."""
    return ClusterHandle(name=name, provider=object.__new__(k8s.Provider), kind=kind)


def no_mesh(name: str = "staging") -> MeshHandle:
    """The Istio of such a cluster."""
    return ExistingIstio(cluster=no_cluster(name), version="1.31.0").handle
