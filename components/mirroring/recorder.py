"""Recording of real traffic at a gateway or workload."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

import pulumi
import pulumi_kubernetes as k8s

from ..argument_types import HandleOf, check_types, require_args
from ..customizing import Component, ComponentArgs
from ..mesh import ImagePullPolicy, MeshGateway, MeshHandle
from ..mesh.gateway import check_gateway
from ..mesh.namespace import InNamespace, MeshNamespace, check_namespace
from ..mesh.objects import istio_resource
from ..model import DnsLabel, JsonObject, ValidationError
from ..model.recorder_filter import RecorderFilter, RecordingPoint, render_recorder_filter
from ..model.recording import (
    DEFAULT_HEADERS,
    DESCRIPTOR_FILE,
    DIRECTORY,
    RecorderSettings,
    SessionSource,
)
from ..model.recording_storage import ObjectStorage, VolumeStorage
from ..model.routing import pod_labels, service_host
from ..options import refuse_ignored_provider
from ..workloads.greeter.image import check_image, late_image
from ..workloads.parts import WAIT_FOR_ADDRESS, service_spec
from ..workloads.recorder.pod import HTTP_PORT, PORT, SETTINGS_FILE, RecorderPod, pod_template

EXPORT: Final = "python3 -m pulumi_traffic_mirror.operations.recording.export"
"""What the image runs to give its finished files away."""


@dataclass(frozen=True, kw_only=True)
class RecordedWorkload:
    """The sidecars of a workload, as a place to record.

    Attributes:
        namespace: Namespace of its pods.
        labels: Labels of its pods; at least one.

    Raises:
        ValidationError: A value is malformed.
    """

    namespace: str
    labels: Mapping[str, str]

    def __post_init__(self) -> None:
        check_types(self, within="at")
        object.__setattr__(self, "namespace", DnsLabel(self.namespace, field="at.namespace"))
        object.__setattr__(self, "labels", pod_labels(self.labels, "at.labels"))
        if not self.labels:
            raise ValidationError(
                field="at.labels",
                value={},
                rule="must name at least one label, or every pod of the namespace would be recorded",
                remedy="Give the labels of the workload's pods",
            )


@dataclass(frozen=True, kw_only=True)
class TrafficRecorderArgs(InNamespace, ComponentArgs):
    """Arguments of :class:`TrafficRecorder`.

    Raises:
        ValidationError: A value is malformed, or a plain image has no digest.
    """

    mesh: HandleOf[MeshHandle]
    """Control plane of the recorded proxies; its cluster gets the collector."""

    at: MeshGateway | RecordedWorkload
    """Where to record: what passes a gateway, or what reaches a workload's sidecars."""

    image: pulumi.Input[str]
    """Image with a digest; build it from ``components/workloads/recorder/server``."""

    namespace: MeshNamespace | str
    """Namespace of the collector; it must exist, unless it is given as a component."""

    settings: RecorderSettings = field(default_factory=RecorderSettings)
    """What is kept, where, and what never is; by default a few GiB on the node's disk."""

    allow_tag: bool = False
    """Whether :attr:`image` may have a tag instead of a digest, e.g. on a cluster without a registry."""

    image_pull_policy: ImagePullPolicy = ImagePullPolicy.IF_NOT_PRESENT
    """When nodes pull the image."""

    keep_request_ids: bool = False
    """Whether the gateway keeps the ``x-request-id`` that requests come with: needed where mirrors of another cluster
    arrive, or nothing recorded here pairs with its primary, because Envoy gives requests from outside a new one. Leave
    it off where clients enter, who could choose theirs. Sidecars keep it anyway."""

    withhold_headers: bool = False
    """Whether headers that are replaced in recordings never leave the proxy, so that they are on no wire in the
    cluster. Recordings then lack them, where else they say that there was one: a what-if on routes that ask for such a
    header answers otherwise, and a diff does not see that one is missing."""

    metrics_namespaces: Sequence[str] = ()
    """Namespaces that may read its metrics, e.g. that of Prometheus."""

    requests: Mapping[str, str] = field(default_factory=lambda: {"cpu": "100m", "memory": "256Mi"})
    """What the scheduler keeps free for it; 1,000 requests per second take a whole core."""

    def __post_init__(self) -> None:
        check_types(self)
        if isinstance(self.at, MeshGateway):
            check_gateway(self.at, self.mesh, field="at")
        check_namespace(self.namespace, self.mesh.cluster)
        if isinstance(self.image, str):
            check_image(self.image, allow_tag=self.allow_tag)
        namespaces = tuple(
            DnsLabel(each, field=f"metrics_namespaces[{index}]") for index, each in enumerate(self.metrics_namespaces)
        )
        object.__setattr__(self, "metrics_namespaces", namespaces)
        self._check_session()
        if both := set(self._withheld).intersection(self.settings.logged_headers or ()):
            raise ValidationError(
                field="settings.access_log_headers",
                value=sorted(both)[0],
                rule="is told by the access log, and must not be a header that withhold_headers keeps in the proxy",
                remedy="Leave it out of what is logged or redacted, or withhold no headers",
            )

    @property
    def _withheld(self) -> tuple[str, ...]:
        """Headers that never leave the proxy."""
        return (*DEFAULT_HEADERS, *self.settings.redaction.headers) if self.withhold_headers else ()

    def _check_session(self) -> None:
        session = self.settings.session
        if session is None:
            return
        if missing := set(self._withheld).intersection(SessionSource.parse(session).headers):
            raise ValidationError(
                field="settings.session",
                value=session,
                rule=f"needs {sorted(missing)[0]}, which withhold_headers keeps in the proxy",
                remedy="Leave one of the two out",
            )

    def filter(self, name: str) -> RecorderFilter:
        """What the recorded proxies are told.

        Args:
            name: Name of the component; names the objects, and the place in recordings.

        Raises:
            ValidationError: The name is no DNS label.
        """
        gateway = isinstance(self.at, MeshGateway)
        return RecorderFilter(
            name=name,
            namespace=self.at.ref.namespace if isinstance(self.at, MeshGateway) else self.at.namespace,
            workload_labels=self.at.selector if isinstance(self.at, MeshGateway) else self.at.labels,
            point=RecordingPoint.GATEWAY if gateway else RecordingPoint.SIDECAR_INBOUND,
            collector_host=service_host(name, self.namespace_name),
            collector_port=PORT,
            side=self.settings.side,
            bodies=self.settings.body_kib > 0,
            logged_headers=self.settings.logged_headers,
            withheld_headers=self._withheld,
            sample_percent=self.settings.sample_percent,
            keep_request_ids=self.keep_request_ids,
        )


def _check_patches(rendered: JsonObject, mesh: MeshHandle) -> None:
    spec = cast("Mapping[str, list[Mapping[str, str]]]", rendered["spec"])
    for patch in spec["configPatches"]:
        if not mesh.behaviour.patches_all(patch["applyTo"]):
            raise ValidationError(
                field="mesh.behaviour.patches",
                value=list(mesh.behaviour.patches or ()),
                rule=f"must have {patch['applyTo']}, by which proxies are told to report",
                remedy="Record in a cluster whose control plane applies such EnvoyFilters, e.g. at the receiver",
            )


class TrafficRecorder(Component):
    """Records what passes a gateway or reaches a workload, as Parquet files, without ever making it wait.

    The proxies report to a collector by Envoy's external processing filter in observability mode: they send and go on,
    and a collector that is slow, gone or broken changes nothing for clients. Creates the EnvoyFilter and the collector:
    Deployment, Service, ServiceAccount without a token, ConfigMap, NetworkPolicy and, for a volume, its claim. It
    creates no namespace, image or bucket. Credentials are replaced before anything is written. The collector stays
    outside the mesh, so reports travel in plain text inside the cluster; the NetworkPolicy lets in only the recorded
    proxies.

    Raises:
        ValidationError: At construction of the arguments, for a name that is no DNS label, and for an image that is
            known late when it is known.
    """

    TYPE = "trafficmirror:index:TrafficRecorder"

    address: str
    """The collector's Service, ``host:port``."""

    recordings: str
    """Where recordings lie: the bucket's URL, or the directory in the collector's pod."""

    fetch: str
    """Command that copies finished recordings into the working directory; empty for a bucket, which can be read."""

    deployment: k8s.apps.v1.Deployment
    """The collector's pods."""

    envoy_filter: k8s.apiextensions.CustomResource
    """What makes the proxies report."""

    def __init__(self, name: str, args: TrafficRecorderArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        args = require_args(args, TrafficRecorderArgs)
        refuse_ignored_provider(opts, args.mesh.cluster.provider)
        rendered = args.customized("envoy-filter", render_recorder_filter(args.filter(name)))
        _check_patches(rendered, args.mesh)
        super().__init__(self.TYPE, name, args, opts, children=_children(args), judged=["envoy-filter"])
        self._name, self._args = name, args
        self._labels = {"app": "traffic-recorder", "recorder": name}
        self.address = f"{service_host(name, args.namespace_name)}:{PORT}"
        self.recordings = args.settings.url
        is_bucket = isinstance(args.settings.storage, ObjectStorage)
        pod = f"kubectl exec -n {args.namespace_name} deploy/{name} --"
        self.fetch = "" if is_bucket else f"{pod} {EXPORT} {DIRECTORY} | tar -x"
        before: list[pulumi.Resource] = [self._account(), self._network_policy(), self._settings()]
        if isinstance(args.settings.storage, VolumeStorage):
            before.append(self._claim(args.settings.storage))
        self.deployment = self._deployment(before)
        # Not before the collector: proxies would report to nobody and log it.
        self.envoy_filter = istio_resource(
            f"{name}-envoy-filter", rendered, self._opts(*args.mesh.ready, self._service(), self.deployment)
        )
        self.register_outputs({"address": self.address, "recordings": self.recordings, "fetch": self.fetch})

    def _opts(self, *after: pulumi.Resource) -> pulumi.ResourceOptions:
        provider = self._args.mesh.cluster.provider
        return pulumi.ResourceOptions(
            parent=self, provider=provider, depends_on=[*self._args.namespace_resources, *after]
        )

    def _meta(self, **annotations: str) -> k8s.meta.v1.ObjectMetaArgs:
        return k8s.meta.v1.ObjectMetaArgs(
            name=self._name,
            namespace=self._args.namespace_name,
            labels=self._labels,
            annotations=annotations or None,
        )

    def _account(self) -> k8s.core.v1.ServiceAccount:
        storage = self._args.settings.storage
        annotations: Mapping[str, str] = storage.account_annotations if isinstance(storage, ObjectStorage) else {}
        return k8s.core.v1.ServiceAccount(
            f"{self._name}-service-account",
            metadata=self._meta(**annotations),
            automount_service_account_token=False,
            opts=self._opts(),
        )

    def _document(self) -> JsonObject:
        return self._args.settings.document(port=PORT, http_port=HTTP_PORT)

    def _settings(self) -> k8s.core.v1.ConfigMap:
        descriptors = self._args.settings.redaction.descriptor_set
        return k8s.core.v1.ConfigMap(
            f"{self._name}-settings",
            metadata=self._meta(),
            data={SETTINGS_FILE: json.dumps(self._document(), indent=2)},
            binary_data={DESCRIPTOR_FILE: base64.b64encode(descriptors).decode()} if descriptors else None,
            opts=self._opts(),
        )

    def _digest(self) -> str:
        content = json.dumps(self._document(), sort_keys=True).encode()
        return hashlib.sha256(content + (self._args.settings.redaction.descriptor_set or b"")).hexdigest()[:16]

    def _claim(self, storage: VolumeStorage) -> k8s.core.v1.PersistentVolumeClaim:
        return k8s.core.v1.PersistentVolumeClaim(
            f"{self._name}-claim",
            # Many classes bind only for a pod, which comes later.
            metadata=self._meta(**{"pulumi.com/skipAwait": "true"}),
            spec=k8s.core.v1.PersistentVolumeClaimSpecArgs(
                access_modes=["ReadWriteOnce"],
                storage_class_name=storage.storage_class or None,
                resources=k8s.core.v1.VolumeResourceRequirementsArgs(requests={"storage": f"{storage.size_gib}Gi"}),
            ),
            opts=self._opts(),
        )

    def _service(self) -> k8s.core.v1.Service:
        return k8s.core.v1.Service(
            f"{self._name}-service",
            metadata=self._meta(**WAIT_FOR_ADDRESS),
            spec=service_spec(self._labels, "grpc", PORT),
            opts=self._opts(),
        )

    def _deployment(self, before: Sequence[pulumi.Resource]) -> k8s.apps.v1.Deployment:
        args = self._args
        pod = RecorderPod(
            name=self._name,
            labels=self._labels,
            image=late_image(args.image, allow_tag=args.allow_tag),
            pull_policy=args.image_pull_policy.value,
            settings=args.settings,
            digest=self._digest(),
            requests=args.requests,
        )
        return k8s.apps.v1.Deployment(
            f"{self._name}-deployment",
            metadata=self._meta(),
            spec=k8s.apps.v1.DeploymentSpecArgs(
                replicas=1,
                selector=k8s.meta.v1.LabelSelectorArgs(match_labels=self._labels),
                # A volume takes one writer at a time; what passes meanwhile is not recorded, and is not held up.
                strategy=k8s.apps.v1.DeploymentStrategyArgs(type="Recreate"),
                template=pod_template(pod),
            ),
            opts=self._opts(*before),
        )

    def _network_policy(self) -> k8s.networking.v1.NetworkPolicy:
        recorded = self._args.filter(self._name)
        proxies = k8s.networking.v1.NetworkPolicyPeerArgs(
            namespace_selector=_namespaces([str(recorded.namespace)]),
            pod_selector=k8s.meta.v1.LabelSelectorArgs(match_labels=dict(recorded.workload_labels)),
        )
        ingress = [_allowed(proxies, PORT)]
        if self._args.metrics_namespaces:
            readers = _namespaces(self._args.metrics_namespaces)
            ingress.append(_allowed(k8s.networking.v1.NetworkPolicyPeerArgs(namespace_selector=readers), HTTP_PORT))
        is_bucket = isinstance(self._args.settings.storage, ObjectStorage)
        return k8s.networking.v1.NetworkPolicy(
            f"{self._name}-network-policy",
            metadata=self._meta(),
            spec=k8s.networking.v1.NetworkPolicySpecArgs(
                pod_selector=k8s.meta.v1.LabelSelectorArgs(match_labels=self._labels),
                # With a volume it calls nobody, so whatever gets into it does not get out; a bucket's addresses
                # are not known.
                policy_types=["Ingress"] if is_bucket else ["Ingress", "Egress"],
                ingress=ingress,
            ),
            opts=self._opts(),
        )


def _children(args: TrafficRecorderArgs) -> list[str]:
    volume = isinstance(args.settings.storage, VolumeStorage)
    before = ["service-account", "network-policy", "settings", *(["claim"] if volume else [])]
    return [*before, "service", "deployment", "envoy-filter"]


def _namespaces(names: Sequence[str]) -> k8s.meta.v1.LabelSelectorArgs:
    named = k8s.meta.v1.LabelSelectorRequirementArgs(
        key="kubernetes.io/metadata.name", operator="In", values=[str(name) for name in names]
    )
    return k8s.meta.v1.LabelSelectorArgs(match_expressions=[named])


def _allowed(
    peer: k8s.networking.v1.NetworkPolicyPeerArgs, port: int
) -> k8s.networking.v1.NetworkPolicyIngressRuleArgs:
    ports = [k8s.networking.v1.NetworkPolicyPortArgs(port=port, protocol="TCP")]
    return k8s.networking.v1.NetworkPolicyIngressRuleArgs(from_=[peer], ports=ports)
