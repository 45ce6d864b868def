"""Recorded requests through the Envoy of one state, and what became of each."""

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ...model.recording import SESSION_HEADER
from ..replay.wire import UnsendableError
from .bootstrap import DRAW, NUMBER, draw
from .choosing import Request
from .envoy import RunningEnvoy
from .fates import Outcome
from .wire import Answer, ClosedError, Line

CONNECTIONS: Final = 16
"""Requests under way at once; more do not make one Envoy faster."""

_NOT_SENT: Final = frozenset(
    {
        *("connection", "content-length", "expect", "host", "keep-alive", "proxy-connection", "te", "trailer"),
        *("transfer-encoding", NUMBER, DRAW, SESSION_HEADER),
    }
)
"""Headers of one connection or of a body (RFC 9110 section 7.6.1), and our own."""

_PROXYS_OWN: Final = "x-envoy-"
"""Begins the names of headers that the recording proxy wrote itself, or took from nobody outside."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Passage:
    """One request at one door."""

    door: str
    proxy: str
    request: Request


async def send(
    envoy: RunningEnvoy, passages: Sequence[Passage], *, first: int = 0, done: Callable[[], None] = lambda: None
) -> tuple[dict[int, Answer], dict[int, str]]:
    """Send every request whose door is there.

    Args:
        envoy: Where to.
        passages: The requests.
        first: Place of the first one.
        done: Called after each.

    Returns:
        Answers, and why a request could not be sent, by place of the passage.
    """
    answers: dict[int, Answer] = {}
    unsent: dict[int, str] = {}
    # Door by door, so that a connection serves many requests.
    waiting = iter(sorted(range(len(passages)), key=lambda place: passages[place].door))

    async def work() -> None:
        line = _Lines()
        try:
            for place in waiting:
                passage = passages[place]
                port = envoy.ports.get(passage.door)
                if port is not None:
                    try:
                        answers[first + place] = await line.ask(port, first + place, passage.request)
                    except (UnsendableError, ClosedError, OSError) as error:
                        unsent[first + place] = str(error) or type(error).__name__
                        line.close()
                done()
        finally:
            line.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            group.create_task(work())
    await envoy.settle()
    return answers, unsent


class _Lines:
    """A connection to one door after the other."""

    def __init__(self) -> None:
        self._port = 0
        self._line: Line | None = None

    async def ask(self, port: int, number: int, request: Request) -> Answer:
        if self._line is None or self._port != port or not self._line.reusable:
            self.close()
            self._port = port
            _, self._line = await asyncio.get_running_loop().create_connection(Line, "127.0.0.1", port)
        return await self._line.ask(request.method, request.path, _headers(number, request), request.body)

    def close(self) -> None:
        if self._line is not None:
            self._line.close()
        self._line = None


def _headers(number: int, request: Request) -> Iterator[tuple[str, str]]:
    yield "host", request.authority
    known = {name for name, _ in request.headers}
    for name, value in request.headers:
        if name not in _NOT_SENT and not name.startswith((_PROXYS_OWN, ":")):
            yield name, value
    if "upgrade" in known:
        yield "connection", "upgrade"
    if "x-forwarded-proto" not in known:
        yield "x-forwarded-proto", request.scheme
    yield NUMBER, str(number)
    yield DRAW, str(draw(number))


def outcomes_of(envoy: RunningEnvoy, answers: dict[int, Answer]) -> dict[int, Outcome]:
    """Put together what callers, the sink and Envoy's log say, once Envoy has ended."""
    logged = dict(_logged(envoy.folder / "log"))
    found: dict[int, Outcome] = {}
    for place, answer in answers.items():
        route, details = logged.get(place, (None, ""))
        arrived = sorted(envoy.sink.arrivals.get(place, []), key=lambda each: each[1].cluster)
        primary = next((each for number, each in arrived if number == answer.arrival), None)
        found[place] = Outcome(
            route=route,
            details=details,
            status=answer.status,
            headers=answer.headers,
            body=answer.body if primary is None else b"",
            primary=primary,
            copies=tuple(each for number, each in arrived if number != answer.arrival),
        )
    return found


def _logged(path: Path) -> Iterator[tuple[int, tuple[int | None, str]]]:
    """Route and details by number of the request."""
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        with suppress(ValueError, KeyError, TypeError):
            read = json.loads(line)
            route = str(read["route"])
            yield int(read["number"]), (int(route) if route.isdecimal() else None, str(read["details"]))
