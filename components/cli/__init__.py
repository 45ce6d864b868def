"""The command line ``traffic-mirror``: parse, call, show. What commands do lies in ``operations`` and ``rehearsal``."""

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from .failures import PROGRAM, explain

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; without the extra that it needs, say which.

    Args:
        arguments: Words after the program's name; None means those of this process.

    Returns:
        0 when what was asked holds, 1 when it does not, 2 for bad input or when it cannot be told, 130 after Ctrl-C.
    """
    try:
        app: Any = import_module(".app", __name__)
    except ModuleNotFoundError as missing:
        failure = explain(missing)
        print(f"{PROGRAM}: {failure.text}", file=sys.stderr)
        return failure.exit_code
    return app.main(arguments)
