"""Mirroring components: the service that is mirrored, the receiver of its mirrors, branches, and who ends them."""

from .branch import BranchService, BranchServiceArgs
from .expiry_guard import ExpiryGuard, ExpiryGuardArgs
from .mirror_receiver import MirrorReceiver, MirrorReceiverArgs
from .mirrored_service import CrossClusterMirror, MirroredService, MirroredServiceArgs

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
]
