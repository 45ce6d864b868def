"""Testing's side: accepts what one contract says and nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from ..argument_types import HandleOf, check_types, known_text, require_args
from ..clock import utc_now
from ..customizing import Component, ComponentArgs
from ..mesh import MeshGateway, MeshHandle
from ..mesh.gateway import check_api, check_gateway
from ..mesh.namespace import InNamespace, MeshNamespace, check_namespace
from ..mesh.objects import istio_resource
from ..model import (
    Brakes,
    Destination,
    Expiry,
    GatewayRef,
    JsonObject,
    MirrorContract,
    MirrorOffer,
    MirrorReceiverRoute,
    RouteApi,
    ValidationError,
    Waiver,
    receiver_server,
)
from ..model.contract import TlsMode, gateway_address
from ..model.receiver import MAX_PER_SECOND
from ..options import refuse_ignored_provider
from ..refusal import late
from .paths import DOWNSTREAM, mirror_paths
from .rendered import RenderedReceiver


@dataclass(frozen=True, kw_only=True)
class MirrorReceiverArgs(InNamespace, ComponentArgs):
    """Arguments of :class:`MirrorReceiver`.

    Raises:
        ValidationError: A value has a wrong type; the component refuses what does not fit together.
    """

    mesh: HandleOf[MeshHandle]
    """Control plane of the cluster that receives mirrors."""

    gateway: MeshGateway | GatewayRef
    """Gateway that mirrors enter by; its servers must accept the contract, see ``receiver_server``. Of one that exists,
    given by its name, the servers cannot be seen here: ``traffic-mirror check`` reads them in the cluster."""

    address: pulumi.Input[str] | None = None
    """IP address or DNS name at which staging reaches a gateway that exists, for the offer; needed for such a one, and
    only there: a ``MeshGateway`` knows its own."""

    max_per_second: int | Waiver = MAX_PER_SECOND
    """Copies that each pod of the gateway lets through in a second, 1 to 1,000,000, or the waiver for any number.
    Further ones are answered 429, in gRPC RESOURCE_EXHAUSTED, and staging's clients notice nothing."""

    api: RouteApi = RouteApi.ISTIO
    """Whose kind of route it is; that of the gateway. The contract is the same for both. In the Gateway API a mirror of
    a mirror is answered 500, and at most 32 headers come off."""

    contract: MirrorContract
    """What staging sends. Both stacks build it from the same values."""

    service: Destination
    """Who gets the mirrors."""

    namespace: MeshNamespace | str = "default"
    """Namespace of the routing objects; it must exist, unless it is given as a component."""

    limits: Brakes | Waiver = field(default_factory=Brakes)
    """What mirrors may cost the service, or the waiver for no limit."""

    expires: Expiry | None = None
    """End of the offer; staging refuses it afterwards. None for no end."""

    object_name: str = ""
    """Name of the routing objects in the cluster; default the component's name."""

    def __post_init__(self) -> None:
        check_types(self)
        check_namespace(self.namespace, self.mesh.cluster)
        known = isinstance(self.gateway, MeshGateway)
        if known == (self.address is not None):
            raise ValidationError(
                field="address",
                value=self.address if isinstance(self.address, str) else (known and "(given late)") or None,
                rule=f"must be {'left out' if known else 'given'} for {'a MeshGateway' if known else 'a GatewayRef'}",
                remedy="Drop it: the gateway's own is offered" if known else "Give the address of its load balancer",
            )
        if isinstance(self.address, str):
            gateway_address(self.address)

    @property
    def gateway_ref(self) -> GatewayRef:
        """The Gateway object."""
        return self.gateway.ref if isinstance(self.gateway, MeshGateway) else self.gateway


class MirrorReceiver(Component):
    """Routes a contract's mirrors to a service in testing, in both authority forms, and offers that to staging.

    It removes credentials and sets the mark whatever staging's version could do, and refuses a mirror of a mirror:
    508. It creates neither the gateway nor the service.

    Raises:
        ValidationError: At construction: a value is malformed, or the gateway does not accept the contract.
    """

    TYPE = "trafficmirror:index:MirrorReceiver"

    route: k8s.apiextensions.CustomResource
    """The VirtualService, or the HTTPRoute or GRPCRoute."""

    envoy_filter: k8s.apiextensions.CustomResource | None
    """Keeps ``x-request-id``, by which a mirror is found beside its primary; None, with a warning, in a mesh that
    applies no EnvoyFilter to network filters."""

    authorization: k8s.apiextensions.CustomResource | None
    """Refuses at the gateway whoever has none of the contract's client certificates, by whatever listener they enter;
    None without mutual TLS, and for a ``GatewayRef`` without labels."""

    offer: pulumi.Output[dict[str, Any]]
    """What staging needs: the contract's terms and digest, and the gateway's address; and where this program mirrors
    what enters by that gateway, so that staging refuses a circle. Export it."""

    def __init__(self, name: str, args: MirrorReceiverArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        args = require_args(args, MirrorReceiverArgs)
        refuse_ignored_provider(opts, args.mesh.cluster.provider)
        route = MirrorReceiverRoute(
            name=args.object_name or name,
            namespace=args.namespace_name,
            contract=args.contract,
            service=args.service,
            gateway=args.gateway_ref,
            limits=args.limits,
            max_per_second=args.max_per_second,
            api=args.api,
        )
        if isinstance(args.gateway, MeshGateway):
            _check_accepted(args.gateway, args)
        rendered = RenderedReceiver.of(route, args.mesh.behaviour).customized(args)
        rendered.require_rules(args.mesh, utc_now())
        paths, entrance = mirror_paths(), str(args.gateway_ref)
        paths.add_receiver(name, args.contract, args.mesh.cluster, entrance)
        super().__init__(self.TYPE, name, args, opts, children=rendered.objects, judged=rendered.objects)
        needs: list[pulumi.Resource] = [*args.mesh.ready, *args.namespace_resources]
        address = args.address
        if isinstance(args.gateway, MeshGateway):
            # The last of a gateway's parts, so it stands for all of them.
            needs.append(args.gateway.gateway)
            address = args.gateway.address

        def register(
            shapes: Mapping[str, JsonObject], *after: pulumi.Resource
        ) -> dict[str, k8s.apiextensions.CustomResource]:
            provider = args.mesh.cluster.provider
            own = pulumi.ResourceOptions(parent=self, provider=provider, depends_on=[*needs, *after])
            return {child: istio_resource(f"{name}-{child}", shape, own) for child, shape in shapes.items()}

        self._warn(args, rendered)
        before = {**register(rendered.at_gateway), **register(rendered.behind)}
        self.authorization, self.envoy_filter = before.get("authorization"), before.get("envoy-filter")
        (self.route,) = register(rendered.route, *before.values()).values()

        def offer(address: object) -> dict[str, Any]:
            downstream = paths.downstream(args.mesh.cluster, entrance)
            told = MirrorOffer.of(args.contract, known_text(address, field="address"), args.expires).to_json()
            return {**told, DOWNSTREAM: downstream} if downstream else {**told}

        self.offer = pulumi.Output.from_input(address).apply(late(offer))
        self.register_outputs({"offer": self.offer})

    def _warn(self, args: MirrorReceiverArgs, rendered: RenderedReceiver) -> None:
        """Tell what this mesh cannot keep where mirrors enter."""
        tls, made = args.contract.tls, rendered.at_gateway
        if "authorization" not in made and tls and tls.mode is TlsMode.MUTUAL:
            pulumi.log.warn(
                "Which pods the gateway has is not known, so what enters by other listeners of it, without a "
                "certificate, reaches the mirrors' route. Give the GatewayRef their labels",
                self,
            )
        if "rate-limit" not in made and not isinstance(args.max_per_second, Waiver):
            pulumi.log.warn(
                f"This mesh applies no EnvoyFilter that bounds copies a second ({args.max_per_second}); the bound on "
                "requests in flight holds. Give max_per_second a Waiver to say that this is known",
                self,
            )
        if "envoy-filter" not in made:
            pulumi.log.warn(
                "This mesh gives each copy an x-request-id of its own, so none is found beside its primary", self
            )


def _check_accepted(gateway: MeshGateway, args: MirrorReceiverArgs) -> None:
    check_gateway(gateway, args.mesh)
    check_api(gateway, args.api)
    contract = args.contract
    needed = receiver_server(contract, "any") if contract.tls else receiver_server(contract)
    accepted = {
        host
        for server in gateway.servers
        if server.port == needed.port and server.tls == needed.tls and server.protocol == needed.protocol
        for host in server.hosts
    }
    missing = [str(host) for host in needed.hosts if host not in accepted]
    if missing:
        raise ValidationError(
            field="gateway.servers",
            value=missing,
            rule=f"must accept every authority form on port {int(contract.port)} with the contract's protocol and TLS",
            remedy="Add receiver_server(contract, credential) to the gateway's servers",
        )
