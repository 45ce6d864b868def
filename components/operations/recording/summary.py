"""What is in a recording: its files, single exchanges, and totals."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from ...model.recording import DROPS
from .arrow import Table, pa, pc
from .endpoints import Groups, endpoint_of, without_identifiers
from .exchange import Exchange, Side
from .quantiles import Quantiles, buckets_of
from .reading import Damage, RecordingReader
from .writing import COUNTERS_KEY

MAX_ENDPOINTS: Final = 1_000
"""Endpoints told apart; further ones are counted together."""

_COLUMNS: Final = (
    "side",
    "started_at",
    "method",
    "path",
    "status",
    "grpc_status",
    "is_grpc",
    "duration_us",
    "ending",
    "redactions",
    "request_body_size",
    "response_body_size",
    "request_truncated",
    "response_truncated",
)


_CALL: Final = ("side", "method", "path", "is_grpc")
"""What tells calls apart."""

_KEYS: Final = (*_CALL, "status", "grpc_status", "ending")

_AGGREGATES: Final[Sequence[tuple[str | list[str], str]]] = (
    ("started_at", "min"),
    ("started_at", "max"),
    ("bytes", "sum"),
    ("truncated", "sum"),
    ("redactions", "sum"),
    ([], "count_all"),
)


@dataclass(frozen=True, kw_only=True)
class FileSummary:
    """One finished file."""

    name: str
    bytes: int
    rows: int
    first_start: datetime | None
    """``None`` for a file without rows."""
    last_start: datetime | None
    dropped: int
    """Exchanges that the recorder dropped while it wrote this file."""


@dataclass(frozen=True, kw_only=True)
class RecordingListing:
    """The files of a recording."""

    files: tuple[FileSummary, ...]
    unfinished: tuple[str, ...]
    """Files still being written, or left by a recorder that was killed."""
    damage: tuple[Damage, ...]


@dataclass(frozen=True, kw_only=True)
class EndpointStats:
    """Totals of one endpoint on one side."""

    endpoint: str
    side: Side
    exchanges: int
    failures: int
    """HTTP status 500 or above, gRPC status not 0, or no response at all."""
    p50_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True, kw_only=True)
class RecordingStats:
    """Totals of a recording."""

    exchanges: int
    by_side: Mapping[str, int]
    by_ending: Mapping[str, int]
    by_status: Mapping[str, int]
    """By HTTP status, or ``grpc <status>``; ``none`` without a response."""
    endpoints: tuple[EndpointStats, ...]
    """Busiest first."""
    first_start: datetime | None
    last_start: datetime | None
    body_bytes: int
    """Bytes of bodies as seen, both directions."""
    truncated: int
    redactions: int
    counters: Mapping[str, int]
    """What the recorders counted, drops above all."""
    damage: tuple[Damage, ...]

    @property
    def dropped(self) -> int:
        """Exchanges that should be in the recording and are not."""
        return sum(self.counters.get(name, 0) for name in DROPS)


def list_files(reader: RecordingReader) -> RecordingListing:
    """List the files of a recording by their footers; rows are not read."""
    counters = {file.path: noted_counters(metadata) for file, metadata, _ in reader.metadata()}
    rows: dict[str, int] = dict.fromkeys(counters, 0)
    starts: dict[str, list[datetime]] = {path: [] for path in counters}
    for group in reader.row_groups():
        rows[group.file.path] += group.rows
        starts[group.file.path] += [one for one in (group.first_start, group.last_start) if one is not None]
    files = tuple(
        FileSummary(
            name=reader.store.relative(file.path),
            bytes=file.size,
            rows=rows[file.path],
            first_start=min(starts[file.path], default=None),
            last_start=max(starts[file.path], default=None),
            dropped=sum(counters[file.path].get(name, 0) for name in DROPS),
        )
        for file in reader.store.files()
        if file.path in counters
    )
    unfinished = tuple(reader.store.relative(path) for path in reader.store.unfinished())
    return RecordingListing(files=files, unfinished=unfinished, damage=tuple(reader.damage))


def find_exchanges(
    reader: RecordingReader,
    *,
    request_id: str | None = None,
    side: Side | None = None,
    path_contains: str = "",
    limit: int = 10,
) -> Iterator[Exchange]:
    """Yield the first exchanges that fulfil every given condition."""
    conditions: list[Callable[[Exchange], bool]] = [
        lambda exchange: request_id is None or exchange.request_id == request_id,
        lambda exchange: side is None or exchange.side is side,
        lambda exchange: path_contains in exchange.path,
    ]
    found = 0
    for exchange in reader.exchanges():
        if found >= limit:
            return
        if all(condition(exchange) for condition in conditions):
            found += 1
            yield exchange


def recording_stats(reader: RecordingReader) -> RecordingStats:
    """Count everything in a recording, in bounded memory."""
    totals = _Totals()
    counters: Counter[str] = Counter()
    for _, metadata, _ in reader.metadata():
        counters.update(noted_counters(metadata))
    for group in reader.row_groups():
        table = reader.table(group, columns=_COLUMNS)
        if table is not None:
            totals.add(table)
    return totals.result(counters=dict(counters), damage=tuple(reader.damage))


def noted_counters(metadata: Mapping[bytes, bytes]) -> dict[str, int]:
    """Return what a file's footer says the recorder counted."""
    try:
        noted: Any = json.loads(metadata.get(COUNTERS_KEY.encode(), b"{}"))
        return {str(name): int(value) for name, value in noted.items()}
    except (ValueError, AttributeError, TypeError):
        return {}


class _Totals:
    def __init__(self) -> None:
        self._groups = Groups(MAX_ENDPOINTS)
        self._sums: Counter[str] = Counter()
        self._by: dict[str, Counter[str]] = {"side": Counter(), "ending": Counter(), "status": Counter()}
        self._calls: Counter[tuple[str, str]] = Counter()
        self._failures: Counter[tuple[str, str]] = Counter()
        self._times: dict[tuple[str, str], Quantiles] = {}
        self._first: datetime | None = None
        self._last: datetime | None = None

    def add(self, table: Table) -> None:
        """Count rows of the columns above, alike ones together."""
        paths = without_identifiers(table.column("path"), table.column("is_grpc"))
        table = table.set_column(table.schema.get_field_index("path"), "path", paths)
        # In floating point, because lengths that only headers told may add up to more than 64 bits hold.
        parts = [table.column(f"{part}_body_size").cast(pa.float64(), safe=False) for part in ("request", "response")]
        sizes = pc.add(*parts)
        cut = pc.or_(table.column("request_truncated"), table.column("response_truncated"))
        table = table.append_column("bytes", sizes).append_column("truncated", pc.cast(cut, pa.int64()))
        for row in table.group_by(_KEYS, use_threads=False).aggregate(_AGGREGATES).to_pylist():
            self._add_alike(row)
        timed = table.filter(pc.is_valid(table.column("duration_us")))
        timed = timed.append_column("bucket", pa.array(buckets_of(timed.column("duration_us").to_numpy())))
        grouped = timed.group_by([*_CALL, "bucket"], use_threads=False)
        for row in grouped.aggregate([("duration_us", "max"), ([], "count_all")]).to_pylist():
            times = self._times.setdefault((self._endpoint(row), row["side"]), Quantiles())
            times.add_bucket(row["bucket"], row["count_all"], maximum=row["duration_us_max"])

    def _add_alike(self, row: Mapping[str, Any]) -> None:
        """Count the rows that have the same keys."""
        count: int = row["count_all"]
        self._first = min(self._first or row["started_at_min"], row["started_at_min"])
        self._last = max(self._last or row["started_at_max"], row["started_at_max"])
        status, grpc_status = row["status"], row["grpc_status"]
        self._by["side"][row["side"]] += count
        self._by["ending"][row["ending"]] += count
        self._by["status"][_status_name(status, grpc_status)] += count
        self._sums["exchanges"] += count
        for name in ("bytes", "truncated", "redactions"):
            self._sums[name] += row[f"{name}_sum"]
        key = (self._endpoint(row), row["side"])
        self._calls[key] += count
        self._failures[key] += count * has_failed(status, grpc_status)

    def _endpoint(self, row: Mapping[str, Any]) -> str:
        return self._groups.admit(endpoint_of(row["method"], row["path"], is_grpc=row["is_grpc"]))

    def result(self, *, counters: Mapping[str, int], damage: tuple[Damage, ...]) -> RecordingStats:
        """Return the totals."""
        endpoints = tuple(
            EndpointStats(
                endpoint=endpoint,
                side=Side(side),
                exchanges=calls,
                failures=self._failures[endpoint, side],
                p50_ms=_milliseconds(self._times.get((endpoint, side)), 0.5),
                p99_ms=_milliseconds(self._times.get((endpoint, side)), 0.99),
            )
            for (endpoint, side), calls in self._calls.most_common()
        )
        return RecordingStats(
            exchanges=self._sums["exchanges"],
            by_side=dict(self._by["side"]),
            by_ending=dict(self._by["ending"]),
            by_status=dict(self._by["status"]),
            endpoints=endpoints,
            first_start=self._first,
            last_start=self._last,
            body_bytes=int(self._sums["bytes"]),
            truncated=self._sums["truncated"],
            redactions=self._sums["redactions"],
            counters=counters,
            damage=damage,
        )


def has_failed(status: int | None, grpc_status: int | None) -> bool:
    """Tell whether a call failed on the server's side, or was not answered at all."""
    return status is None or status >= 500 or bool(grpc_status)  # noqa: PLR2004 -- RFC 9110 section 15.6


def _status_name(status: int | None, grpc_status: int | None) -> str:
    if grpc_status is not None:
        return f"grpc {grpc_status}"
    return "none" if status is None else str(status)


def _milliseconds(times: Quantiles | None, share: float) -> float | None:
    value = times.at(share) if times else None
    return None if value is None else round(value / 1000, 3)
