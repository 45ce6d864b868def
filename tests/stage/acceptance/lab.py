"""What cases do: put a route in place, make calls, count what arrived."""

import itertools
import json
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import pulumi_traffic_mirror as tm
from pulumi_traffic_mirror.mesh import ExistingIstio
from pulumi_traffic_mirror.model import (
    Brakes,
    Destination,
    HeaderRules,
    MirroredRoute,
    MirrorOffer,
    Protocol,
)
from pulumi_traffic_mirror.operations.verify.evidence import Arrivals
from pulumi_traffic_mirror.operations.verify.rejections import REJECTION
from pulumi_traffic_mirror.rehearsal.machine.processes import wait_until
from pulumi_traffic_mirror.rehearsal.stage import Stage

from . import terms
from .declared import cluster, declare
from .meshes import Meshes
from .outpost import Outpost
from .outside import OutsideCaller, OutsideServer
from .peers import CONTROL_PORT
from .proxies import Proxy, caller_of, gateway_of, wanted_routes
from .terms import CLIENT_CREDENTIAL, CONTRACTS, GATEWAY, NAMESPACE, OUTSIDE, OUTSIDE_CONTRACTS, PORTS, STAGING, TESTING

ROUTE_SECONDS: Final = 30.0
"""Until a route that is not in place counts as broken; it takes about one second."""

ARRIVAL_SECONDS: Final = 10.0
"""Until copies that are not there count as lost."""

PACE: Final = 300
"""Calls per second, unless a case says otherwise or makes all of them at once.

As fast as they can be answered, copies could fall behind on a busy machine until the brakes hold some back, and counts
would tell of the machine.
"""

Mirror = tm.InClusterMirror | tm.CrossClusterMirror


@dataclass(frozen=True, kw_only=True)
class Route:
    """A route that is in place."""

    host: str
    """Authority without port that clients of the gateway use; empty for callers inside the mesh."""
    protocol: Protocol
    primary: Destination
    model: MirroredRoute


@dataclass
class Lab:
    """Both clusters of the stage, with everything that the cases need."""

    stage: Stage
    outpost: Outpost
    meshes: Meshes
    outside_server: OutsideServer
    """A server that is in neither cluster."""
    outside_caller: OutsideCaller
    """Makes calls from where no cluster is."""
    taken: tuple[int, ...] = ()
    """Ports of the machine that were taken before the stage came up."""
    refused: dict[str, int] = field(default_factory=lambda: {STAGING: 0, TESTING: 0})
    """Configurations that proxies of each cluster have refused because cases made them."""
    suffixed: bool = False
    """Whether staging's istiod appends ``-shadow``."""
    _turns: Iterator[int] = field(default_factory=itertools.count)
    _begun: dict[str, float] = field(default_factory=dict[str, float])
    """When each run was made up: logs need not be read from before."""

    @property
    def gateway(self) -> Proxy:
        """Staging's gateway."""
        return gateway_of(self.outpost, STAGING)

    @property
    def caller(self) -> Proxy:
        """The sidecar of the caller in staging."""
        return caller_of(self.outpost)

    def in_testing(self, protocol: Protocol, **changes: Any) -> tm.CrossClusterMirror:
        """Return a mirror to testing, through both gateways."""
        values = {"percent": 100, "contract": CONTRACTS[protocol], "client_credential": CLIENT_CREDENTIAL, **changes}
        return tm.CrossClusterMirror(offer=self.meshes.offers[protocol], **values)

    def outside(self, protocol: Protocol, *, address: str = OUTSIDE, **changes: Any) -> tm.CrossClusterMirror:
        """Return a mirror to the server that is in neither cluster, in plain text."""
        contract = OUTSIDE_CONTRACTS[protocol]
        offer = dict(MirrorOffer.of(contract, address).to_json())
        return tm.CrossClusterMirror(**{"percent": 100, "contract": contract, "offer": offer, **changes})

    @contextmanager
    def route(
        self,
        *mirrors: Mirror,
        protocol: Protocol,
        primary: Destination,
        via: str = "gateway",
        headers: HeaderRules | None = None,
        timeout_seconds: float | None = None,
        hosts: int = 1,
        service_entries_only: bool = False,
    ) -> Iterator[Route]:
        """Put a route in place, wait until the proxies have it, and take it away at the end.

        Args:
            mirrors: Its mirrors.
            protocol: What clients speak.
            primary: Who answers.
            via: ``gateway`` or ``sidecar``.
            headers: Header rules of the route.
            timeout_seconds: Bound on the primary.
            hosts: How many hosts the gateway serves with it.
            service_entries_only: Put nothing in place but what makes hosts outside the mesh known.
        """
        turn = next(self._turns)
        pool = terms.hosts(protocol)
        names = [pool[(turn + index) % len(pool)] for index in range(hosts)] if via == "gateway" else []
        declared_route: list[MirroredRoute] = []

        def program() -> None:
            args = tm.MirroredServiceArgs(
                mesh=self._mesh(),
                primary=primary,
                mirrors=mirrors,
                hosts=names,
                gateway=GATEWAY if via == "gateway" else None,
                namespace=NAMESPACE,
                port=PORTS[protocol],
                protocol=protocol,
                govern_mesh=via == "sidecar",
                headers=headers or HeaderRules(),
                timeout_seconds=timeout_seconds,
            )
            declared_route.append(args.route(f"case-{turn}"))
            tm.MirroredService(f"case-{turn}", args)

        objects = declare(program).objects
        if service_entries_only:
            objects = tuple(obj for obj in objects if obj["kind"] == "ServiceEntry")
        with self.applied(STAGING, objects):
            proxy = self.caller if via == "sidecar" else self.gateway
            if not service_entries_only:
                self.await_route(proxy, declared_route[0], "mesh" if via == "sidecar" else "gateway")
            yield Route(host=names[0] if names else "", protocol=protocol, primary=primary, model=declared_route[0])

    def _mesh(self) -> tm.MeshHandle:
        return ExistingIstio(
            cluster=cluster(),
            version=self.stage.istio_version,
            disable_shadow_host_suffix=False if self.suffixed else None,
        ).handle

    @contextmanager
    def applied(self, role: str, objects: Sequence[Mapping[str, Any]]) -> Iterator[None]:
        """Put objects into a cluster, and take them away at the end."""
        try:
            together([self.outpost.start("apply", role, dict(obj)) for obj in objects])
            yield
        finally:
            together(
                [
                    self.outpost.start(
                        "delete", role, obj["apiVersion"], obj["kind"], obj["metadata"].get("namespace", ""), name
                    )
                    for obj in objects
                    for name in [obj["metadata"]["name"]]
                ]
            )

    def await_route(self, proxy: Proxy, route: MirroredRoute, context: str) -> None:
        """Wait until a proxy has a route with its mirrors and their bound, and takes every mirror for healthy."""
        wanted = wanted_routes(route, context)
        targets = {mirror.destination(route.primary).cluster_name: mirror for mirror in route.mirrors}
        braked = {target for target, mirror in targets.items() if isinstance(mirror.brakes, Brakes)}

        def in_place() -> bool:
            routes = proxy.routes()
            if not routes or any(found.get(name) != mirrors for found in routes for name, mirrors in wanted.items()):
                return False
            if not all(braked <= bounded for bounded in proxy.bounded_clusters()):
                return False
            # What an earlier case has done to a mirror must be over.
            return proxy.ejected(targets) == 0

        wait_until(in_place, what=f"{context} has the routes {wanted}", timeout=ROUTE_SECONDS)

    def call(self, route: Route, count: int = 500, **changes: Any) -> dict[str, Any]:
        """Make calls along a route and return what came of them; see ``workloads/peer/caller.py``.

        Returns:
            The caller's result, and the run's tag as ``run``.
        """
        return self.run_job(self.job(route, count, **changes), inside=not route.host)

    def job(self, route: Route, count: int = 500, **changes: Any) -> dict[str, Any]:
        """Return the job of calls along a route."""
        port = PORTS[route.protocol]
        inside = not route.host
        clients = {Protocol.GRPC: "grpc", Protocol.HTTP: "http1", Protocol.HTTP2: "http2"}
        host = str(route.primary.host) if inside else self.stage.gateway_addresses[STAGING]
        values = {
            "protocol": clients[route.protocol],
            "authority": "" if inside else f"{route.host}:{port}",
            "rpc": terms.SAY_HELLO,
            "kind": "unary",
            "messages": 1,
            "message_bytes": 0,
            "method": "GET",
            "path": "/",
            "headers": {},
            "body_bytes": 0,
        }
        return self.job_to(f"{host}:{port}", count, **{**values, **changes})

    def job_to(self, address: str, count: int, **values: Any) -> dict[str, Any]:
        """Return the job of calls to an address."""
        tag = f"r{uuid.uuid4().hex[:10]}"
        self._begun[tag] = time.monotonic()
        common = {"address": address, "run": tag, "count": count, "concurrency": 16, "timeout": 10}
        job = {**common, **values}
        return {"rate": 0 if job["concurrency"] >= count else PACE, **job}

    def run_job(self, job: Mapping[str, Any], *, inside: bool, timeout: float = 120) -> dict[str, Any]:
        """Do a job, in the caller's pod or from outside the clusters."""
        if inside:
            answer = self.outpost.ask(
                "ask_pod", STAGING, NAMESPACE, "app=caller", f"{CONTROL_PORT}/", job, timeout=timeout
            )
        else:
            answer = self.outside_caller.run(job, timeout)
        return {**json.loads(answer), "run": job["run"]}

    def seen(self, role: str, version: str, run: str) -> dict[str, Any]:
        """Return the counts of an echo server."""
        return self.ask_echo(role, version, f"seen?run={run}")

    def ask_echo(self, role: str, version: str, path: str, order: Mapping[str, Any] | None = None) -> Any:
        """Ask the control port of an echo server, or give it an order."""
        selector = f"app=echo-{version}"
        return json.loads(self.outpost.ask("ask_pod", role, NAMESPACE, selector, f"{CONTROL_PORT}/{path}", order))

    def records(self, role: str, version: str, run: str) -> list[dict[str, Any]]:
        """Return the requests of a run that an echo server has seen."""
        return self.ask_echo(role, version, f"records?run={run}")

    @contextmanager
    def misbehaving(self, role: str, version: str, mode: str, **settings: Any) -> Iterator[None]:
        """Make an echo server misbehave; see ``workloads/peer/echo_state.py``."""
        self.ask_echo(role, version, "mode", {"name": mode, **settings})
        try:
            yield
        finally:
            self.ask_echo(role, version, "mode", {"name": "ok"})

    def greeted(self, role: str, version: str, run: str, method: str = "SayHello") -> Arrivals:
        """Return what a greeter has logged of a run."""
        lines = self._greeter_log(role, version, run)
        return Arrivals.of(lines, run_id=run, method=method)

    def messages(self, role: str, version: str, run: str, method: str) -> list[int]:
        """Return how many messages each of a run's calls had that a greeter has logged."""
        lines = self._greeter_log(role, version, run)
        entries = [json.loads(line) for line in lines if f'"{run}-' in line]
        return [entry["messages"] for entry in entries if entry.get("method") == method]

    def _greeter_log(self, role: str, version: str, run: str) -> list[str]:
        seconds = int(time.monotonic() - self._begun[run]) + 2
        return self.outpost.ask("log", role, NAMESPACE, f"app=greeter,version={version}", "greeter", seconds)

    def rejects(self) -> dict[str, int]:
        """Return how many configurations proxies of each cluster have refused since its istiod started."""
        questions = {role: self.outpost.start("rejects", role) for role in self.stage.roles}
        return {role: question.result(timeout=60) for role, question in questions.items()}

    def rejections(self, role: str) -> list[str]:
        """Return what proxies of a cluster said lately about configurations that they refused, from istiod's log."""
        lines: list[str] = self.outpost.ask("log", role, "istio-system", "app=istiod", "discovery", 600)
        return [line for line in lines if REJECTION in line]


def together(questions: Sequence[Future[Any]]) -> None:
    """Wait until all questions are answered; fail if one failed."""
    for question in questions:
        question.result(timeout=60)


def settled(read: Any, *, complete: int, quiet_seconds: float = 1.0) -> Any:
    """Read counts until all are there or nothing more comes.

    Args:
        read: Returns something with a number of calls, see :func:`calls_of`.
        complete: The number at which there is nothing to wait for.
        quiet_seconds: How long nothing may come before the counts are taken as final.
    """
    deadline = time.monotonic() + ARRIVAL_SECONDS
    seen, changed = read(), time.monotonic()
    while calls_of(seen) < complete and time.monotonic() < min(deadline, changed + quiet_seconds):
        time.sleep(0.1)
        latest = read()
        if calls_of(latest) != calls_of(seen):
            changed = time.monotonic()
        seen = latest
    return seen


def calls_of(seen: Any) -> int:
    """Return the number of different calls in an echo server's counts or a greeter's arrivals."""
    return int(seen["calls"]) if isinstance(seen, dict) else int(seen.calls)
