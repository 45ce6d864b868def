"""The registry: every rule, and how they are run."""

from collections.abc import Iterable
from typing import Final

from . import binding, braking, effects, loops, privacy, receiving, targets, writing
from .clusters import Mesh
from .registry import Finding, Rule, RuleSettings, Scope, run

RULES: Final[tuple[Rule, ...]] = (
    *writing.RULES,
    *targets.RULES,
    *braking.RULES,
    *privacy.RULES,
    *effects.RULES,
    *binding.RULES,
    *receiving.RULES,
    *loops.RULES,
)
"""Every rule, in the order of the documentation."""

ROUTE_RULES: Final = tuple(rule for rule in RULES if rule.scope is Scope.ROUTE)
"""Rules that the objects of one mirrored service suffice for."""


def run_rules(mesh: Mesh, rules: Iterable[Rule] = RULES, settings: RuleSettings | None = None) -> list[Finding]:
    """Judge the objects of one or several clusters.

    Args:
        mesh: The objects; malformed ones are judged as far as they can be read.
        rules: Which rules; default every one.
        settings: What the house allows; default what every mirror must keep.

    Returns:
        The heaviest findings first, then by cluster, object and field; waived ones and those that could not be
        judged are among them.
    """
    return run(mesh, rules, settings or RuleSettings())
