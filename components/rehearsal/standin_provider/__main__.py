"""Start the provider: ``python -m … [engine address]``; prints the port that the engine connects to."""

import contextlib
import importlib
import logging
import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from types import FrameType

import grpc

from .host import EngineHost
from .processes import end_children
from .service import StandinProvider

VERSION_VARIABLE = "TRAFFIC_MIRROR_STANDIN_VERSION"
"""Version to answer as; the launcher sets it to that of the plugin folder."""

PARENT_VARIABLE = "TRAFFIC_MIRROR_STANDIN_PARENT"
"""Process id of the engine, as the launcher saw it; the engine may be gone before this module is imported."""

WORKERS = 64
"""Operations at the same time. The engine runs four per processor by default, and waiting is most of each."""

PARENT_CHECK_SECONDS = 0.5


def main() -> int:
    """Serve until the engine ends or a signal comes."""
    parent = int(os.environ.get(PARENT_VARIABLE) or os.getppid())
    # Retries and such are our business; on standard error they would show up between the engine's messages.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    stop, ended = threading.Event(), threading.Event()

    def end(signum: int, frame: FrameType | None) -> None:
        del signum, frame
        stop.set()
        ended.set()

    signal.signal(signal.SIGTERM, end)
    # The engine ends its plugins by SIGINT and waits 5 s for them. A terminal's Ctrl-C does not come here, because
    # plugins have a process group of their own; the engine then calls Cancel.
    signal.signal(signal.SIGINT, end)

    address = sys.argv[-1] if len(sys.argv) > 1 else ""
    host = EngineHost(address) if address else None
    provider = StandinProvider(version=os.environ.get(VERSION_VARIABLE, "4.0.0"), host=host, stop=stop)
    server = grpc.server(
        ThreadPoolExecutor(max_workers=WORKERS),
        options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)],
    )
    server.add_generic_rpc_handlers((provider.handler(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    threading.Thread(target=_warm_up, daemon=True).start()

    while not ended.wait(PARENT_CHECK_SECONDS) and os.getppid() == parent:
        pass
    stop.set()
    end_children()
    server.stop(grace=None)
    # Threads of the pool may still sit in a request to a server that does not answer; nothing is lost with them.
    sys.stdout.flush()
    os._exit(0)


def _warm_up() -> None:
    with contextlib.suppress(ImportError):
        for name in ("kubernetes.config.kube_config", "kubernetes.client", "kubernetes.dynamic"):
            importlib.import_module(name)


if __name__ == "__main__":
    main()
