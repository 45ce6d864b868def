"""Running libcurl's transfers in the event loop.

pycurl has an ``AsyncCurlMulti`` for that. It tells the event loop of each socket twice for each request, since libcurl
lets go of connections that are idle, and has a future, two calls later and a timer for each; beside what libcurl itself
takes for a small request that is several times as much. Here the sockets are in a selector of their own, which is one
descriptor for the event loop, and whoever waits is called at once.
"""

import asyncio
from collections.abc import Callable
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector
from typing import Any, Final, TypeAlias

from .libcurl import pycurl

Handle: TypeAlias = Any
"""A handle of libcurl."""

OnEnd: TypeAlias = Callable[[BaseException | None], None]
"""Told what a transfer ended with: ``None`` for a whole answer, else libcurl's error, or that it was cancelled. It may
begin another one, and raises nothing."""

_EVENTS: Final = {
    pycurl.POLL_IN: EVENT_READ,
    pycurl.POLL_OUT: EVENT_WRITE,
    pycurl.POLL_INOUT: EVENT_READ | EVENT_WRITE,
}
"""What a socket waits for, in the words of libcurl and of selectors."""

_READY: Final = {
    EVENT_READ: pycurl.CSELECT_IN,
    EVENT_WRITE: pycurl.CSELECT_OUT,
    EVENT_READ | EVENT_WRITE: pycurl.CSELECT_IN | pycurl.CSELECT_OUT,
}


class Multi:
    """Any number of transfers at once, over connections that are kept."""

    def __init__(self, *, max_connections: int) -> None:
        """Prepare, in the event loop.

        Args:
            max_connections: Idle ones that are kept.
        """
        self._multi: Any = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, max_connections)
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._wake_in)
        self._running: dict[Handle, OnEnd] = {}
        self._loop = asyncio.get_running_loop()
        self._selector = DefaultSelector()
        self._watched: set[int] = set()
        self._is_looking = False
        self._timer: asyncio.TimerHandle | None = None
        self._due: float | None = None
        self._tick: asyncio.Handle | None = None

    def add(self, curl: Handle, on_end: OnEnd) -> None:
        """Begin a transfer.

        Args:
            curl: What it is; on no other transfer.
            on_end: Told once, and not before this returns.

        Raises:
            pycurl.error: libcurl does not take it; nobody is told.
        """
        self._multi.add_handle(curl)
        self._running[curl] = on_end

    def cancel(self) -> None:
        """End all transfers; each is told."""
        for curl in list(self._running):
            self._end(curl, asyncio.CancelledError())

    def close(self) -> None:
        """Close all connections; what is still running is told nothing."""
        for handle in (self._timer, self._tick):
            if handle is not None:
                handle.cancel()
        if self._is_looking:
            self._loop.remove_reader(self._selector.fileno())
        for curl in self._running:
            self._multi.remove_handle(curl)
        self._running.clear()
        self._multi.close()
        self._selector.close()

    def _watch(self, what: int, descriptor: int, _multi: Any, _data: Any) -> None:  # noqa: ANN401 -- of libcurl
        """Note what libcurl wants to know of a socket."""
        events = _EVENTS.get(what)
        if events is None:
            if descriptor in self._watched:
                self._watched.remove(descriptor)
                self._selector.unregister(descriptor)
        elif descriptor in self._watched:
            self._selector.modify(descriptor, events)
        else:
            self._watched.add(descriptor)
            self._selector.register(descriptor, events)
            if not self._is_looking:
                self._is_looking = True
                self._loop.add_reader(self._selector.fileno(), self._look)

    def _wake_in(self, milliseconds: int) -> None:
        """Note when libcurl wants to be called whatever sockets do; each word of this is in place of the last."""
        self._due = None
        if milliseconds == 0:
            # Not from here: libcurl does not like to be called by what it calls.
            if self._tick is None:
                self._tick = self._loop.call_soon(self._go_on)
        elif milliseconds > 0:
            self._due = self._loop.time() + milliseconds / 1000
            self._arm(self._due)

    def _arm(self, due: float) -> None:
        # A timer that comes too early is left, and looks then: libcurl has another time for each request.
        if self._timer is not None:
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._due is not None and self._due > self._loop.time():
            self._arm(self._due)
        elif self._due is not None:
            self._go_on()

    def _go_on(self) -> None:
        self._tick = None
        self._drive(pycurl.SOCKET_TIMEOUT, 0)
        self._collect()

    def _look(self) -> None:
        """Go on with all sockets on which something happened."""
        for key, events in self._selector.select(0):
            self._drive(key.fd, _READY[events])
        self._collect()

    def _drive(self, descriptor: int, events: int) -> None:
        try:
            self._multi.socket_action(descriptor, events)
        except pycurl.error as error:  # nothing will end by itself any more
            for curl in list(self._running):
                self._end(curl, error)

    def _collect(self) -> None:
        _, whole, failed = self._multi.info_read()
        for curl in whole:
            self._end(curl, None)
        for curl, code, message in failed:
            self._end(curl, pycurl.error(code, message))

    def _end(self, curl: Handle, error: BaseException | None) -> None:
        on_end = self._running.pop(curl, None)
        if on_end is not None:
            self._multi.remove_handle(curl)
            # Not at once: what a server has refused is sent anew before what takes the place of this one, or it would
            # be refused again and again where connections are short.
            self._loop.call_soon(on_end, error)
