"""From an exception to an answer that the engine shows: one text, no traceback, no secret."""

import traceback
from collections.abc import Callable
from typing import Any, Final

import grpc
from google.protobuf import any_pb2, struct_pb2
from pulumi.runtime.proto import provider_pb2, status_pb2

from . import NAME
from .cluster import ApiError
from .errors import PartialError, ProviderError
from .target import conflict_hint
from .values import decode, encode, secret_texts

SHORTEST_REDACTED: Final = 4
"""Shorter secrets are not searched for in messages: such a text occurs everywhere."""

_BAGS: Final = ("args", "inputs", "news", "olds", "old_inputs", "properties")


def guarded(method: Callable[[Any], Any]) -> Callable[[Any, grpc.ServicerContext], Any]:
    """Return a gRPC handler that runs ``method`` and turns what it raises into a status."""

    def run(request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ANN401 - any message of the service
        try:
            return method(request)
        except ProviderError as error:
            hint = conflict_hint(error) if isinstance(error, ApiError) else ""
            message = redacted(f"{error}. {hint}" if hint else str(error), request)
            if isinstance(error, PartialError):
                context.set_trailing_metadata((("grpc-status-details-bin", _details(error, message)),))
            context.abort(grpc.StatusCode.UNKNOWN, message)
        except Exception as error:
            # Whatever broke, the engine must get an answer.
            frame = traceback.extract_tb(error.__traceback__)[-1]
            text = f"{NAME}: internal error {type(error).__name__} at {frame.name}, line {frame.lineno}: {error}"
            context.abort(grpc.StatusCode.INTERNAL, redacted(text, request))

    return run


def redacted(message: str, request: object) -> str:
    """Return ``message`` without the secrets that ``request`` carries."""
    texts: set[str] = set()
    for name in _BAGS:
        bag = getattr(request, name, None)
        if isinstance(bag, struct_pb2.Struct):
            texts |= secret_texts(decode(bag))
    for text in sorted(texts, key=len, reverse=True):
        if len(text) >= SHORTEST_REDACTED:
            message = message.replace(text, "[secret]")
    return message


def _details(error: PartialError, message: str) -> bytes:
    """Return the status details by which the engine knows that the resource exists (``ErrorResourceInitFailed``)."""
    detail = provider_pb2.ErrorResourceInitFailed(
        id=error.resource_id,
        properties=encode(error.state),
        reasons=[message],
        inputs=None if error.inputs is None else encode(error.inputs),
    )
    packed = any_pb2.Any(
        type_url=f"type.googleapis.com/{detail.DESCRIPTOR.full_name}", value=detail.SerializeToString()
    )
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=message, details=[packed])
    return status.SerializeToString()
