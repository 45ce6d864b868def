"""The Parquet schema of a recording, its version, and the way between rows and exchanges.

One row is one exchange. Only types that DuckDB, BigQuery and Spark read as they are: strings, integers,
booleans, binary, microsecond timestamps in UTC, and lists of flat structs.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from itertools import pairwise, starmap
from typing import Any, TypeVar

from .arrow import Column, RecordBatch, Table, pa
from .exchange import EPOCH, Ending, Exchange, Headers, Message, Part, Side

SCHEMA_VERSION = 1
"""Raised whenever a reader of the older version would misread a file."""

VERSION_KEY = b"traffic_mirror.schema_version"
"""Key in the Parquet file's metadata that carries the version as decimal text."""

HEADERS_KEY = b"traffic_mirror.logged_headers"
"""Key in the metadata of a file that cannot have other headers: their names, as a sorted JSON list."""

_T = TypeVar("_T")

_HEADER_FIELDS = (pa.field("name", pa.string()), pa.field("value", pa.string()))
_MESSAGE_FIELDS = (
    pa.field("offset_us", pa.int64()),
    pa.field("size", pa.int64()),
    pa.field("compressed", pa.bool_()),
    pa.field("truncated", pa.bool_()),
    pa.field("data", pa.binary()),
)
_HEADERS = pa.list_(pa.struct(_HEADER_FIELDS))
_MESSAGES = pa.list_(pa.struct(_MESSAGE_FIELDS))

DICTIONARY_COLUMNS = ("side", "source", "method", "scheme", "authority", "path", "ending")
"""Columns with few distinct values; bodies and identifiers would only fill a dictionary in vain."""


def _part_fields(part: str) -> list[Any]:
    return [
        pa.field(f"{part}_headers", _HEADERS),
        pa.field(f"{part}_body", pa.binary()),
        pa.field(f"{part}_body_size", pa.int64()),
        pa.field(f"{part}_truncated", pa.bool_()),
        pa.field(f"{part}_messages", _MESSAGES),
        pa.field(f"{part}_trailers", _HEADERS),
    ]


SCHEMA: Any = pa.schema(
    [
        pa.field("request_id", pa.string()),
        pa.field("side", pa.string()),
        pa.field("source", pa.string()),
        pa.field("started_at", pa.timestamp("us", tz="UTC")),
        pa.field("method", pa.string()),
        pa.field("scheme", pa.string()),
        pa.field("authority", pa.string()),
        pa.field("path", pa.string()),
        pa.field("status", pa.int32()),
        pa.field("grpc_status", pa.int32()),
        pa.field("is_grpc", pa.bool_()),
        pa.field("first_byte_us", pa.int64()),
        pa.field("duration_us", pa.int64()),
        pa.field("ending", pa.string()),
        pa.field("redactions", pa.int32()),
        *_part_fields("request"),
        *_part_fields("response"),
    ],
    metadata={VERSION_KEY: str(SCHEMA_VERSION).encode()},
)
"""Schema of every file of a recording, version included."""

REQUEST_COLUMNS: tuple[str, ...] = tuple(
    name for name in SCHEMA.names if not name.startswith("response_") or name == "response_messages"
)
"""Columns of requests; messages of the answers say when each message of a stream was sent."""

RESPONSE_COLUMNS: tuple[str, ...] = tuple(name for name in SCHEMA.names if name.startswith("response_"))
"""Columns of the response's direction."""

_MAY_BE_UNKNOWN = {"status", "grpc_status", "first_byte_us", "duration_us", "request_body", "response_body"}

_SIDES = {side.value: side for side in Side}
_ENDINGS = {ending.value: ending for ending in Ending}
_CHOICES = {"side": _SIDES.keys(), "ending": _ENDINGS.keys()}

SCALAR_COLUMNS: tuple[str, ...] = tuple(SCHEMA.names[:15])
"""Columns that say what happened without headers, bodies or messages."""


def _flat_list(rows: Sequence[Sequence[_T]], fields: Sequence[Any], get: Sequence[Callable[[_T], object]]) -> Column:
    """Build a list-of-struct column from its parts; ten times as fast as from dictionaries."""
    offsets = [0]
    for row in rows:
        offsets.append(offsets[-1] + len(row))
    flat = [item for row in rows for item in row]
    children = [pa.array([one(item) for item in flat], type=f.type) for f, one in zip(fields, get, strict=True)]
    struct = pa.StructArray.from_arrays(children, fields=list(fields))
    return pa.ListArray.from_arrays(pa.array(offsets, type=pa.int32()), struct)


def _headers_column(rows: Sequence[Headers]) -> Column:
    return _flat_list(rows, _HEADER_FIELDS, (lambda h: h[0], lambda h: h[1]))


def _messages_column(rows: Sequence[tuple[Message, ...]]) -> Column:
    return _flat_list(
        rows,
        _MESSAGE_FIELDS,
        (
            lambda m: m.offset_us,
            lambda m: m.size,
            lambda m: m.compressed,
            lambda m: m.truncated,
            lambda m: m.data,
        ),
    )


def _part_columns(parts: Sequence[Part]) -> list[Any]:
    return [
        _headers_column([p.headers for p in parts]),
        pa.array([p.body for p in parts], type=pa.binary()),
        pa.array([p.body_size for p in parts], type=pa.int64()),
        pa.array([p.truncated for p in parts], type=pa.bool_()),
        _messages_column([p.messages for p in parts]),
        _headers_column([p.trailers for p in parts]),
    ]


def to_batch(exchanges: Sequence[Exchange]) -> RecordBatch:
    """Return the exchanges as one record batch in :data:`SCHEMA`."""
    scalars = [pa.array([getattr(e, name) for e in exchanges], type=SCHEMA.field(name).type) for name in SCALAR_COLUMNS]
    columns = [
        *scalars,
        *_part_columns([e.request for e in exchanges]),
        *_part_columns([e.response for e in exchanges]),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


def _rows_of_lists(column: Column, keys: Sequence[str], make: Callable[..., _T] | None = None) -> list[tuple[_T, ...]]:
    """Return the elements of each row's list, as tuples or as what is made of their values."""
    if not len(column.values):
        return [()] * len(column)
    offsets: list[int] = column.offsets.to_pylist()
    values = column.values
    first, last = offsets[0], offsets[-1]
    items: Any = zip(*(values.field(k).slice(first, last - first).to_pylist() for k in keys), strict=True)
    flat: list[_T] = list(items if make is None else starmap(make, items))
    return [tuple(flat[a - first : b - first]) for a, b in pairwise(offsets)]


def _message(offset_us: int, size: int, compressed: bool, truncated: bool, data: bytes) -> Message:
    return Message(offset_us=offset_us, size=size, compressed=compressed, truncated=truncated, data=data)


def headers_of(column: Column) -> list[Headers]:
    """Return the headers of each row of a column of them."""
    return _rows_of_lists(column, ("name", "value"))


def messages_of(column: Column) -> list[tuple[Message, ...]]:
    """Return the gRPC messages of each row of a column of them."""
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return _rows_of_lists(column, ("offset_us", "size", "compressed", "truncated", "data"), _message)


def parts_of(batch: RecordBatch, part: str) -> Iterator[Part]:
    """Yield one direction (``"request"`` or ``"response"``) of each row.

    The batch needs that direction's columns; of those of its messages alone, the rest of the direction is empty.
    """
    names: Sequence[str] = batch.schema.names

    def column(name: str) -> Column:
        return batch.column(f"{part}_{name}")

    if f"{part}_headers" not in names:
        nothing = Part()
        for messages in messages_of(column("messages")):
            yield Part(messages=messages) if messages else nothing
        return

    rows = zip(
        headers_of(column("headers")),
        column("body").to_pylist(),
        column("body_size").to_pylist(),
        column("truncated").to_pylist(),
        messages_of(column("messages")),
        headers_of(column("trailers")),
        strict=True,
    )
    for headers, body, size, truncated, messages, trailers in rows:
        yield Part(
            headers=headers,
            body=body,
            body_size=size,
            truncated=truncated,
            messages=messages,
            trailers=trailers,
        )


def check_values(table: Table) -> None:
    """Look whether every value that an exchange must have is there, and whether texts are texts.

    Raises:
        ValueError: One is not, or says what no recorder says.
    """
    table.validate(full=True)
    for name in (name for name in table.column_names if name not in _MAY_BE_UNKNOWN):
        column = table.column(name)
        if column.null_count:
            raise ValueError(f"{column.null_count:,} of its rows have no {name}")
        if any(map(_lacks_any, column.chunks)):
            raise ValueError(f"{name} lack some of their values")
        if name in _CHOICES and (strange := sorted({*column.unique().to_pylist()} - _CHOICES[name])):
            raise ValueError(f"{strange[0]!r} is no {name}")


def _lacks_any(values: Column) -> bool:
    """Tell whether a value is missing within the lists of a column."""
    inside: list[Column] = []
    if pa.types.is_list(values.type):
        inside = [values.flatten()]
    elif pa.types.is_struct(values.type):
        inside = values.flatten()
    return any(one.null_count or _lacks_any(one) for one in inside)


def from_batch(batch: RecordBatch) -> Iterator[Exchange]:
    """Yield the exchanges of a record batch that has every column of :data:`SCHEMA`, or :data:`REQUEST_COLUMNS`."""
    # Arrow looks the time zone up for each time, which takes longer than all other columns together.
    starts = batch.column("started_at").cast(pa.int64()).to_pylist()
    scalars = [batch.column(name).to_pylist() for name in SCALAR_COLUMNS if name != "started_at"]
    rows = zip(starts, *scalars, parts_of(batch, "request"), parts_of(batch, "response"), strict=True)
    for row in rows:
        started_us, request_id, side, source, method, scheme, authority, path, status, grpc_status, is_grpc = row[:11]
        first_byte_us, duration_us, ending, redactions, request, response = row[11:]
        yield Exchange(
            request_id=request_id,
            side=_SIDES[side],
            source=source,
            started_at=EPOCH + timedelta(microseconds=started_us),
            method=method,
            scheme=scheme,
            authority=authority,
            path=path,
            status=status,
            grpc_status=grpc_status,
            is_grpc=is_grpc,
            first_byte_us=first_byte_us,
            duration_us=duration_us,
            ending=_ENDINGS[ending],
            redactions=redactions,
            request=request,
            response=response,
        )
