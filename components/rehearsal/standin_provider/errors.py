"""Errors of the stand-in provider; each becomes one clear message of the engine, never a traceback."""

from .values import Properties


class ProviderError(Exception):
    """An operation failed; the text says what, why and what to do."""


class RefusedError(ProviderError):
    """The program asks for something that the stand-in does not do; the text names it."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what} is not supported by the stand-in provider. {remedy}")


class CancelledError(ProviderError):
    """The engine cancelled the operation, or the provider was told to end."""


class PartialError(ProviderError):
    """The object exists but is not ready; the engine keeps ``state`` and repairs it on the next update.

    Attributes:
        resource_id: Id of the object.
        state: What to record of it.
        inputs: Inputs to record on a read; ``None`` keeps those of the request.
    """

    def __init__(self, message: str, *, resource_id: str, state: Properties, inputs: Properties | None = None) -> None:
        super().__init__(message)
        self.resource_id = resource_id
        self.state = state
        self.inputs = inputs
