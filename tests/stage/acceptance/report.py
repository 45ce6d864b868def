"""The report of the acceptance suite: one entry per case, written to ``reports/acceptance.json``."""

import fcntl
import json
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

REPORT: Final = Path(__file__).parents[3] / "reports" / "acceptance.json"
PROPERTY: Final = "acceptance"


def band(count: int, percent: float) -> tuple[int, int]:
    """Return the least and the most copies of ``count`` calls: exact at 0 and 100 %, else three standard deviations."""
    share = percent / 100
    spread = 3 * math.sqrt(count * share * (1 - share))
    return math.ceil(count * share - spread), math.floor(count * share + spread)


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
