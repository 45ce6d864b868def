"""What the echo server is told to do, and what it has seen."""

import asyncio
import json
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

MAX_RECORDS = 200_000


@dataclass(frozen=True, kw_only=True)
class Mode:
    """How requests are answered."""

    name: str = "ok"
    """``ok``; ``delay`` (answer after ``seconds``); ``status`` (answer with ``status``); ``reset`` (reset the stream
    or connection); ``hang`` (never answer); ``early`` (answer before the body); ``unread`` (stop reading after the
    head); ``trickle`` (a byte of the answer every ``seconds``); ``silent`` (read nothing of new connections);
    ``refuse`` (do not listen)."""
    seconds: float = 0.2
    status: int = 503


@dataclass
class Record:
    """One request, written down when its head arrives."""

    call: str
    method: str
    path: str
    authority: str
    protocol: str
    connection: int
    headers: list[tuple[str, str]]
    body_bytes: int = 0
    messages: int = 0
    """Messages of a WebSocket; their bytes count as those of a body."""
    complete: bool = False

    @property
    def is_grpc(self) -> bool:
        return any(name == "content-type" and value.startswith("application/grpc") for name, value in self.headers)


@dataclass
class State:
    """Shared by all connections and the control port."""

    version: str
    pod: str
    mode: Mode = field(default_factory=Mode)
    _records: list[Record] = field(default_factory=list)
    _open: dict[int, "asyncio.Task[Any] | None"] = field(default_factory=dict)
    _count: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def set_mode(self, **changes: Any) -> None:
        """Answer otherwise from now on."""
        self.mode = Mode(**changes)

    def opened(self) -> int:
        """Note a new connection and return its number."""
        self._count += 1
        self._open[self._count] = asyncio.current_task()
        return self._count

    def closed(self, number: int) -> None:
        """Forget a connection."""
        self._open.pop(number, None)

    def end_connections(self) -> None:
        """End every connection; called in the loop."""
        for task in list(self._open.values()):
            if task is not None:
                task.cancel()

    def request(self, *, protocol: str, connection: int, headers: list[tuple[str, str]]) -> Record:
        """Write a request down; pseudo-headers and ``host`` are among the headers."""
        named = dict(headers)
        record = Record(
            call=named.get("x-call", ""),
            method=named.get(":method", ""),
            path=named.get(":path", ""),
            authority=named.get(":authority", named.get("host", "")),
            protocol=protocol,
            connection=connection,
            headers=headers,
        )
        with self._lock:
            if len(self._records) < MAX_RECORDS:
                self._records.append(record)
        return record

    def answer(self, record: Record) -> bytes:
        """Return the body of a good answer."""
        if record.is_grpc:
            text = f"Hello {record.call} ! from {self.version} pod {self.pod} ip -".encode()
            message = b"\x0a" + bytes([len(text)]) + text
            return b"\x00" + len(message).to_bytes(4, "big") + message
        content = {
            "version": self.version,
            "pod": self.pod,
            "path": record.path,
            "authority": record.authority,
            "headers": record.headers,
            "body_bytes": record.body_bytes,
        }
        return json.dumps(content).encode()

    def records(self, run: str) -> list[dict[str, Any]]:
        """Return the requests of a run, as JSON."""
        return [vars(record) for record in self._of(run)]

    def seen(self, run: str) -> dict[str, Any]:
        """Return counts of a run's requests: different calls, all requests, and their authorities."""
        found = self._of(run)
        return {
            "calls": len({record.call for record in found}),
            "requests": len(found),
            "complete": sum(record.complete for record in found),
            "messages": sum(record.messages for record in found),
            "authorities": dict(Counter(record.authority for record in found)),
            "connections": len({record.connection for record in found}),
            "marks": dict(Counter(dict(record.headers).get("x-traffic-mirror", "") for record in found)),
            "open": len(self._open),
        }

    def _of(self, run: str) -> list[Record]:
        with self._lock:
            return [record for record in self._records if record.call.startswith(f"{run}-") or not run]
