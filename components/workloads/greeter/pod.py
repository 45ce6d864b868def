"""The greeter's pod: hardened as far as Kubernetes goes."""

from collections.abc import Mapping, Sequence
from typing import Final

import pulumi
import pulumi_kubernetes as k8s

from ..parts import container_security, pod_security

CONTAINER: Final = "greeter"

STARTUP_SECONDS: Final = 60
"""Python and gRPC need about 1 s; a busy node many times that."""

OWN_VARIABLES: Final = ("VERSION", "PODNAME", "PODIP", "PORT")
"""Environment that the component sets by itself."""


def pod_template(
    *,
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
    service_account: str,
    container: k8s.core.v1.ContainerArgs,
    spread: bool,
) -> k8s.core.v1.PodTemplateSpecArgs:
    """The template; everything in it keeps the level ``restricted`` of the Pod Security Standards."""
    constraint = k8s.core.v1.TopologySpreadConstraintArgs(
        max_skew=1,
        topology_key="kubernetes.io/hostname",
        when_unsatisfiable="ScheduleAnyway",
        label_selector=k8s.meta.v1.LabelSelectorArgs(match_labels=dict(labels)),
    )
    return k8s.core.v1.PodTemplateSpecArgs(
        metadata=k8s.meta.v1.ObjectMetaArgs(labels=dict(labels), annotations=dict(annotations) or None),
        spec=k8s.core.v1.PodSpecArgs(
            service_account_name=service_account,
            # It never talks to the API server, so an intruder finds no token.
            automount_service_account_token=False,
            # Environment variables for every Service of the namespace, which nothing here reads.
            enable_service_links=False,
            security_context=pod_security(),
            containers=[container],
            topology_spread_constraints=[constraint] if spread else None,
        ),
    )


def greeter_container(
    *,
    image: pulumi.Input[str],
    pull_policy: str,
    port: int,
    environment: Sequence[k8s.core.v1.EnvVarArgs],
    requests: Mapping[str, str],
    memory_limit: str,
    drain_seconds: int,
) -> k8s.core.v1.ContainerArgs:
    """The one container."""
    health = k8s.core.v1.GRPCActionArgs(port=port)
    return k8s.core.v1.ContainerArgs(
        name=CONTAINER,
        image=image,
        image_pull_policy=pull_policy,
        env=environment,
        ports=[k8s.core.v1.ContainerPortArgs(name="grpc", container_port=port, protocol="TCP")],
        # No CPU limit: it would throttle answers although the node has time to spare, and so blur measurements.
        resources=k8s.core.v1.ResourceRequirementsArgs(requests=dict(requests), limits={"memory": memory_limit}),
        security_context=container_security(),
        startup_probe=k8s.core.v1.ProbeArgs(grpc=health, period_seconds=1, failure_threshold=STARTUP_SECONDS),
        readiness_probe=k8s.core.v1.ProbeArgs(grpc=health, period_seconds=5, timeout_seconds=2),
        # Slower than readiness: a busy pod leaves the Service first and is killed only when that does not help.
        liveness_probe=k8s.core.v1.ProbeArgs(grpc=health, period_seconds=10, timeout_seconds=5, failure_threshold=6),
        lifecycle=k8s.core.v1.LifecycleArgs(
            pre_stop=k8s.core.v1.LifecycleHandlerArgs(sleep=k8s.core.v1.SleepActionArgs(seconds=drain_seconds))
        )
        if drain_seconds
        else None,
    )


def own_environment(version: str, port: int) -> list[k8s.core.v1.EnvVarArgs]:
    """What the greeter's image reads of its surroundings."""
    return [
        k8s.core.v1.EnvVarArgs(name="VERSION", value=version),
        k8s.core.v1.EnvVarArgs(name="PORT", value=str(port)),
        _from_field("PODNAME", "metadata.name"),
        _from_field("PODIP", "status.podIP"),
    ]


def _from_field(name: str, path: str) -> k8s.core.v1.EnvVarArgs:
    reference = k8s.core.v1.ObjectFieldSelectorArgs(field_path=path)
    return k8s.core.v1.EnvVarArgs(name=name, value_from=k8s.core.v1.EnvVarSourceArgs(field_ref=reference))
