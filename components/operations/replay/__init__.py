"""Replaying recorded traffic to any target."""

from .guard import ReplayGuard, Skip
from .pace import Pace
from .processes import replay_in_processes
from .run import MARK_HEADER, ReplayJob, replay
from .statistics import ReplayReport, ReplayStatistics, Spread
from .target import HttpVersion, Target

__all__ = [
    "MARK_HEADER",
    "HttpVersion",
    "Pace",
    "ReplayGuard",
    "ReplayJob",
    "ReplayReport",
    "ReplayStatistics",
    "Skip",
    "Spread",
    "Target",
    "replay",
    "replay_in_processes",
]
