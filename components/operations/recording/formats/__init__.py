"""Recordings of other tools: read into recordings of this kind, and written from them.

One module a format, which knows nothing of files: bytes in, exchanges out. What the formats cannot tell is in
:data:`TABLE`.
"""

from .exporting import Exported, Target, export
from .importing import Imported, import_files
from .table import TABLE, Format, Traits

__all__ = ["TABLE", "Exported", "Format", "Imported", "Target", "Traits", "export", "import_files"]
