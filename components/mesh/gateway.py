"""A gateway: Envoy at the edge of a cluster, its load balancer, its listeners and its certificates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from ..argument_types import HandleOf, check_types, require_args
from ..customizing import Component, ComponentArgs
from ..model import (
    DnsLabel,
    GatewayRef,
    GatewayServer,
    JsonObject,
    JsonValue,
    RouteApi,
    ValidationError,
    Waiver,
    render,
)
from ..model.routing import service_host
from ..options import refuse_ignored_provider
from ..refusal import late
from .charts import ChartRelease, check_release_name
from .credentials import TlsCredential, check_credentials
from .gateway_checks import check_servers, networks
from .gateway_values import GATEWAY_NAME, Exposure, gateway_values, load_balancer_annotations
from .handle import MeshHandle
from .namespace import InNamespace, MeshNamespace, check_namespace, own_namespace
from .objects import existing_service, istio_resource
from .size import Size


@dataclass(frozen=True, kw_only=True)
class MeshGatewayArgs(InNamespace, ComponentArgs):
    """Arguments of :class:`MeshGateway`.

    Raises:
        ValidationError: A value is malformed, a public gateway lacks TLS or source ranges, or nothing keeps an internal
            one from the internet.
    """

    mesh: HandleOf[MeshHandle]
    """Control plane that configures the gateway; its cluster gets the gateway."""

    servers: Sequence[GatewayServer]
    """Listeners: ``client_server`` for staging's clients, ``receiver_server`` for a contract's mirrors."""

    namespace: MeshNamespace | str = ""
    """Namespace of pods, Gateway object and certificates; it must exist, unless it is given as a component. Empty makes
    one of the gateway's own, called :attr:`gateway_name`: the gateway's account reads every Secret of its namespace."""

    in_root_namespace: Waiver | None = None
    """Why :attr:`namespace` may be the mesh's root namespace, where the gateway's account also reads the key of the
    mesh's CA: whoever takes the gateway there has the mesh."""

    gateway_name: str = GATEWAY_NAME
    """Name of Gateway object, Helm release and Service; at most 53 characters."""

    keep_replaced: bool = False
    """Whether pods, Service and certificates that another name or namespace replaces, or a removal deletes, stay in the
    cluster, so that clients are served at the old address until you delete them yourself. It counts from the deployment
    after the one that sets it."""

    api: RouteApi = RouteApi.ISTIO
    """Whose kind of Gateway it is; routes and receivers that enter by it are of the same. The Gateway API's stands for
    the same pods and load balancer, and needs its CRDs in the cluster."""

    exposure: Exposure = Exposure.INTERNAL
    """Who can reach it. An internal one needs a platform that has annotations for that, ``service_annotations``,
    ``source_ranges``, or :attr:`internal_by_itself`."""

    internal_by_itself: Waiver | None = None
    """Why the load balancer that the cluster makes by itself is not on the internet, where nothing else says so: e.g.
    on kind or on premises. Most clouds put it there."""

    source_ranges: Sequence[str] = ()
    """CIDR ranges that the load balancer accepts clients from; empty leaves it to the network. A public gateway needs
    them, be it ``0.0.0.0/0``."""

    global_access: bool = True
    """Whether an internal load balancer accepts clients of other regions, as mirrors from another cluster may be, on a
    platform where that has to be said."""

    service_annotations: Mapping[str, str] = field(default_factory=dict[str, str])
    """More annotations of the Service, e.g. what makes another cloud's load balancer internal."""

    credentials: Sequence[TlsCredential] = ()
    """Certificates to create. Those that a server or mirror only names must exist already."""

    size: Size = Size.PRODUCTION
    """How much to run."""

    values: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    """More Helm values of the chart ``gateway``, plain JSON. Arguments of their own win over them."""

    timeout_seconds: int = 600
    """How long Helm may wait for pods and the load balancer's address, at least 1."""

    def __post_init__(self) -> None:
        check_types(self)
        object.__setattr__(self, "source_ranges", networks(self.source_ranges))
        DnsLabel(self.gateway_name, field="gateway_name")
        self._check_namespace()
        check_release_name(self.gateway_name, field="gateway_name", value=self.gateway_name)
        if not self.servers:
            raise ValidationError(
                field="servers", value=[], rule="must not be empty", remedy="Give client_server or receiver_server"
            )
        if self.timeout_seconds < 1:
            raise ValidationError(
                field="timeout_seconds",
                value=self.timeout_seconds,
                rule="must be at least 1",
                remedy="Give the seconds that Helm may wait, e.g. 600",
            )
        check_servers(self.servers)
        check_credentials(self.servers, self.credentials)
        _ = self.rendered
        self._check_internal()
        if self.exposure is Exposure.PUBLIC:
            self._check_public()
        if self.exposure is Exposure.CLUSTER and self.source_ranges:
            raise ValidationError(
                field="source_ranges",
                value=list(self.source_ranges),
                rule="need a load balancer, which a gateway inside the cluster has not",
                remedy="Leave them out, or choose another exposure",
            )

    def _check_namespace(self) -> None:
        if self.namespace:
            check_namespace(self.namespace, self.mesh.cluster)
        namespace = self.ref.namespace
        if (namespace == self.mesh.root_namespace) == (self.in_root_namespace is not None):
            return
        if self.in_root_namespace:
            raise ValidationError(
                field="in_root_namespace",
                value=self.in_root_namespace.reason,
                rule=f"belongs to a gateway in the root namespace {self.mesh.root_namespace!r}",
                remedy="Leave it out",
            )
        raise ValidationError(
            field="namespace",
            value=str(namespace),
            rule="must not be the mesh's root namespace: whoever takes the gateway could read the key of the mesh's CA",
            remedy="Leave it out for a namespace of the gateway's own, or say in in_root_namespace why not",
        )

    def _check_internal(self) -> None:
        """Refuse an internal load balancer that nothing but the cluster's own default keeps from the internet."""
        known = load_balancer_annotations(self.mesh, self.exposure, global_access=False)
        said = known or self.service_annotations or self.source_ranges
        unproven = self.exposure is Exposure.INTERNAL and not said
        if unproven == (self.internal_by_itself is not None):
            return
        if self.internal_by_itself:
            raise ValidationError(
                field="internal_by_itself",
                value=self.internal_by_itself.reason,
                rule="has no effect: the gateway is not internal, or platform, annotations or ranges say it already",
                remedy="Leave it out",
            )
        raise ValidationError(
            field="exposure",
            value=self.exposure.value,
            rule="must be more than a name: neither the cluster's platform nor annotations nor ranges keep the load "
            "balancer from the internet",
            remedy="Give service_annotations that make it internal, or source_ranges; or exposure='cluster'; or say in "
            "internal_by_itself why the cluster's own is",
        )

    def _check_public(self) -> None:
        for index, server in enumerate(self.servers):
            if server.tls is None:
                raise ValidationError(
                    field=f"servers[{index}].tls",
                    value=None,
                    rule="must be set on a public gateway",
                    remedy="Give the TLS mode and a credential, or make the gateway internal",
                )
        if not self.source_ranges:
            raise ValidationError(
                field="source_ranges",
                value=[],
                rule="must not be empty on a public gateway",
                remedy="List who may connect; write '0.0.0.0/0' if that is everybody",
            )

    @property
    def ref(self) -> GatewayRef:
        """The Gateway object."""
        return GatewayRef(
            name=self.gateway_name,
            namespace=self.namespace_name or self.gateway_name,
            labels={"istio": self.gateway_name},
        )

    @property
    def rendered(self) -> JsonObject:
        """The Gateway object as it is registered.

        Raises:
            ValidationError: The servers of one port do not go together.
        """
        if self.api is RouteApi.GATEWAY:
            return render.native_gateway(self.ref, self.servers, self.mesh.revision)
        return render.gateway(self.ref, {**self.ref.labels}, self.servers)


class MeshGateway(Component):
    """Runs a gateway, in a namespace of its own, and makes it listen to exactly the hosts of its servers.

    It creates no routes: see :class:`MirroredService` and :class:`MirrorReceiver`. It waits until the gateway has an
    address.

    Raises:
        ValidationError: At construction of the arguments.
    """

    TYPE = "trafficmirror:index:MeshGateway"

    ref: GatewayRef
    """The Gateway object, for routes."""

    mesh: MeshHandle
    """Control plane that configures it, and by that its cluster."""

    servers: tuple[GatewayServer, ...]
    """The listeners, for those who check that a host is served."""

    api: RouteApi
    """Whose kind of Gateway it is."""

    selector: dict[str, str]
    """Labels of the gateway's pods."""

    address: pulumi.Output[str]
    """IP address or name of the load balancer; inside a cluster only, the Service's name."""

    gateway: k8s.apiextensions.CustomResource
    """The Gateway object."""

    def __init__(self, name: str, args: MeshGatewayArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        args = require_args(args, MeshGatewayArgs)
        refuse_ignored_provider(opts, args.mesh.cluster.provider)
        super().__init__(self.TYPE, name, args, opts, children=_children(args))
        self._name = name
        self._args = args
        self.ref = args.ref
        self.mesh = args.mesh
        self.servers, self.api = tuple(args.servers), args.api
        self.selector = {**args.ref.labels}
        own = [] if args.namespace else [own_namespace(name, self.ref.namespace, self._opts())]
        self._needs = [*args.mesh.ready, *args.namespace_resources, *own]
        release = self._release()
        self.address = self._address(release)
        self.gateway = self._gateway([release, *self._secrets()])
        self.register_outputs({"address": self.address})

    def _opts(self, depends_on: Sequence[pulumi.Resource] = (), *, kept: bool = False) -> pulumi.ResourceOptions:
        provider = self._args.mesh.cluster.provider
        return pulumi.ResourceOptions(
            parent=self, provider=provider, depends_on=list(depends_on), retain_on_delete=kept or None
        )

    def _release(self) -> k8s.helm.v3.Release:
        args = self._args
        own = load_balancer_annotations(args.mesh, args.exposure, global_access=args.global_access)
        values = gateway_values(
            name=args.gateway_name,
            mesh=args.mesh,
            servers=args.servers,
            exposure=args.exposure,
            source_ranges=args.source_ranges,
            annotations={**own, **args.service_annotations},
            size=args.size,
            values=args.values,
        )
        return ChartRelease(
            release=args.gateway_name,
            namespace=args.ref.namespace,
            charts=args.mesh.charts,
            chart=args.mesh.charts.gateway,
            version=args.mesh.chart_version,
            values=values,
            timeout_seconds=args.timeout_seconds,
            # Its image is filled in by the injection webhook; without it the pods would never start.
        ).register(f"{self._name}-release", self._opts(self._needs, kept=args.keep_replaced))

    def _address(self, release: k8s.helm.v3.Release) -> pulumi.Output[str]:
        ref = self._args.ref
        if self._args.exposure is Exposure.CLUSTER:
            return pulumi.Output.from_input(service_host(ref.name, ref.namespace))
        # From the release's status, so that a preview does not look for a Service that is yet to come.
        identity = release.status.apply(lambda _: f"{ref.namespace}/{ref.name}")
        service = existing_service(
            f"{self._name}-service", identity, service=ref.name, namespace=ref.namespace, opts=self._opts([release])
        )
        return service.status.apply(late(lambda status: _first_address(status, ref)))

    def _secrets(self) -> list[pulumi.Resource]:
        secrets: list[pulumi.Resource] = []
        for credential in self._args.credentials:
            secret = credential.register(
                f"{self._name}-credential-{credential.name}",
                self._args.ref.namespace,
                self._opts(self._needs, kept=self._args.keep_replaced),
            )
            credential.warn_of_end(secret)
            secrets.append(secret)
        return secrets

    def _gateway(self, before: Sequence[pulumi.Resource]) -> k8s.apiextensions.CustomResource:
        return istio_resource(f"{self._name}-gateway", self._args.rendered, self._opts([*self._needs, *before]))


def _children(args: MeshGatewayArgs) -> list[str]:
    read = [] if args.exposure is Exposure.CLUSTER else ["service"]
    secrets = [f"credential-{credential.name}" for credential in args.credentials]
    return [*([] if args.namespace else ["namespace"]), "release", *read, *secrets, "gateway"]


def check_api(gateway: MeshGateway, api: RouteApi) -> None:
    """Refuse a gateway whose kind is not that of the routes.

    Raises:
        ValidationError: It is not.
    """
    if gateway.api is not api:
        raise ValidationError(
            field="api",
            value=api.value,
            rule=f"must be that of the gateway {gateway.ref} ({gateway.api.value!r})",
            remedy="Give both the same",
        )


def check_gateway(gateway: MeshGateway, mesh: MeshHandle, *, field: str = "gateway") -> None:
    """Refuse the gateway of another cluster.

    Raises:
        ValidationError: It is one.
    """
    if gateway.mesh.cluster.provider is not mesh.cluster.provider:
        raise ValidationError(
            field=field,
            value=f"{gateway.ref} in {gateway.mesh.cluster.name}",
            rule=f"must be a gateway of the cluster {mesh.cluster.name!r}",
            remedy="Give the gateway and the mesh of one cluster",
        )


def _first_address(status: Any, gateway: GatewayRef) -> str:  # noqa: ANN401 -- untyped where the provider left it out
    if status is None:
        # Every Service in a cluster has a status; where there is none, a test's mocks only echo what they are given.
        pulumi.log.warn(f"The Service of the gateway {gateway} has no status; its name in the cluster stands in for it")
        return service_host(gateway.name, gateway.namespace)
    balancer = getattr(status, "load_balancer", None)
    for ingress in getattr(balancer, "ingress", None) or ():
        address = ingress.ip or ingress.hostname
        if address:
            return str(address)
    raise ValidationError(
        field="address",
        value=None,
        rule=f"the load balancer of the gateway {gateway} must have an address",
        remedy="Look at the events of its Service; the cluster may have nothing that serves load balancers",
    )
