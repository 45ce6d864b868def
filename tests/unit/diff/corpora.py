"""Recordings of a primary, its mirror and a baseline, for tests that divide them."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Final

from pulumi_traffic_mirror.operations.diff import DiffJob, Source
from pulumi_traffic_mirror.operations.recording import (
    Exchange,
    Part,
    RecordingStore,
    RecordingWriter,
    RollLimits,
    Side,
)

ROLES: Final = ("primary", "mirror", "baseline-0")
SIDES: Final[Mapping[str, Side]] = {"primary": Side.PRIMARY, "mirror": Side.MIRROR, "baseline-0": Side.PRIMARY}

_START: Final = datetime(2026, 1, 31, 23, 59, tzinfo=UTC)


def exchanges(role: str, count: int) -> Iterator[Exchange]:
    """Yield one answer to each of several requests: some are noisy, some differ, some come twice or without an id."""
    for number in range(count):
        body = b'{"total":%d,"at":%d}' % (
            -1 if role == "mirror" and number % 5 == 0 else number,
            number % 3 + (role == "primary"),
        )
        exchange = Exchange(
            request_id=f"{number:08x}-0000-4000-8000-{number:012x}",
            side=SIDES[role],
            source="test",
            started_at=_START + timedelta(seconds=number),
            method="GET",
            scheme="http",
            authority="shop.example",
            path=f"/{'orders' if number % 2 else 'carts'}/{number}",
            status=200,
            duration_us=1_000 + 100_000 * (role == "mirror" and number % 7 == 0),
            response=Part(headers=(("content-type", "application/json"),), body=body, body_size=len(body)),
        )
        yield exchange


def record(directory: Path, count: int) -> Path:
    """Write a recording for each role, in several row groups and files, and return their folder."""
    for role in ROLES:
        limits = RollLimits(row_group_bytes=4_096, max_bytes=32_768)
        writer = RecordingWriter(RecordingStore.open(str(directory / role)), instance="test", limits=limits)
        rows = exchanges(role, count)
        while chunk := list(islice(rows, 16)):
            writer.write(chunk)
        writer.close()
    return directory


def job_of(directory: Path, **changes: object) -> DiffJob:
    """Return the comparison of what :func:`record` wrote."""
    primary, mirror, baseline = (Source(recording=str(directory / role), side=SIDES[role]) for role in ROLES)
    return DiffJob(primary=primary, mirror=mirror, baseline=[baseline], **changes)  # pyright: ignore[reportArgumentType]
