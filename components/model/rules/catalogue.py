"""The registry: every rule, and how they are run."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from ..errors import ValidationError
from . import (
    binding,
    braking,
    controllers,
    effects,
    ending,
    endpoints,
    filters,
    hidden_targets,
    loops,
    overlay_places,
    overlay_targets,
    overlays,
    primaries,
    primary_clusters,
    privacy,
    receiving,
    refusals,
    rights,
    routed_twice,
    sending,
    targets,
    websockets,
    writing,
)
from .clusters import ClusterObjects, Mesh
from .findings import Finding, run
from .registry import Rule, Scope
from .settings import RuleSettings

SECTIONS: Final[Mapping[str, tuple[Rule, ...]]] = {
    "How a mirror is written": writing.RULES,
    "What the cluster takes": refusals.RULES,
    "Whether a mirror is sent": (*sending.RULES, *primary_clusters.RULES),
    "Where mirrors go": (*targets.RULES, *hidden_targets.RULES, *primaries.RULES, *endpoints.RULES),
    "What a mirror may hold": (*braking.RULES, *ending.RULES),
    "What leaves with a copy": privacy.RULES,
    "What EnvoyFilters do": filters.RULES,
    "What is run a second time": effects.RULES,
    "Gateways and routes": (*binding.RULES, *routed_twice.RULES),
    "What the receiver must do": receiving.RULES,
    "Loops": loops.RULES,
    "Mirrors on routes of others": (*overlays.RULES, *overlay_places.RULES, *overlay_targets.RULES),
    "Beside Flagger and Argo Rollouts": controllers.RULES,
    "WebSockets": websockets.RULES,
    "Who could reach what": rights.RULES,
}
"""The rules by what they are about, in the order of the documentation."""

RULES: Final[tuple[Rule, ...]] = tuple(rule for rules in SECTIONS.values() for rule in rules)
"""Every rule."""

ROUTE_RULES: Final = tuple(rule for rule in RULES if rule.scope is Scope.ROUTE)
"""Rules that the objects of one mirrored service suffice for."""


def run_rules(mesh: Mesh, rules: Iterable[Rule] = RULES, settings: RuleSettings | None = None) -> list[Finding]:
    """Judge the objects of one or several clusters.

    Args:
        mesh: The objects; malformed ones are judged as far as they can be read.
        rules: Which rules; default every one.
        settings: What the organisation allows; default what every mirror must keep.

    Returns:
        The heaviest findings first, then by cluster, object and field; waived ones and those that could not be
        judged are among them.
    """
    return run(mesh, rules, settings or RuleSettings())


def require(cluster: ClusterObjects, now: datetime | None = None, settings: RuleSettings | None = None) -> None:
    """Refuse the objects of one mirrored service that break a rule, before anything is deployed.

    Args:
        cluster: The objects; they need not be all of the cluster's.
        now: Current time with a zone; None when ends are not to be judged.
        settings: What the organisation allows.

    Raises:
        ValidationError: A rule is broken and not waived; the heaviest breach is named.
    """
    for finding in run_rules(Mesh(clusters=[cluster], now=now), ROUTE_RULES, settings):
        if finding.fails:
            raise ValidationError(
                field=f"{finding.object}: {finding.field}",
                value=finding.rule,
                rule=finding.message,
                remedy=finding.remedy,
            )
