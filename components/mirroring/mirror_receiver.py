"""Testing's side: accepts what one contract says and nothing else."""

from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from ..argument_types import check_types, require_args
from ..mesh import MeshGateway, MeshHandle
from ..mesh.gateway import check_gateway
from ..mesh.objects import istio_resource
from ..model import (
    Brakes,
    Destination,
    Expiry,
    MirrorContract,
    MirrorOffer,
    MirrorReceiverRoute,
    ValidationError,
    Waiver,
    receiver_server,
    render,
)
from ..workloads.namespace import MeshNamespace, check_namespace
from .paths import ONWARD, mirror_paths


@dataclass(frozen=True, kw_only=True)
class MirrorReceiverArgs:
    """Arguments of :class:`MirrorReceiver`.

    Raises:
        ValidationError: A value has a wrong type; the component refuses what does not fit together.
    """

    mesh: MeshHandle
    """Control plane of the cluster that receives mirrors."""

    gateway: MeshGateway
    """Gateway that mirrors enter by; its servers must accept the contract, see ``receiver_server``."""

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

    @property
    def namespace_name(self) -> str:
        """Name of the namespace."""
        return self.namespace if isinstance(self.namespace, str) else self.namespace.namespace


class MirrorReceiver(pulumi.ComponentResource):
    """Routes a contract's mirrors to a service in testing, in both authority forms, and offers that to staging.

    It removes credentials and sets the mark whatever staging's version could do, and answers 508 to a mirror of a
    mirror. It creates neither the gateway nor the service.

    Raises:
        ValidationError: At construction: a value is malformed, or the gateway does not accept the contract.
    """

    TYPE = "trafficmirror:index:MirrorReceiver"

    virtual_service: k8s.apiextensions.CustomResource
    """The routes."""

    envoy_filter: k8s.apiextensions.CustomResource
    """Keeps ``x-request-id``, by which a mirror is found beside its primary."""

    offer: pulumi.Output[dict[str, Any]]
    """What staging needs: the contract's terms and digest, and the gateway's address; and where this program mirrors
    what enters by that gateway, so that staging refuses a circle. Export it."""

    def __init__(self, name: str, args: MirrorReceiverArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        args = require_args(args, MirrorReceiverArgs)
        route = MirrorReceiverRoute(
            name=args.object_name or name,
            namespace=args.namespace_name,
            contract=args.contract,
            service=args.service,
            gateway=args.gateway.ref,
            limits=args.limits,
        )
        _check_accepted(args)
        paths, entrance = mirror_paths(), str(args.gateway.ref)
        paths.add_receiver(name, args.contract, args.mesh.cluster, entrance)
        super().__init__(self.TYPE, name, {}, opts)

        def after(needs: list[pulumi.Resource]) -> pulumi.ResourceOptions:
            return pulumi.ResourceOptions(parent=self, provider=args.mesh.cluster.provider, depends_on=needs)

        needs: list[pulumi.Resource] = [*args.mesh.ready, args.gateway.gateway]
        if isinstance(args.namespace, MeshNamespace):
            needs.append(args.namespace)
        before = [istio_resource(f"{name}-envoy-filter", render.receiver_envoy_filter(route), after(needs))]
        self.envoy_filter = before[0]
        rule = render.receiver_destination_rule(route)
        if rule:
            before.append(istio_resource(f"{name}-destination-rule", rule, after(needs)))
        self.virtual_service = istio_resource(
            f"{name}-virtual-service", render.receiver_virtual_service(route), after([*needs, *before])
        )

        def offer(address: str) -> dict[str, Any]:
            onward = paths.onward(args.mesh.cluster, entrance)
            told = MirrorOffer.of(args.contract, address, args.expires).to_json()
            return {**told, ONWARD: onward} if onward else {**told}

        self.offer = args.gateway.address.apply(offer)
        self.register_outputs({"offer": self.offer})


def _check_accepted(args: MirrorReceiverArgs) -> None:
    check_gateway(args.gateway, args.mesh)
    contract = args.contract
    needed = receiver_server(contract, "any") if contract.tls else receiver_server(contract)
    accepted = {
        host
        for server in args.gateway.servers
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
