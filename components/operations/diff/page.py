"""The result of a comparison as JSON, and as one self-contained HTML file."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, cast

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ...model import JsonObject
from .result import DiffResult, Standing

TEMPLATES: Final = Path(__file__).parent


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
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("diff.html.j2").render(
        result=result,
        headline=headline(result),
        tone={0: "holds", 1: "fails"}.get(result.exit_code, "open"),
        sign={0: "✓", 1: "✗"}.get(result.exit_code, "?"),
        untested=Standing.UNTESTED,
        # Inside a script element, so that no value can end it.
        document=json.dumps(to_json(result), indent=2, ensure_ascii=False).replace("<", "\\u003c"),
    )


def headline(result: DiffResult) -> str:
    """Return the result in one sentence."""
    pairs = f"{result.pairs:,} pair{'' if result.pairs == 1 else 's'}"
    tested = sum(field.standing is Standing.FINDING for field in result.findings)
    untested = len(result.findings) - tested
    if tested:
        more = f"; {untested:,} more without a baseline of the same calls" if untested else ""
        return f"{_fields(tested)} more often than {_itself(tested)}, in {pairs}{more}"
    if untested:
        missing = "without a baseline" if not result.has_baseline else "without a baseline of the same calls"
        return f"{_fields(untested)} in {pairs}; {missing} nothing tells how much {_itself(untested)}"
    if not result.can_tell:
        return f"{pairs} and {result.baseline_pairs:,} of the baseline are too few to tell"
    if not result.has_baseline:
        return f"No field differs in {pairs}"
    return f"No field differs more often than it varies by itself, in {pairs}"


def _fields(count: int) -> str:
    return "One field differs" if count == 1 else f"{count} fields differ"


def _itself(count: int) -> str:
    return "it varies by itself" if count == 1 else "they vary by themselves"
