"""A gateway: Envoy at the edge of a cluster, its load balancer, its listeners and its certificates."""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from ..argument_types import check_types, require_args
from ..model import DnsLabel, GatewayRef, GatewayServer, JsonValue, ValidationError, render
from ..model.routing import service_host
from .charts import ChartRelease, check_release_name
from .credentials import TlsCredential, check_credentials
from .gateway_values import STATUS_PORT, Exposure, gateway_values, load_balancer_annotations
from .handle import MeshHandle
from .objects import istio_resource
from .size import Size


@dataclass(frozen=True, kw_only=True)
class MeshGatewayArgs:
    """Arguments of :class:`MeshGateway`.

    Raises:
        ValidationError: A value is malformed, or a public gateway lacks TLS or source ranges.
    """

    mesh: MeshHandle
    """Control plane that configures the gateway; its cluster gets the gateway."""

    servers: Sequence[GatewayServer]
    """Listeners: ``client_server`` for staging's clients, ``receiver_server`` for a contract's mirrors."""

    namespace: str | None = None
    """Namespace of pods, Gateway object and certificates; it must exist. None is the mesh's root namespace."""

    gateway_name: str = "internal-gateway"
    """Name of Gateway object, Helm release and Service; at most 53 characters."""

    exposure: Exposure = Exposure.INTERNAL
    """Who can reach it."""

    source_ranges: Sequence[str] = ()
    """CIDR ranges that the load balancer accepts clients from; empty leaves it to the network. A public gateway needs
    them, be it ``0.0.0.0/0``."""

    global_access: bool = True
    """Whether an internal load balancer on GKE accepts clients of other regions, as mirrors from another cluster may
    be."""

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
        object.__setattr__(self, "source_ranges", _ranges(self.source_ranges))
        namespace = self.namespace or self.mesh.root_namespace
        object.__setattr__(self, "namespace", DnsLabel(namespace, field="namespace"))
        DnsLabel(self.gateway_name, field="gateway_name")
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
        _check_servers(self.servers)
        check_credentials(self.servers, self.credentials)
        if self.exposure is Exposure.PUBLIC:
            self._check_public()
        if self.exposure is Exposure.CLUSTER and self.source_ranges:
            raise ValidationError(
                field="source_ranges",
                value=list(self.source_ranges),
                rule="need a load balancer, which a gateway inside the cluster has not",
                remedy="Leave them out, or choose another exposure",
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
        return GatewayRef(name=self.gateway_name, namespace=str(self.namespace))


def _ranges(given: Sequence[str]) -> tuple[str, ...]:
    ranges: list[str] = []
    for index, text in enumerate(given):
        try:
            ranges.append(str(ipaddress.ip_network(text)))
        except ValueError as error:
            raise ValidationError(
                field=f"source_ranges[{index}]",
                value=text,
                rule=f"must be a network in CIDR form ({error})",
                remedy="Write for example '10.0.0.0/8'",
            ) from None
    return tuple(ranges)


def _check_servers(servers: Sequence[GatewayServer]) -> None:
    """Refuse what a proxy cannot listen to or Istio would resolve by chance."""
    kinds: dict[int, tuple[int, bool, str]] = {}
    owners: dict[tuple[int, str], int] = {}
    for index, server in enumerate(servers):
        port = int(server.port)
        if port == STATUS_PORT:
            raise ValidationError(
                field=f"servers[{index}].port",
                value=port,
                rule="must not be the port of the proxy's health check",
                remedy="Choose another port, e.g. 8000",
            )
        other, tls, protocol = kinds.setdefault(port, (index, bool(server.tls), server.protocol.value))
        if (tls, protocol) != (bool(server.tls), server.protocol.value):
            raise ValidationError(
                field=f"servers[{index}]",
                value=f"port {port}",
                rule=f"must have the protocol and use TLS like servers[{other}], which has the same port",
                remedy="Use another port, or the same protocol with or without TLS",
            )
        for host in server.hosts:
            first = owners.setdefault((port, str(host)), index)
            if (servers[first].tls, servers[first].credential) != (server.tls, server.credential):
                raise ValidationError(
                    field=f"servers[{index}].hosts",
                    value=str(host),
                    rule=f"must have the TLS mode and credential that servers[{first}] gives it on the same port",
                    remedy="Name each host in one server per port",
                )


class MeshGateway(pulumi.ComponentResource):
    """Runs a gateway and makes it listen to exactly the hosts of its servers.

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

    selector: dict[str, str]
    """Labels of the gateway's pods."""

    address: pulumi.Output[str]
    """IP address or name of the load balancer; inside a cluster only, the Service's name."""

    gateway: k8s.apiextensions.CustomResource
    """The Gateway object."""

    def __init__(self, name: str, args: MeshGatewayArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        args = require_args(args, MeshGatewayArgs)
        super().__init__(self.TYPE, name, {}, opts)
        self._name = name
        self._args = args
        self.ref = args.ref
        self.mesh = args.mesh
        self.servers = tuple(args.servers)
        self.selector = {"istio": args.gateway_name}
        release = self._release()
        self.address = self._address(release)
        self.gateway = self._gateway([release, *self._secrets()])
        self.register_outputs({"address": self.address})

    def _opts(self, depends_on: Sequence[pulumi.Resource]) -> pulumi.ResourceOptions:
        provider = self._args.mesh.cluster.provider
        return pulumi.ResourceOptions(parent=self, provider=provider, depends_on=list(depends_on))

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
        ).register(f"{self._name}-release", self._opts(args.mesh.ready))

    def _address(self, release: k8s.helm.v3.Release) -> pulumi.Output[str]:
        ref = self._args.ref
        if self._args.exposure is Exposure.CLUSTER:
            return pulumi.Output.from_input(service_host(ref.name, ref.namespace))
        # From the release's status, so that a preview does not look for a Service that is yet to come.
        identity = release.status.apply(lambda status: f"{status.namespace}/{status.name}")
        service = k8s.core.v1.Service.get(f"{self._name}-service", identity, self._opts([release]))
        return service.status.apply(lambda status: _first_address(status, str(ref)))

    def _secrets(self) -> list[pulumi.Resource]:
        secrets: list[pulumi.Resource] = []
        for credential in self._args.credentials:
            secret = credential.register(
                # The namespace is there when the control plane is.
                f"{self._name}-credential-{credential.name}",
                self._args.ref.namespace,
                self._opts(self._args.mesh.ready),
            )
            credential.warn_of_end(secret)
            secrets.append(secret)
        return secrets

    def _gateway(self, before: Sequence[pulumi.Resource]) -> k8s.apiextensions.CustomResource:
        rendered = render.gateway(self.ref, {**self.selector}, self.servers)
        return istio_resource(f"{self._name}-gateway", rendered, self._opts([*self._args.mesh.ready, *before]))


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


def _first_address(status: Any, gateway: str) -> str:  # noqa: ANN401 -- untyped where the provider left it out
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
