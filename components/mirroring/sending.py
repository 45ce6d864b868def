"""What the components that send copies share: ends, offers, and what their outputs say of each mirror."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

import pulumi

from .. import model
from ..argument_types import is_plain
from ..model import InClusterMirror, JsonObject, JsonValue, ValidationError, render
from ..model.guards import Guards
from ..refusal import late
from .paths import MirrorPaths


@dataclass(frozen=True, kw_only=True)
class CrossClusterMirror(model.CrossClusterMirror):
    """Copies requests that enter staging's gateway to the gateway of another cluster.

    See :class:`pulumi_traffic_mirror.model.CrossClusterMirror` for the other fields.

    Raises:
        ValidationError: A credential is missing, or given for a contract without TLS.
    """

    offer: pulumi.Input[Mapping[str, Any]] = field(compare=False)
    """What the testing stack exports (``MirrorReceiver.offer``), e.g. ``StackReference.require_output("receiver")``.
    Refused, with the value that differs, when it was made for another contract or has expired."""


Mirrors: TypeAlias = Sequence[InClusterMirror | CrossClusterMirror]


def refuse_ended(mirrors: Mirrors, now: datetime) -> None:
    """Refuse a mirror whose end has passed.

    Raises:
        ValidationError: One has.
    """
    for index, mirror in enumerate(mirrors):
        if mirror.expires and mirror.expires.has_passed(now):
            raise ValidationError(
                field=f"mirrors[{index}].expires",
                value=str(mirror.expires),
                rule=f"must not have passed (it is {now:%Y-%m-%dT%H:%M:%SZ})",
                remedy="Remove the mirror, or give it a later end",
            )


def across(mirrors: Mirrors) -> Iterator[tuple[int, CrossClusterMirror]]:
    """The mirrors to other clusters, with their places in the list."""
    for index, mirror in enumerate(mirrors):
        if isinstance(mirror, CrossClusterMirror):
            yield index, mirror


def entry_spec(
    mirror: CrossClusterMirror,
    index: int,
    entry: Callable[[model.MirrorOffer], JsonObject],
    *,
    now: datetime,
    paths: MirrorPaths,
) -> pulumi.Input[Any]:
    """The spec of a mirror's ServiceEntry; of a plain offer at once, so that a wrong one is refused before all else.

    Args:
        mirror: The mirror.
        index: Its place in the list, for messages.
        entry: Renders the mirror's ServiceEntry.
        now: Time at which the offer's end is judged.
        paths: The program's mirrors, which the offer's own are added to.
    """

    def spec(value: object) -> JsonValue:
        offer = model.MirrorOffer.accept(value, mirror.contract, now=now, field=f"mirrors[{index}].offer")
        paths.follow(mirror.contract, value)
        return entry(offer)["spec"]

    return spec(mirror.offer) if is_plain(mirror.offer) else pulumi.Output.from_input(mirror.offer).apply(late(spec))


def mirror_summary(mirror: model.Mirror, destination: model.Destination, kept: Guards) -> dict[str, Any]:
    """What a component's outputs say of one mirror."""
    return {
        "name": str(mirror.name),
        "percent": float(mirror.percent),
        "destination": destination.cluster_name,
        "guards": kept.to_json(),
        "waivers": {guard: waiver.reason for guard, waiver in render.waivers(mirror).items()},
        **({"expires": str(mirror.expires)} if mirror.expires else {}),
    }
