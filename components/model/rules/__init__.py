"""What must hold for mirrors, whoever wrote them: one registry of pure rules over plain objects."""

from .catalogue import ROUTE_RULES, RULES, require, run_rules
from .clusters import ROOT_NAMESPACE, ClusterObjects, Mesh
from .control_plane import control_plane_of, is_istiod
from .findings import Finding, Outcome
from .loops import Hop, Place, check_loops, describe_loop, find_loops, loop_error
from .losses import PlannedLoss, planned_losses
from .managed import managed_sign
from .mends import REMOVED, Edit
from .mirror_entries import MirrorEntry
from .nodes import UNKNOWN, Node, NotJudgedError, Unknown
from .objects import NAMELESS, ROUTES, KubeObject, read_object
from .plans import PLAN_RULES
from .registry import Rule, Scope, Severity
from .routes import Route, Target
from .settings import RuleSettings
from .upgrade import Change, Upgrade, preview_upgrade

__all__ = [
    "NAMELESS",
    "PLAN_RULES",
    "REMOVED",
    "ROOT_NAMESPACE",
    "ROUTES",
    "ROUTE_RULES",
    "RULES",
    "UNKNOWN",
    "Change",
    "ClusterObjects",
    "Edit",
    "Finding",
    "Hop",
    "KubeObject",
    "Mesh",
    "MirrorEntry",
    "Node",
    "NotJudgedError",
    "Outcome",
    "Place",
    "PlannedLoss",
    "Route",
    "Rule",
    "RuleSettings",
    "Scope",
    "Severity",
    "Target",
    "Unknown",
    "Upgrade",
    "check_loops",
    "control_plane_of",
    "describe_loop",
    "find_loops",
    "is_istiod",
    "loop_error",
    "managed_sign",
    "planned_losses",
    "preview_upgrade",
    "read_object",
    "require",
    "run_rules",
]
