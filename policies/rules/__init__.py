"""Rules of the pack that are not the model's, as pure functions over plain values."""

from typing import Final

from pulumi_traffic_mirror.model.rules import Rule

from . import access, gke, networks, nodes, secrets, workloads
from .mirrors import HOST_LIMITS, expires_soon
from .registry import ResourceRule, StackRule

RESOURCE_RULES: Final[tuple[ResourceRule | StackRule, ...]] = (
    HOST_LIMITS,
    *gke.RULES,
    *nodes.RULES,
    *networks.RULES,
    *workloads.RULES,
    *secrets.RULES,
    *access.RULES,
)
"""Rules over the resources of a stack, in the order of the documentation."""

MIRROR_RULES: Final[tuple[Rule, ...]] = (expires_soon,)
"""Rules over mirrors beside the model's."""

__all__ = ["MIRROR_RULES", "RESOURCE_RULES"]
