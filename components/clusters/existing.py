"""A cluster that somebody else made."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import pulumi

from ..argument_types import check_types, known_text, require_args
from ..customizing import Component, ComponentArgs
from ..model import ValidationError
from ..options import refuse_ignored_provider
from ..refusal import late
from . import kubeconfig
from .handle import ClusterHandle
from .kubeconfig import SelectedCluster
from .platform import ClusterPlatform
from .provider import cluster_provider


@dataclass(frozen=True, kw_only=True)
class ExistingClusterArgs(ComponentArgs):
    """Which cluster: a kubeconfig's content, or its file, or a context of the files that kubectl would read."""

    kubeconfig: pulumi.Input[str] | None = field(default=None, repr=False)
    """Content of a kubeconfig (YAML or JSON); held as a secret. Not together with :attr:`kubeconfig_path`."""
    kubeconfig_path: str | os.PathLike[str] | None = None
    """File to read on the machine that runs the program. Its content becomes a secret of the stack."""
    context: str | None = None
    """Context to use. ``None`` takes the kubeconfig's current one. Given alone, the context is looked up in the
    files of the variable ``KUBECONFIG``, else in ``~/.kube/config``."""
    identity: str | None = None
    """What tells this cluster from another. When it changes, everything in the cluster is created anew, so name it
    when the API server's address may change. ``None`` takes that address."""
    platform: ClusterPlatform = field(default_factory=ClusterPlatform)
    """What the cloud that runs it wants of the objects, e.g. :data:`GKE`; by default nothing."""

    def __post_init__(self) -> None:
        """Check that exactly one cluster is named.

        Raises:
            ValidationError: None or two are named, or a name is empty.
        """
        check_types(self)
        if self.kubeconfig is not None and self.kubeconfig_path is not None:
            raise ValidationError(
                field="kubeconfig_path",
                value=os.fspath(self.kubeconfig_path),
                rule="must not be given together with kubeconfig",
                remedy="Give the content or the file, not both",
            )
        if self.kubeconfig is None and self.kubeconfig_path is None and self.context is None:
            raise ValidationError(
                field="kubeconfig",
                value=None,
                rule="a cluster must be named by kubeconfig, kubeconfig_path or context",
                remedy="Give one of them",
            )
        for name in ("context", "identity"):
            if getattr(self, name) == "":
                raise ValidationError(field=name, value="", rule="must not be empty", remedy="Leave it out")


class ExistingCluster(Component):
    """Makes an existing cluster available; creates nothing but a Kubernetes provider.

    The provider gets one context with its cluster and user, not the whole kubeconfig, so no other credentials enter
    the stack's state. A wrong kubeconfig is refused before anything is created; whether the API server answers is
    not asked here.
    """

    TYPE = "trafficmirror:index:ExistingCluster"

    handle: ClusterHandle
    """For the components that put objects into the cluster."""
    server: pulumi.Output[str]
    """URL of the API server."""
    kubeconfig: pulumi.Output[str]
    """Kubeconfig with the chosen context alone; a secret."""

    def __init__(self, name: str, args: ExistingClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the cluster available.

        Args:
            name: Logical name; prefix of the children's names.
            args: Which cluster.
            opts: Options of the component.

        Raises:
            ValidationError: The kubeconfig is wrong.
        """
        args = require_args(args, ExistingClusterArgs)
        refuse_ignored_provider(opts)
        chosen = _select(args)
        super().__init__(self.TYPE, name, args, opts, children=["provider"])
        # The address is no secret, although it stands in one.
        self.server = pulumi.Output.unsecret(chosen.apply(lambda cluster: cluster.server))
        self.kubeconfig = chosen.apply(lambda cluster: cluster.content)
        provider = cluster_provider(
            f"{name}-provider",
            kubeconfig=self.kubeconfig,
            identity=self.server if args.identity is None else args.identity,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.handle = ClusterHandle(name=name, provider=provider, platform=args.platform)
        self.register_outputs({"server": self.server})


def _select(args: ExistingClusterArgs) -> pulumi.Output[SelectedCluster]:
    """Find the cluster: at once where its kubeconfig is plain, else as soon as it is known."""
    if args.kubeconfig is None:
        return pulumi.Output.secret(_select_from_files(args))
    if isinstance(args.kubeconfig, str):
        return pulumi.Output.secret(_select_from_text(args.kubeconfig, args.context))
    content = pulumi.Output.secret(args.kubeconfig)
    return content.apply(late(lambda text: _select_from_text(known_text(text, field="kubeconfig"), args.context)))


def _select_from_text(text: str, context: str | None) -> SelectedCluster:
    document = kubeconfig.parse(text, field="kubeconfig")
    return kubeconfig.selected(document, field="kubeconfig", context=context)


def _expanded(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:  # the home of nobody, which no file will be found in
        return path


def _select_from_files(args: ExistingClusterArgs) -> SelectedCluster:
    if args.kubeconfig_path is not None:
        paths = (_expanded(Path(args.kubeconfig_path)),)
        source = "kubeconfig_path"
    else:
        paths = kubeconfig.default_paths(os.environ, Path.home())
        source = "context"
    documents = [kubeconfig.read(path, field=source) for path in paths]
    return kubeconfig.selected(kubeconfig.merged(documents), field=source, context=args.context)
