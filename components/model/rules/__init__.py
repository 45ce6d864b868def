"""What must hold for mirrors, whoever wrote them: one registry of pure rules over plain objects."""

from .catalogue import ROUTE_RULES, RULES, run_rules
from .clusters import ClusterObjects, Mesh
from .loops import Hop, Place, check_loops, describe_loop, find_loops
from .nodes import UNKNOWN, Node, NotJudgedError, Unknown
from .objects import KubeObject
from .registry import Finding, Outcome, Rule, RuleSettings, Scope, Severity
from .sites import Route, Site, Target

__all__ = [
    "ROUTE_RULES",
    "RULES",
    "UNKNOWN",
    "ClusterObjects",
    "Finding",
    "Hop",
    "KubeObject",
    "Mesh",
    "Node",
    "NotJudgedError",
    "Outcome",
    "Place",
    "Route",
    "Rule",
    "RuleSettings",
    "Scope",
    "Severity",
    "Site",
    "Target",
    "Unknown",
    "check_loops",
    "describe_loop",
    "find_loops",
    "run_rules",
]
