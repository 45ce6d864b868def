"""A gRPC hello-world service that says who answered and logs what arrived. A script; see Dockerfile."""

import importlib
import signal
import sys
import threading
from concurrent import futures
from typing import Any

import grpc
from greeter_log import write_line
from greeter_messages import SERVICE
from greeter_service import Greeter
from greeter_settings import SettingError, Settings

# Calls in flight get this long after SIGTERM: well inside the 30 s that Kubernetes waits before it kills,
# short enough that a rollout or a clean-up is not held up.
GRACE_SECONDS = 4.0
BAD_SETTING = 2
ENDING = (signal.SIGTERM, signal.SIGINT)


def build_server(settings: Settings, stopping: threading.Event) -> tuple[grpc.Server, int]:
    """Return a server with greeter, health and reflection, not yet started, and the port that it is bound to.

    Args:
        settings: The greeter's settings.
        stopping: Set when the process ends; a delayed call then goes on at once.

    Raises:
        RuntimeError: The port is taken.
    """
    # SO_REUSEPORT off: a second greeter on the port must fail, not share its calls.
    server = grpc.server(futures.ThreadPoolExecutor(settings.workers), options=[("grpc.so_reuseport", 0)])
    handlers = Greeter(settings, stopping).handlers()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    _add_health(server)
    _add_reflection(server)
    return server, server.add_insecure_port(f"0.0.0.0:{settings.port}")


def _add_health(server: grpc.Server) -> None:
    """Serve ``grpc.health.v1.Health``: SERVING for the whole process and for the greeter."""
    # Neither this package nor the reflection one ships types.
    health: Any = importlib.import_module("grpc_health.v1.health")
    messages: Any = importlib.import_module("grpc_health.v1.health_pb2")
    services: Any = importlib.import_module("grpc_health.v1.health_pb2_grpc")
    servicer = health.HealthServicer()
    for name in (health.OVERALL_HEALTH, SERVICE):
        servicer.set(name, messages.HealthCheckResponse.SERVING)
    services.add_HealthServicer_to_server(servicer, server)


def _add_reflection(server: grpc.Server) -> None:
    """Serve reflection under both of its names.

    The messages of v1 and v1alpha are the same on the wire; the Python package knows the older name only.
    """
    reflection: Any = importlib.import_module("grpc_reflection.v1alpha.reflection")
    messages: Any = importlib.import_module("grpc_reflection.v1alpha.reflection_pb2")
    current = "grpc.reflection.v1.ServerReflection"
    names = (SERVICE, "grpc.health.v1.Health", reflection.SERVICE_NAME, current)
    reflection.enable_server_reflection(names, server)
    handler = grpc.stream_stream_rpc_method_handler(
        reflection.ReflectionServicer(names).ServerReflectionInfo,
        messages.ServerReflectionRequest.FromString,
        messages.ServerReflectionResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(current, {"ServerReflectionInfo": handler}),))


def main() -> int:
    """Serve until SIGTERM or SIGINT; return the exit code."""
    try:
        settings = Settings.from_environment()
    except SettingError as error:
        write_line("error", text=str(error))
        return BAD_SETTING
    # Blocked before any thread starts, and then waited for: a handler runs between two instructions only, so a signal
    # that comes just before the main thread begins to wait for a lock would not be seen before the next one.
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    stopping = threading.Event()
    try:
        server, port = build_server(settings, stopping)
    except RuntimeError as error:
        write_line("error", text=f"cannot listen on port {settings.port}: {error}")
        return BAD_SETTING
    server.start()
    write_line("listening", port=port, version=settings.version)
    signal.sigwait(ENDING)
    stopping.set()
    server.stop(GRACE_SECONDS).wait()
    write_line("stopped", version=settings.version)
    return 0


if __name__ == "__main__":
    sys.exit(main())
