"""What a rehearsal expects of one mirror."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, kw_only=True)
class MirrorPlan:
    """What one mirror should get."""

    name: str
    """Name of the mirror, e.g. ``"cross-cluster"``; the key of its evidence."""

    label: str
    """Who gets the copies, e.g. ``"greeter v2"``."""

    percent: float
    """Share of the calls, 0 to 100."""

    authorities: tuple[str, ...]
    """Authorities that copies may carry: the clients' own, and its suffixed form where that is possible."""

    sender_cluster: str
    """Role of the cluster whose proxy sends the copies, e.g. ``"staging"``."""

    receiver_cluster: str
    """Role of the cluster that gets them: the same for a mirror inside a cluster."""

    mark: str = "mirror"
    """Value of the mark header on a copy."""

    is_scrubbed: bool = True
    """Whether copies are free of credentials and marked; False only where that was waived."""

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "MirrorPlan":
        """Read what :func:`dataclasses.asdict` wrote."""
        return replace(cls(**raw), authorities=tuple(raw["authorities"]))
