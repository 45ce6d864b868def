"""Recording traffic: collecting, keeping and reading it.

Everything here depends on nothing but :mod:`pulumi_traffic_mirror.model`, so that the collector's image can carry this
folder and the model alone; see :mod:`.bundle`.
"""

from .assembling import Assembler, CaptureLimits, Origin
from .budget import MemoryBudget
from .exchange import Ending, Exchange, Headers, Message, Part, Side
from .reading import Damage, RecordingReader, RowGroup
from .schema import SCHEMA_VERSION
from .storage import RecordingStore, StoredFile
from .writing import RecordingWriter, RollLimits

__all__ = [
    "SCHEMA_VERSION",
    "Assembler",
    "CaptureLimits",
    "Damage",
    "Ending",
    "Exchange",
    "Headers",
    "MemoryBudget",
    "Message",
    "Origin",
    "Part",
    "RecordingReader",
    "RecordingStore",
    "RecordingWriter",
    "RollLimits",
    "RowGroup",
    "Side",
    "StoredFile",
]
