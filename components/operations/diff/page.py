"""The result of a comparison as JSON, and as one self-contained HTML file."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, cast

from ...model import JsonObject
from ..pages import json_in_script, page_template
from .result import DiffResult, Standing

TEMPLATE: Final = Path(__file__).with_name("diff.html.j2")


def to_json(result: DiffResult) -> JsonObject:
    """Return everything that was found, with what follows from it."""
    document: dict[str, Any] = asdict(result)
    for field, entry in zip(result.fields, document["fields"], strict=True):
        entry["rate"], entry["baseline_rate"] = field.rate, field.baseline_rate
    document["findings"] = len(result.findings)
    document["exit_code"] = result.exit_code
    return cast("JsonObject", document)


def render_page(result: DiffResult) -> str:
    """Return the result as an HTML document; it loads nothing from elsewhere."""
    return page_template(TEMPLATE).render(
        result=result,
        headline=headline(result),
        tone={0: "holds", 1: "fails"}.get(result.exit_code, "open"),
        sign={0: "✓", 1: "✗"}.get(result.exit_code, "?"),
        untested=Standing.UNTESTED,
        document=json_in_script(to_json(result)),
    )


def headline(result: DiffResult) -> str:
    """Return the result in one sentence."""
    return "; ".join((_finding(result), *_uncompared(result)))


def _uncompared(result: DiffResult) -> Iterator[str]:
    if result.uncompared:
        count = "one pair" if result.uncompared == 1 else f"{result.uncompared:,} pairs"
        yield f"the bodies of {count} could not be compared"
    if result.without_id:
        count = "one answer" if result.without_id == 1 else f"{result.without_id:,} answers"
        yield f"{count} without x-request-id could not be paired"
    if result.overflowed:
        yield "there were too many endpoints or fields to tell all apart"


def _finding(result: DiffResult) -> str:
    pairs = f"{result.pairs:,} pair{'' if result.pairs == 1 else 's'}"
    tested = sum(field.standing is Standing.FINDING for field in result.findings)
    untested = len(result.findings) - tested
    if tested:
        more = f"; {untested:,} more without a baseline of the same calls" if untested else ""
        return f"{_fields(tested)} more often than {_itself(tested)}, in {pairs}{more}"
    if untested:
        missing = "without a baseline" if not result.has_baseline else "without a baseline of the same calls"
        return f"{_fields(untested)} in {pairs}; {missing} nothing tells how much {_itself(untested)}"
    if result.compares_nothing:
        return f"Nothing was compared in {pairs}, because every field is ignored"
    if result.undecided:
        few = sum(endpoint.pairs for endpoint in result.undecided)
        return f"{few:,} of {pairs} differ somewhere and are too few to tell from noise"
    if not result.has_baseline:
        return f"No field differs in {pairs}"
    return f"No field differs more often than it varies by itself, in {pairs}"


def _fields(count: int) -> str:
    return "One field differs" if count == 1 else f"{count} fields differ"


def _itself(count: int) -> str:
    return "it varies by itself" if count == 1 else "they vary by themselves"
