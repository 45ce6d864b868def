"""What a user is told about an error."""

import os
import traceback
from dataclasses import dataclass
from typing import Final

from ..model import ValidationError

PROGRAM: Final = "traffic-mirror"

CANNOT_TELL: Final = 2
"""Exit code for bad input, and when nothing can be told."""

TRACEBACK_VARIABLE: Final = "TRAFFIC_MIRROR_TRACEBACK"
"""Environment variable: when set, an error that nobody expected is shown with its traceback."""

EXTRAS: Final = {
    "typer": "check",
    "rich": "check",
    "pulumi_gcp": "gke",
    "pulumi_policy": "policy",
    "mcp": "mcp",
    "pyspark": "spark",
}
"""Optional modules, and the extra that brings each; ``cli`` brings all others."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """How a command ends that could not do its work."""

    text: str
    """What to tell the user."""

    exit_code: int
    """Exit code of the process."""


def explain(error: Exception) -> Failure:
    """Return what to tell about an error.

    Errors of this package say what went wrong and what to do; they carry ``exit_code``, or are a
    :class:`ValidationError`. What a disk, a bucket or the network refuses is said in its own words. Any other error is
    a defect: it gets its place, and its traceback on demand.

    Args:
        error: The error.
    """
    if isinstance(error, ValidationError):
        return Failure(text=str(error), exit_code=CANNOT_TELL)
    if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith("pulumi_traffic_mirror"):
        module = error.name.partition(".")[0]
        extra = EXTRAS.get(module, "cli")
        text = f"this needs the module {module}: pip install 'pulumi-traffic-mirror[{extra}]'"
        return Failure(text=text, exit_code=CANNOT_TELL)
    code = getattr(error, "exit_code", None)
    if isinstance(code, int):
        return Failure(text=str(error), exit_code=code)
    if os.environ.get(TRACEBACK_VARIABLE):
        return Failure(text="".join(traceback.format_exception(error)), exit_code=CANNOT_TELL)
    if isinstance(error, OSError):
        text = f"{error}. Check the path or address, the rights to it, and that it can be reached."
        return Failure(text=text, exit_code=CANNOT_TELL)
    last = traceback.extract_tb(error.__traceback__)[-1:]
    where = "".join(f" at {frame.filename}:{frame.lineno}" for frame in last)
    kind = type(error).__name__
    return Failure(
        text=f"unexpected {kind}{where}: {error}. This is a defect; for its traceback set {TRACEBACK_VARIABLE}=1.",
        exit_code=CANNOT_TELL,
    )
