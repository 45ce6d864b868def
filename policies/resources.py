"""What the engine says about a resource, as plain values that the rules read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Protocol, cast

from pulumi_policy import proxy
from pulumi_policy.proxy import UnknownValueError

from pulumi_traffic_mirror.model.rules import UNKNOWN, Node

from .identity_cache import IdentityCache

KUBERNETES: Final = "kubernetes:"
HELM_GROUP: Final = "helm.sh"


_UNKNOWNS: Final = frozenset(
    {
        *(proxy.UNKNOWN_BOOLEAN_VALUE, proxy.UNKNOWN_NUMBER_VALUE, proxy.UNKNOWN_STRING_VALUE),
        *(proxy.UNKNOWN_ARRAY_VALUE, proxy.UNKNOWN_OBJECT_VALUE),
        *(proxy.UNKNOWN_ASSET_VALUE, proxy.UNKNOWN_ARCHIVE_VALUE),
    }
)
"""Texts that the engine sends for unknown values."""


class _Provider(Protocol):
    @property
    def urn(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def props(self) -> Mapping[str, object]: ...


class EngineResource(Protocol):
    """What resource and stack policies are given alike."""

    @property
    def resource_type(self) -> str:
        """The type token."""
        ...

    @property
    def props(self) -> Mapping[str, object]:
        """The properties, behind a proxy that raises on unknown values."""
        ...

    @property
    def urn(self) -> str:
        """The URN."""
        ...

    @property
    def name(self) -> str:
        """The logical name."""
        ...

    @property
    def provider(self) -> _Provider | None:
        """The explicit provider."""
        ...


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One resource of a stack.

    Attributes:
        type: Type token, e.g. ``gcp:container/cluster:Cluster``.
        name: Logical name.
        urn: URN.
        props: Inputs before a deployment, outputs after it; ``UNKNOWN`` where only the deployment decides.
        cluster: What tells the clusters of one stack apart; empty for resources outside of clusters.
        cluster_name: How findings call that cluster.
        origins: URNs of the resources that a top-level property's value comes from.
    """

    type: str
    name: str
    urn: str
    props: Node = field(repr=False)
    cluster: str = ""
    cluster_name: str = ""
    origins: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]], repr=False)

    @property
    def stack(self) -> str:
        """Name of its stack, as its URN has it; empty for a malformed URN."""
        return self.urn.removeprefix("urn:pulumi:").partition("::")[0] if self.urn.startswith("urn:pulumi:") else ""

    @cached_property
    def kind(self) -> str:
        """Kind of the Kubernetes object that it is; empty for anything else.

        Patches, lists and Helm's resources are no objects of their own.
        """
        group, kind = _group_and_kind(self.type)
        return "" if group == HELM_GROUP or kind.endswith(("Patch", "List")) else kind

    @cached_property
    def group(self) -> str:
        """API group of the Kubernetes object; empty for the core group."""
        group, _ = _group_and_kind(self.type)
        return "" if group == "core" else group

    def __str__(self) -> str:
        if not self.kind:
            return f"{self.type.rpartition(':')[2]} {self.name}"
        metadata = self.props["metadata"]
        namespace, name = (_if_known(metadata, key) for key in ("namespace", "name"))
        return f"{self.kind} {namespace or 'default'}/{name or self.name}"


def _if_known(node: Node, key: str) -> str:
    value = node.value
    found = cast("Mapping[str, object]", value).get(key) if isinstance(value, Mapping) else None
    return found if isinstance(found, str) else ""


def _group_and_kind(token: str) -> tuple[str, str]:
    """Read ``kubernetes:<group>/<version>:<Kind>``."""
    if not token.startswith(KUBERNETES) or token.count(":") != 2:  # noqa: PLR2004 -- package, API, kind
        return "", ""
    _, api, kind = token.split(":")
    return api.rpartition("/")[0], kind


def read_resource(given: EngineResource) -> Resource:
    """Read one resource of the engine, unknown values included.

    Args:
        given: The argument of a resource policy, or one resource of a stack policy's.
    """
    in_cluster = given.resource_type.startswith(KUBERNETES)
    plain_props = _PLAIN(given.props)
    cluster, cluster_name = _cluster(given.provider) if in_cluster else ("", "")
    return Resource(
        type=given.resource_type,
        name=given.name,
        urn=given.urn,
        props=Node(plain_props),
        cluster=cluster,
        cluster_name=cluster_name,
        origins=_origins(given),
    )


def _origins(given: EngineResource) -> dict[str, tuple[str, ...]]:
    found = cast("Mapping[str, Sequence[EngineResource]]", getattr(given, "property_dependencies", {}))
    return {key: tuple(origin.urn for origin in origins) for key, origins in found.items()}


def _cluster(provider: _Provider | None) -> tuple[str, str]:
    """Identity and name of the cluster behind a provider.

    Two providers of one cluster are told by their ``clusterIdentifier``; the kubeconfig is a secret and is not read.
    """
    if provider is None:
        return "default", "default"
    try:
        identity = provider.props.get("clusterIdentifier")
    except UnknownValueError:
        identity = None
    return (identity if isinstance(identity, str) and identity else provider.urn), provider.name


def plain(value: object) -> object:
    """Copy a value out of the proxies that raise on an unknown value; there it becomes ``UNKNOWN``.

    The proxy that keeps secrets for remediations does not raise: it hands out the engine's own text.
    """
    if isinstance(value, Mapping):
        mapping = cast("Mapping[object, object]", value)
        return {str(key): _element(mapping, key) for key in mapping}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        sequence = cast("Sequence[object]", value)
        return [_element(sequence, index) for index in range(len(sequence))]
    return UNKNOWN if isinstance(value, str) and value in _UNKNOWNS else value


_PLAIN: Final = IdentityCache[Mapping[str, object], object](plain)


def _element(holder: "Mapping[object, object] | Sequence[object]", key: object) -> object:
    try:
        return plain(cast("Mapping[object, object]", holder)[key])
    except UnknownValueError:
        return UNKNOWN
