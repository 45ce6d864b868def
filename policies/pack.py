"""Every policy of the pack."""

from typing import Final

from pulumi_policy import Policy

from pulumi_traffic_mirror.extensions import own_rules
from pulumi_traffic_mirror.model.rules import RULES

from .adaptors import Adaptor, AnyRule, Clock
from .rules import MIRROR_RULES, RESOURCE_RULES
from .rules.registry import ResourceRule
from .verdicts import Ledger

NAME: Final = "traffic-mirror"


def every_rule() -> list[AnyRule]:
    """All rules, the model's first; without those of an organisation's own."""
    return [*RULES, *MIRROR_RULES, *RESOURCE_RULES]


def make_policies(clock: Clock) -> list[Policy]:
    """Make the policies.

    Args:
        clock: Current time with a zone; ends of mirrors and waivers are judged by it.
    """
    adaptor = Adaptor(clock, Ledger())
    made = [
        adaptor.object_policy(rule) if rule.decided_by else adaptor.mesh_policy(rule)
        for rule in (*RULES, *MIRROR_RULES, *own_rules())
    ]
    for rule in RESOURCE_RULES:
        if isinstance(rule, ResourceRule):
            made.append(adaptor.resource_policy(rule))
        else:
            made.append(adaptor.stack_policy(rule))
    return [*made, *adaptor.lists()]
