"""Mirroring components: the mirrored service, the receiver of its mirrors, branches, who ends them, the recorder."""

from .branch import BranchService, BranchServiceArgs
from .expiry_guard import ExpiryGuard, ExpiryGuardArgs
from .mirror_receiver import MirrorReceiver, MirrorReceiverArgs
from .mirrored_service import CrossClusterMirror, MirroredService, MirroredServiceArgs
from .recorder import RecordedWorkload, TrafficRecorder, TrafficRecorderArgs

__all__ = [
    "BranchService",
    "BranchServiceArgs",
    "CrossClusterMirror",
    "ExpiryGuard",
    "ExpiryGuardArgs",
    "MirrorReceiver",
    "MirrorReceiverArgs",
    "MirroredService",
    "MirroredServiceArgs",
    "RecordedWorkload",
    "TrafficRecorder",
    "TrafficRecorderArgs",
]
