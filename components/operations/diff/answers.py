"""One side's answer, as far as a comparison needs it."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import repeat
from typing import Any, Final

import numpy as np

from ..recording.arrow import Column, RecordBatch, Table, pa, pc
from ..recording.buckets import pair_keys
from ..recording.endpoints import endpoint_of, without_identifiers
from ..recording.exchange import Ending, Headers, Part, trailers_only
from ..recording.schema import RESPONSE_COLUMNS, SCHEMA, messages_of

_SCALARS: Final = ("request_id", "started_at", "method", "path", "status", "grpc_status", "is_grpc", "duration_us")

FILTER_COLUMNS: Final = ("side", "source")
"""Columns by which rows are chosen before anything else is looked at."""

COLUMNS: Final = (*FILTER_COLUMNS, *_SCALARS, "ending", *RESPONSE_COLUMNS)
"""What is read of a recording; request bodies are not."""

_KEPT: Final = (*_SCALARS, "ending", "response_body", "response_body_size", "response_truncated", "response_messages")

_BETWEEN, _BEHIND_NAME = "\1", "\0"
"""What stands between headers in one text, and between name and value."""


@dataclass(slots=True)
class Answer:
    """What one request got."""

    request_id: str
    pair_key: str
    """What pairs it with its partners: the identifier without what gateways on its way note in it."""
    started_us: int
    """Microseconds since 1970, UTC."""
    endpoint: str
    path: str
    status: int | None
    grpc_status: int | None
    is_grpc: bool
    duration_us: int | None
    response: Part
    """Without the headers and trailers that nobody compares."""
    ending: Ending = Ending.COMPLETE
    method: str = ""
    target: str = ""
    """The path with its query, as it was recorded."""


def condensed(rows: Any, ignored: frozenset[str]) -> Table:  # noqa: ANN401 -- a table or record batch
    """Return rows of :data:`COLUMNS` in the form that :func:`answers_of` reads quickly.

    Args:
        rows: Of a recording.
        ignored: Headers and trailers that nobody compares, in lower case.
    """
    columns = {name: rows.column(name) for name in _KEPT}
    columns["started_at"] = pc.cast(columns["started_at"], pa.int64())
    columns["pair_key"] = pair_keys(columns["request_id"])
    columns["short_path"] = without_identifiers(columns["path"], columns["is_grpc"])
    for name in ("headers", "trailers"):
        columns[name] = _texts(rows.column(f"response_{name}"), ignored)
    return pa.table(columns)


def no_rows() -> Table:
    """Return no rows in the form that :func:`condensed` gives them."""
    return condensed(pa.schema([SCHEMA.field(name) for name in COLUMNS]).empty_table(), frozenset())


def answers_of(rows: RecordBatch) -> Iterator[Answer]:
    """Yield the answers of a record batch that :func:`condensed` made."""

    def column(name: str) -> list[Any]:
        return rows.column(name).to_pylist()

    messages: Any = repeat((), rows.num_rows)
    if pc.sum(pc.list_value_length(rows.column("response_messages"))).as_py():
        messages = messages_of(rows.column("response_messages"))
    names = (*_SCALARS, "ending", "pair_key", "short_path", "headers", "trailers")
    payloads = (column(f"response_{name}") for name in ("body", "body_size", "truncated"))
    for row in zip(*map(column, names), *payloads, messages, strict=True):
        request_id, started_us, method, path, status, grpc_status, is_grpc, duration_us, ending, key, short = row[:11]
        headers, trailers, body, size, truncated, own_messages = row[11:]
        response = Part(
            headers=headers_in(headers),
            body=body,
            body_size=size,
            truncated=truncated,
            messages=own_messages,
            trailers=headers_in(trailers),
        )
        yield Answer(
            request_id,
            key,
            started_us,
            endpoint_of_call(method, short, is_grpc),
            path.partition("?")[0],
            status,
            grpc_status,
            is_grpc,
            duration_us,
            trailers_only(response) if is_grpc else response,
            _ENDINGS[ending],
            method,
            path,
        )


_ENDINGS: Final = {ending.value: ending for ending in Ending}


@lru_cache(maxsize=10_000)
def endpoint_of_call(method: str, path: str, is_grpc: bool) -> str:
    """Return the endpoint of a call, given its path without most identifiers."""
    return endpoint_of(method, path, is_grpc=is_grpc)


@lru_cache(maxsize=10_000)
def headers_in(text: str) -> Headers:
    """Return the headers that a condensed row has as one text."""
    if not text:
        return ()
    pairs = (header.partition(_BEHIND_NAME) for header in text.split(_BETWEEN))
    return tuple((name, value) for name, _, value in pairs)


def _texts(headers: Column, ignored: frozenset[str]) -> Column:
    """Return each row's headers as one text, without the ignored ones."""
    lists = headers.combine_chunks() if isinstance(headers, pa.ChunkedArray) else headers
    names, values = (_without_separators(lists.values.field(name)) for name in ("name", "value"))
    wanted = pc.invert(pc.is_in(names, value_set=pa.array(sorted(ignored), pa.string())))
    joined = pc.binary_join_element_wise(names, values, _BEHIND_NAME).filter(wanted)
    before = np.concatenate(([0], np.cumsum(wanted.to_numpy(zero_copy_only=False))))
    offsets = pa.array(before[lists.offsets.to_numpy()], pa.int32())
    return pc.binary_join(pa.ListArray.from_arrays(offsets, joined), _BETWEEN)


def _without_separators(texts: Column) -> Column:
    """Neither can stand in a header that any server took (RFC 9110 section 5.5), but a recording may be anybody's."""
    if not _may_hold_separators(texts):
        return texts
    return pc.replace_substring_regex(texts, f"[{_BETWEEN}{_BEHIND_NAME}]", " ")


def _may_hold_separators(texts: Column) -> bool:
    """Tell by a look at all their bytes at once, several times as fast as one at each text."""
    data = texts.buffers()[2]
    return bool(data) and bool(np.frombuffer(data, np.uint8).min(initial=0xFF) <= ord(_BETWEEN))
