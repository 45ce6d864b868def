"""Long work side by side: when one lane fails or a person interrupts, the programs of the others are ended at once."""

from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextvars import ContextVar, copy_context
from threading import Event
from typing import Final, TypeVar

Result = TypeVar("Result")

_given_up: Final[ContextVar[tuple[Event, ...]]] = ContextVar("given_up", default=())
"""Set when the calling lane, or one that it is part of, is given up."""


def given_up() -> bool:
    """Tell whether the work that the calling lane is part of has been given up."""
    return any(event.is_set() for event in _given_up.get())


def side_by_side(*lanes: Callable[[], Result]) -> list[Result]:
    """Run functions in threads of their own and return their results, in order.

    A program that a lane runs by :func:`.commands.run_logged` ends when another lane fails, and when the calling
    thread is interrupted: nobody waits for a build of minutes whose result nobody wants.

    Args:
        lanes: The functions, at least one.

    Raises:
        Exception: What the first lane that failed has raised.
    """
    event = Event()
    token = _given_up.set((*_given_up.get(), event))
    contexts = [copy_context() for _ in lanes]
    _given_up.reset(token)
    pool = ThreadPoolExecutor(max_workers=len(lanes), thread_name_prefix="lane")
    try:
        futures = [pool.submit(context.run, lane) for context, lane in zip(contexts, lanes, strict=True)]
        done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        for future in futures:
            if future in done:
                future.result()
        return [future.result() for future in futures]
    finally:
        # No effect when every lane is through.
        event.set()
        pool.shutdown(wait=True)
