"""A branch of a service beside v1 and v2 for a while, to debug with live traffic."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

import pulumi
import pulumi_kubernetes as k8s

from ..argument_types import HandleOf, check_types, require_args
from ..clock import utc_now
from ..customizing import Component, ComponentArgs
from ..mesh import ImagePullPolicy, MeshHandle
from ..mesh.gateway_values import GATEWAY_NAME
from ..mesh.namespace import InNamespace, MeshNamespace, check_namespace
from ..model import (
    Destination,
    DnsLabel,
    Expiry,
    InClusterMirror,
    Match,
    Percent,
    Port,
    Protocol,
    ValidationError,
)
from ..model.annotations import DATA_PLANE, EXPIRES
from ..model.checks import bounded, whole
from ..model.routing import service_host
from ..options import refuse_ignored_provider
from ..workloads.greeter.image import check_image, late_image
from ..workloads.parts import NON_ROOT, WAIT_FOR_ADDRESS, called_by, container_security, pod_security, service_spec

DEFAULT_HOURS: Final = 24.0
MAX_HOURS: Final = 14 * 24.0
"""A branch that is needed for longer is a version of its own."""

CHILDREN: Final = ("service-account", "service", "network-policy", "deployment")


@dataclass(frozen=True, kw_only=True)
class BranchServiceArgs(InNamespace, ComponentArgs):
    """Arguments of :class:`BranchService`.

    Raises:
        ValidationError: A value is malformed, the branch would live too long, or a plain image has no digest.
    """

    mesh: HandleOf[MeshHandle]
    """Control plane whose proxies the pods get, if the namespace asks for them."""

    image: pulumi.Input[str]
    """Image of the branch, with a digest."""

    started: datetime | str
    """When the branch began, with a zone; its end counts from here. Write it down once, or the end would move with
    every deployment."""

    match: Match
    """What the branch gets copies of: usually one method and the header of one user. A header is needed, so that a
    branch never gets everybody's traffic by mistake."""

    namespace: MeshNamespace | str = "hello"
    """Namespace of the service; it must exist, unless it is given as a component."""

    hours: float = DEFAULT_HOURS
    """How long it lives, 0.01 to 336 hours (14 days); default a day."""

    percent: float = 100.0
    """Share of the matching requests that are copied, 0 to 100."""

    port: int = 8000
    """Port of Service and container, 1 to 65535."""

    protocol: Protocol = Protocol.GRPC
    """What the service speaks."""

    command: Sequence[str] = ()
    """Command of the container instead of the image's own, e.g. one that waits for a debugger."""

    env: Mapping[str, pulumi.Input[str]] = field(default_factory=dict[str, pulumi.Input[str]])
    """Environment of the container."""

    allow_tag: bool = False
    """Whether :attr:`image` may have a tag instead of a digest, e.g. on a cluster without a registry."""

    image_pull_policy: ImagePullPolicy = ImagePullPolicy.IF_NOT_PRESENT
    """When nodes pull the image."""

    requests: Mapping[str, str] = field(default_factory=lambda: {"cpu": "50m", "memory": "64Mi"})
    """What the scheduler keeps free for its pod."""

    user: int | None = NON_ROOT
    """User and group of the container by number, 1 to 2,147,483,647; None for the image's, which must not be root."""

    read_only_root: bool = True
    """Whether the container can write nowhere but to ``/tmp``; some debuggers write beside the program."""

    gateway_namespaces: Sequence[str] = (GATEWAY_NAME,)
    """Namespaces of gateways that may send it copies; its own and those in the same mesh may anyway. The program gives
    that of its gateway."""

    memory_limit: str = "512Mi"
    """Memory at which its pod is killed; debuggers need some."""

    now: datetime = field(default_factory=utc_now)
    """Time at which the end is judged. Default the current time, in UTC."""

    def __post_init__(self) -> None:
        check_types(self)
        object.__setattr__(self, "started", _start(self.started))
        bounded(self.hours, "hours", 0.01, MAX_HOURS, "hours, which are 14 days")
        Percent(self.percent, field="percent")
        Port(self.port, field="port")
        if self.user is not None:
            whole(self.user, "user", 1, 2**31 - 1)
        for index, each in enumerate(self.gateway_namespaces):
            DnsLabel(each, field=f"gateway_namespaces[{index}]")
        check_namespace(self.namespace, self.mesh.cluster)
        if isinstance(self.image, str):
            check_image(self.image, allow_tag=self.allow_tag)
        if not self.match.headers:
            raise ValidationError(
                field="match",
                value=self.match,
                rule="must have a header, so that the branch gets one user's requests and not everybody's",
                remedy="Add headers=[HeaderMatch(name='x-user', value='alice')]",
            )
        if _start(self.started) > self.now + timedelta(hours=MAX_HOURS):
            raise ValidationError(
                field="started",
                value=str(self.started),
                rule="must not lie more than 14 days ahead",
                remedy="Write down the time at which the branch begins",
            )

    @property
    def expires(self) -> Expiry:
        """The end."""
        return Expiry(_start(self.started) + timedelta(hours=self.hours))

    def mirror(self, name: str) -> InClusterMirror:
        """How the branch is mirrored.

        Args:
            name: The component's name.

        Raises:
            ValidationError: The name is too long for a mirror's.
        """
        return InClusterMirror(
            name=DnsLabel(name, field="name"),
            service=Destination(service_host(name, self.namespace_name), self.port),
            percent=self.percent,
            match=self.match,
            expires=self.expires,
        )


def _start(given: datetime | str) -> datetime:
    """Read a start; a text without a time of day would be a whole day wrong."""
    with suppress(ValueError, OverflowError):  # no time, or one that has no counterpart in UTC
        start = datetime.fromisoformat(given) if isinstance(given, str) else given
        if start.tzinfo is not None:
            return start.astimezone(UTC)
    raise ValidationError(
        field="started",
        value=str(given),
        rule="must be an ISO 8601 time with a zone",
        remedy="Write for example '2026-11-23T10:00Z'",
    )


class BranchService(Component):
    """Runs a branch of a service beside its versions, and says how it is mirrored, until its end.

    It has a Deployment, a Service and a label of its own, so that nobody reaches it but by copies: give
    :attr:`mirrors` to the ``MirroredService``. After the end it registers nothing and has no mirrors, and says so in a
    warning: the next deployment removes the branch. What ends copies when nobody deploys is ``ExpiryGuard``.

    Raises:
        ValidationError: At construction of the arguments, and for a name that is no DNS label of at most 40 characters.
    """

    TYPE = "trafficmirror:index:BranchService"

    mirrors: tuple[InClusterMirror, ...]
    """Its mirror; none after the end."""

    expires: Expiry
    """The end."""

    deployment: k8s.apps.v1.Deployment | None
    """Its pod; None after the end."""

    def __init__(self, name: str, args: BranchServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        args = require_args(args, BranchServiceArgs)
        refuse_ignored_provider(opts, args.mesh.cluster.provider)
        self._name = DnsLabel(name, field="name")
        mirror, ended = args.mirror(self._name), args.expires.has_passed(args.now)
        super().__init__(self.TYPE, name, args, opts, children=() if ended else CHILDREN)
        self._args = args
        self.expires = args.expires
        self.mirrors, self.deployment = (), None
        if ended:
            pulumi.warn(
                f"The branch {name} ended at {self.expires}: this deployment removes it. Drop it from the program",
                self,
            )
        else:
            self.deployment = self._register()
            self.mirrors = (mirror,)
        self.register_outputs({"expires": str(self.expires)})

    def _register(self) -> k8s.apps.v1.Deployment:
        args = self._args
        needs: list[pulumi.Resource] = [*args.mesh.ready, *args.namespace_resources]
        opts = pulumi.ResourceOptions(parent=self, provider=args.mesh.cluster.provider, depends_on=needs)
        account = k8s.core.v1.ServiceAccount(
            f"{self._name}-service-account", metadata=self._meta(), automount_service_account_token=False, opts=opts
        )
        self._service(opts)
        policy = called_by(
            str(self._name),
            self._meta(),
            opts,
            port=args.port,
            gateway_namespaces=args.gateway_namespaces,
            mesh=args.mesh,
        )
        started = pulumi.ResourceOptions(
            parent=self, provider=args.mesh.cluster.provider, depends_on=[*needs, account, policy]
        )
        return self._deployment(started)

    @property
    def _labels(self) -> dict[str, str]:
        # A label of its own, and not the service's: no selector of the service's versions takes its pods.
        return {"app": str(self._name), "traffic-mirror-branch": str(self._name)}

    def _meta(self, **annotations: str) -> k8s.meta.v1.ObjectMetaArgs:
        return k8s.meta.v1.ObjectMetaArgs(
            name=str(self._name),
            namespace=self._args.namespace_name,
            labels=self._labels,
            annotations={EXPIRES: str(self.expires), **annotations},
        )

    def _service(self, opts: pulumi.ResourceOptions) -> None:
        args = self._args
        k8s.core.v1.Service(
            f"{self._name}-service",
            metadata=self._meta(**WAIT_FOR_ADDRESS),
            spec=service_spec(self._labels, args.protocol.port_name, args.port),
            opts=opts,
        )

    def _deployment(self, opts: pulumi.ResourceOptions) -> k8s.apps.v1.Deployment:
        args = self._args
        template = k8s.core.v1.PodTemplateSpecArgs(
            metadata=k8s.meta.v1.ObjectMetaArgs(labels=self._labels, annotations={DATA_PLANE: args.mesh.data_plane}),
            spec=k8s.core.v1.PodSpecArgs(
                service_account_name=str(self._name),
                automount_service_account_token=False,
                enable_service_links=False,
                security_context=pod_security(args.user),
                volumes=[k8s.core.v1.VolumeArgs(name="tmp", empty_dir=k8s.core.v1.EmptyDirVolumeSourceArgs())],
                containers=[self._container()],
            ),
        )
        return k8s.apps.v1.Deployment(
            f"{self._name}-deployment",
            metadata=self._meta(),
            spec=k8s.apps.v1.DeploymentSpecArgs(
                # One pod: whoever debugs wants every copy in one place.
                replicas=1,
                selector=k8s.meta.v1.LabelSelectorArgs(match_labels=self._labels),
                strategy=k8s.apps.v1.DeploymentStrategyArgs(type="Recreate"),
                template=template,
            ),
            opts=opts,
        )

    def _container(self) -> k8s.core.v1.ContainerArgs:
        args = self._args
        return k8s.core.v1.ContainerArgs(
            name="branch",
            image=late_image(args.image, allow_tag=args.allow_tag),
            image_pull_policy=args.image_pull_policy.value,
            command=list(args.command) or None,
            env=[k8s.core.v1.EnvVarArgs(name=key, value=value) for key, value in sorted(args.env.items())],
            ports=[
                k8s.core.v1.ContainerPortArgs(name=args.protocol.port_name, container_port=args.port, protocol="TCP")
            ],
            resources=k8s.core.v1.ResourceRequirementsArgs(
                requests=dict(args.requests), limits={"memory": args.memory_limit}
            ),
            security_context=container_security(read_only_root=args.read_only_root),
            volume_mounts=[k8s.core.v1.VolumeMountArgs(name="tmp", mount_path="/tmp")],  # noqa: S108 -- in the container
            # No liveness probe: a pod that stands at a breakpoint must not be killed.
            readiness_probe=k8s.core.v1.ProbeArgs(
                tcp_socket=k8s.core.v1.TCPSocketActionArgs(port=args.port), period_seconds=2
            ),
        )
