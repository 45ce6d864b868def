"""The collector's pod: hardened as far as Kubernetes goes, and outside the mesh."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_kubernetes as k8s

from ...model.annotations import SETTINGS
from ...model.recording import DIRECTORY, RecorderSettings
from ...model.recording_storage import ObjectStorage, ScratchStorage
from ..parts import NON_ROOT, container_security, pod_security

CONTAINER: Final = "collector"
PORT: Final = 9100
"""Where it takes reports."""

HTTP_PORT: Final = 9101
"""Where it tells its metrics."""

SETTINGS_DIRECTORY: Final = "/etc/traffic-recorder"
SETTINGS_FILE: Final = "settings.json"

STARTUP_SECONDS: Final = 60
"""Python, gRPC and Arrow need about 2 s; a busy node many times that."""

STOP_SECONDS: Final = 45
"""Open exchanges get 5 s after SIGTERM, and the storage 30 s for what waits."""

PROCESS_MIB: Final = 256
"""Memory of the process beside the exchanges that it holds: 150 MiB (measured), and room for a file's row groups."""


@dataclass(frozen=True, kw_only=True)
class RecorderPod:
    """What decides the pod."""

    name: str
    """Name of ServiceAccount, ConfigMap and claim, which are the component's."""

    labels: Mapping[str, str]
    image: pulumi.Input[str]
    pull_policy: str
    settings: RecorderSettings
    digest: str
    """Changes with the settings, so that pods restart with them."""

    requests: Mapping[str, str]


def pod_template(pod: RecorderPod) -> k8s.core.v1.PodTemplateSpecArgs:
    """The template; everything in it keeps the level ``restricted`` of the Pod Security Standards."""
    volumes = [
        k8s.core.v1.VolumeArgs(name="settings", config_map=k8s.core.v1.ConfigMapVolumeSourceArgs(name=pod.name)),
    ]
    if not isinstance(pod.settings.storage, ObjectStorage):
        volumes.append(_recordings(pod, pod.settings.storage))
    return k8s.core.v1.PodTemplateSpecArgs(
        metadata=k8s.meta.v1.ObjectMetaArgs(
            # A proxy of its own would report its own traffic, and stand between it and its clients.
            labels={**pod.labels, "sidecar.istio.io/inject": "false"},
            annotations={SETTINGS: pod.digest},
        ),
        spec=k8s.core.v1.PodSpecArgs(
            service_account_name=pod.name,
            # It never talks to the API server; clouds that know the account by a token mount theirs themselves.
            automount_service_account_token=False,
            enable_service_links=False,
            termination_grace_period_seconds=STOP_SECONDS,
            security_context=pod_security(fs_group=NON_ROOT),
            containers=[_container(pod)],
            volumes=volumes,
        ),
    )


def _recordings(pod: RecorderPod, storage: object) -> k8s.core.v1.VolumeArgs:
    if isinstance(storage, ScratchStorage):
        limit = k8s.core.v1.EmptyDirVolumeSourceArgs(size_limit=f"{storage.size_gib}Gi")
        return k8s.core.v1.VolumeArgs(name="recordings", empty_dir=limit)
    claim = k8s.core.v1.PersistentVolumeClaimVolumeSourceArgs(claim_name=pod.name)
    return k8s.core.v1.VolumeArgs(name="recordings", persistent_volume_claim=claim)


def _container(pod: RecorderPod) -> k8s.core.v1.ContainerArgs:
    health = k8s.core.v1.GRPCActionArgs(port=PORT)
    mounts = [k8s.core.v1.VolumeMountArgs(name="settings", mount_path=SETTINGS_DIRECTORY, read_only=True)]
    if not isinstance(pod.settings.storage, ObjectStorage):
        mounts.append(k8s.core.v1.VolumeMountArgs(name="recordings", mount_path=DIRECTORY))
    # Twice what it holds, because what is being written exists as rows and as columns.
    limit = PROCESS_MIB + 2 * pod.settings.memory_mib
    return k8s.core.v1.ContainerArgs(
        name=CONTAINER,
        image=pod.image,
        image_pull_policy=pod.pull_policy,
        args=[f"{SETTINGS_DIRECTORY}/{SETTINGS_FILE}"],
        ports=[
            k8s.core.v1.ContainerPortArgs(name="grpc", container_port=PORT, protocol="TCP"),
            k8s.core.v1.ContainerPortArgs(name="http-metrics", container_port=HTTP_PORT, protocol="TCP"),
        ],
        volume_mounts=mounts,
        # No CPU limit: a throttled collector lags, and what it does not read in time is lost.
        resources=k8s.core.v1.ResourceRequirementsArgs(requests=dict(pod.requests), limits={"memory": f"{limit}Mi"}),
        security_context=container_security(),
        startup_probe=k8s.core.v1.ProbeArgs(grpc=health, period_seconds=1, failure_threshold=STARTUP_SECONDS),
        readiness_probe=k8s.core.v1.ProbeArgs(grpc=health, period_seconds=5, timeout_seconds=2),
        # Slower than readiness: a busy collector lags before it hangs.
        liveness_probe=k8s.core.v1.ProbeArgs(grpc=health, period_seconds=10, timeout_seconds=5, failure_threshold=6),
    )
