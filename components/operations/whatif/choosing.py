"""Which doors a recorded request comes through."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from hashlib import sha256
from typing import Final

from ..oracle import ProxyKind
from ..recording import Headers
from .messages import Json
from .state import Door, State
from .wire import NO_BODY, Body

_NOWHERE: Final = ("allow_any", "block_all", "blackhole")
"""Virtual hosts that Istio makes for what it knows nothing of."""

_USUAL_PORTS: Final = {"http": 80, "https": 443}

_EXACT: Final = 1 << 16
"""More than the length of any host."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """A recorded request.

    Attributes:
        number: Its place in the recording, from 0.
        request_id: Its ``x-request-id``.
        source: Who recorded it.
        started_at: When.
        method: Its method.
        scheme: ``http`` or ``https``.
        authority: Host, with a port if it had one.
        path: With its query.
        headers: Its headers.
        size: Bytes of its body.
        body: What is sent in its place.
        is_grpc: Whether it is a gRPC call.
    """

    number: int
    request_id: str
    source: str
    started_at: datetime
    method: str
    scheme: str
    authority: str
    path: str
    headers: Headers
    size: int = 0
    body: Body = NO_BODY
    is_grpc: bool = False

    @property
    def host(self) -> str:
        """The authority without its port, in lower case."""
        host, colon, port = self.authority.rpartition(":")
        return (host if colon and port.isdecimal() else self.authority).lower()

    @property
    def port(self) -> int:
        """The authority's port, or the scheme's."""
        _, colon, port = self.authority.rpartition(":")
        return int(port) if colon and port.isdecimal() else _USUAL_PORTS.get(self.scheme, 80)


class Chooser:
    """Knows the doors of all states, and chooses among them.

    Args:
        states: The states that are compared.
    """

    def __init__(self, states: Sequence[State]) -> None:
        self._states = states
        self._chosen: dict[tuple[str, int, str], tuple[str, ...]] = {}

    def doors(self, request: Request) -> tuple[str, ...]:
        """Keys of the doors that a request comes through in any state; empty where no proxy takes its host.

        Gateways first: a host that one takes is not looked for inside the mesh. Among them, and among waypoints and
        sidecars otherwise, those count that name the host most exactly, on the request's own port and with its scheme
        where there are such. Of sidecars that do the same with everything, one stands for all.
        """
        asked = (request.host, request.port, request.scheme)
        if asked not in self._chosen:
            found = [door for state in self._states for door in _taking(state.doors.values(), request)]
            keys = dict.fromkeys(door.key for door in found)
            alike = {self._likeness.get(key, key): key for key in reversed(keys)}
            self._chosen[asked] = tuple(key for key in keys if alike[self._likeness.get(key, key)] == key)
        return self._chosen[asked]

    def proxy(self, key: str) -> str:
        """What people call the proxy of a door; of a sidecar that it may stand for others."""
        door = next(state.doors[key] for state in self._states if key in state.doors)
        own = self._likeness.get(key)
        alone = own is None or self._alike[own] == 1
        return door.proxy if alone else f"sidecars, e.g. {door.proxy.removeprefix('sidecar ')}"

    @cached_property
    def _alike(self) -> Counter[str]:
        return Counter(self._likeness.values())

    @cached_property
    def _likeness(self) -> Mapping[str, str]:
        """For each sidecar's door a digest of what it does; short names of hosts, which each namespace has, aside."""
        sidecars = {key for each in self._states for key, door in each.doors.items() if door.kind is ProxyKind.SIDECAR}
        return {key: "".join(_digest(each.doors.get(key)) for each in self._states) for key in sidecars}


def _digest(door: Door | None) -> str:
    if door is None:
        return ""
    hosts: list[Json] = [{**host, "domains": []} for host in door.routes.get("virtual_hosts", [])]
    meant: list[object] = [door.routes.get("name"), hosts, door.manager.get("http_filters")]
    return sha256(json.dumps(meant, sort_keys=True).encode()).hexdigest()


def _taking(doors: Iterable[Door], request: Request) -> list[Door]:
    ranked = [(rank, door) for door in doors if (rank := _rank(door, request))]
    if any(door.kind is ProxyKind.GATEWAY for _, door in ranked):
        ranked = [(rank, door) for rank, door in ranked if door.kind is ProxyKind.GATEWAY]
    best = max((rank for rank, _ in ranked), default=0)
    found = [door for rank, door in ranked if rank == best]
    for preferred in (
        [door for door in found if door.tls == (request.scheme == "https")],
        [door for door in found if door.port == request.port],
    ):
        found = [door for door in found if door in preferred] or found
    return found


def _rank(door: Door, request: Request) -> int:
    """How exactly a door names a request's host; 0 where it does not take it. The order is Envoy's."""
    if door.service:
        short = [door.service.rsplit(".svc.", 1)[0], door.service]
        return len(request.host) + _EXACT if request.host in short else 0
    if door.names and not any(_matches(name, request.host) for name in door.names):
        return 0
    hosts = [each for each in door.routes.get("virtual_hosts", []) if not each.get("name", "").startswith(_NOWHERE)]
    return max((_matches(domain, request.host) for each in hosts for domain in each.get("domains", [])), default=0)


def _matches(domain: str, host: str) -> int:
    """How exactly a domain of a virtual host names a host: itself, then a longer suffix, then a prefix, then any."""
    plain, colon, port = domain.rpartition(":")
    domain = (plain if colon and (port.isdecimal() or port == "*") else domain).lower()
    if domain == host:
        return len(host) + _EXACT
    if domain == "*":
        return 1
    if domain.startswith("*") and host.endswith(domain[1:]) and len(host) >= len(domain):
        return len(domain) + _EXACT // 2
    if domain.endswith("*") and host.startswith(domain[:-1]) and len(host) >= len(domain):
        return len(domain)
    return 0
