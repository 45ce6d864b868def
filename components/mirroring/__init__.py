"""Mirroring components: overlay, mirrored service, receiver, branches, their ends, recorder, replay, monitoring."""

from .branch import BranchService, BranchServiceArgs
from .expiry_guard import ExpiryGuard, ExpiryGuardArgs
from .mirror_overlay import MirrorOverlay, MirrorOverlayArgs
from .mirror_receiver import MirrorReceiver, MirrorReceiverArgs
from .mirrored_service import MirroredService, MirroredServiceArgs
from .monitoring import MirrorMonitoring, MirrorMonitoringArgs, RulesAs
from .recorder import RecordedWorkload, TrafficRecorder, TrafficRecorderArgs
from .replay_job import ReplayJob, ReplayJobArgs
from .sending import CrossClusterMirror

__all__ = [
    "BranchService",
    "BranchServiceArgs",
    "CrossClusterMirror",
    "ExpiryGuard",
    "ExpiryGuardArgs",
    "MirrorMonitoring",
    "MirrorMonitoringArgs",
    "MirrorOverlay",
    "MirrorOverlayArgs",
    "MirrorReceiver",
    "MirrorReceiverArgs",
    "MirroredService",
    "MirroredServiceArgs",
    "RecordedWorkload",
    "ReplayJob",
    "ReplayJobArgs",
    "RulesAs",
    "TrafficRecorder",
    "TrafficRecorderArgs",
]
