"""A verification in a child process, for example inside a network namespace.

One process does all of it, because its place costs more to enter than it does to stay in.
"""

import sys
from collections.abc import Callable
from typing import Any

from ..errors import OperationError
from ..jobs import Wrap, Write, run_child, serve_job, unwrapped
from .job import VerifyJob
from .report import Report
from .run import verify


def verify_in_child(
    job: VerifyJob, tell: Callable[[str], None], *, wrap: Wrap = unwrapped, timeout_seconds: float = 300
) -> Report:
    """Verify in a child process.

    Args:
        job: What to verify.
        tell: Told what is being done.
        wrap: Where the child runs, e.g. in a network namespace.
        timeout_seconds: Bound on the whole, > 0.

    Raises:
        OperationError: Nothing can be told, or the child failed.
    """
    report: Report | None = None
    for answer in run_child("verify.child", job.to_json(), wrap=wrap, timeout_seconds=timeout_seconds):
        raw: dict[str, Any] = dict(answer)
        if "progress" in raw:
            tell(raw["progress"])
        else:
            report = Report.from_json(raw)
    if report is None:
        raise OperationError("The verification ended without a result", remedy="Try again")
    return report


def _work(raw: dict[str, Any], write: Write) -> None:
    write(verify(VerifyJob.from_json(raw), lambda line: write({"progress": line})).to_json())


if __name__ == "__main__":
    sys.exit(serve_job(_work))
