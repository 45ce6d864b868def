"""What the mirrors of one state would copy of recorded requests: which, to whom, how much, of which callers."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ...model import JsonObject, JsonValue
from ..recording.endpoints import endpoint_of
from ..recording.exchange import value_of
from .choosing import Request
from .comparing import CopyMade, copies_of, percent, unsafe
from .expectations import Expectations
from .fates import Fate
from .requests import Recorded
from .result import Result, Tally
from .routes import plain
from .run import judge
from .state import State

NO_AGENT: Final = "(no user-agent)"
MOST_CALLERS: Final = 3
"""Callers that are named with a flow; JSON has all."""


@dataclass(frozen=True, kw_only=True, order=True)
class Flow:
    """Requests of one kind that one mirror copies.

    Attributes:
        proxy: The proxy that copies.
        route: The route with the mirror.
        target: Cluster that gets the copies.
        endpoint: Method and path without identifiers, or the full name of a gRPC method.
        share: Probability of a copy, 0 to 1.
    """

    proxy: str
    route: str
    target: str
    endpoint: str
    share: float


@dataclass(kw_only=True)
class Copied:
    """How much of a flow is copied.

    Attributes:
        request_ids: The requests that may be copied.
        bytes: Bytes of their copies, heads and bodies, if all were made.
        callers: Requests by the first product of the caller's user-agent.
    """

    request_ids: list[str] = field(default_factory=list[str])
    bytes: int = 0
    callers: Counter[str] = field(default_factory=Counter[str])

    def add(self, request: Request, copy: CopyMade) -> None:
        """Count one request."""
        self.request_ids.append(request.request_id)
        arrival = copy.arrival
        # Each header in HTTP/1.1 has a colon, a space and a line's end beside its name and value.
        head = sum(len(name) + len(value) + 4 for name, value in arrival.headers)
        self.bytes += len(arrival.method) + len(arrival.path) + head + request.size
        agent = value_of(request.headers, "user-agent") or ""
        self.callers[agent.partition(" ")[0].partition("/")[0] or NO_AGENT] += 1


@dataclass(frozen=True, kw_only=True)
class Copies:
    """All that mirrors would copy.

    Attributes:
        flows: What is copied, by mirror and endpoint; most copies first.
        seconds: From the first to the last recorded request; 0 for less than two.
        result: Copies that must not be as they are, and what could not be told.
    """

    flows: Mapping[Flow, Copied]
    seconds: float
    result: Result

    @property
    def copies(self) -> float:
        """How many copies are to be expected."""
        return sum(flow.share * len(copied.request_ids) for flow, copied in self.flows.items())

    @property
    def headline(self) -> str:
        """The copies in a sentence."""
        if self.result.refused or not self.result.counted.sent:
            return self.result.headline
        mirrors = len({(flow.proxy, flow.route, flow.target) for flow in self.flows})
        of = f"{self.copies:,.0f} copies of {self.result.counted.sent:,} requests"
        rate = self.per_second(self.copies)
        often = f", {rate:.3g} a second" if rate else ""
        wrong = sum(not each.expected for each in self.result.changes)
        unsafe = f"; {wrong} {'thing is' if wrong == 1 else 'things are'} wrong with them" if wrong else ""
        return f"{mirrors} mirror{'' if mirrors == 1 else 's'} would make {of}{often}{unsafe}"

    def rows(self) -> list[tuple[str, ...]]:
        """Copies, requests, share, bytes a second, endpoint, target and callers of each flow, as texts."""
        found: list[tuple[str, ...]] = []
        for flow, copied in self.flows.items():
            rate = self.per_second(flow.share * copied.bytes)
            callers = ", ".join(f"{name} {count:,}" for name, count in copied.callers.most_common(MOST_CALLERS))
            count = len(copied.request_ids)
            amounts = (f"{flow.share * count:,.0f}", f"{count:,}", percent(flow.share), f"{rate:,.0f}" if rate else "")
            found.append((*amounts, flow.endpoint, plain(flow.target), callers))
        return found

    def per_second(self, amount: float) -> float | None:
        """An amount by second of the recording; None where it has no duration."""
        return amount / self.seconds if self.seconds else None

    def to_json(self) -> JsonObject:
        """The copies for machines."""
        flows: list[JsonValue] = [
            {
                "proxy": flow.proxy,
                "route": flow.route,
                "target": flow.target,
                "endpoint": flow.endpoint,
                "share": flow.share,
                "requests": len(copied.request_ids),
                "copies": flow.share * len(copied.request_ids),
                "bytes_per_second": self.per_second(flow.share * copied.bytes),
                "callers": dict(copied.callers.most_common()),
                "request_ids": list(copied.request_ids),
            }
            for flow, copied in self.flows.items()
        ]
        return {"flows": flows, "copies": self.copies, "recorded_seconds": self.seconds, **self.result.to_json()}


async def what_is_copied(
    program: Path,
    state: State,
    recorded: Recorded,
    *,
    expected: Expectations | None = None,
    done: Callable[[float], None] = lambda _: None,
) -> Copies:
    """Say what the mirrors of a state would copy.

    Args:
        program: Envoy.
        state: The state.
        recorded: The requests.
        expected: What is accepted of copies that must not be as they are.
        done: Told the share that is done, 0 to 1.

    Raises:
        OperationError: It cannot be told.
    """
    judging = await judge(program, [state], recorded, done)
    flows: dict[Flow, Copied] = {}

    def compare(tally: Tally, request: Request, proxy: str, fates: Sequence[Fate]) -> None:
        [fate] = fates
        for target, copy in copies_of(fate).items():
            flow = Flow(
                proxy=proxy,
                route=fate.route.name if fate.route else "no route",
                target=target,
                endpoint=endpoint_of(request.method, request.path, is_grpc=request.is_grpc),
                share=copy.share,
            )
            flows.setdefault(flow, Copied()).add(request, copy)
        tally.note(request, proxy, fate, fate, unsafe(fate))

    result = judging.result(compare, expected or Expectations())
    most = sorted(flows, key=lambda each: (-each.share * len(flows[each].request_ids), each))
    moments = [each.started_at for each in recorded.requests]
    seconds = (max(moments) - min(moments)).total_seconds() if moments else 0.0
    return Copies(flows={each: flows[each] for each in most}, seconds=seconds, result=result)
