"""The command line ``traffic-mirror``: parse, call, show. What commands do lies in ``operations`` and ``rehearsal``."""

from .app import main

__all__ = ["main"]
