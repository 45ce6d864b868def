"""The one place where pyarrow and fsspec enter.

They ship no type information, so their modules are bound as ``Any`` here instead of silencing the type
checker wherever they are used.
"""

from importlib import import_module
from typing import Any, TypeAlias

pa: Any = import_module("pyarrow")
pq: Any = import_module("pyarrow.parquet")
fs: Any = import_module("pyarrow.fs")
pc: Any = import_module("pyarrow.compute")
url_to_fs: Any = import_module("fsspec.core").url_to_fs

Table: TypeAlias = Any
"""A ``pyarrow.Table``."""
RecordBatch: TypeAlias = Any
"""A ``pyarrow.RecordBatch`` in the recording's schema."""
Column: TypeAlias = Any
"""A ``pyarrow.Array``."""
ParquetFile: TypeAlias = Any
"""A ``pyarrow.parquet.ParquetFile``."""
FileSystem: TypeAlias = Any
"""A ``pyarrow.fs.FileSystem``."""

DAMAGE: tuple[type[Exception], ...] = (OSError, ValueError, LookupError, ArithmeticError, pa.ArrowException)
"""What reading a damaged or vanished Parquet file raises; a damaged footer can say anything."""
