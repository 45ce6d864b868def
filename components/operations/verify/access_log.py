"""Lines of a gateway's access log in Istio's default format."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

NO_ROUTE: Final = "route_not_found"
"""Envoy's words for a request that no route takes; for gRPC the status code is 200 all the same."""

_LINE = re.compile(
    r'^\[(?P<time>[^\]]*)\] "(?P<method>\S+) (?P<path>\S+) (?P<protocol>[^"]*)" (?P<code>\d{1,3}) (?P<flags>\S+)'
    r" (?P<details>\S+) (?P<failure>\S+) "
)
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
# The quoted fields: request line, transport failure (where there is one), forwarded-for, user agent, id, authority,
# upstream host. Counted from the end, because only the first ones vary.
_AGENT, _AUTHORITY = -4, -2
_FEWEST_QUOTED = 6


@dataclass(frozen=True, kw_only=True)
class AccessLine:
    """One request that a gateway answered. Source: Istio's default ``accessLogFormat``."""

    method: str
    path: str
    protocol: str
    """What the client spoke, e.g. ``HTTP/2``."""

    code: int
    """HTTP status; 200 for most gRPC errors."""

    flags: str
    """Envoy's response flags, e.g. ``NR`` for no route; ``-`` for none."""

    details: str
    """Envoy's response code details, e.g. ``via_upstream``."""

    user_agent: str
    authority: str
    route: str
    """Name of the route that took it; ``-`` or empty for none."""

    @property
    def unrouted(self) -> bool:
        """Whether no route took it."""
        return self.details == NO_ROUTE or "NR" in self.flags.split(",")

    @property
    def passed_on(self) -> bool:
        """Whether the gateway passed it on and an application answered, well or not."""
        return self.details == "via_upstream"

    @property
    def answer(self) -> str:
        """Status and details, for people."""
        return f"{self.code} {self.details}"


def read_access_log(lines: Iterable[str]) -> Iterator[AccessLine]:
    """Yield the requests in a log; lines of another form are skipped."""
    for line in lines:
        found = _LINE.match(line)
        quoted = _QUOTED.findall(line)
        if found is None or len(quoted) < _FEWEST_QUOTED:
            continue
        yield AccessLine(
            method=found["method"],
            path=found["path"],
            protocol=found["protocol"],
            code=int(found["code"]),
            flags=found["flags"],
            details=found["details"],
            user_agent=quoted[_AGENT],
            authority=quoted[_AUTHORITY],
            route=line.rstrip().rpartition(" ")[2],
        )


def of_run(lines: Iterable[AccessLine], run_id: str) -> list[AccessLine]:
    """The requests of one run, whose tag their user agent begins with."""
    return [line for line in lines if line.user_agent == run_id or line.user_agent.startswith(f"{run_id} ")]
