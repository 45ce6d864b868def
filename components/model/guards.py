"""Which guards each form of a mirror keeps, and by what; and the refusal of what cannot be guarded."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum, unique

from .errors import ValidationError
from .istio import IstioBehaviour
from .mirrors import CrossClusterMirror, InClusterMirror, Mirror, matched
from .safety import SAFE_HTTP_METHODS, Brakes, Scrub
from .values import Protocol


@unique
class Keeper(StrEnum):
    """What keeps a guard, or where."""

    ALL = "by DestinationRule and EnvoyFilter"
    RULE = "by DestinationRule"
    PATCH = "by EnvoyFilter"
    TIMEOUT = "by the route's timeout"
    PARTLY = "by the route's timeout, but for uploads and streams"
    SOURCE = "at source"
    RECEIVER = "at receiver"
    NONE = "none"


@dataclass(frozen=True, kw_only=True)
class Guards:
    """What keeps the guards of one mirror.

    Attributes:
        brakes: Limits, ejection and keep-alive. A DestinationRule alone has no bound on growing ejections and no
            keep-alive of HTTP/2.
        life: What ends a copy that hangs.
        scrub: Where credentials come off.
        mark: Where the mark is put on.
    """

    brakes: Keeper
    life: Keeper
    scrub: Keeper
    mark: Keeper

    def to_json(self) -> Mapping[str, str]:
        """For a stack's outputs."""
        return {name: str(keeper.value) for name, keeper in asdict(self).items()}


def guards(mirror: Mirror, istio: IstioBehaviour, protocol: Protocol, *, timeout: bool, added: bool = False) -> Guards:
    """Which guards a mirror keeps.

    Args:
        mirror: The mirror.
        istio: What sends it.
        protocol: What callers speak.
        timeout: Whether every route that carries it has a timeout.
        added: Whether an overlay's patch adds it, which has changes of headers of its own.
    """
    braked, patched = isinstance(mirror.brakes, Brakes), istio.patches_all("CLUSTER")
    scrub = _scrub(mirror, istio, added=added)
    return Guards(
        brakes=(Keeper.ALL if patched else Keeper.RULE) if braked else Keeper.NONE,
        life=Keeper.PATCH if braked and patched else _timed(mirror, protocol) if timeout else Keeper.NONE,
        scrub=scrub,
        mark=scrub,
    )


def _timed(mirror: Mirror, protocol: Protocol) -> Keeper:
    """A route's timeout starts when the request is whole, so it ends no copy that a mirror stopped reading."""
    match = matched(mirror, protocol).match
    methods = match.http_methods if match else ()
    return Keeper.TIMEOUT if methods and set(methods) <= set(SAFE_HTTP_METHODS) else Keeper.PARTLY


def _scrub(mirror: Mirror, istio: IstioBehaviour, *, added: bool) -> Keeper:
    if not isinstance(mirror.scrub, Scrub):
        return Keeper.NONE
    if added or istio.scrubs_at_source or scrubs_by_cluster(mirror, istio):
        return Keeper.SOURCE
    return Keeper.RECEIVER if isinstance(mirror, CrossClusterMirror) else Keeper.NONE


def scrubs_by_cluster(mirror: Mirror, istio: IstioBehaviour) -> bool:
    """Whether a mirror's headers are changed on its cluster: in-cluster, where no list of mirrors can be replaced.

    That is weaker than on the copy: whoever calls the mirror's Service itself loses the headers too, and is marked.
    """
    scrubbed = isinstance(mirror, InClusterMirror) and isinstance(mirror.scrub, Scrub)
    return scrubbed and not istio.scrubs_at_source and istio.patches_all("CLUSTER")


def check_guards(
    mirror: Mirror, istio: IstioBehaviour, protocol: Protocol, *, timeout: bool, added: bool = False
) -> None:
    """Refuse a mirror that some guard cannot be kept for, unless that guard is waived; and a waiver of what is kept.

    Args:
        mirror: The mirror.
        istio: What sends it.
        protocol: What callers speak.
        timeout: Whether every route that carries it has a timeout.
        added: As for :func:`guards`.

    Raises:
        ValidationError: A guard cannot be kept, or its waiver has no effect.
    """
    kept = guards(mirror, istio, protocol, timeout=timeout, added=added)
    braked, endless = isinstance(mirror.brakes, Brakes), kept.life in (Keeper.NONE, Keeper.PARTLY)
    if isinstance(mirror.brakes, Brakes) and endless and mirror.unbounded_life is None:
        raise ValidationError(
            field="brakes.max_duration_seconds",
            value=mirror.brakes.max_duration_seconds,
            rule="cannot be kept: the control plane applies no EnvoyFilter to clusters, and the route"
            + (" has no timeout" if not timeout else "'s timeout does not end copies of uploads and streams"),
            remedy=(
                "Give the route a timeout if its primary may have one" if not timeout else "Mirror safe methods alone"
            )
            + ", or add unbounded_life=Waiver(reason=…)",
        )
    if mirror.unbounded_life is not None and not (braked and endless):
        raise ValidationError(
            field="unbounded_life",
            value=mirror.unbounded_life.reason,
            rule="has no effect, because "
            + (f"the life of copies is bound {kept.life.value}" if braked else "brakes are waived altogether"),
            remedy="Leave it out",
        )
    if isinstance(mirror.scrub, Scrub) and kept.scrub is Keeper.NONE:
        raise ValidationError(
            field="scrub",
            value="Scrub",
            rule="cannot be kept: the control plane applies EnvoyFilters neither to routes nor to clusters, and a"
            " mirror in the same cluster has no receiving route that would take credentials off",
            remedy="Mirror by a contract to a MirrorReceiver, or add scrub=Waiver(reason=…)",
        )
