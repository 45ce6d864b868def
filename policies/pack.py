"""Every policy of the pack."""

from typing import Final

from pulumi_policy import Policy

from components.model.rules import RULES

from .adaptors import Adaptor, AnyRule, Clock
from .remedies import REMEDIES
from .rules import MIRROR_RULES, RESOURCE_RULES
from .rules.registry import ResourceRule
from .verdicts import Ledger

NAME: Final = "traffic-mirror"
ROUTES: Final = ("VirtualService", "HTTPRoute", "GRPCRoute")

ONE_OBJECT: Final = {
    "mirrors-readable": ROUTES,
    "mirror-and-mirrors": ("VirtualService",),
    "mirror-deprecated-percent": ROUTES,
    "mirror-percent-range": ROUTES,
    "mirror-percent-implicit": ROUTES,
    "mirror-percent-ignored": ("VirtualService",),
    "mirror-percent-limit": ROUTES,
    "mirror-expired": ROUTES,
    "mirror-expires-soon": ROUTES,
    "mirror-lifetime": ROUTES,
}
"""Rules of the model that one object of these kinds decides, so that they are judged before it is made; all others
see the whole stack."""


def every_rule() -> list[AnyRule]:
    """All rules, the model's first."""
    return [*RULES, *MIRROR_RULES, *RESOURCE_RULES]


def make_policies(clock: Clock) -> list[Policy]:
    """Make the policies.

    Args:
        clock: Current time with a zone; ends of mirrors and waivers are judged by it.
    """
    adaptor = Adaptor(clock, Ledger())
    made: list[Policy] = []
    for rule in (*RULES, *MIRROR_RULES):
        kinds = ONE_OBJECT.get(rule.id)
        made.append(adaptor.object_policy(rule, kinds, REMEDIES.get(rule.id)) if kinds else adaptor.mesh_policy(rule))
    for rule in RESOURCE_RULES:
        if isinstance(rule, ResourceRule):
            made.append(adaptor.resource_policy(rule, REMEDIES.get(rule.id)))
        else:
            made.append(adaptor.stack_policy(rule))
    return [*made, *adaptor.lists()]
