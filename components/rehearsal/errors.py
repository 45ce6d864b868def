"""The one error of the stage: what went wrong and what to do about it, in one sentence each."""


class StageError(RuntimeError):
    """The stage cannot be built, started or ended.

    A command line shows the text without a traceback and ends with `exit_code`.

    Attributes:
        problem: What went wrong, without a full stop.
        remedy: What to do about it, as an imperative sentence without a full stop.
        details: Last lines of the log that shows the cause, oldest first; may be empty.
    """

    exit_code = 2
    """Exit code of a command that cannot tell whether its claim holds."""

    def __init__(self, problem: str, *, remedy: str, details: tuple[str, ...] = ()) -> None:
        self.problem = problem
        self.remedy = remedy
        self.details = details
        quoted = "".join(f"\n  | {line}" for line in details)
        super().__init__(f"{problem}. {remedy}.{quoted}")
