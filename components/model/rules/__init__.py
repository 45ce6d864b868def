"""What must hold for mirrors, whoever wrote them: one registry of pure rules over plain objects."""

from .catalogue import ROUTE_RULES, RULES, require, run_rules
from .clusters import ROOT_NAMESPACE, ClusterObjects, Mesh
from .control_plane import control_plane_of
from .loops import Hop, Place, check_loops, describe_loop, find_loops, loop_error
from .nodes import UNKNOWN, Node, NotJudgedError, Unknown
from .objects import KubeObject, read_object
from .registry import Finding, Outcome, Rule, RuleSettings, Scope, Severity
from .sites import Route, Site, Target
from .upgrade import Change, Upgrade, preview_upgrade

__all__ = [
    "ROOT_NAMESPACE",
    "ROUTE_RULES",
    "RULES",
    "UNKNOWN",
    "Change",
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
    "Upgrade",
    "check_loops",
    "control_plane_of",
    "describe_loop",
    "find_loops",
    "loop_error",
    "preview_upgrade",
    "read_object",
    "require",
    "run_rules",
]
