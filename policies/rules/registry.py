"""What a rule over single resources is, and how it is judged."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from pulumi_traffic_mirror.model import ValidationError
from pulumi_traffic_mirror.model.rules import Edit, Node, NotJudgedError, RuleSettings, Severity

from ..resources import Resource


@dataclass(frozen=True, kw_only=True)
class OrganisationLimits(RuleSettings):
    """What an organisation allows or asks for beyond what holds for everybody: of mirrors, and of all else in a stack.

    Attributes:
        disposable_stacks: Names of stacks whose clusters anybody may delete.
        public_ports: TCP and UDP ports that a firewall may open to everybody.
        node_roles: Roles that the nodes' service account may have.
        allowed_images: Beginnings of image names that need no digest.
        labels: Labels that every object and cluster must carry.
        mirror_hosts: Hosts that get mirrors only, so that limits on them cannot hurt a primary.
        internal_by_default: Whether the clusters' load balancers are internal without any annotation.

    Raises:
        ValidationError: A value is malformed.
    """

    disposable_stacks: Sequence[str] = ("testing",)
    public_ports: Sequence[int] = ()
    node_roles: Sequence[str] = (
        "roles/container.defaultNodeServiceAccount",
        "roles/logging.logWriter",
        "roles/monitoring.metricWriter",
        "roles/monitoring.viewer",
        "roles/stackdriver.resourceMetadata.writer",
        "roles/autoscaling.metricsWriter",
        "roles/artifactregistry.reader",
    )
    allowed_images: Sequence[str] = ()
    labels: Sequence[str] = ()
    mirror_hosts: Sequence[str] = ()
    internal_by_default: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("disposable_stacks", "node_roles", "allowed_images", "labels", "mirror_hosts"):
            for index, text in enumerate(getattr(self, name)):
                if not isinstance(text, str) or not text:
                    raise ValidationError(
                        field=f"{name}[{index}]", value=text, rule="must be a text", remedy="Write it, or leave it out"
                    )
        for index, port in enumerate(self.public_ports):
            whole = isinstance(port, int | float) and not isinstance(port, bool) and port == int(port)  # pyright: ignore[reportUnnecessaryIsInstance] -- configurations are untyped
            if not whole or not 1 <= port <= MAX_PORT:
                raise ValidationError(
                    field=f"public_ports[{index}]",
                    value=port,
                    rule=f"must be from 1 to {MAX_PORT}",
                    remedy="Give a port number",
                )


MAX_PORT: Final = 65_535


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is wrong with a resource.

    Attributes:
        resource: The resource.
        field: Path in its properties.
        message: What is wrong, as a sentence without a full stop.
        mend: Changes of the resource that mend it, where nobody has to choose; empty otherwise.
    """

    resource: Resource
    field: str
    message: str
    mend: tuple[Edit, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Unknown:
    """A place that cannot be judged before the deployment."""

    resource: Resource
    field: str


Judgement: TypeAlias = Fault | Unknown
ResourceCheck: TypeAlias = Callable[[Resource, OrganisationLimits], Iterable[Judgement]]
StackCheck: TypeAlias = Callable[[Sequence[Resource], OrganisationLimits], Iterable[Judgement]]


@dataclass(frozen=True, kw_only=True)
class _About:
    """What is said about a rule.

    Attributes:
        id: Stable name.
        title: What must hold, as a sentence without a full stop.
        severity: How much a breach weighs.
        why: What happens otherwise.
        source: Where that is known from.
        remedy: What to do about a breach, as an imperative sentence without a full stop.
        settings: What it reads of :class:`OrganisationLimits`.
        repair: What its repair changes, as a sentence without a full stop; empty for none.
    """

    id: str
    title: str
    severity: Severity
    why: str
    source: str
    remedy: str
    settings: tuple[str, ...] = ()
    repair: str = ""


@dataclass(frozen=True, kw_only=True)
class ResourceRule(_About):
    """A rule that one resource decides.

    Attributes:
        applies: Whether a resource is of the rule's kind.
        check: Reports what is wrong.
    """

    applies: Callable[[Resource], bool] = field(repr=False)
    check: ResourceCheck = field(repr=False)

    def judge(self, resource: Resource, limits: OrganisationLimits) -> Iterator[Judgement]:
        """Judge a resource that the rule applies to."""
        yield from guarded(resource, self.check(resource, limits))


@dataclass(frozen=True, kw_only=True)
class StackRule(_About):
    """A rule that needs several resources of a stack.

    Attributes:
        applies: Whether a resource is of the rule's kind; without one the rule does not apply to the stack.
        check: Reports what is wrong.
    """

    applies: Callable[[Resource], bool] = field(repr=False)
    check: StackCheck = field(repr=False)


def guarded(resource: Resource, judgements: Iterable[Judgement]) -> Iterator[Judgement]:
    """Judgements up to the end or to the first value that is not known yet, which is reported as such."""
    try:
        yield from judgements
    except NotJudgedError as unknown:
        yield not_known(resource, unknown.path)


def not_known(resource: Resource, path: str) -> Unknown:
    """A place that cannot be judged yet; entries of a nameless root begin with a dot."""
    return Unknown(resource=resource, field=path.lstrip("."))


def fault(resource: Resource, place: Node | str, message: str, *, mend: tuple[Edit, ...] = ()) -> Fault:
    """Something wrong at ``place``."""
    path = place if isinstance(place, str) else place.path
    return Fault(resource=resource, field=path.lstrip("."), message=message, mend=mend)


def of_type(*tokens: str) -> Callable[[Resource], bool]:
    """Resources of these type tokens."""
    return lambda resource: resource.type in tokens


def of_kind(*kinds: str, groups: Sequence[str] = ("",)) -> Callable[[Resource], bool]:
    """Kubernetes objects of these kinds in these API groups; the core group is the empty text."""
    return lambda resource: resource.kind in kinds and resource.group in groups
