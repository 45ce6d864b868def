"""Parts that every workload here shares, so that none of them is hardened less than the others."""

from collections.abc import Mapping, Sequence
from typing import Final

import pulumi
import pulumi_kubernetes as k8s

from ..mesh import MeshHandle
from ..model.indexed_job import NON_ROOT

WAIT_FOR_ADDRESS: Final = {"pulumi.com/waitFor": "jsonpath={.spec.clusterIP}"}
"""The Deployment tells when pods are ready; without it each new Service waits 10 s more (measured)."""


def service_spec(labels: Mapping[str, str], protocol: str, port: int) -> k8s.core.v1.ServiceSpecArgs:
    """A Service with one port.

    Args:
        labels: Labels of its pods.
        protocol: What is spoken there, e.g. ``grpc``. Istio chooses the protocol by the port's name or by
            ``appProtocol``; without, it would guess from each connection.
        port: Port of the Service and of the pods.
    """
    return k8s.core.v1.ServiceSpecArgs(
        type="ClusterIP",
        selector=labels,
        ports=[
            k8s.core.v1.ServicePortArgs(
                name=protocol, app_protocol=protocol, port=port, target_port=port, protocol="TCP"
            )
        ],
    )


def called_by(
    name: str,
    metadata: k8s.meta.v1.ObjectMetaArgs,
    opts: pulumi.ResourceOptions,
    *,
    port: int,
    gateway_namespaces: Sequence[str],
    mesh: MeshHandle | None,
) -> k8s.networking.v1.NetworkPolicy:
    """Who may call pods: gateways, their namespace, and namespaces of the mesh.

    Nothing about egress: a proxy needs istiod and DNS, whose addresses differ between clusters.

    Args:
        name: The component's Pulumi name.
        metadata: Of the policy; its labels choose the pods.
        opts: Parent, provider and dependencies.
        port: Port that they may call.
        gateway_namespaces: Where gateways are.
        mesh: Whose namespaces may call as well; None for none.
    """
    peers = [k8s.networking.v1.NetworkPolicyPeerArgs(pod_selector=k8s.meta.v1.LabelSelectorArgs())]
    if gateway_namespaces:
        named = k8s.meta.v1.LabelSelectorRequirementArgs(
            key="kubernetes.io/metadata.name", operator="In", values=list(gateway_namespaces)
        )
        selected = k8s.meta.v1.LabelSelectorArgs(match_expressions=[named])
        peers.append(k8s.networking.v1.NetworkPolicyPeerArgs(namespace_selector=selected))
    if mesh:
        meshed = k8s.meta.v1.LabelSelectorArgs(match_labels=mesh.injection_labels)
        peers.append(k8s.networking.v1.NetworkPolicyPeerArgs(namespace_selector=meshed))
    allowed = k8s.networking.v1.NetworkPolicyIngressRuleArgs(
        from_=peers, ports=[k8s.networking.v1.NetworkPolicyPortArgs(port=port, protocol="TCP")]
    )
    return k8s.networking.v1.NetworkPolicy(
        f"{name}-network-policy",
        metadata=metadata,
        spec=k8s.networking.v1.NetworkPolicySpecArgs(
            pod_selector=k8s.meta.v1.LabelSelectorArgs(match_labels=metadata.labels),
            policy_types=["Ingress"],
            ingress=[allowed],
        ),
        opts=opts,
    )


def pod_security(user: int | None = NON_ROOT, fs_group: int | None = None) -> k8s.core.v1.PodSecurityContextArgs:
    """What a pod of the level ``restricted`` of the Pod Security Standards says.

    Args:
        user: User and group; None for those of the image, which must not be root.
        fs_group: Group of its volumes, which else are root's.
    """
    return k8s.core.v1.PodSecurityContextArgs(
        run_as_non_root=True,
        run_as_user=user,
        run_as_group=user,
        fs_group=fs_group,
        seccomp_profile=k8s.core.v1.SeccompProfileArgs(type="RuntimeDefault"),
    )


def container_security(*, read_only_root: bool = True) -> k8s.core.v1.SecurityContextArgs:
    """What a container of that level says.

    Args:
        read_only_root: Whether nothing can be written into the image's files.
    """
    return k8s.core.v1.SecurityContextArgs(
        allow_privilege_escalation=False,
        read_only_root_filesystem=read_only_root,
        capabilities=k8s.core.v1.CapabilitiesArgs(drop=["ALL"]),
    )
