"""``grpc.health.v1.Health`` from the collector's own event loop, so that a probe finds out when that hangs.

The one message it sends is two bytes, for which the health checking package would be one more in the image.
"""

from collections.abc import Callable
from typing import Any, Final

import grpc

SERVICE: Final = "grpc.health.v1.Health"

_SERVING: Final = b"\x08\x01"
_NOT_SERVING: Final = b"\x08\x02"
"""HealthCheckResponse with its field 1, the status. Source: github.com/grpc/grpc, doc/health-checking.md."""


def health_handler(is_ready: Callable[[], bool]) -> grpc.GenericRpcHandler:
    """Return the service for a gRPC server.

    Args:
        is_ready: What it tells.
    """

    async def check(_request: bytes, _context: Any) -> bytes:  # noqa: ANN401 -- grpc.aio's is generic
        return _SERVING if is_ready() else _NOT_SERVING

    make_handler: Any = grpc.unary_unary_rpc_method_handler
    return grpc.method_handlers_generic_handler(SERVICE, {"Check": make_handler(check)})
