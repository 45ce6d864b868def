"""Mirroring components: the service that is mirrored, and the receiver of its mirrors."""

from .mirror_receiver import MirrorReceiver, MirrorReceiverArgs
from .mirrored_service import CrossClusterMirror, MirroredService, MirroredServiceArgs

__all__ = [
    "CrossClusterMirror",
    "MirrorReceiver",
    "MirrorReceiverArgs",
    "MirroredService",
    "MirroredServiceArgs",
]
