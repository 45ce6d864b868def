"""Parts that every workload here shares, so that none of them is hardened less than the others."""

from collections.abc import Mapping
from typing import Final

import pulumi_kubernetes as k8s

NON_ROOT: Final = 65532
"""User and group of the images; by number, so that Kubernetes can check that it is not root."""

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


def container_security(*, read_only_root: bool | None = True) -> k8s.core.v1.SecurityContextArgs:
    """What a container of that level says.

    Args:
        read_only_root: Whether nothing can be written into the image's files; None for Kubernetes' default.
    """
    return k8s.core.v1.SecurityContextArgs(
        allow_privilege_escalation=False,
        read_only_root_filesystem=read_only_root,
        capabilities=k8s.core.v1.CapabilitiesArgs(drop=["ALL"]),
    )
