"""The result as one self-contained HTML file, and as Markdown for a comment on a pull request."""

from pathlib import Path
from typing import Final

from ..outcome import Outcome
from ..pages import json_in_script, page_template
from ..plaintext import printable
from ..verify.report import SIGN_OF
from .copies import Copies
from .result import Change, Result

TEMPLATE: Final = Path(__file__).with_name("whatif.html.j2")
MOST_LISTED: Final = 30
"""Changes in a comment; the page and JSON have all."""

_TONES: Final = {Outcome.HOLDS: "holds", Outcome.FAILS: "fails", Outcome.UNKNOWN: "open"}


def render_page(result: Result, copies: Copies | None = None) -> str:
    """Return the result as an HTML document; it loads nothing from elsewhere.

    Args:
        result: What to show.
        copies: What mirrors copy, where one state alone was looked at.
    """
    return page_template(TEMPLATE).render(
        result=result,
        copies=copies,
        headline=copies.headline if copies else result.headline,
        tone=_TONES[result.verdict],
        sign=SIGN_OF[result.verdict],
        document=json_in_script((copies or result).to_json()),
    )


def render_markdown(result: Result, copies: Copies | None = None) -> str:
    """Return the result as Markdown.

    Args:
        result: What to show.
        copies: What mirrors copy, where one state alone was looked at.
    """
    lines = [f"### {SIGN_OF[result.verdict]} {_text(copies.headline if copies else result.headline)}", ""]
    if copies:
        lines += [
            "| copies | requests | share | bytes/s | endpoint | to | callers by user-agent |",
            "|--:|--:|--:|--:|---|---|---|",
        ]
        for row in copies.rows()[:MOST_LISTED]:
            lines.append("| " + " | ".join(_text(each) for each in row) + " |")
        lines.append("")
    for change in result.changes[:MOST_LISTED]:
        lines += _change(change)
    if (more := len(result.changes) - MOST_LISTED) > 0:
        lines += ["", f"And {more} more."]
    told = [f"- {_text(each)}" for each in result.notes()]
    return "\n".join([*lines, *(["", *told] if told else [])]).rstrip() + "\n"


def _change(change: Change) -> list[str]:
    subject, difference = change.subject, change.subject.difference
    expected = " (expected)" if change.expected else ""
    where = f"{_code(subject.route)}, {_code(subject.proxy)}"
    lines = [f"- **{difference.kind.value}**{expected}, {change.requests:,} requests: {where}"]
    if difference.before:
        lines.append(f"  - before: {_code(difference.before)}")
    lines.append(f"  - after: {_code(difference.after)}")
    lines += [f"  - e.g. {_code(f'{each.method} {each.authority}{each.path}')}" for each in change.examples[:1]]
    lines += [f"  - {_code(place)}" for place in change.places]
    return lines


def _code(text: str) -> str:
    return "`" + printable(text).replace("`", "'") + "`"


def _text(text: str) -> str:
    """Text in which nothing is markup or mentions anybody."""
    return "".join(f"\\{one}" if one in "\\`*_[]<>#|@" else one for one in printable(text))
