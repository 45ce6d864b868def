"""The one error of the operations: why nothing can be told, and what to do about it."""


class OperationError(RuntimeError):
    """An operation cannot do its work, so its question stays open.

    A command line shows the text without a traceback and ends with :attr:`exit_code`.

    Attributes:
        problem: What went wrong, without a full stop. Never a secret.
        remedy: What to do about it, as an imperative sentence without a full stop.
    """

    exit_code = 2
    """Exit code of a command that cannot tell whether its claim holds."""

    def __init__(self, problem: str, *, remedy: str) -> None:
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{problem}. {remedy}.")
