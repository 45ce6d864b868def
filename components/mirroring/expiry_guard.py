"""Ends mirrors on time even when nobody acts."""

from dataclasses import dataclass, field
from typing import Final, cast

import pulumi
import pulumi_kubernetes as k8s

from ..argument_types import HandleOf, check_types, require_args
from ..customizing import Component, ComponentArgs
from ..mesh import ImagePullPolicy, MeshHandle
from ..mesh.namespace import InNamespace, MeshNamespace, check_namespace, own_namespace
from ..model import DnsLabel, JsonObject, RouteApi, ValidationError, render
from ..model.checks import whole
from ..options import refuse_ignored_provider
from ..workloads.greeter.image import check_image, late_image
from ..workloads.parts import container_security, pod_security
from .mirror_overlay import MirrorOverlay
from .mirrored_service import MirroredService

ISTIO_GROUP: Final = "networking.istio.io"
MAX_CRON_NAME: Final = 52
"""Longest name of a CronJob, because its Jobs append eleven characters. Source: Kubernetes' CronJob documentation."""

JOB_SECONDS: Final = 120
"""A run takes about a second; one that hangs is ended long before the next but one."""

STARTING_DEADLINE_SECONDS: Final = 3600
"""A run that was due while the control plane was down is made up for within this time."""


@dataclass(frozen=True, kw_only=True)
class ExpiryGuardArgs(InNamespace, ComponentArgs):
    """Arguments of :class:`ExpiryGuard`.

    Raises:
        ValidationError: A value is malformed, or a plain image has no digest.
    """

    mesh: HandleOf[MeshHandle]
    """Control plane of the service's cluster."""

    service: MirroredService | MirrorOverlay
    """Whose mirrors are ended. One guard watches one of them."""

    namespace: MeshNamespace | str = ""
    """Namespace of account and CronJob; it must exist, unless it is given as a component. Empty makes one of the
    guard's own, called like the component. Not the service's: whoever may run pods there could change, by the guard's
    rights, an EnvoyFilter of every proxy."""

    image: pulumi.Input[str]
    """Image with a digest; build it from ``components/workloads/expiry/server``."""

    allow_tag: bool = False
    """Whether :attr:`image` may have a tag instead of a digest, e.g. on a cluster without a registry."""

    image_pull_policy: ImagePullPolicy = ImagePullPolicy.IF_NOT_PRESENT
    """When nodes pull the image."""

    every_minutes: int = 5
    """How often it looks, 1 to 59 minutes: the longest time that a mirror outlives its end."""

    requests: dict[str, str] = field(default_factory=lambda: {"cpu": "10m", "memory": "32Mi"})
    """What the scheduler keeps free for a run."""

    def __post_init__(self) -> None:
        check_types(self)
        if self.namespace:
            check_namespace(self.namespace, self.mesh.cluster)
        if isinstance(self.image, str):
            check_image(self.image, allow_tag=self.allow_tag)
        whole(self.every_minutes, "every_minutes", 1, 59)

    @property
    def schedule(self) -> str:
        """When it runs, in cron's form."""
        return "* * * * *" if self.every_minutes == 1 else f"*/{self.every_minutes} * * * *"


def _filters(watched: MirroredService | MirrorOverlay) -> dict[str, JsonObject]:
    """EnvoyFilters with mirrors, by the end of the names of the rights to change them."""
    if isinstance(watched, MirrorOverlay):
        return {
            role.replace("envoy-filter", "filter"): value
            for role, value in render.overlay_filters(watched.route).items()
        }
    rendered = render.envoy_filter(watched.route)
    return {"filter": rendered} if rendered else {}


def _children(args: ExpiryGuardArgs) -> list[str]:
    watched = args.service
    grants = [*(["routes"] if isinstance(watched, MirroredService) else []), *_filters(watched)]
    rights = [f"{grant}-{kind}" for grant in grants for kind in ("role", "role-binding")]
    return [*([] if args.namespace else ["namespace"]), "service-account", "network-policy", *rights, "cron-job"]


class ExpiryGuard(Component):
    """Sets mirrors whose end has passed to 0 in the cluster: a CronJob that may change their objects only.

    It changes the live objects, because nobody else may be there to act; the next deployment, from which the program
    must have dropped the mirror, removes them. It has rights to get and patch one VirtualService and its EnvoyFilter,
    or an overlay's EnvoyFilters, by name, and its account a namespace of its own: no rights bound what it writes into
    them. It creates no image.

    Raises:
        ValidationError: At construction: a value is malformed, the name is too long, or the mesh is another cluster's.
    """

    TYPE = "trafficmirror:index:ExpiryGuard"

    cron_job: k8s.batch.v1.CronJob
    """What looks at the ends."""

    def __init__(self, name: str, args: ExpiryGuardArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        args = require_args(args, ExpiryGuardArgs)
        refuse_ignored_provider(opts, args.mesh.cluster.provider)
        if len(DnsLabel(name, field="name")) > MAX_CRON_NAME:
            raise ValidationError(
                field="name",
                value=name,
                rule=f"must have at most {MAX_CRON_NAME} characters, because it names a CronJob",
                remedy="Shorten it",
            )
        if args.service.mesh.cluster.provider is not args.mesh.cluster.provider:
            raise ValidationError(
                field="mesh",
                value=args.mesh.cluster.name,
                rule=f"must be the mesh of the service's cluster {args.service.mesh.cluster.name!r}",
                remedy="Give the service's own mesh",
            )
        watched, provider = args.service, args.mesh.cluster.provider
        self._namespace = args.namespace_name or name
        if self._namespace == watched.route.namespace:
            raise ValidationError(
                field="namespace",
                value=self._namespace,
                rule="must not be the service's: whoever may run pods there would have the guard's rights",
                remedy="Leave it out for a namespace of the guard's own, which has the component's name",
            )
        if isinstance(args.service, MirroredService) and args.service.route.api is not RouteApi.ISTIO:
            raise ValidationError(
                field="service",
                value=str(args.service.route.name),
                rule="must be written in a VirtualService: the guard knows no routes of the Gateway API",
                remedy="Leave the guard out, or give the service api='istio'",
            )
        super().__init__(self.TYPE, name, args, opts, children=_children(args))
        self._name = name
        self._args = args
        # Not before what it reads.
        read = watched.envoy_filters if isinstance(watched, MirrorOverlay) else watched.routes
        needs: list[pulumi.Resource] = [*read, *args.namespace_resources]
        if not args.namespace:
            needs.append(own_namespace(name, name, pulumi.ResourceOptions(parent=self, provider=provider)))
        self._opts = pulumi.ResourceOptions(parent=self, provider=provider, depends_on=needs)
        account = k8s.core.v1.ServiceAccount(
            f"{name}-service-account",
            metadata=self._meta(self._namespace),
            automount_service_account_token=False,
            opts=self._opts,
        )
        self._nobody_calls()
        grants: list[pulumi.Resource] = []
        routes = ""
        if isinstance(watched, MirroredService):
            grants += self._grant("routes", "virtualservices", str(watched.route.namespace), str(watched.route.name))
            routes = f"{watched.route.namespace}/{watched.route.name}"
        filters: list[str] = []
        for role, rendered in _filters(watched).items():
            metadata = cast("dict[str, str]", rendered["metadata"])
            grants += self._grant(role, "envoyfilters", metadata["namespace"], metadata["name"])
            filters.append(f"{metadata['namespace']}/{metadata['name']}")
        self.cron_job = self._cron_job(routes, ",".join(filters), [account, *grants])
        self.register_outputs({})

    def _meta(self, namespace: str, suffix: str = "") -> k8s.meta.v1.ObjectMetaArgs:
        labels = {"app": "traffic-mirror-expiry", "service": self._name}
        return k8s.meta.v1.ObjectMetaArgs(name=f"{self._name}{suffix}", namespace=namespace, labels=labels)

    def _nobody_calls(self) -> None:
        """Nothing about egress: the API server's address differs between clusters."""
        k8s.networking.v1.NetworkPolicy(
            f"{self._name}-network-policy",
            metadata=self._meta(self._namespace),
            spec=k8s.networking.v1.NetworkPolicySpecArgs(
                pod_selector=k8s.meta.v1.LabelSelectorArgs(match_labels={"app": "traffic-mirror-expiry"}),
                policy_types=["Ingress"],
                ingress=[],
            ),
            opts=self._opts,
        )

    def _grant(self, role: str, resource: str, namespace: str, target: str) -> list[pulumi.Resource]:
        """Rights to get and patch one object by name, and nothing else."""
        rule = k8s.rbac.v1.PolicyRuleArgs(
            api_groups=[ISTIO_GROUP],
            resources=[resource],
            resource_names=[target],
            verbs=["get", "patch"],
        )
        suffix = f"-{role}"
        granted = k8s.rbac.v1.Role(
            f"{self._name}-{role}-role", metadata=self._meta(namespace, suffix), rules=[rule], opts=self._opts
        )
        binding = k8s.rbac.v1.RoleBinding(
            f"{self._name}-{role}-role-binding",
            metadata=self._meta(namespace, suffix),
            role_ref=k8s.rbac.v1.RoleRefArgs(
                api_group="rbac.authorization.k8s.io", kind="Role", name=f"{self._name}{suffix}"
            ),
            subjects=[k8s.rbac.v1.SubjectArgs(kind="ServiceAccount", name=self._name, namespace=self._namespace)],
            opts=self._opts,
        )
        return [granted, binding]

    def _cron_job(self, routes: str, filters: str, after: list[pulumi.Resource]) -> k8s.batch.v1.CronJob:
        args = self._args
        opts = pulumi.ResourceOptions(parent=self, provider=args.mesh.cluster.provider, depends_on=after)
        pod = k8s.core.v1.PodSpecArgs(
            service_account_name=self._name,
            # The one pod here that talks to the API server.
            automount_service_account_token=True,
            enable_service_links=False,
            restart_policy="Never",
            security_context=pod_security(),
            containers=[self._container(routes, filters)],
        )
        template = k8s.core.v1.PodTemplateSpecArgs(
            # A proxy beside it would keep the Job from ever ending.
            metadata=k8s.meta.v1.ObjectMetaArgs(
                labels={"app": "traffic-mirror-expiry", "sidecar.istio.io/inject": "false"}
            ),
            spec=pod,
        )
        job = k8s.batch.v1.JobSpecArgs(
            backoff_limit=2, active_deadline_seconds=JOB_SECONDS, ttl_seconds_after_finished=3600, template=template
        )
        return k8s.batch.v1.CronJob(
            f"{self._name}-cron-job",
            metadata=self._meta(self._namespace),
            spec=k8s.batch.v1.CronJobSpecArgs(
                schedule=args.schedule,
                time_zone="Etc/UTC",
                concurrency_policy="Forbid",
                starting_deadline_seconds=STARTING_DEADLINE_SECONDS,
                successful_jobs_history_limit=1,
                failed_jobs_history_limit=3,
                job_template=k8s.batch.v1.JobTemplateSpecArgs(spec=job),
            ),
            opts=opts,
        )

    def _container(self, routes: str, filters: str) -> k8s.core.v1.ContainerArgs:
        args = self._args
        return k8s.core.v1.ContainerArgs(
            name="expiry-guard",
            image=late_image(args.image, allow_tag=args.allow_tag),
            image_pull_policy=args.image_pull_policy.value,
            env=[
                k8s.core.v1.EnvVarArgs(name="VIRTUAL_SERVICE", value=routes),
                k8s.core.v1.EnvVarArgs(name="ENVOY_FILTER", value=filters),
            ],
            resources=k8s.core.v1.ResourceRequirementsArgs(requests=args.requests, limits={"memory": "64Mi"}),
            security_context=container_security(),
        )
