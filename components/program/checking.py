"""Holding a whole configuration against the components that it is for, before any of them is registered."""

from typing import Any, TypeVar

import pulumi_kubernetes as k8s

from ..clusters import ClusterHandle
from ..mesh import MeshGateway, MeshNamespace
from ..mirroring import MirroredService, MirrorOverlay
from .arguments import cluster_args, control_plane_args, gateway_args, greeter_args
from .branches import branches_args, expiry_guard_args
from .overlays import overlays_args
from .recorders import recorder_args
from .replays import replays_args
from .settings import Role, StackSettings

_Made = TypeVar("_Made")


def check(settings: StackSettings) -> None:
    """Make the arguments of every component once, so that nothing is registered where some are wrong.

    An update without a preview would otherwise have made half of the stack when it comes to them.

    Args:
        settings: The stack's settings.

    Raises:
        ValidationError: A key is missing or wrong.
    """
    platform = cluster_args(settings).platform
    settings.cluster.flag("peerWithTesting", default=False)
    cluster = ClusterHandle(name="cluster", provider=_unregistered(k8s.Provider), platform=platform)
    mesh = control_plane_args(settings, cluster).mesh_handle()
    namespace = _unregistered(MeshNamespace, namespace=settings.namespace, cluster=cluster)
    entrance = gateway_args(settings, mesh)
    gateway = _unregistered(MeshGateway, ref=entrance.ref, mesh=mesh, api=entrance.api)
    greeter_args(settings, mesh, namespace, "v1")
    recorder_args(settings, mesh, gateway, namespace)
    replays_args(settings, cluster, namespace)
    if settings.role is Role.STAGING:
        overlays_args(settings, mesh, namespace)
        branches_args(settings, mesh, namespace)
        overlays = {name: _unregistered(MirrorOverlay) for name in settings.overlay_names}
        expiry_guard_args(settings, mesh, _unregistered(MirroredService), overlays)


def _unregistered(kind: type[_Made], **known: Any) -> _Made:  # noqa: ANN401 -- attributes of a component
    """Return a stand-in of a resource's class that no engine hears of, with what arguments look at."""
    made = object.__new__(kind)
    for name, value in known.items():
        setattr(made, name, value)
    return made
