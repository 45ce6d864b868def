"""One side's answer, as far as a comparison needs it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from ..recording.arrow import RecordBatch
from ..recording.endpoints import endpoint_of
from ..recording.exchange import Part
from ..recording.schema import RESPONSE_COLUMNS, parts_of

_SCALARS: Final = (
    "request_id",
    "started_at",
    "method",
    "path",
    "status",
    "grpc_status",
    "is_grpc",
    "duration_us",
)

_UUID_LENGTH: Final = 36
_TRACE_REASON: Final = 14
"""Where Envoy notes in a UUID whether a request is traced, which each gateway decides anew.
Source: Envoy's UuidRequestIdConfig, pack_trace_reason."""

_REASONS: Final = frozenset("49ab")
"""Not traced, sampled, forced, asked for by the client."""

FILTER_COLUMNS: Final = ("side", "source")
"""Columns by which rows are chosen before anything else is looked at."""

COLUMNS: Final = (*FILTER_COLUMNS, *_SCALARS, *RESPONSE_COLUMNS)
"""What is read of a recording; request bodies are not."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one request got."""

    request_id: str
    started_at: datetime
    endpoint: str
    path: str
    status: int | None
    grpc_status: int | None
    is_grpc: bool
    duration_us: int | None
    response: Part

    @property
    def pair_key(self) -> str:
        """What pairs it with its partners."""
        return pair_key(self.request_id)


def pair_key(request_id: str) -> str:
    """Return a request's identifier without what gateways on its way note in it."""
    if len(request_id) == _UUID_LENGTH and request_id[_TRACE_REASON] in _REASONS:
        return f"{request_id[:_TRACE_REASON]}4{request_id[_TRACE_REASON + 1 :]}"
    return request_id


def answers_of(batch: RecordBatch) -> Iterator[Answer]:
    """Yield the answers of a record batch that has :data:`COLUMNS`."""
    scalars = [batch.column(name).to_pylist() for name in _SCALARS]
    for row in zip(*scalars, parts_of(batch, "response"), strict=True):
        request_id, started_at, method, path, status, grpc_status, is_grpc, duration_us, response = row
        yield Answer(
            request_id,
            started_at,
            endpoint_of(method, path, is_grpc=is_grpc),
            path.partition("?")[0],
            status,
            grpc_status,
            is_grpc,
            duration_us,
            response,
        )
