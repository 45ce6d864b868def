"""Handles of clusters and meshes: for a recorded program, and for arguments that are refused or read without one."""

import pulumi_kubernetes as k8s

from pulumi_traffic_mirror.clusters import ClusterHandle, ClusterPlatform
from pulumi_traffic_mirror.mesh import ExistingIstio, MeshHandle

PRIVATE = ClusterPlatform(internal_load_balancer={"cloud.example/internal": "true"})
"""A platform on which gateways can be internal."""


def no_cluster(name: str = "staging") -> ClusterHandle:
    """A cluster whose provider is registered nowhere."""
    return ClusterHandle(name=name, provider=object.__new__(k8s.Provider), platform=PRIVATE)


def no_mesh(name: str = "staging") -> MeshHandle:
    """The Istio of such a cluster."""
    return ExistingIstio(cluster=no_cluster(name), version="1.31.0").handle


def mesh(name: str = "cluster", *, version: str = "1.31.0") -> MeshHandle:
    """An Istio that is there, in a cluster whose provider the program registers under the cluster's name."""
    cluster = ClusterHandle(name=name, provider=k8s.Provider(name, kubeconfig="none"), platform=PRIVATE)
    return ExistingIstio(cluster=cluster, version=version).handle
