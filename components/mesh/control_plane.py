"""Istio's control plane in one cluster."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import pulumi
import pulumi_kubernetes as k8s

from ..argument_types import HandleOf, require_args
from ..clusters import ClusterHandle
from ..customizing import Component, ComponentArgs
from ..model import DnsLabel, JsonObject, JsonValue, ValidationError
from ..options import refuse_ignored_provider
from ..refusal import late
from .charts import ChartRelease, merged, section
from .compatibility import check_kubernetes
from .handle import ROOT_NAMESPACE, MeshHandle, check_revision
from .revision import IMAGE_HUB, IstiodRevision, SharedSettings
from .revision_tags import tag_webhooks
from .size import ImagePullPolicy, Size

_IMAGE_SETTINGS: Final = ("hub", "tag", "imagePullPolicy", "imagePullSecrets")


@dataclass(frozen=True, kw_only=True)
class IstioControlPlaneArgs(IstiodRevision, ComponentArgs):
    """Arguments of :class:`IstioControlPlane`: those of its one istiod, see :class:`IstiodRevision`, and these.

    Raises:
        ValidationError: A value is malformed, versions do not go together, or a name is taken twice.
    """

    cluster: HandleOf[ClusterHandle]
    """Where to install it."""

    kubernetes_version: str | None = None
    """Version of the cluster, e.g. ``"1.35"``; refused when this Istio does not support it. None takes what the cluster
    itself tells, as one on GKE does; of others it is not known. Give it to deploy before a channel's newest version is
    in the table."""

    namespace: str = ROOT_NAMESPACE
    """Root namespace of the mesh."""

    create_namespace: bool = True
    """Whether to create :attr:`namespace`."""

    hub: str | None = None
    """Registry and path of the images; None is ``docker.io/istio``, unless :attr:`values` say otherwise. A mirror of
    your own spares you Docker Hub's rate limit."""

    image_pull_policy: ImagePullPolicy | None = None
    """Of istiod, proxies and gateways; None leaves it to Kubernetes."""

    size: Size = Size.PRODUCTION
    """How much to run."""

    cni: bool = False
    """Whether istio-cni redirects traffic, so that pods need no privileges. Not possible on GKE Autopilot, which
    refuses its host paths."""

    base_values: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    """More Helm values of the chart ``base``."""

    cni_values: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    """More Helm values of the chart ``cni``."""

    revision_tags: Sequence[str] = ()
    """Names for the serving revision; proxies ask for the first one. ``default`` also serves namespaces labelled
    ``istio-injection=enabled``, and needs a named revision."""

    canary: IstiodRevision | None = None
    """Second istiod beside the first, with a revision name of its own. Its ``values`` are laid over :attr:`values`;
    environment, mesh configuration and compatibility version are its own."""

    canary_serves: bool = False
    """Whether revision tags and proxies belong to the canary. First add the canary, then, in a second update, let it
    serve, then make it the only one by giving its revision and version at the top and dropping it here."""

    timeout_seconds: int = 600
    """How long Helm may wait for one release, at least 1."""

    def __post_init__(self) -> None:
        super().__post_init__()
        DnsLabel(self.namespace, field="namespace")
        if self.timeout_seconds < 1:
            raise ValidationError(
                field="timeout_seconds",
                value=self.timeout_seconds,
                rule="must be at least 1",
                remedy="Give the seconds that Helm may wait, e.g. 600",
            )
        if self.cni and not self.cluster.platform.node_agents:
            raise ValidationError(
                field="cni",
                value=True,
                rule=f"must be off in the cluster {self.cluster.name}: nothing may be installed on its nodes",
                remedy="Leave it out: injected pods redirect their traffic themselves, for which they need NET_ADMIN",
            )
        if self.cni_values and not self.cni:
            raise ValidationError(
                field="cni_values",
                value="(given)",
                rule="needs cni, or nobody reads it",
                remedy="Set cni=True, or leave it out",
            )
        self._check_revisions()
        for index, tag in enumerate(self.revision_tags):
            _check_tag(tag, field=f"revision_tags[{index}]", taken=[*self.revision_tags[:index], *self._names])
        for each in self.revisions:
            behaviour = each.behaviour(self.values)
            if self.kubernetes_version:
                check_kubernetes(behaviour.version, self.kubernetes_version)

    def _check_revisions(self) -> None:
        if self.canary_serves and self.canary is None:
            raise ValidationError(
                field="canary_serves", value=True, rule="needs a canary", remedy="Give the canary, or drop the switch"
            )
        if self.canary and (not self.canary.revision or self.canary.revision == self.revision):
            raise ValidationError(
                field="canary.revision",
                value=self.canary.revision,
                rule="must name a revision other than the first one's",
                remedy="Choose a name, e.g. the version with hyphens: '1-31-0'",
            )

    def mesh_handle(self, ready: tuple[pulumi.Resource, ...] = ()) -> MeshHandle:
        """What the rest of the library knows about this control plane.

        Args:
            ready: What must be there before the objects in it.
        """
        serving = self.serving
        return MeshHandle(
            cluster=self.cluster,
            behaviour=serving.behaviour(self.values),
            root_namespace=self.namespace,
            revision=self.revision_tags[0] if self.revision_tags else serving.revision,
            serving_revision=serving.revision,
            chart_version=serving.version,
            charts=serving.charts,
            image_pull_policy=self.image_pull_policy,
            cni=self.cni,
            ready=ready,
        )

    @property
    def _names(self) -> tuple[str, ...]:
        # The chart's own webhooks of the unnamed revision already answer to the name "default".
        return tuple(each.revision or "default" for each in self.revisions)

    @property
    def revisions(self) -> tuple[IstiodRevision, ...]:
        """Every istiod, the first one first."""
        return (self, self.canary) if self.canary else (self,)

    @property
    def serving(self) -> IstiodRevision:
        """The istiod that tags and proxies belong to."""
        return self.canary if self.canary and self.canary_serves else self


def _check_tag(tag: str, *, field: str, taken: Sequence[str]) -> None:
    DnsLabel(tag, field=field)
    check_revision(tag, field=field)
    if tag in taken:
        raise ValidationError(
            field=field,
            value=tag,
            rule="must differ from the other tags and from every revision ('default' is the unnamed one)",
            remedy="Choose another name, e.g. 'stable'",
        )


def _role(revision: IstiodRevision) -> str:
    return f"istiod-{revision.revision}" if revision.revision else "istiod"


def _children(args: IstioControlPlaneArgs) -> list[str]:
    before = [*(["namespace"] if args.create_namespace else []), "base", *(["cni"] if args.cni else [])]
    return [*before, *map(_role, args.revisions), *(f"tag-{tag}" for tag in args.revision_tags)]


class IstioControlPlane(Component):
    """Installs Istio: its CRDs, istiod, optionally istio-cni, a second istiod and revision tags.

    It installs no gateway (see :class:`MeshGateway`) and nothing of ambient mode. On destroy the CRDs stay, as Istio's
    chart asks Helm to keep them: deleting a CRD deletes everybody's objects of that kind. In namespaces that are not
    this program's, so do the ConfigMaps that istiod wrote there, with certificates that proxies trust; they carry the
    label ``istio.io/config=true`` and go with ``kubectl delete configmap -A -l istio.io/config=true``.

    What makes Istio objects safe to create is :attr:`ready`. Helm waits for istiod's Deployment; istiod's readiness
    probe holds only once its injection and validation webhooks are served; and until istiod has seen its own
    validation webhook refuse a bad object through the API server, that webhook's failure policy is ``Ignore``. So
    after the release nothing is refused for want of a webhook.
    Source: istio/istio pilot/pkg/bootstrap/server.go and pkg/webhooks/validation/controller.

    Raises:
        ValidationError: At construction of the arguments.
    """

    TYPE = "trafficmirror:index:IstioControlPlane"

    handle: MeshHandle
    """For the components that use the mesh."""

    ready: tuple[pulumi.Resource, ...]
    """What every Istio object and every pod with a proxy must depend on."""

    version: pulumi.Output[str]
    """Version of the serving istiod."""

    def __init__(self, name: str, args: IstioControlPlaneArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        args = require_args(args, IstioControlPlaneArgs)
        refuse_ignored_provider(opts, args.cluster.provider)
        super().__init__(self.TYPE, name, args, opts, children=_children(args))
        self._name = name
        self._args = args
        self._shared = SharedSettings(
            namespace=args.namespace,
            hub=args.hub,
            image_pull_policy=args.image_pull_policy,
            cni=args.cni,
            size=args.size,
            values=args.values,
        )
        before: list[pulumi.Resource] = [self._namespace()] if args.create_namespace else []
        before.append(self._base(before))
        if args.cni:
            before.append(self._cni(before))
        istiods = [self._istiod(revision, before) for revision in args.revisions]
        tags = [self._tag(tag, istiods) for tag in args.revision_tags]
        self.ready = (*istiods, *tags)
        self.handle = args.mesh_handle(self.ready)
        self.version = pulumi.Output.from_input(args.serving.version)
        self.register_outputs({"version": self.version})

    def _opts(self, depends_on: Sequence[pulumi.Input[pulumi.Resource]] = ()) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, provider=self._args.cluster.provider, depends_on=list(depends_on))

    def _namespace(self) -> k8s.core.v1.Namespace:
        # istio-cni changes the nodes' network configuration; istiod and gateways need nothing of the kind (measured).
        level = "privileged" if self._args.cni else "restricted"
        return k8s.core.v1.Namespace(
            f"{self._name}-namespace",
            metadata=k8s.meta.v1.ObjectMetaArgs(
                name=self._args.namespace, labels={"pod-security.kubernetes.io/enforce": level}
            ),
            opts=self._opts(),
        )

    def _base(self, before: Sequence[pulumi.Resource]) -> pulumi.Resource:
        # CRDs serve every revision, so they come from the newest: istiod tolerates newer ones, not older ones.
        newest = max(self._args.revisions, key=lambda revision: revision.istio_version)
        # Validates objects that name no revision.
        typed: JsonObject = {
            "defaultRevision": self._args.serving.revision or "default",
            "global": {"istioNamespace": self._args.namespace},
        }
        values = merged(self._args.base_values, typed)
        # Helm looks every two seconds. CRDs are served within one, and nothing is made of them before istiod is ready;
        # Istio's installation guide does not wait here either. Source: istio.io/latest/docs/setup/install/helm.
        release = replace(self._release("istio-base", newest, newest.charts.base, values), awaited=False)
        return release.register(f"{self._name}-base", self._opts([*before, *self._supported()]))

    def _supported(self) -> list[pulumi.Output[k8s.Provider]]:
        """A dependency that holds only if the version that the cluster tells is in the table.

        Not an input of the release, which a preview of a new cluster would not know and policies could not judge.
        """
        args, told = self._args, self._args.cluster.kubernetes_version
        if args.kubernetes_version or told is None:
            return []

        def checked(version: str) -> k8s.Provider:
            for revision in args.revisions:
                check_kubernetes(revision.istio_version, version, field=f"Kubernetes of cluster {args.cluster.name}")
            return args.cluster.provider

        return [told.apply(late(checked))]

    def _cni(self, before: Sequence[pulumi.Resource]) -> pulumi.Resource:
        # The node agent's own compatibility reaches one release back, so it belongs to the newest as well.
        newest = max(self._args.revisions, key=lambda revision: revision.istio_version)
        args = self._args
        # The node agent is pulled from where istiod's values say, which its chart knows nothing of.
        images: JsonObject = {
            "hub": IMAGE_HUB,
            "tag": newest.tag or newest.version,
            **{key: value for key, value in section(args.values, "global").items() if key in _IMAGE_SETTINGS},
        }
        if args.hub:
            images["hub"] = args.hub
        if args.image_pull_policy:
            images["imagePullPolicy"] = args.image_pull_policy.value
        if args.cluster.platform.istio_platform:
            images["platform"] = args.cluster.platform.istio_platform
        defaults: JsonObject = {"global": images}
        return self._release("istio-cni", newest, newest.charts.cni, merged(defaults, args.cni_values)).register(
            f"{self._name}-cni", self._opts(before)
        )

    def _istiod(self, revision: IstiodRevision, before: Sequence[pulumi.Resource]) -> pulumi.Resource:
        values = revision.helm_values(self._shared)
        return self._release(revision.release_name, revision, revision.charts.istiod, values).register(
            f"{self._name}-{_role(revision)}", self._opts(before)
        )

    def _release(self, release: str, of: IstiodRevision, chart: str, values: JsonObject) -> ChartRelease:
        return ChartRelease(
            release=release,
            namespace=self._args.namespace,
            charts=of.charts,
            chart=chart,
            version=of.version,
            values=values,
            timeout_seconds=self._args.timeout_seconds,
        )

    def _tag(self, tag: str, istiods: Sequence[pulumi.Resource]) -> pulumi.Resource:
        return tag_webhooks(
            f"{self._name}-tag-{tag}",
            tag=tag,
            revision=self._args.serving.revision,
            namespace=self._args.namespace,
            opts=self._opts(istiods),
        )
