"""One version of the greeter in one cluster."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import pulumi
import pulumi_kubernetes as k8s

from ...argument_types import NO_HANDLE, HandleOf, check_types, require_args
from ...clusters import ClusterHandle
from ...customizing import Component, ComponentArgs
from ...mesh import ImagePullPolicy, MeshHandle
from ...mesh.gateway_values import GATEWAY_NAME
from ...mesh.namespace import InNamespace, MeshNamespace, check_mesh, check_namespace
from ...model import Destination, DnsLabel, Port, ValidationError
from ...model.annotations import DATA_PLANE
from ...model.checks import whole
from ...model.routing import service_host
from ...options import refuse_ignored_provider
from ..parts import WAIT_FOR_ADDRESS, called_by, service_spec
from .image import check_image, late_image
from .pod import OWN_VARIABLES, greeter_container, own_environment, pod_template

FIRST_VERSION: Final = "v1"
"""The version whose Service is called like the service."""


@dataclass(frozen=True, kw_only=True)
class GreeterArgs(InNamespace, ComponentArgs):
    """Arguments of :class:`Greeter`.

    Raises:
        ValidationError: A value is malformed, or a plain image has no digest.
    """

    cluster: HandleOf[ClusterHandle]
    """Where it runs."""

    image: pulumi.Input[str]
    """Image with a digest; build it from ``components/workloads/greeter/server``."""

    mesh: HandleOf[MeshHandle | None] = NO_HANDLE
    """Control plane whose proxies the pods get, if :attr:`namespace` asks for them; None for no mesh."""

    allow_tag: bool = False
    """Whether :attr:`image` may have a tag instead of a digest, e.g. on a cluster without a registry."""

    image_pull_policy: ImagePullPolicy = ImagePullPolicy.IF_NOT_PRESENT
    """When nodes pull the image."""

    namespace: MeshNamespace | str = "hello"
    """Namespace; it must exist, unless it is given as a component."""

    version: str = FIRST_VERSION
    """Value of the label ``version``, and part of object names; answers carry it."""

    service_name: str | None = None
    """Service with this version's pods alone: one Service for all versions would send callers outside the mesh's
    routing to any of them. None is ``greeter`` for ``v1`` and ``greeter-<version>`` for others."""

    port: int = 8000
    """Port of Service and container, 1 to 65535."""

    replicas: int = 2
    """Pods, at least 1; from 2 on, a PodDisruptionBudget keeps all but one."""

    gateway_namespaces: Sequence[str] = (GATEWAY_NAME,)
    """Namespaces of gateways that may call it; its own and those in the same mesh may anyway. The program gives that of
    its gateway."""

    env: Mapping[str, pulumi.Input[str]] = field(default_factory=dict[str, pulumi.Input[str]])
    """More environment of the container, e.g. ``{"WORKERS": "64"}``."""

    requests: Mapping[str, str] = field(default_factory=lambda: {"cpu": "50m", "memory": "64Mi"})
    """What the scheduler keeps free for each pod; raise it with the load."""

    memory_limit: str = "256Mi"
    """Memory at which a pod is killed."""

    drain_seconds: int = 5
    """How long an ending pod goes on serving, so that proxies learn of it first; 0 to 20. Needs Kubernetes 1.30."""

    def __post_init__(self) -> None:
        check_types(self)
        if isinstance(self.image, str):
            check_image(self.image, allow_tag=self.allow_tag)
        check_namespace(self.namespace, self.cluster)
        DnsLabel(self.version, field="version")
        name = self.service_name or ("greeter" if self.version == FIRST_VERSION else f"greeter-{self.version}")
        object.__setattr__(self, "service_name", DnsLabel(name, field="service_name"))
        object.__setattr__(self, "port", Port(self.port, field="port"))
        namespaces = tuple(
            DnsLabel(each, field=f"gateway_namespaces[{index}]") for index, each in enumerate(self.gateway_namespaces)
        )
        object.__setattr__(self, "gateway_namespaces", namespaces)
        whole(self.replicas, "replicas", 1, 1000)
        whole(self.drain_seconds, "drain_seconds", 0, 20)
        check_mesh(self.mesh, self.cluster)
        for name in self.env:
            if name in OWN_VARIABLES:
                raise ValidationError(
                    field=f"env.{name}",
                    value="(given)",
                    rule="must not be set, because the component sets it",
                    remedy="Use the argument of that meaning, or drop it",
                )

    @property
    def destination(self) -> Destination:
        """This version's Service."""
        return Destination(service_host(str(self.service_name), self.namespace_name), self.port)


class Greeter(Component):
    """Runs one version of the greeter: Deployment, Service, ServiceAccount, NetworkPolicy, PodDisruptionBudget.

    Versions in one namespace are instances of their own. Their Services are apart, so that only routes decide who is
    called. It creates no namespace: see :class:`MeshNamespace`.

    Raises:
        ValidationError: At construction of the arguments, and for an image that is known late when it is known.
    """

    TYPE = "trafficmirror:index:Greeter"

    destination: Destination
    """This version's Service, for routes."""

    labels: dict[str, str]
    """Labels of its pods."""

    deployment: k8s.apps.v1.Deployment
    """Its pods."""

    service: k8s.core.v1.Service
    """Its Service."""

    def __init__(self, name: str, args: GreeterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        args = require_args(args, GreeterArgs)
        refuse_ignored_provider(opts, args.cluster.provider)
        super().__init__(self.TYPE, name, args, opts, children=_children(args))
        self._name = name
        self._args = args
        self._object = f"greeter-{args.version}"
        self.destination = args.destination
        self.labels = {"app": "greeter", "version": args.version}
        needs: list[pulumi.Resource] = args.namespace_resources
        if args.mesh:
            needs += args.mesh.ready
        child = pulumi.ResourceOptions(parent=self, provider=args.cluster.provider, depends_on=needs)
        account = k8s.core.v1.ServiceAccount(
            f"{name}-service-account", metadata=self._meta(), automount_service_account_token=False, opts=child
        )
        policy = called_by(
            name, self._meta(), child, port=args.port, gateway_namespaces=args.gateway_namespaces, mesh=args.mesh
        )
        self.service = self._service(child)
        started = pulumi.ResourceOptions(
            parent=self, provider=args.cluster.provider, depends_on=[*needs, account, policy]
        )
        self.deployment = self._deployment(started)
        if args.replicas > 1:
            self._disruption_budget(child)
        self.register_outputs({"host": str(self.destination.host), "port": int(self.destination.port)})

    def _meta(self) -> k8s.meta.v1.ObjectMetaArgs:
        return k8s.meta.v1.ObjectMetaArgs(name=self._object, namespace=self._args.namespace_name, labels=self.labels)

    def _selector(self) -> k8s.meta.v1.LabelSelectorArgs:
        return k8s.meta.v1.LabelSelectorArgs(match_labels=self.labels)

    def _service(self, opts: pulumi.ResourceOptions) -> k8s.core.v1.Service:
        args = self._args
        return k8s.core.v1.Service(
            f"{self._name}-service",
            metadata=k8s.meta.v1.ObjectMetaArgs(
                name=args.service_name,
                namespace=args.namespace_name,
                labels=self.labels,
                annotations=WAIT_FOR_ADDRESS,
            ),
            spec=service_spec(self.labels, "grpc", args.port),
            opts=opts,
        )

    def _deployment(self, opts: pulumi.ResourceOptions) -> k8s.apps.v1.Deployment:
        args = self._args
        extra = [k8s.core.v1.EnvVarArgs(name=name, value=value) for name, value in sorted(args.env.items())]
        container = greeter_container(
            image=late_image(args.image, allow_tag=args.allow_tag),
            pull_policy=args.image_pull_policy.value,
            port=args.port,
            environment=[*own_environment(args.version, args.port), *extra],
            requests=args.requests,
            memory_limit=args.memory_limit,
            drain_seconds=args.drain_seconds,
        )
        template = pod_template(
            labels=self.labels,
            # Restarts the pods when another control plane serves them, or their proxies would stay with the old one.
            annotations={DATA_PLANE: args.mesh.data_plane} if args.mesh else {},
            service_account=self._object,
            container=container,
            spread=args.replicas > 1,
        )
        return k8s.apps.v1.Deployment(
            f"{self._name}-deployment",
            metadata=self._meta(),
            spec=k8s.apps.v1.DeploymentSpecArgs(
                replicas=args.replicas,
                selector=self._selector(),
                # A new pod takes over before an old one goes.
                strategy=k8s.apps.v1.DeploymentStrategyArgs(
                    type="RollingUpdate",
                    rolling_update=k8s.apps.v1.RollingUpdateDeploymentArgs(max_unavailable=0, max_surge=1),
                ),
                template=template,
            ),
            opts=opts,
        )

    def _disruption_budget(self, opts: pulumi.ResourceOptions) -> k8s.policy.v1.PodDisruptionBudget:
        return k8s.policy.v1.PodDisruptionBudget(
            f"{self._name}-disruption-budget",
            metadata=self._meta(),
            spec=k8s.policy.v1.PodDisruptionBudgetSpecArgs(max_unavailable=1, selector=self._selector()),
            opts=opts,
        )


def _children(args: GreeterArgs) -> list[str]:
    always = ["service-account", "network-policy", "service", "deployment"]
    return [*always, "disruption-budget"] if args.replicas > 1 else always
