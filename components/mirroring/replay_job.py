"""Recorded traffic, sent again by many pods."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

import pulumi
import pulumi_kubernetes as k8s

from ..argument_types import HandleOf, check_types, require_args
from ..clusters import ClusterHandle
from ..customizing import Component, ComponentArgs
from ..mesh import ImagePullPolicy
from ..mesh.namespace import InNamespace, MeshNamespace, check_namespace
from ..model import DnsLabel, ValidationError
from ..model.indexed_job import IndexedJob
from ..model.recording_storage import check_annotations
from ..model.replaying import ReplaySecrets, ReplaySettings
from ..options import refuse_ignored_provider
from ..workloads.greeter.image import check_image, late_image

LATER: Final = "known-later"
"""In place of an image that is not known yet, until it is put there."""

ENDED: Final = 'jsonpath={.status.conditions[?(@.type<"FailureTarget")].status}=True'
"""What ``kubectl wait`` waits for until a Job ended in either way. It takes one condition alone; of the types that
there are, ``Complete`` and ``Failed`` come first in the alphabet. Source: k8s.io/api, ``JobConditionType``."""


@dataclass(frozen=True, kw_only=True)
class ReplayJobArgs(InNamespace, ComponentArgs):
    """Arguments of :class:`ReplayJob`.

    Raises:
        ValidationError: A value is malformed, a plain image has no digest, or a volume claim is missing or without use.
    """

    cluster: HandleOf[ClusterHandle]
    """Where the pods run; the target must be reachable from there."""

    image: pulumi.Input[str]
    """Image with a digest and the entry point ``traffic-mirror``; built from ``components/workloads/jobs/server``."""

    namespace: MeshNamespace | str
    """Namespace of the pods; it must exist, unless it is given as a component."""

    settings: ReplaySettings
    """What is sent, where to, how fast, and in how many parts."""

    claim: str | None = None
    """Volume claim that pods see as ``/recordings``, where :attr:`settings` name folders there; it must exist. Pods on
    several nodes need one of the mode ReadWriteMany."""

    secrets: ReplaySecrets = field(default_factory=ReplaySecrets)
    """Secrets with headers for the target and certificates, which pods see as files."""

    account_annotations: Mapping[str, str] = field(default_factory=dict[str, str])
    """What ties the pods' ServiceAccount to an account of the cloud that may use the buckets, e.g.
    ``{"iam.gke.io/gcp-service-account": "replay@project.iam.gserviceaccount.com"}``."""

    allow_tag: bool = False
    """Whether :attr:`image` may have a tag instead of a digest, e.g. on a cluster without a registry."""

    image_pull_policy: ImagePullPolicy = ImagePullPolicy.IF_NOT_PRESENT
    """When nodes pull the image."""

    def __post_init__(self) -> None:
        check_types(self)
        check_namespace(self.namespace, self.cluster)
        if isinstance(self.image, str):
            check_image(self.image, allow_tag=self.allow_tag)
        if self.claim is not None:
            DnsLabel(self.claim, field="claim")
        if self.settings.needs_volume != (self.claim is not None):
            needed = self.settings.needs_volume
            raise ValidationError(
                field="claim",
                value=self.claim,
                rule="must be given, because recordings lie on a volume"
                if needed
                else "has no use: all lies in buckets",
                remedy="Name the volume claim with the recordings" if needed else "Leave it out",
            )
        self.secrets.check_target(self.settings.target)
        annotations = check_annotations(self.account_annotations, field="account_annotations")
        object.__setattr__(self, "account_annotations", annotations)

    def job(self, name: str) -> IndexedJob:
        """The Job: the one that ``traffic-mirror replay --job`` prints, with an account of its own.

        Args:
            name: Name of the component; names the objects.

        Raises:
            ValidationError: The name is no DNS label, or too long for the pods.
        """
        return IndexedJob(
            name=DnsLabel(name, field="name"),
            image=self.image if isinstance(self.image, str) else LATER,
            words=[*self.settings.words(), *self.secrets.words()],
            shards=self.settings.shards,
            claim=self.claim,
            namespace=self.namespace_name,
            account=name,
            labels={"app": "traffic-replay", "replay": name},
            secrets=self.secrets.files(),
        )


class ReplayJob(Component):
    """Sends recorded requests again, in parts, each in a pod of its own: a Kubernetes Indexed Job.

    The Job is the one that ``traffic-mirror replay --job`` prints. A part whose pod or node was lost begins anew, and
    changes nothing in the result. A deployment does not wait for the end. Other arguments make another Job, which
    replays again; an update without a change replays nothing. Creates Job, ServiceAccount without a token, and
    NetworkPolicy; no namespace, image, claim or bucket. Pods stay outside the mesh.

    Raises:
        ValidationError: At construction of the arguments, for a name that is no DNS label or too long, and for an image
            that is known late when it is known.
    """

    TYPE = "trafficmirror:index:ReplayJob"

    result: str | None
    """Where answers are, for ``traffic-mirror diff``; None without."""

    wait: str
    """Command that waits up to a day until every part ended. Its exit code is 0 only when all are done; :attr:`logs`
    shows what became of one that failed."""

    logs: str
    """Command that shows what each part reports."""

    job: k8s.batch.v1.Job
    """The parts."""

    def __init__(self, name: str, args: ReplayJobArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        args = require_args(args, ReplayJobArgs)
        refuse_ignored_provider(opts, args.cluster.provider)
        rendered = args.job(name)
        super().__init__(self.TYPE, name, args, opts, children=["service-account", "network-policy", "job"])
        self._name, self._args, self._labels = name, args, dict(rendered.labels)
        where = f"-n {args.namespace_name}"
        self.result = args.settings.result
        self.wait = (
            f"kubectl wait {where} --for='{ENDED}' --timeout=24h job/{name}"
            f" && kubectl wait {where} --for=condition=complete --timeout=0 job/{name}"
        )
        self.logs = (
            f"kubectl logs {where} -l replay={name} --prefix --tail=-1 --max-log-requests={args.settings.shards}"
        )
        self.job = self._job(rendered, self._account(), self._network_policy())
        self.register_outputs({"result": self.result, "wait": self.wait, "logs": self.logs})

    def _opts(self, *after: pulumi.Resource) -> pulumi.ResourceOptions:
        needs = [*self._args.namespace_resources, *after]
        return pulumi.ResourceOptions(parent=self, provider=self._args.cluster.provider, depends_on=needs)

    def _meta(self, annotations: Mapping[str, str] | None = None) -> k8s.meta.v1.ObjectMetaArgs:
        return k8s.meta.v1.ObjectMetaArgs(
            name=self._name, namespace=self._args.namespace_name, labels=self._labels, annotations=annotations or None
        )

    def _account(self) -> k8s.core.v1.ServiceAccount:
        return k8s.core.v1.ServiceAccount(
            f"{self._name}-service-account",
            metadata=self._meta(self._args.account_annotations),
            automount_service_account_token=False,
            opts=self._opts(),
        )

    def _network_policy(self) -> k8s.networking.v1.NetworkPolicy:
        """Nobody calls the pods; nothing about egress, because addresses of targets and buckets are not known."""
        return k8s.networking.v1.NetworkPolicy(
            f"{self._name}-network-policy",
            metadata=self._meta(),
            spec=k8s.networking.v1.NetworkPolicySpecArgs(
                pod_selector=k8s.meta.v1.LabelSelectorArgs(match_labels=self._labels),
                policy_types=["Ingress"],
                ingress=[],
            ),
            opts=self._opts(),
        )

    def _job(self, rendered: IndexedJob, *after: pulumi.Resource) -> k8s.batch.v1.Job:
        spec = cast("dict[str, Any]", rendered.manifest()["spec"])
        (container,) = spec["template"]["spec"]["containers"]
        container["image"] = late_image(self._args.image, allow_tag=self._args.allow_tag)
        container["imagePullPolicy"] = self._args.image_pull_policy.value
        return k8s.batch.v1.Job(
            f"{self._name}-job",
            # A replay may take a day, and the provider would wait ten minutes. FailedIndexes, which is how this Job
            # fails, it would not notice either.
            metadata=self._meta({"pulumi.com/skipAwait": "true"}),
            spec=cast("Any", spec),
            opts=self._opts(*after),
        )
