"""The expiry guard as it runs in its pod: a process that talks to an API server, here a small one on loopback."""

import copy
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from pulumi_traffic_mirror.model import (
    Destination,
    Expiry,
    GatewayHosts,
    GatewayRef,
    InClusterMirror,
    IstioBehaviour,
    IstioVersion,
    Match,
    MirroredRoute,
    OverlayRoute,
    WaypointService,
    render,
)

pytestmark = pytest.mark.slow

SERVER = Path(__file__).parents[3] / "components" / "workloads" / "expiry" / "server"
API = "/apis/networking.istio.io"
ROUTES = f"{API}/v1/namespaces/hello/virtualservices/greeter"
FILTER = f"{API}/v1alpha3/namespaces/istio-system/envoyfilters/hello-greeter-mirrors"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
OVER = Expiry(NOW - timedelta(seconds=1))
LATER = Expiry(NOW + timedelta(hours=1))
PULUMI = "pulumi-kubernetes-1234"

Object = dict[str, Any]


def rendered(**ends: Expiry | None) -> dict[str, Object]:
    """Both objects as the library renders them, with one mirror for each end."""
    route = MirroredRoute(
        name="greeter",
        namespace="hello",
        primary=Destination("greeter.hello.svc.cluster.local", 8000),
        istio=IstioBehaviour(version=IstioVersion(1, 31)),
        hosts=["grpc-hello.staging.example"],
        gateway=GatewayRef(name="internal-gateway", namespace="istio-system"),
        mirrors=[
            InClusterMirror(
                name=name,
                service=Destination(f"greeter-{name}.hello.svc.cluster.local", 8000),
                percent=50,
                match=Match(rpc_methods=["helloworld.Greeter/SayHello"]),
                expires=end,
            )
            for name, end in ends.items()
        ],
    )
    objects: dict[str, Any] = {ROUTES: render.virtual_service(route), FILTER: render.envoy_filter(route)}
    return {path: json.loads(json.dumps(value)) for path, value in objects.items()}


class ApiServer(ThreadingHTTPServer):
    """Answers GET, apply and merge for the objects that it holds, as far as the guard needs it."""

    daemon_threads = True

    def __init__(self, objects: dict[str, Object], *, applied: bool) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.objects = objects
        self.writes: list[tuple[str, str, dict[str, list[str]], Object]] = []
        self.conflicts = 0
        self.forbidden = False
        for value in objects.values():
            value["metadata"]["resourceVersion"] = "7"
            owned = {
                "f:metadata": {"f:annotations": {f"f:{key}": {} for key in value["metadata"].get("annotations", {})}}
            }
            entry = {"manager": PULUMI, "operation": "Apply", "fieldsV1": {**owned, "f:spec": {}}}
            value["metadata"]["managedFields"] = [entry] if applied else []


class Handler(BaseHTTPRequestHandler):
    server: ApiServer  # pyright: ignore[reportIncompatibleVariableOverride] -- the one that it is made for

    def date_time_string(self, timestamp: float | None = None) -> str:
        del timestamp
        return format_datetime(NOW, usegmt=True)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name
        del format, args

    def answer(self, status: int, body: object = None) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        assert self.headers["Authorization"] == "Bearer made-up"
        value = self.server.objects.get(self.path)
        if self.server.forbidden:
            self.answer(403, {"message": "no"})
        else:
            self.answer(200 if value else 404, value)

    def do_PATCH(self) -> None:
        url = urlsplit(self.path)
        body: Object = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        value = self.server.objects[url.path]
        if self.server.conflicts or body["metadata"]["resourceVersion"] != value["metadata"]["resourceVersion"]:
            self.server.conflicts -= 1
            self.answer(409, {"message": "changed meanwhile"})
            return
        self.server.writes.append((url.path, self.headers["Content-Type"], parse_qs(url.query), body))
        value["spec"] = body["spec"]
        value["metadata"]["resourceVersion"] += "1"
        self.answer(200, value)


@pytest.fixture
def servers() -> Iterator[list[ApiServer]]:
    running: list[ApiServer] = []
    yield running
    for server in running:
        server.shutdown()
        server.server_close()


def serve(servers: list[ApiServer], objects: dict[str, Object], *, applied: bool = True) -> ApiServer:
    server = ApiServer(objects, applied=applied)
    servers.append(server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def run(server: ApiServer, account: Path, **changes: str) -> tuple[int, list[Object]]:
    (account / "token").write_text("made-up\n", encoding="utf-8")
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(SERVER),
        "API_SERVER": f"http://127.0.0.1:{server.server_port}",
        "ACCOUNT_FOLDER": str(account),
        "VIRTUAL_SERVICE": "hello/greeter",
        "ENVOY_FILTER": "istio-system/hello-greeter-mirrors",
        **changes,
    }
    done = subprocess.run(
        [sys.executable, str(SERVER / "expiry_guard.py")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.stderr == ""
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def shares(server: ApiServer) -> dict[str, set[float]]:
    """Shares of each mirror by host, in the routes and in the lists that replace them."""
    found: dict[str, set[float]] = {}
    for entry in server.objects[ROUTES]["spec"]["http"]:
        for mirror in entry.get("mirrors", []):
            found.setdefault(mirror["destination"]["host"], set()).add(mirror["percentage"]["value"])
    for patch in server.objects[FILTER]["spec"]["configPatches"]:
        for policy in patch["patch"]["value"].get("route", {}).get("request_mirror_policies", []):
            share = policy["runtime_fraction"]["default_value"]["numerator"] / 10_000
            found.setdefault(policy["cluster"].rpartition("|")[2], set()).add(share)
    return found


def test_an_ended_mirror_is_set_to_0_everywhere_and_others_stay(servers: list[ApiServer], tmp_path: Path) -> None:
    server = serve(servers, rendered(old=OVER, new=LATER, endless=None))
    code, lines = run(server, tmp_path)
    assert (code, lines[-1]["ended"]) == (0, ["old"])
    assert shares(server) == {
        "greeter-old.hello.svc.cluster.local": {0},
        "greeter-new.hello.svc.cluster.local": {50},
        "greeter-endless.hello.svc.cluster.local": {50},
    }
    # The list in the EnvoyFilter wins in proxies, so it goes first.
    assert [write[0] for write in server.writes] == [FILTER, ROUTES]


def test_nothing_is_written_before_the_end_or_twice(servers: list[ApiServer], tmp_path: Path) -> None:
    server = serve(servers, rendered(new=LATER))
    assert run(server, tmp_path)[0] == 0
    assert server.writes == []
    server.objects.update(serve(servers, rendered(old=OVER)).objects)
    run(server, tmp_path)
    run(server, tmp_path)
    assert len(server.writes) == 2


def test_it_applies_in_the_name_of_who_applied_before(servers: list[ApiServer], tmp_path: Path) -> None:
    server = serve(servers, rendered(old=OVER))
    notes = copy.deepcopy(server.objects[ROUTES]["metadata"]["annotations"])
    server.objects[ROUTES]["metadata"]["annotations"]["somebody/else"] = "note"
    run(server, tmp_path)
    _, kind, query, body = server.writes[1]
    assert kind == "application/apply-patch+yaml"
    assert query == {"fieldManager": [PULUMI], "force": ["true"]}
    # All that the manager owns, or the server would take the rest away from the object; and nothing of others.
    assert body["metadata"]["annotations"] == notes
    assert set(body) == {"apiVersion", "kind", "metadata", "spec"}


def test_it_merges_where_nobody_applied(servers: list[ApiServer], tmp_path: Path) -> None:
    server = serve(servers, rendered(old=OVER), applied=False)
    assert run(server, tmp_path)[0] == 0
    assert {write[1] for write in server.writes} == {"application/merge-patch+json"}
    assert server.writes[0][2] == {"fieldManager": ["traffic-mirror-expiry"]}
    assert shares(server) == {"greeter-old.hello.svc.cluster.local": {0}}


def test_it_tries_again_when_somebody_else_changes_the_object(servers: list[ApiServer], tmp_path: Path) -> None:
    server = serve(servers, rendered(old=OVER))
    server.conflicts = 2
    assert run(server, tmp_path)[0] == 0
    assert shares(server) == {"greeter-old.hello.svc.cluster.local": {0}}


def test_routes_that_are_gone_are_no_failure(servers: list[ApiServer], tmp_path: Path) -> None:
    code, lines = run(serve(servers, {}), tmp_path)
    assert (code, [line["event"] for line in lines]) == (0, ["gone", "done"])


def overlaid(**ends: Expiry | None) -> dict[str, Object]:
    """The EnvoyFilters of an overlay at a gateway and at a waypoint, with one mirror for each end."""
    mirrors = [
        InClusterMirror(name=name, service=Destination(f"{name}.labs.svc.cluster.local", 80), percent=50, expires=end)
        for name, end in ends.items()
    ]
    on = [GatewayHosts(hosts=["a.example", "b.example"]), WaypointService("orders.hello.svc.cluster.local", 80)]
    istio = IstioBehaviour(version=IstioVersion(1, 31))
    route = OverlayRoute(name="shop", namespace="hello", on=on, mirrors=mirrors, istio=istio)
    found = json.loads(json.dumps(list(render.overlay_filters(route).values())))
    path = f"{API}/v1alpha3/namespaces/{{namespace}}/envoyfilters/{{name}}"
    return {path.format(**each["metadata"]): each for each in found}


def test_an_overlay_s_mirrors_end_wherever_it_hangs(servers: list[ApiServer], tmp_path: Path) -> None:
    server = serve(servers, overlaid(old=OVER, new=LATER))
    names = ",".join(f"{each['metadata']['namespace']}/{each['metadata']['name']}" for each in server.objects.values())
    code, lines = run(server, tmp_path, VIRTUAL_SERVICE="", ENVOY_FILTER=names)
    assert (code, lines[-1]["ended"], len(server.writes)) == (0, ["old"], 2)
    numerators = [
        (policy["cluster_header"].split(".")[2], policy["runtime_fraction"]["default_value"]["numerator"])
        for each in server.objects.values()
        for patch in each["spec"]["configPatches"]
        for value in [patch["patch"]["value"]]
        for holder in [value.get("route", value.get("typed_config", {}).get("route_config", {}))]
        for policy in holder.get("request_mirror_policies", [])
    ]
    # Two hosts and a waypoint.
    assert sorted(set(numerators)) == [("new", 500_000), ("old", 0)]
    assert len(numerators) == 6
    run(server, tmp_path, VIRTUAL_SERVICE="", ENVOY_FILTER=names)
    assert len(server.writes) == 2


def test_a_filter_that_is_gone_leaves_the_routes_to_be_changed(servers: list[ApiServer], tmp_path: Path) -> None:
    server = serve(servers, rendered(old=OVER))
    del server.objects[FILTER]
    assert run(server, tmp_path)[0] == 0
    assert [write[0] for write in server.writes] == [ROUTES]


def test_a_refusal_is_said_and_fails(servers: list[ApiServer], tmp_path: Path) -> None:
    server = serve(servers, rendered(old=OVER))
    server.forbidden = True
    code, lines = run(server, tmp_path)
    assert (code, lines[-1]["event"], lines[-1]["status"]) == (1, "failed", 403)


def test_an_end_that_cannot_be_read_fails_and_changes_nothing(servers: list[ApiServer], tmp_path: Path) -> None:
    server = serve(servers, rendered(old=OVER))
    server.objects[ROUTES]["metadata"]["annotations"]["pulumi-traffic-mirror/expires.old"] = "tomorrow"
    code, lines = run(server, tmp_path)
    assert (code, server.writes) == (1, [])
    assert "tomorrow" in lines[-1]["reason"]
