"""Writes the report as a table into the documentation: ``python -m tests.stage.acceptance.table``."""

import html
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from .report import REPORT, read

DOCUMENT: Final = Path(__file__).parents[3] / "docs" / "acceptance.md"
HEADING: Final = "## Results\n"


def table(entries: Iterable[Mapping[str, Any]]) -> str:
    """Return one table per source; sources and cases by name, whatever order they ran in."""
    ordered = sorted(entries, key=lambda entry: (entry["source"].casefold(), entry["case"]))
    return "".join(_section(source, list(cases)) for source, cases in groupby(ordered, lambda entry: entry["source"]))


def _section(source: str, entries: list[Mapping[str, Any]]) -> str:
    lines = [
        f"\n### {source}\n",
        "| Case | Must hold | Result | Figure | Evidence | Measured |",
        "|---|---|---|---|---|---|",
    ]
    for entry in entries:
        cells = [_cell(entry[key]) for key in ("case", "wanted", "result", "figure", "evidence", "measured")]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return html.escape(text, quote=False).replace("|", "\\|").replace("\n", " ")


def main() -> None:
    """Replace what follows the heading."""
    text = DOCUMENT.read_text(encoding="utf-8")
    before, found, _ = text.partition(HEADING)
    if not found:
        raise SystemExit(f"{DOCUMENT} has no line {HEADING.strip()!r}")
    entries = read(REPORT)
    passed = sum(entry["result"] == "passed" for entry in entries)
    DOCUMENT.write_text(
        f"{before}{HEADING}\n{passed} of {len(entries)} cases hold.\n{table(entries)}", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
