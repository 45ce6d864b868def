"""Messages to the engine, shown at the resource that they are about."""

import contextlib
from typing import Any

import grpc
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc

from . import NAME

LOG_TIMEOUT_SECONDS = 5.0
"""A message that the engine does not take within this time is dropped; it is never worth an operation."""


class EngineHost:
    """The engine that started this provider."""

    def __init__(self, address: str) -> None:
        """Open a channel to the engine at ``address`` (``host:port``)."""
        self._stub: Any = engine_pb2_grpc.EngineStub(grpc.insecure_channel(address))

    def warn(self, urn: str, message: str) -> None:
        """Show a warning that stays."""
        self._log(engine_pb2.WARNING, urn, f"{NAME}: {message}", ephemeral=False)

    def progress(self, urn: str, message: str) -> None:
        """Show what is being waited for; the next message replaces it."""
        self._log(engine_pb2.INFO, urn, message, ephemeral=True)

    def _log(self, severity: engine_pb2.LogSeverity.ValueType, urn: str, message: str, *, ephemeral: bool) -> None:
        request = engine_pb2.LogRequest(severity=severity, message=message, urn=urn, ephemeral=ephemeral)
        with contextlib.suppress(grpc.RpcError):
            self._stub.Log(request, timeout=LOG_TIMEOUT_SECONDS)
