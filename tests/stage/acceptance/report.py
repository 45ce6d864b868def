"""The report of the acceptance suite: one entry per case, written to ``reports/acceptance.json``."""

import fcntl
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pulumi_traffic_mirror.operations.verify import shares

REPORT: Final = Path(__file__).parents[3] / "reports" / "acceptance.json"
PROPERTY: Final = "acceptance"


def band(count: int, percent: float) -> tuple[int, int]:
    """Return the least and the most copies of ``count`` calls that the share allows, as every verdict has it."""
    allowed = shares.band(count, percent)
    return allowed.low, allowed.high


def span(least: int, most: int) -> str:
    """Return a band in words."""
    return str(least) if least == most else f"{least} to {most}"


def merge(path: Path, entries: Iterable[Mapping[str, Any]]) -> None:
    """Lay entries over those of earlier runs; a case that is not run keeps its last result.

    Processes that share the tests of a run write one after another.
    """
    path.parent.mkdir(exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = {entry["case"]: entry for entry in read(path)}
        known.update({entry["case"]: {**entry, "measured": f"{datetime.now(tz=UTC):%Y-%m-%d}"} for entry in entries})
        path.write_text(json.dumps(list(known.values()), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read(path: Path) -> list[dict[str, Any]]:
    """Return the entries of a report; none when there is no report."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
