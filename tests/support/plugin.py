"""The plugin in ``plugin/``, as the engine gets to know it; run as a module, writes its schema anew."""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

from pulumi.provider.experimental.component import ComponentProvider

FOLDER = Path(__file__).resolve().parents[2] / "plugin"
SCHEMA = FOLDER / "schema.json"


def provider() -> Any:
    """What the engine asks for components."""
    if str(FOLDER) not in sys.path:
        sys.path.append(str(FOLDER))
    facade: Any = importlib.import_module("facade")
    foundation: Any = importlib.import_module("foundation")
    return ComponentProvider(list(facade.COMPONENTS), foundation.NAME)


def schema() -> str:
    """Its schema as it is checked in."""
    return json.dumps(json.loads(provider().schema), indent=2) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(schema(), encoding="utf-8")
