"""Processes that are started for a piece of work, and that nobody waits for when their parent is gone."""

import multiprocessing
import os
import threading


def end_with_parent() -> None:
    """Have this process end when the one that started it does, in whatever way that ends."""
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
