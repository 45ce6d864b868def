"""Workloads: the greeter, and namespaces whose pods join the mesh."""

from .greeter import Greeter, GreeterArgs
from .namespace import MeshNamespace, MeshNamespaceArgs, PodSecurity

__all__ = ["Greeter", "GreeterArgs", "MeshNamespace", "MeshNamespaceArgs", "PodSecurity"]
