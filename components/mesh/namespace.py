"""A namespace whose pods join the mesh."""

from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final

import pulumi
import pulumi_kubernetes as k8s

from ..argument_types import NO_HANDLE, HandleOf, check_types, require_args
from ..clusters import ClusterHandle
from ..customizing import Component, ComponentArgs
from ..model import DnsLabel, ValidationError
from ..options import refuse_ignored_provider
from .handle import MeshHandle

_MODES: Final = ("enforce", "warn", "audit")


@unique
class PodSecurity(StrEnum):
    """Levels of the Pod Security Standards; the values are Kubernetes'."""

    PRIVILEGED = "privileged"
    BASELINE = "baseline"
    RESTRICTED = "restricted"


@dataclass(frozen=True, kw_only=True)
class MeshNamespaceArgs(ComponentArgs):
    """Arguments of :class:`MeshNamespace`.

    Raises:
        ValidationError: The name is malformed, or the mesh belongs to another cluster.
    """

    cluster: HandleOf[ClusterHandle]
    """Where to create it."""

    namespace: str
    """Name of the namespace."""

    mesh: HandleOf[MeshHandle | None] = NO_HANDLE
    """Control plane that gives its pods a proxy; None for none."""

    pod_security: PodSecurity | None = None
    """Level that pods must keep. None is ``restricted``, the strictest, where that works: not for pods with a proxy
    in a mesh without istio-cni, because their init container needs NET_ADMIN and NET_RAW, which only ``privileged``
    allows. Such a namespace is told to warn and to audit by ``restricted`` all the same, so that its own Deployments
    are held against it. Source: kubernetes.io/docs/concepts/security/pod-security-standards."""

    def __post_init__(self) -> None:
        check_types(self)
        object.__setattr__(self, "namespace", DnsLabel(self.namespace, field="namespace"))
        check_mesh(self.mesh, self.cluster)

    @property
    def enforced(self) -> PodSecurity:
        """The level that applies."""
        if self.pod_security is not None:
            return self.pod_security
        return PodSecurity.RESTRICTED if self.mesh is None or self.mesh.cni else PodSecurity.PRIVILEGED


def check_mesh(mesh: MeshHandle | None, cluster: ClusterHandle) -> None:
    """Refuse the mesh of another cluster.

    Raises:
        ValidationError: It is one.
    """
    if mesh is not None and mesh.cluster.provider is not cluster.provider:
        raise ValidationError(
            field="mesh",
            value=mesh.cluster.name,
            rule=f"must be the mesh of the cluster {cluster.name!r}",
            remedy="Give the handle of that cluster's control plane",
        )


class MeshNamespace(Component):
    """Creates a namespace with labels for proxies and for pod security.

    Raises:
        ValidationError: At construction of the arguments.
    """

    TYPE = "trafficmirror:index:MeshNamespace"

    namespace: str
    """Name of the namespace."""

    cluster: ClusterHandle
    """Where it is."""

    def __init__(self, name: str, args: MeshNamespaceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        args = require_args(args, MeshNamespaceArgs)
        refuse_ignored_provider(opts, args.cluster.provider)
        super().__init__(self.TYPE, name, args, opts, children=["namespace"])
        self.namespace, self.cluster = args.namespace, args.cluster
        labels = {
            "pod-security.kubernetes.io/enforce": args.enforced.value,
            "pod-security.kubernetes.io/warn": PodSecurity.RESTRICTED.value,
            "pod-security.kubernetes.io/audit": PodSecurity.RESTRICTED.value,
            **(args.mesh.injection_labels if args.mesh else {}),
        }
        k8s.core.v1.Namespace(
            f"{name}-namespace",
            metadata=k8s.meta.v1.ObjectMetaArgs(name=args.namespace, labels=labels),
            opts=pulumi.ResourceOptions(
                # A pod that starts before the injection webhook answers would stay without a proxy.
                parent=self,
                provider=args.cluster.provider,
                depends_on=list(args.mesh.ready) if args.mesh else [],
            ),
        )
        self.register_outputs({"namespace": args.namespace})


def own_namespace(name: str, namespace: str, opts: pulumi.ResourceOptions) -> k8s.core.v1.Namespace:
    """A namespace for one component alone, whose pods get no init container and so keep the strictest level.

    Args:
        name: The component's Pulumi name.
        namespace: Name of the namespace.
        opts: Parent and provider.
    """
    labels = {f"pod-security.kubernetes.io/{mode}": PodSecurity.RESTRICTED.value for mode in _MODES}
    metadata = k8s.meta.v1.ObjectMetaArgs(name=namespace, labels=labels)
    return k8s.core.v1.Namespace(f"{name}-namespace", metadata=metadata, opts=opts)


def check_namespace(namespace: MeshNamespace | str, cluster: ClusterHandle) -> None:
    """Refuse a malformed name and the namespace of another cluster.

    Raises:
        ValidationError: It is one.
    """
    if isinstance(namespace, str):
        DnsLabel(namespace, field="namespace")
    elif namespace.cluster.provider is not cluster.provider:
        raise ValidationError(
            field="namespace",
            value=f"{namespace.namespace} in {namespace.cluster.name}",
            rule=f"must be a namespace of the cluster {cluster.name!r}",
            remedy="Give a namespace of that cluster",
        )


class InNamespace:
    """What follows from arguments' ``namespace``: a component that makes one, or the name of one that exists."""

    namespace: MeshNamespace | str

    @property
    def namespace_name(self) -> str:
        """Name of the namespace."""
        return self.namespace if isinstance(self.namespace, str) else self.namespace.namespace

    @property
    def namespace_resources(self) -> list[pulumi.Resource]:
        """What must be there before anything in the namespace: its component, where one is given."""
        return [self.namespace] if isinstance(self.namespace, MeshNamespace) else []
