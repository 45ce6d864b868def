"""What the HTML pages have in common: self-contained, everything in them escaped."""

import json
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from ..model import JsonObject


def page_template(path: Path) -> Template:
    """Return a page's template; a name that it is not given is an error.

    Args:
        path: Its file.
    """
    environment = Environment(
        loader=FileSystemLoader(path.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(path.name)


def json_in_script(document: JsonObject) -> str:
    """Return a document as JSON for a script element, which no value in it can end."""
    return json.dumps(document, indent=2, ensure_ascii=False).replace("<", "\\u003c")
